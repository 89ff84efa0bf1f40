"""Search by vector, by words (BM25), or by both, in a collection that was made for it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lib import event_loop
from lib.errors import InvalidInput
from lib.jobs import Job
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.failures import reported
from lib.milvus.fields import METADATA_COLUMN, WORDS_FIELD, Schema
from lib.milvus.milvus_collections import Collection
from lib.milvus.operations import OPERATIONS
from lib.milvus.reading import Row, walk
from lib.milvus.rows import EXPORT_ROWS, exported
from lib.results.catalogue import VECTOR_FIELD
from lib.search.ask import Hit, Question, document_hit
from lib.words import shown_name
from lib.workers.watchdog import watched

OPERATION = OPERATIONS["similarity_search_with_score"]


@dataclass(frozen=True)
class Way:
    """One way to search such a collection: the vector fields it asks and how it joins them."""

    name: str
    label: str
    legs: tuple[str, ...]
    ranker: Mapping[str, Any] = field(default_factory=dict)


WAYS: dict[str, Way] = {
    way.name: way
    for way in (
        Way("dense", "By vector", (VECTOR_FIELD,)),
        Way("bm25", "By words (BM25)", (WORDS_FIELD,)),
        Way(
            "rrf",
            "Both, by rank (RRF)",
            (VECTOR_FIELD, WORDS_FIELD),
            {"ranker_type": "rrf", "ranker_params": {"k": 60}},
        ),
        Way(
            "weighted",
            "Both, weighted",
            (VECTOR_FIELD, WORDS_FIELD),
            {"ranker_type": "weighted", "ranker_params": {"weights": [0.7, 0.3]}},
        ),
    )
}


@dataclass(frozen=True)
class FoundBy:
    """One row of an answer with its rank in each leg, None where the leg did not bring it."""

    hit: Hit
    vector_rank: int | None
    words_rank: int | None


@dataclass(frozen=True)
class HybridAnswer:
    """What one way returned, in how many milliseconds, and what each leg alone returned."""

    rows: tuple[FoundBy, ...]
    took_ms: float
    by_vector: tuple[Hit, ...]
    by_words: tuple[Hit, ...]


def ask_hybrid(
    connection: Connection,
    model: EmbeddingModel,
    collection: Collection,
    question: Question,
    way: str,
    *,
    asynchronous: bool = True,
) -> HybridAnswer:
    """Ask one way, and each leg alone to tell which of them brought a row.

    Both legs bring `fetch_k` rows. Raises InvalidInput for a question that cannot be asked and for
    a collection without words.
    """
    question.check()
    if not collection.schema.words:
        raise InvalidInput(
            f"{shown_name(collection.name)} cannot be searched by words.",
            next_step="Make a copy that can.",
        )
    if question.expr:
        milvus_collections.check_expression(connection, collection.name, question.expr)

    def ask(way: Way, k: int) -> list[Hit]:
        store = connection.store(collection.name, model.embeddings, way.legs)
        arguments: dict[str, Any] = {"query": question.query, "k": k} | dict(way.ranker)
        if question.expr:
            arguments["expr"] = question.expr
        arguments["timeout"] = connection.answer_s
        if way.ranker:
            # The library's own fetch_k of 4 brings too few rows for a larger k.
            arguments["fetch_k"] = question.fetch_k
        with reported(f"{way.label}: the search failed."):
            found = (
                event_loop.run(OPERATION.acall(store, arguments), timeout=connection.answer_s + 1)
                if asynchronous
                else OPERATION.call(store, arguments)
            )
        schema = collection.schema
        return [document_hit(rank, item, schema) for rank, item in enumerate(found, 1)]

    started = time.perf_counter()
    hits = ask(WAYS[way], question.k)
    took_ms = 1000 * (time.perf_counter() - started)
    by_vector, by_words = (
        tuple(ask(WAYS[leg], max(question.k, question.fetch_k))) for leg in ("dense", "bm25")
    )
    ranks = [
        {hit.key: hit.rank for hit in leg[: question.fetch_k]} for leg in (by_vector, by_words)
    ]
    rows = tuple(FoundBy(hit, *(leg.get(hit.key) for leg in ranks)) for hit in hits)
    return HybridAnswer(rows, took_ms, by_vector[: question.k], by_words[: question.k])


def copied_name(connection: Connection, collection: Collection) -> str:
    """Return the name of the copy with words; a visitor's copy belongs to the visitor."""
    name = f"{shown_name(collection.name)}_words"
    return connection.territory.full_name(name) if connection.territory else name


def copied(row: Row, schema: Schema) -> Row:
    """Return a row as the lab's own collections hold it; metadata of their names give way."""
    held = exported(row, schema)
    metadata = held.pop(METADATA_COLUMN)
    return {f"field_{n}" if n in {*held, WORDS_FIELD} else n: v for n, v in metadata.items()} | held


def copy_with_words(
    connection: Connection, model: EmbeddingModel, collection: Collection, job: Job | None = None
) -> str:
    """Copy a collection's rows, vectors and all, into one that also has words; return its name.

    Raises InvalidInput when there is such a collection; a copy that fails or is stopped is dropped.
    """
    name = copied_name(connection, collection)
    if milvus_collections.exists(connection, name):
        raise InvalidInput(
            f"There is a collection {shown_name(name)} already.", next_step="Choose it."
        )
    job = job or Job("Copy", "copy")
    job.progress.total, job.progress.unit = collection.rows, "rows"

    def copy() -> None:
        milvus_collections.create(
            connection,
            name,
            collection.dimension,
            embedding=collection.schema.embedding,
            metric_type=collection.metric_type,
            words=True,
        )
        try:
            with reported(f"Could not copy the rows of {shown_name(collection.name)}."):
                for part in walk(connection, collection.name, fields=["*"], page_rows=EXPORT_ROWS):
                    job.check()
                    connection.check_room()
                    connection.client.insert(name, [copied(row, collection.schema) for row in part])
                    job.progress.done += len(part)
            milvus_collections.prepare_for_search(connection, name)
        except BaseException:
            milvus_collections.drop(connection, name)
            raise

    watched(connection, copy, job)
    return name
