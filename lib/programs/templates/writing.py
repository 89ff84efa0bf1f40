"""Rows written in batches, each method in its own form, and rows changed and deleted."""

import asyncio
from time import perf_counter

from blanks import (
    COUNT,
    DOCUMENTS,
    EMBED,
    FIRST,
    LIMIT,
    OPENING,
    OPTIONS,
    PART,
    ROWS,
    SHOW,
    SIZE,
    WRITE,
    batches,
    count,
    model,
    rows,
    store,
)
from langchain_core.documents import Document
from langchain_milvus import Milvus

# %% batches
ROWS
DOCUMENTS
batches = [rows[i : i + SIZE] for i in range(0, len(rows), SIZE)]


# %% documents
def documents(rows):
    return [Document(id=key, page_content=text, metadata=metadata) for key, text, metadata in rows]


# %% first upsert
store.add_documents(documents(rows[:1]), ids=[rows[0][0]])  # makes the collection

# %% write add_texts
WRITE(
    [text for _, text, _ in PART],
    metadatas=[metadata for _, _, metadata in PART],
    ids=[key for key, _, _ in PART],
)

# %% write add_documents
WRITE(documents(PART), ids=[key for key, _, _ in PART])

# %% write upsert
WRITE(ids=[key for key, _, _ in PART], documents=documents(PART))

# %% write add_embeddings
vectors = EMBED([text for _, text, _ in PART])
WRITE(
    [text for _, text, _ in PART],
    vectors,
    metadatas=[metadata for _, _, metadata in PART],
    ids=[key for key, _, _ in PART],
)

# %% ingestion
ROWS
OPENING
FIRST


COUNT


started = perf_counter()
for batch in batches:
    WRITE
print(f"{count()} rows in {len(batches)} batches, {perf_counter() - started:.2f} s")

# %% ingestion async
ROWS
OPENING
FIRST
limit = asyncio.Semaphore(LIMIT)


COUNT


async def add(batch):
    async with limit:
        WRITE


async def main():
    await add(batches[0])  # makes the collection
    await asyncio.gather(*[add(batch) for batch in batches[1:]])


started = perf_counter()
asyncio.run(main())
print(f"{count()} rows in {len(batches)} batches, {perf_counter() - started:.2f} s")

# %% ingestion at once
ROWS
DOCUMENTS
OPENING
FIRST


COUNT


started = perf_counter()
WRITE
print(f"{count()} rows in one call, {perf_counter() - started:.2f} s")

# %% creation
ROWS
started = perf_counter()
store = Milvus.from_texts(
    [text for _, text, _ in batches[0]],
    metadatas=[metadata for _, _, metadata in batches[0]],
    ids=[key for key, _, _ in batches[0]],
    embedding=model,
    **OPTIONS,
)
for batch in batches[1:]:
    WRITE


COUNT


print(f"{count()} rows in {len(batches)} batches, {perf_counter() - started:.2f} s")

# %% creation async
ROWS
limit = asyncio.Semaphore(LIMIT)


async def add(store, batch):
    async with limit:
        WRITE


async def main():
    store = await Milvus.afrom_texts(
        [text for _, text, _ in batches[0]],
        metadatas=[metadata for _, _, metadata in batches[0]],
        ids=[key for key, _, _ in batches[0]],
        embedding=model,
        **OPTIONS,
    )
    await asyncio.gather(*[add(store, batch) for batch in batches[1:]])
    return store


started = perf_counter()
store = asyncio.run(main())


COUNT


print(f"{count()} rows in {len(batches)} batches, {perf_counter() - started:.2f} s")

# %% changes
OPENING


COUNT


changed = Document(page_content="The new text", metadata={"source": "new.txt"})
store.upsert(ids=["b"], documents=[changed])
store.delete(expr="source == 'old.txt'")
SHOW

# %% changes shown
print(count(), "rows,", count("source == 'old.txt'"), "of old.txt")
print(
    *store.client.query(
        store.collection_name,
        filter="pk == 'b'",
        output_fields=["text"],
        consistency_level="Strong",
    )
)

# %% changes async
OPENING


COUNT


async def main():
    changed = Document(page_content="The new text", metadata={"source": "new.txt"})
    await store.aupsert(ids=["b"], documents=[changed])
    # True even when the expression is wrong: the count below is the proof.
    await store.adelete(expr="source == 'old.txt'")


asyncio.run(main())
SHOW
