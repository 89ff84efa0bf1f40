"""One query asked in several ways at once: similarity beside maximal marginal relevance."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from langchain_core.documents import Document
from langchain_milvus import Milvus

from lib import collections, event_loop
from lib.connection import PRIMARY_FIELD, Connection, reported
from lib.embeddings import EmbeddingModel
from lib.errors import InvalidInput

MAX_K = 100
MAX_FETCH_K = 500
SEARCH_TIMEOUT_S = 30.0
MAX_QUERY_CHARACTERS = 20_000


@dataclass(frozen=True)
class Question:
    """What is asked. `lambda_mult` 1 is pure relevance, 0 pure diversity."""

    query: str
    k: int = 5
    fetch_k: int = 20
    lambda_mult: float = 0.5
    expr: str = ""

    def check(self) -> None:
        """Raise InvalidInput, one clear line, for what cannot be asked."""
        if not self.query.strip():
            raise InvalidInput("The question is empty.", next_step="Type one or pick an example.")
        if len(self.query) > MAX_QUERY_CHARACTERS:
            raise InvalidInput(f"The question is longer than {MAX_QUERY_CHARACTERS:,} characters.")
        if not 1 <= self.k <= MAX_K:
            raise InvalidInput(f"k must be between 1 and {MAX_K}, not {self.k}.")
        if not self.k <= self.fetch_k <= MAX_FETCH_K:
            raise InvalidInput(
                f"fetch_k ({self.fetch_k}) must be at least k ({self.k}) and at most {MAX_FETCH_K}."
            )
        if not 0.0 <= self.lambda_mult <= 1.0:
            raise InvalidInput(f"λ must be between 0 and 1, not {self.lambda_mult:g}.")


@dataclass(frozen=True)
class Hit:
    """One row of an answer. `rank` counts from 1; `score` is None where the method gives none."""

    rank: int
    key: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    score: float | None = None


@dataclass(frozen=True)
class Answer:
    """Both lists and where the time went, in milliseconds.

    Similarity and MMR were asked concurrently, so `milvus_ms` is the wall time of both together.
    """

    question: Question
    similar: tuple[Hit, ...]
    diverse: tuple[Hit, ...]
    embed_ms: float
    milvus_ms: float
    total_ms: float


def ask(
    connection: Connection, model: EmbeddingModel, collection: str, question: Question
) -> Answer:
    """Embed the question once, then ask for similarity and for MMR at the same time.

    Raises InvalidInput for a question or filter that cannot be used, CollectionMismatch for a
    collection of another model, ConnectionFailed when Milvus does not answer.
    """
    started = time.perf_counter()
    question.check()
    if question.expr:
        collections.check_expression(connection, collection, question.expr)
    store = connection.store(collection, model.embeddings)
    vector, embed_ms = _embed(model, question.query)
    asked = time.perf_counter()
    with reported("The search failed."):
        similar, diverse = event_loop.run(
            _ask_both(store, vector, question), timeout=SEARCH_TIMEOUT_S
        )
    milvus_ms = (time.perf_counter() - asked) * 1000
    return Answer(
        question=question,
        similar=tuple(_hit(rank, doc, score) for rank, (doc, score) in enumerate(similar, 1)),
        diverse=tuple(_hit(rank, doc, None) for rank, doc in enumerate(diverse, 1)),
        embed_ms=embed_ms,
        milvus_ms=milvus_ms,
        total_ms=(time.perf_counter() - started) * 1000,
    )


async def _ask_both(
    store: Milvus, vector: list[float], question: Question
) -> tuple[list[tuple[Document, float]], list[Document]]:
    expr = question.expr or None
    return await asyncio.gather(
        store.asimilarity_search_with_score_by_vector(vector, k=question.k, expr=expr),
        store.amax_marginal_relevance_search_by_vector(
            vector,
            k=question.k,
            fetch_k=question.fetch_k,
            lambda_mult=question.lambda_mult,
            expr=expr,
        ),
    )


def _embed(model: EmbeddingModel, query: str) -> tuple[list[float], float]:
    started = time.perf_counter()
    vector = event_loop.run(model.embeddings.aembed_query(query), timeout=SEARCH_TIMEOUT_S)
    return vector, (time.perf_counter() - started) * 1000


def _hit(rank: int, document: Document, score: float | None) -> Hit:
    metadata = dict(document.metadata)
    return Hit(
        rank=rank,
        key=str(metadata.pop(PRIMARY_FIELD, "")),
        text=document.page_content,
        metadata=metadata,
        score=score,
    )
