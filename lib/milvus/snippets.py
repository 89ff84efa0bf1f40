"""Operation and parameters → the sync and async code a reader can paste."""

from collections.abc import Sequence
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from lib.milvus.connection import Connection
from lib.milvus.fields import PRIMARY_FIELD, VECTOR_FIELD
from lib.milvus.filters import quote
from lib.milvus.operations import OPERATIONS

EMBEDDING_CODE = {
    "bundled": (
        "from lib.milvus.embeddings import BundledEmbeddings\n",
        "BundledEmbeddings()",
    ),
    "openai": (
        "from langchain_openai import OpenAIEmbeddings\n",
        "OpenAIEmbeddings(model={model!r}, check_embedding_ctx_length=False)",
    ),
}


@dataclass(frozen=True)
class Snippet:
    """The same work twice: as sync code and as async code."""

    sync: str
    asynchronous: str


def opening(connection_uri: str, collection: str, model: str, *, imports: str = "") -> str:
    """Return the lines that open a store; tokens stay placeholders."""
    provider = model.partition("/")[0]
    embedding_import, embedding = EMBEDDING_CODE.get(provider, EMBEDDING_CODE["bundled"])
    embedding = embedding.format(model=model.partition("/")[2])
    token = "" if connection_uri.endswith(".db") else ', "token": "…"'
    return (
        f"{imports}from langchain_milvus import Milvus\n{embedding_import}\n"
        f"store = Milvus(\n"
        f"    embedding_function={embedding},\n"
        f"    collection_name={collection!r},\n"
        f'    connection_args={{"uri": "{connection_uri}"{token}}},\n'
        f"    enable_dynamic_field=True,\n"
        f")\n"
    )


@dataclass(frozen=True)
class Name:
    """An argument that is written as a variable's name, not as its value."""

    text: str


def call(
    operation: str,
    arguments: dict[str, Any],
    *,
    uri: str,
    collection: str,
    model: str,
    before: str = "",
) -> Snippet:
    """Return one call of an operation, sync and async, with its real parameters.

    `before` are lines that need the store and make what a `Name` among the arguments means.
    """
    pair = OPERATIONS[operation]
    written = _arguments(arguments)
    return Snippet(
        sync=opening(uri, collection, model) + f"{before}\nresult = store.{pair.name}({written})\n",
        asynchronous=opening(uri, collection, model, imports="import asyncio\n\n")
        + before
        + f"\n\nasync def main():\n    return await store.{pair.async_name}({_indented(written)})\n"
        + "\n\nresult = asyncio.run(main())\n",
    )


def subject(query: str, like: str) -> tuple[dict[str, Any], str]:
    """Return what a search is about as an argument, and the lines that make it.

    That is the question, or the vector of the row whose key is `like`.
    """
    if not like:
        return {"query": query}, ""
    lines = (
        "\n[row] = store.client.query(\n    store.collection_name,\n"
        f"    filter={f'{PRIMARY_FIELD} == {quote(like)}'!r},\n"
        f"    output_fields=[{VECTOR_FIELD!r}],\n)\nvector = row[{VECTOR_FIELD!r}]\n"
    )
    return {"embedding": Name("vector")}, lines


def similarity_and_mmr(
    similarity: tuple[str, dict[str, Any]],
    mmr: tuple[str, dict[str, Any]],
    *,
    uri: str,
    collection: str,
    model: str,
    before: str = "",
) -> Snippet:
    """Return both searches, one after the other as sync code, at the same time as async code."""
    pairs = [
        (OPERATIONS[operation], _arguments(arguments)) for operation, arguments in (similarity, mmr)
    ]
    names = ("similar", "diverse")
    at_once = "".join(
        f"        store.{pair.async_name}({_indented(_indented(written))}),\n"
        for pair, written in pairs
    )
    return Snippet(
        sync=opening(uri, collection, model)
        + before
        + "".join(
            f"\n{name} = store.{pair.name}({written})\n"
            for name, (pair, written) in zip(names, pairs, strict=True)
        ),
        asynchronous=opening(uri, collection, model, imports="import asyncio\n\n")
        + before
        + f"\n\nasync def main():\n    return await asyncio.gather(\n{at_once}    )\n"
        + f"\n\n{', '.join(names)} = asyncio.run(main())\n",
    )


def retriever(
    queries: Sequence[str],
    search_type: str,
    search_kwargs: dict[str, Any],
    *,
    concurrency: int,
    uri: str,
    collection: str,
    model: str,
) -> Snippet:
    """Return a store used as a retriever: a loop and `batch`, a gather and `abatch`."""
    shown = pformat(list(queries), width=90)
    made = (
        f"\nretriever = store.as_retriever(\n    search_type={search_type!r},\n"
        f"    search_kwargs={search_kwargs!r},\n)\nqueries = {shown}\n"
        f'limit = {{"max_concurrency": {concurrency}}}\n'
    )
    return Snippet(
        sync=opening(uri, collection, model)
        + made
        + "\none_by_one = [retriever.invoke(query) for query in queries]\n"
        "in_threads = retriever.batch(queries, config=limit)\n",
        asynchronous=opening(uri, collection, model, imports="import asyncio\n\n")
        + made
        + "\n\nasync def main():\n"
        "    at_once = await asyncio.gather(*[retriever.ainvoke(query) for query in queries])\n"
        "    return at_once, await retriever.abatch(queries, config=limit)\n"
        "\n\nat_once, batched = asyncio.run(main())\n",
    )


def many_searches(
    queries: Sequence[str], k: int, *, concurrency: int, uri: str, collection: str, model: str
) -> Snippet:
    """Return many searches as a loop and one batched request, and as a limited gather."""
    made = f"\nqueries = {pformat(list(queries), width=90)}\n"
    return Snippet(
        sync=opening(uri, collection, model) + made + "\none_by_one = [\n"
        f"    store.similarity_search_with_score(query, k={k}) for query in queries\n]\n"
        "\n# One request with all vectors, which langchain-milvus has no method for:\n"
        "vectors = store.embeddings.embed_documents(queries)\n"
        "batched = store.client.search(\n    store.collection_name,\n    data=vectors,\n"
        f'    anns_field="vector",\n    limit={k},\n    output_fields=["*"],\n)\n',
        asynchronous=opening(uri, collection, model, imports="import asyncio\n\n")
        + made
        + f"limit = asyncio.Semaphore({concurrency})\n\n\n"
        "async def ask(query):\n    async with limit:\n"
        f"        return await store.asimilarity_search_with_score(query, k={k})\n\n\n"
        "async def main():\n"
        "    return await asyncio.gather(*[ask(query) for query in queries])\n"
        "\n\nresults = asyncio.run(main())\n",
    )


# How each method takes a batch of documents, in code that stands on its own.
INGESTION_ARGUMENTS = {
    "add_documents": "batch, ids=[document.id for document in batch]",
    "upsert": "ids=[document.id for document in batch], documents=batch",
    "add_texts": (
        "\n{indent}[document.page_content for document in batch],"
        "\n{indent}metadatas=[document.metadata for document in batch],"
        "\n{indent}ids=[document.id for document in batch],\n{outdent}"
    ),
    "add_embeddings": (
        "\n{indent}[document.page_content for document in batch],"
        "\n{indent}[vectors[document.id] for document in batch],"
        "\n{indent}metadatas=[document.metadata for document in batch],"
        "\n{indent}ids=[document.id for document in batch],\n{outdent}"
    ),
}


def ingestion(
    *,
    uri: str,
    collection: str,
    model: str,
    batch_size: int,
    concurrency: int,
    method: str = "add_documents",
) -> Snippet:
    """Return the batched ingestion, as a sync loop and as gathered batches."""
    batches = (
        f"batches = [documents[i : i + {batch_size}] for i in range(0, len(documents), "
        f"{batch_size})]\n"
    )
    if method == "from_texts":
        return _creation(uri, collection, model, batches, concurrency)
    comment = "\n# documents: a list of langchain_core.documents.Document, each with an id\n"
    if method == "add_embeddings":
        comment += "# vectors: a dict from their ids to their vectors\n"
    arguments = INGESTION_ARGUMENTS[method]
    deep, deeper = " " * 8, " " * 12
    return Snippet(
        sync=opening(uri, collection, model) + comment + batches + "for batch in batches:\n"
        f"    store.{method}({arguments.format(indent=deep, outdent=deep[4:])})\n",
        asynchronous=opening(uri, collection, model, imports="import asyncio\n\n")
        + comment
        + batches
        + f"limit = asyncio.Semaphore({concurrency})\n\n\n"
        "async def add(batch):\n"
        "    async with limit:\n"
        f"        await store.a{method}("
        f"{arguments.format(indent=deeper, outdent=deeper[4:])})\n\n\n"
        "async def main():\n"
        "    await asyncio.gather(*[add(batch) for batch in batches])\n\n\n"
        "asyncio.run(main())\n",
    )


def _creation(uri: str, collection: str, model: str, batches: str, concurrency: int) -> Snippet:
    """Return from_texts for the first batch, which makes the collection, and the rest added."""
    provider, _, name = model.partition("/")
    embedding_import, embedding = EMBEDDING_CODE.get(provider, EMBEDDING_CODE["bundled"])
    token = "" if uri.endswith(".db") else ', "token": "…"'
    columns = (
        "        [document.page_content for document in {batch}],\n"
        "        metadatas=[document.metadata for document in {batch}],\n"
        "        ids=[document.id for document in {batch}],\n"
    )
    creating = (
        columns.format(batch="batches[0]") + f"        embedding={embedding.format(model=name)},\n"
        f"        collection_name={collection!r},\n"
        f'        connection_args={{"uri": "{uri}"{token}}},\n'
        "        enable_dynamic_field=True,\n"
    )
    head = f"from langchain_milvus import Milvus\n{embedding_import}\n{batches}"
    return Snippet(
        sync=head
        + f"store = Milvus.from_texts(\n{_dedented(creating)})\n"
        + "for batch in batches[1:]:\n"
        + f"    store.add_texts(\n{columns.format(batch='batch')}    )\n",
        asynchronous=f"import asyncio\n\n{head}limit = asyncio.Semaphore({concurrency})\n\n\n"
        "async def add(store, batch):\n"
        "    async with limit:\n"
        f"        await store.aadd_texts(\n{_indented_lines(columns.format(batch='batch'))}"
        "        )\n\n\n"
        "async def main():\n"
        f"    store = await Milvus.afrom_texts(\n{creating}    )\n"
        "    await asyncio.gather(*[add(store, batch) for batch in batches[1:]])\n\n\n"
        "asyncio.run(main())\n",
    )


def _dedented(lines: str) -> str:
    return "".join(line[4:] for line in lines.splitlines(keepends=True))


def _indented_lines(lines: str) -> str:
    return "".join(f"    {line}" for line in lines.splitlines(keepends=True))


def row_changes(*, uri: str, collection: str, model: str) -> Snippet:
    """Return the calls that change and delete rows: upsert by key, delete by expression."""
    key, expr = "KEY", 'source == "old.txt"'
    start = "from langchain_core.documents import Document\n"
    changed = 'Document(page_content="The new text", metadata={"kind": "note"})'
    return Snippet(
        sync=start
        + opening(uri, collection, model)
        + f"\nstore.upsert(ids=[{key!r}], documents=[{changed}])\n"
        + f"store.delete(expr={expr!r})\n",
        asynchronous="import asyncio\n\n"
        + start
        + opening(uri, collection, model)
        + "\n\nasync def main():\n"
        + f"    await store.aupsert(ids=[{key!r}], documents=[{changed}])\n"
        + "    # True even when the expression is wrong: count the rows to be sure.\n"
        + f"    await store.adelete(expr={expr!r})\n"
        + "\n\nasyncio.run(main())\n",
    )


def shown_uri(connection: Connection) -> str:
    """Return a URI for a reader's code: the address without credentials or folders."""
    if connection.is_lite:
        return f"data/{connection.address}"
    return (
        f"https://{connection.address}"
        if connection.kind == "zilliz"
        else (f"http://{connection.address}")
    )


def _arguments(arguments: dict[str, Any]) -> str:
    parts = []
    for name, value in arguments.items():
        if value is None or value == "":
            continue
        text = value.text if isinstance(value, Name) else pformat(value, width=80, compact=True)
        parts.append(f"    {name}={text},")
    return "\n" + "\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
