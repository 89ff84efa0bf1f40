"""Operation and parameters → the sync and async code a reader can paste."""

from dataclasses import dataclass
from pprint import pformat
from typing import Any

from lib.connection import Connection
from lib.operations import OPERATIONS

EMBEDDING_CODE = {
    "bundled": (
        "from lib.embeddings import BundledEmbeddings\n",
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


def call(
    operation: str,
    arguments: dict[str, Any],
    *,
    uri: str,
    collection: str,
    model: str,
) -> Snippet:
    """Return one call of an operation, sync and async, with its real parameters."""
    pair = OPERATIONS[operation]
    written = _arguments(arguments)
    return Snippet(
        sync=opening(uri, collection, model) + f"\nresult = store.{pair.name}({written})\n",
        asynchronous=opening(uri, collection, model, imports="import asyncio\n\n")
        + f"\n\nasync def main():\n    return await store.{pair.async_name}({_indented(written)})\n"
        + "\n\nresult = asyncio.run(main())\n",
    )


def ingestion(
    *, uri: str, collection: str, model: str, batch_size: int, concurrency: int
) -> Snippet:
    """Return the batched ingestion, as a sync loop and as gathered batches."""
    batches = (
        f"batches = [documents[i : i + {batch_size}] for i in range(0, len(documents), "
        f"{batch_size})]\n"
    )
    return Snippet(
        sync=opening(uri, collection, model)
        + "\n# documents: a list of langchain_core.documents.Document, each with an id\n"
        + batches
        + "for batch in batches:\n"
        "    store.add_documents(batch, ids=[document.id for document in batch])\n",
        asynchronous=opening(uri, collection, model, imports="import asyncio\n\n")
        + "\n# documents: a list of langchain_core.documents.Document, each with an id\n"
        + batches
        + f"limit = asyncio.Semaphore({concurrency})\n\n\n"
        "async def add(batch):\n"
        "    async with limit:\n"
        "        await store.aadd_documents(batch, ids=[document.id for document in batch])\n\n\n"
        "async def main():\n"
        "    await asyncio.gather(*[add(batch) for batch in batches])\n\n\n"
        "asyncio.run(main())\n",
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
        text = pformat(value, width=80, compact=True)
        if name == "embedding" and isinstance(value, list) and len(value) > 8:
            text = f"[{', '.join(f'{x:.4f}' for x in value[:4])}, …]  # {len(value)} numbers"
        parts.append(f"    {name}={text},")
    return "\n" + "\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
