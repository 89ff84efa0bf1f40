"""How to ingest: batch size, concurrency, the method called, and what is good to start from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lib.errors import InvalidInput
from lib.ingestion.batches import Batch
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel

MAX_BATCH_SIZE = 5_000
MAX_CONCURRENCY = 64


@dataclass(frozen=True)
class Defaults:
    """A batch size and a concurrency that do well, and why."""

    batch_size: int
    concurrency: int
    why: str


def defaults(connection: Connection, model: EmbeddingModel) -> Defaults:
    """Return what to start from on this backend with this embedding."""
    if model.is_remote:
        return Defaults(128, 8, "A remote embedding service gains most from calls side by side.")
    if connection.is_lite:
        return Defaults(
            512, 2, "Milvus Lite writes one batch at a time; a second one embeds meanwhile."
        )
    return Defaults(1_000, 4, "A Milvus server takes large batches, a few at a time.")


@dataclass(frozen=True)
class Method:
    """One way to write a batch: the operation called and its keyword arguments."""

    operation: str
    arguments: Callable[[Batch], dict[str, Any]]
    # Whether the vectors are made before the call instead of in it.
    embeds_first: bool = False
    # Whether the first batch creates the collection.
    creates: bool = False


def _texts(batch: Batch) -> dict[str, Any]:
    return {
        "texts": batch.texts,
        "metadatas": batch.written,
        "ids": batch.ids,
        # langchain-milvus would cut the call into inserts of 1,000 and send them one by one.
        "batch_size": len(batch),
    }


def _documents(batch: Batch) -> dict[str, Any]:
    return {"documents": batch.documents(), "ids": batch.ids, "batch_size": len(batch)}


def _embeddings(batch: Batch) -> dict[str, Any]:
    # pymilvus takes rows of an array as they are; as lists of floats they take ten times the
    # memory and longer to send.
    vectors = [] if batch.vectors is None else list(batch.vectors)
    return _texts(batch) | {"embeddings": vectors}


METHODS: dict[str, Method] = {
    method.operation: method
    for method in (
        Method("add_documents", _documents),
        Method("add_texts", _texts),
        Method("add_embeddings", _embeddings, embeds_first=True),
        Method("upsert", _documents),
        Method("from_texts", _texts, creates=True),
    )
}

MODES = {
    "gather": "Batches side by side (asyncio.gather)",
    "sync_loop": "One after another (sync loop)",
}


@dataclass(frozen=True)
class IngestionPlan:
    """How to ingest. `concurrency` is how many batches are under way at once."""

    collection: str
    batch_size: int = 256
    concurrency: int = 4
    method: str = "add_documents"
    mode: str = "gather"
    # Whether to remove rows of a given source whose place in it no longer exists.
    remove_gone: bool = False

    def check(self) -> None:
        """Raise InvalidInput for a size or concurrency that cannot work."""
        milvus_collections.check_name(self.collection)
        if not 1 <= self.batch_size <= MAX_BATCH_SIZE:
            raise InvalidInput(f"The batch size must be between 1 and {MAX_BATCH_SIZE:,}.")
        if not 1 <= self.concurrency <= MAX_CONCURRENCY:
            raise InvalidInput(f"The concurrency must be between 1 and {MAX_CONCURRENCY}.")
        if self.method not in METHODS:
            raise InvalidInput(f"There is no method {self.method!r} to ingest with.")
        if self.mode not in MODES:
            raise InvalidInput(f"There is no mode {self.mode!r} to ingest in.")


def default_plan(connection: Connection, model: EmbeddingModel, collection: str) -> IngestionPlan:
    """Return a plan that writes texts fast and needs no choice by a person.

    It uses `add_texts`, which does what `add_documents` does without an object for every row.
    """
    good = defaults(connection, model)
    return IngestionPlan(collection, good.batch_size, good.concurrency, method="add_texts")
