"""What a benchmark measured: the calls of each operation, in a loop, gathered and as one.

`make` is what the calls of an operation may name, made before the clock starts; `proof` shows what
the calls did, by what they do; `call` is the i-th call of an operation and `batch` one call with all
rows, where it takes them.
"""

import asyncio
from random import Random
from time import perf_counter

from blanks import (
    CALL,
    CALLS,
    COUNT,
    DELETE_BY,
    DISTINCT,
    DOCUMENTS,
    EMBED,
    FETCH_K,
    LAMBDA_MULT,
    LEVEL,
    LIMIT,
    MADE,
    NEW,
    NEW_VECTORS,
    NUMBER,
    OF,
    OPENING,
    OPERATION,
    OPTIONS,
    OWN,
    PART,
    PROOF,
    REPORT,
    ROWS,
    ROWS_A_CALL,
    SEED,
    START,
    TIDY,
    WAY,
    K,
    at,
    before,
    count,
    i,
    model,
    rows,
    seconds,
    store,
)
from langchain_core.documents import Document

# %% documents drawn
random = Random(SEED)
documents = [
    Document(
        id=f"doc_{i}",
        page_content=f"This is test document {i} with some random content: {random.random()}",
        metadata={"id": f"doc_{i}", "score": random.random(), "category": f"cat_{i % 5}"},
    )
    for i in range(DOCUMENTS)
]
OPENING
store.add_documents(documents[:ROWS], ids=[document.id for document in documents[:ROWS]])
store.client.flush(store.collection_name)
MADE

# %% documents drawn and counted
START


COUNT


before = count()

# %% make new
new = documents[ROWS:]

# %% make new_vectors
new_vectors = store.embeddings.embed_documents([document.page_content for document in new])

# %% make queries
queries = [f"test document {i % DISTINCT}" for i in range(NUMBER)]

# %% make vectors
vectors = store.embeddings.embed_documents(queries)

# %% make revised
revised = [
    Document(
        id=document.id,
        page_content=f"{document.page_content} (revised)",
        metadata=document.metadata | {"revised": True},
    )
    for document in documents[:NUMBER]
]

# %% make made
made = [f"{OWN}_{i}" for i in range(NUMBER)]

# %% make at
at = dict(
    **OPTIONS,
)

# %% part of a call
rows = slice(ROWS_A_CALL * i, ROWS_A_CALL * (i + 1))

# %% measured
START
started = perf_counter()
results = []
for i in range(CALLS):
    PART
    results.append(CALL)
seconds = perf_counter() - started

REPORT

# %% measured async
START


async def call(i):
    PART
    return await CALL


async def main():
    await store.aclient.has_collection(store.collection_name)  # connects
    started = perf_counter()
    results = await asyncio.gather(*[call(i) for i in range(CALLS)])
    return perf_counter() - started, results


seconds, results = asyncio.run(main())

REPORT

# %% measured async limited
START
limit = asyncio.Semaphore(LIMIT)


async def call(i):
    async with limit:
        PART
        return await CALL


async def main():
    await store.aclient.has_collection(store.collection_name)  # connects
    started = perf_counter()
    results = await asyncio.gather(*[call(i) for i in range(CALLS)])
    return perf_counter() - started, results


seconds, results = asyncio.run(main())

REPORT

# %% measured at once
START
started = perf_counter()
CALL
seconds = perf_counter() - started

REPORT

# %% searches at once
EMBED
results = store.client.search(
    store.collection_name,
    data=vectors,
    anns_field="vector",
    limit=K,
    output_fields=["text"],
)

# %% report
print(f"{OPERATION}, {CALLS} calls{OF} {WAY}: {seconds:.2f} s")
PROOF
TIDY

# %% proof adds
print(f"{count() - before} rows added")

# %% proof removes
print(f"{before - count()} rows removed")

# %% proof changes
print(f"{count('revised == true')} rows changed")

# %% proof reads
print(f"{sum(len(found) for found in results)} rows returned from {before}")

# %% proof creates
print(f"{sum(store.client.has_collection(name) for name in made)} collections made")

# %% tidy
store.client.drop_collection(store.collection_name)

# %% tidy creates
for name in made:
    store.client.drop_collection(name)
store.client.drop_collection(store.collection_name)

# %% call add_texts
CALL(
    [new[i].page_content],
    metadatas=[new[i].metadata],
    ids=[new[i].id],
)

# %% batch add_texts
CALL(
    [document.page_content for document in NEW],
    metadatas=[document.metadata for document in NEW],
    ids=[document.id for document in NEW],
)

# %% call add_documents
CALL([new[i]], ids=[new[i].id])

# %% batch add_documents
CALL(NEW, ids=[document.id for document in NEW])

# %% call add_embeddings
CALL(
    [new[i].page_content],
    [new_vectors[i]],
    metadatas=[new[i].metadata],
    ids=[new[i].id],
)

# %% batch add_embeddings
CALL(
    [document.page_content for document in NEW],
    NEW_VECTORS,
    metadatas=[document.metadata for document in NEW],
    ids=[document.id for document in NEW],
)

# %% call similarity_search
CALL(query=queries[i], k=K)

# %% call similarity_search_by_vector
CALL(embedding=vectors[i], k=K)

# %% call similarity_search_with_score
CALL(query=queries[i], k=K)

# %% call similarity_search_with_score_by_vector
CALL(embedding=vectors[i], k=K)

# %% call max_marginal_relevance_search
CALL(query=queries[i], k=K, fetch_k=FETCH_K, lambda_mult=LAMBDA_MULT)

# %% call max_marginal_relevance_search_by_vector
CALL(embedding=vectors[i], k=K, fetch_k=FETCH_K, lambda_mult=LAMBDA_MULT)

# %% call delete
CALL(expr=f"{DELETE_BY} == '{documents[i].id}'", **LEVEL)

# %% batch delete
CALL(ids=[document.id for document in documents[:NUMBER]], **LEVEL)

# %% call upsert
CALL(ids=[revised[i].id], documents=[revised[i]])

# %% batch upsert
CALL(ids=[document.id for document in revised], documents=revised)

# %% call search_by_metadata
CALL(
    expr=f"pk == '{documents[i].id}'",
    fields=["pk", "text"],
    limit=K,
)

# %% call get_pks
CALL(expr=f"pk == '{documents[i].id}'")

# %% call from_texts
CALL(
    [new[i].page_content],
    metadatas=[new[i].metadata],
    ids=[new[i].id],
    embedding=model,
    collection_name=made[i],
    **at,
)
