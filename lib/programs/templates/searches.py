"""One search or lookup, searches by similarity and by MMR, and many questions."""

import asyncio
from textwrap import shorten
from time import perf_counter

from blanks import (
    ARGUMENTS,
    CALL,
    DIVERSE,
    EXPR,
    FOUND,
    KEY,
    LIMIT,
    MMR_ARGUMENTS,
    NEAREST,
    OPENING,
    QUESTIONS,
    ROW,
    SEARCH_KWARGS,
    SEARCH_TYPE,
    SHOW,
    SHOW_DIVERSE,
    TEXT_FIELD,
    VECTOR,
    VECTOR_FIELD,
    K,
    answers,
    found,
    limit,
    questions,
    retriever,
    store,
)

# %% call
OPENING

VECTOR

found = CALL(*ARGUMENTS)
SHOW

# %% call async
OPENING

VECTOR


async def main():
    return await CALL(*ARGUMENTS)


found = asyncio.run(main())
SHOW

# %% show keys
print(len(found), "keys")
for key in found:
    print(key)

# %% show documents
for rank, document in enumerate(FOUND, 1):
    print(rank, document.metadata[KEY], shorten(document.page_content, 80))

# %% show scored
for rank, (document, score) in enumerate(FOUND, 1):
    print(rank, document.metadata[KEY], f"{score:.4f}", shorten(document.page_content, 80))

# %% show metadata
for rank, document in enumerate(FOUND, 1):
    print(rank, document.metadata[KEY], document.metadata)

# %% row of a key
[row] = store.client.query(
    store.collection_name,
    filter=EXPR,
    output_fields=[VECTOR_FIELD],
)
vector = row[VECTOR_FIELD]

# %% both
OPENING

ROW

similar = NEAREST(*ARGUMENTS)
diverse = DIVERSE(*MMR_ARGUMENTS)

print("Nearest")
SHOW
print("With variety")
SHOW_DIVERSE

# %% both async
OPENING

ROW


async def main():
    return await asyncio.gather(
        NEAREST(*ARGUMENTS),
        DIVERSE(*MMR_ARGUMENTS),
    )


similar, diverse = asyncio.run(main())
print("Nearest")
SHOW
print("With variety")
SHOW_DIVERSE

# %% questions
questions = [
    *QUESTIONS,
]

# %% retriever
retriever = store.as_retriever(
    search_type=SEARCH_TYPE,
    search_kwargs=SEARCH_KWARGS,
)
QUESTIONS
limit = {"max_concurrency": LIMIT}

# %% retriever sync
OPENING

started = perf_counter()
answers = [retriever.invoke(question) for question in questions]
print(f"{len(questions)} questions, invoke one after another: {perf_counter() - started:.2f} s")
started = perf_counter()
answers = retriever.batch(questions, config=limit)
print(f"{len(questions)} questions, batch, in threads: {perf_counter() - started:.2f} s")
SHOW

# %% retriever async
OPENING

in_flight = asyncio.Semaphore(LIMIT)


async def ask(question):
    async with in_flight:
        return await retriever.ainvoke(question)


async def main():
    await ask(questions[0])  # connects
    started = perf_counter()
    answers = await asyncio.gather(*[ask(question) for question in questions])
    print(
        f"{len(questions)} questions, ainvoke, at most {LIMIT} at once: {perf_counter() - started:.2f} s"
    )
    started = perf_counter()
    answers = await retriever.abatch(questions, config=limit)
    print(f"{len(questions)} questions, abatch: {perf_counter() - started:.2f} s")
    return answers


answers = asyncio.run(main())
SHOW

# %% many sync
OPENING
started = perf_counter()
answers = [store.similarity_search_with_score(question, k=K) for question in questions]
print(f"{len(questions)} questions, one after another: {perf_counter() - started:.2f} s")
SHOW

# %% many async
OPENING
in_flight = asyncio.Semaphore(LIMIT)


async def ask(question):
    async with in_flight:
        return await store.asimilarity_search_with_score(question, k=K)


async def main():
    await ask(questions[0])  # connects
    started = perf_counter()
    answers = await asyncio.gather(*[ask(question) for question in questions])
    print(f"{len(questions)} questions, at most {LIMIT} at once: {perf_counter() - started:.2f} s")
    return answers


answers = asyncio.run(main())
SHOW

# %% many at once
OPENING

# langchain-milvus has no method for many questions; the store's client has.
started = perf_counter()
vectors = store.embeddings.embed_documents(questions)
answers = store.client.search(
    store.collection_name,
    data=vectors,
    anns_field=VECTOR_FIELD,
    limit=K,
    output_fields=[KEY, TEXT_FIELD],
)
print(f"{len(questions)} questions, one request: {perf_counter() - started:.2f} s")
for question, found in zip(questions, answers):
    print(shorten(question, 60), "→", *[hit[KEY] for hit in found])

# %% answers of documents
for question, found in zip(questions, answers):
    print(shorten(question, 60), "→", *[document.metadata[KEY] for document in found])

# %% answers of scored
for question, found in zip(questions, answers):
    print(shorten(question, 60), "→", *[document.metadata[KEY] for document, _ in found])
