"""Ask a collection: one set of candidates to compare similarity and MMR on, or any method by hand.

`fetch` gets the candidates and their vectors in one request; `lib.search.mmr` computes what MMR
makes of them without asking again. `call_method` calls the very langchain-milvus method that a
person chose, sync or async.
"""

import json
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_milvus import Milvus
from pydantic import ValidationError

from lib import event_loop
from lib.errors import InvalidInput, LabError
from lib.milvus import filters, milvus_collections
from lib.milvus.connection import ANSWER_S, Connection
from lib.milvus.embeddings import ANSWER_S as EMBEDDING_ANSWER_S
from lib.milvus.embeddings import EmbeddingClock, EmbeddingModel, embedding_clock
from lib.milvus.failures import reported
from lib.milvus.fields import Schema
from lib.milvus.operations import OPERATIONS, Operation, result_keys
from lib.results.catalogue import Effect
from lib.results.ranking import (
    DEFAULT_FETCH_K,
    DEFAULT_K,
    DEFAULT_LAMBDA,
    check_ranking,
)
from lib.search import mmr
from lib.search.titles import title_of

MAX_LIMIT = 1_000
MAX_QUERY_CHARACTERS = 20_000
QUERY_WORDS = 12  # of a question made of a row
# Metadata that says where a text came from, the first that a row has.
SOURCE_FIELDS = ("source", "module", "file", "url", "category")
# Metadata that says where in its file a text stands, the first that a row has.
PLACE_FIELDS = ("page", "slide", "sheet", "chapter", "row", "position")
# What becomes of a row when MMR picks among the candidates.
BOTH, ONLY_MMR, ONLY_SIMILARITY = "in both lists", "brought in by MMR", "dropped by MMR"
CANDIDATE = "other candidate"
# What can be asked by hand from the search page.
METHODS: dict[str, Operation] = {
    name: operation for name, operation in OPERATIONS.items() if operation.effect is Effect.READS
}


@dataclass(frozen=True)
class Question:
    """What to look for: a text, or the row whose key is `like`, among rows that match `expr`."""

    query: str = ""
    k: int = DEFAULT_K
    fetch_k: int = DEFAULT_FETCH_K
    expr: str = ""
    like: str = ""

    def check(self) -> None:
        """Raise InvalidInput, one clear line, for what cannot be asked."""
        if self.query.strip() or not self.like:
            _check_query(self.query, "Type one or pick an example.")
        check_ranking(self.k, self.fetch_k)
        filters.check_nesting(self.expr)

    def whole_expr(self, schema: Schema) -> str:
        """Return the filter, which also leaves out the row that others should be like."""
        if not self.like:
            return self.expr
        key = filters.quote(schema.parse_key(self.like))
        return filters.combine([self.expr, f"{schema.key.name} != {key}"])


@dataclass(frozen=True)
class Hit:
    """One row of an answer. `rank` counts from 1; `score` is None where the method gives none."""

    rank: int
    key: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    score: float | None = None

    @property
    def title(self) -> str:
        """What to call the row: its title, its id, the file and the place in it, or its key."""
        if title := title_of(self.metadata) or str(self.metadata.get("id") or ""):
            return title
        field, source = self.source
        if field == "row":
            return self.key
        places = (
            f", {name} {self.metadata[name]}" for name in PLACE_FIELDS if name in self.metadata
        )
        return source + next(places, "")

    @property
    def source(self) -> tuple[str, str]:
        """The field that says where the text came from, and what it says; the key if none does."""
        named = (
            (name, str(self.metadata[name])) for name in SOURCE_FIELDS if self.metadata.get(name)
        )
        return next(named, ("row", self.key))


@dataclass(frozen=True)
class Timing:
    """Where the time of one answer went, in milliseconds."""

    total_ms: float
    embed_ms: float
    milvus_ms: float
    waited_ms: float = 0.0  # the part of `embed_ms` spent waiting after a refusal

    @property
    def app_ms(self) -> float:
        """The rest: this app's own part."""
        return max(self.total_ms - self.embed_ms - self.milvus_ms, 0.0)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The nearest rows with their vectors (n, d): all that similarity and MMR choose from."""

    question: Question
    hits: tuple[Hit, ...]
    query_vector: mmr.Floats
    vectors: mmr.Floats
    space: mmr.Space
    timing: Timing
    matching_rows: int | None  # how many rows the filter leaves, None without a filter


@dataclass(frozen=True)
class Request:
    """One method called by hand. What a method does not take is ignored."""

    operation: str
    asynchronous: bool = True
    query: str = ""
    vector: tuple[float, ...] = ()
    k: int = DEFAULT_K
    fetch_k: int = DEFAULT_FETCH_K
    lambda_mult: float = DEFAULT_LAMBDA
    expr: str = ""
    limit: int = 10
    fields: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """The method's name on the store."""
        operation = OPERATIONS[self.operation]
        return operation.async_name if self.asynchronous else operation.name

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of the call, a fresh list in each."""
        operation = OPERATIONS[self.operation]
        if not operation.searches:
            return {"expr": self.expr} | (
                {"fields": list(self.fields), "limit": self.limit}
                if operation.name == "search_by_metadata"
                else {}
            )
        arguments: dict[str, Any] = (
            {"query": self.query} if operation.embeds else {"embedding": list(self.vector)}
        )
        arguments["k"] = self.k
        if operation.is_mmr:
            arguments |= {"fetch_k": self.fetch_k, "lambda_mult": self.lambda_mult}
        return arguments | ({"expr": self.expr} if self.expr else {})

    def check(self, dimension: int) -> None:
        """Raise InvalidInput, one clear line, for what cannot be asked."""
        operation = METHODS.get(self.operation)
        if operation is None:
            raise InvalidInput(f"{self.operation!r} is not a method of search.")
        filters.check_nesting(self.expr)
        if not operation.searches and not self.expr.strip():
            raise InvalidInput(
                f"{operation.label} needs a filter.", next_step='Type one, like field == "text".'
            )
        if operation.searches and operation.embeds:
            _check_query(self.query, "Type one.")
        if operation.searches and not operation.embeds and len(self.vector) != dimension:
            raise InvalidInput(
                f"The vector has {len(self.vector):,} numbers; this collection's vectors have "
                f"{dimension:,}.",
                next_step="Paste as many, or take the vector of a row.",
            )
        check_ranking(self.k, self.fetch_k if operation.is_mmr else None, self.lambda_mult)
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidInput(f"The limit must be between 1 and {MAX_LIMIT:,}, not {self.limit}.")


@dataclass(frozen=True)
class MethodAnswer:
    """What one call returned. `hits` is empty for a lookup of keys alone."""

    request: Request
    keys: tuple[str, ...]
    hits: tuple[Hit, ...]
    timing: Timing


@dataclass(frozen=True, eq=False)
class TwoLists:
    """Similarity's list and MMR's at one λ, as indexes into the candidates."""

    found: Candidates
    lambda_mult: float
    similar: tuple[int, ...]
    chosen: tuple[int, ...]

    @property
    def brought_in(self) -> int:
        """How many rows MMR brings in that similarity does not show."""
        return len(set(self.chosen) - set(self.similar))

    def fate(self, index: int) -> str:
        """Say what became of a candidate."""
        if index in self.chosen:
            return BOTH if index in self.similar else ONLY_MMR
        return ONLY_SIMILARITY if index in self.similar else CANDIDATE

    def spread(self, indexes: tuple[int, ...]) -> mmr.Spread:
        """Return the relevance and redundancy of a list."""
        return mmr.spread(self.found.space, indexes)

    def sources(self, indexes: tuple[int, ...]) -> int:
        """Count the distinct sources of a list."""
        return len({self.found.hits[index].source for index in indexes})


def fetch(
    connection: Connection, model: EmbeddingModel, collection: str, question: Question
) -> Candidates:
    """Embed the question once and fetch its `fetch_k` nearest rows with their vectors.

    Raises InvalidInput for a question or filter that cannot be used, ConnectionFailed when Milvus
    does not answer.
    """
    question.check()
    clock = _Stopwatch()
    matching = None
    with clock.milvus():
        # Opening the store also loads the collection, without which nothing can be asked.
        store = connection.store(collection, model.embeddings)
        schema = connection.schema(collection)
        if question.expr:
            milvus_collections.check_expression(connection, collection, question.expr)
            matching = milvus_collections.count(connection, collection, question.expr)
    if question.like:
        with clock.milvus():
            query_vector = row_vector(connection, collection, question.like)
    else:
        embedding = embedding_clock(EMBEDDING_ANSWER_S)
        query_vector = tuple(model.embeddings.embed_query(question.query))
        clock.add(embedding)
    with clock.milvus(), reported("The search failed."):
        rows = search_rows(
            store,
            schema,
            [list(query_vector)],
            question.fetch_k,
            connection.answer_s,
            question.whole_expr(schema),
            schema.readable,
        )[0]
        vectors = vectors_of(store, schema, rows)
    target = np.asarray(query_vector, dtype=np.float64)
    matrix = np.asarray(vectors, dtype=np.float64).reshape(len(vectors), len(target))
    return Candidates(
        question=question,
        hits=tuple(
            document_hit(rank, (found_document(row, schema), row["distance"]), schema)
            for rank, row in enumerate(rows, 1)
        ),
        query_vector=target,
        vectors=matrix,
        space=mmr.space(target, matrix),
        timing=clock.stop(),
        matching_rows=matching,
    )


def compare(found: Candidates, lambda_mult: float = DEFAULT_LAMBDA) -> TwoLists:
    """Re-rank the candidates; nothing is asked of Milvus."""
    k = min(found.question.k, len(found.hits))
    check_ranking(found.question.k, found.question.fetch_k, lambda_mult)
    return TwoLists(found, lambda_mult, tuple(range(k)), mmr.order(found.space, k, lambda_mult))


def call_method(
    connection: Connection, model: EmbeddingModel, collection: str, request: Request
) -> MethodAnswer:
    """Call one langchain-milvus method, sync here or async on the event loop.

    Raises InvalidInput for arguments or a filter that cannot be used: the methods themselves
    answer an invalid filter with an empty list.
    """
    request.check(model.dimension)
    operation = OPERATIONS[request.operation]
    clock = _Stopwatch()
    with clock.milvus():
        store = connection.store(collection, model.embeddings)
        schema = connection.schema(collection)
        if request.expr:
            milvus_collections.check_expression(connection, collection, request.expr)
    arguments = request.arguments()
    if operation.searches:
        # Without a timeout pymilvus tries again for minutes when each try fails at once.
        arguments["timeout"] = connection.answer_s
    called = time.perf_counter()
    embedding = embedding_clock(EMBEDDING_ANSWER_S)
    with reported(f"{request.method} failed."), _a_text_in_each():
        if request.asynchronous:
            most_s = EMBEDDING_ANSWER_S + connection.answer_s + 1
            result = event_loop.run(operation.acall(store, arguments), timeout=most_s)
        else:
            result = operation.call(store, arguments)
    clock.add(embedding)
    clock.milvus_s += time.perf_counter() - called - embedding.seconds
    result = result or []
    hits = tuple(
        document_hit(rank, item, schema)
        for rank, item in enumerate(result, 1)
        if isinstance(item, Document | tuple)
    )
    return MethodAnswer(request, result_keys(result, schema.key.name), hits, clock.stop())


@contextmanager
def _a_text_in_each() -> Iterator[None]:
    """Say what langchain-milvus does with a row that has no text."""
    try:
        yield
    except (KeyError, ValidationError) as error:
        raise InvalidInput(
            "One of the rows found has no text, and langchain-milvus returns none without.",
            next_step="Leave such rows out by a filter; “Similarity and MMR” shows them.",
        ) from error


def row_vector(connection: Connection, collection: str, key: str) -> tuple[float, ...]:
    """Return a row's vector. Raises InvalidInput when there is no such row."""
    schema = connection.schema(collection)
    vector = schema.vector.name if schema.vector else ""
    with reported("Could not read the row's vector."):
        rows = connection.client.query(
            collection,
            filter=filters.equals(schema.key.name, schema.parse_key(key)),
            output_fields=[vector],
            limit=1,
            timeout=connection.answer_s,
        )
    if not rows:
        raise InvalidInput(
            f"There is no row with the key {key!r}.", next_step="Check the spelling, or search."
        )
    return tuple(float(number) for number in rows[0][vector])


def parse_vector(text: str) -> tuple[float, ...]:
    """Read a pasted vector: JSON, or numbers separated by commas, spaces or lines."""
    try:
        given = json.loads(text) if text.lstrip().startswith("[") else re.split(r"[\s,;]+", text)
        numbers = tuple(float(part) for part in given if part != "")
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidInput(
            "The vector cannot be read.", next_step="Paste numbers like [0.12, -0.3, 0.08]."
        ) from error
    if not all(np.isfinite(numbers)):
        raise InvalidInput("The vector holds a number that is not finite.")
    return numbers


def has_rows(connection: Connection, collection: str, keys: Sequence[str]) -> bool:
    """Say whether a collection holds rows of all these keys, which are texts."""
    schema = connection.schema(collection)
    expr = filters.equals_any(schema.key.name, keys)
    return schema.key_is_text and milvus_collections.count(
        connection, collection, expr, consistency="Session"
    ) == len(keys)


def sample_queries(
    connection: Connection,
    model: EmbeddingModel,
    collection: str,
    count: int,
    seed: int = 0,
) -> list[str]:
    """Make queries from the collection's own texts: the first words of rows drawn with `seed`."""
    store, schema = connection.store(collection, model.embeddings), connection.schema(collection)
    with reported("Could not read rows to make queries from."):
        rows = store.client.query(
            collection,
            filter="",
            limit=5_000,
            output_fields=[schema.key.name, schema.text_column],
            timeout=connection.answer_s,
        )
    rows.sort(key=lambda row: str(row[schema.key.name]))
    drawn = random.Random(seed).sample(rows, min(count, len(rows)))
    return [" ".join(schema.text_of(row).split()[:QUERY_WORDS]) for row in drawn]


class _Stopwatch:
    """Splits the time since it was made into embedding, Milvus and the rest."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.embed_s = 0.0
        self.milvus_s = 0.0
        self.waited_s = 0.0

    @contextmanager
    def milvus(self) -> Iterator[None]:
        """Count the block's time as Milvus's."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.milvus_s += time.perf_counter() - started

    def add(self, embedding: EmbeddingClock) -> None:
        """Count what was embedded."""
        self.embed_s += embedding.seconds
        self.waited_s += embedding.waited_s

    def stop(self) -> Timing:
        """Return the split."""
        total_s = time.perf_counter() - self.started
        return Timing(
            *(1000 * each for each in (total_s, self.embed_s, self.milvus_s, self.waited_s))
        )


def _check_query(query: str, next_step: str) -> None:
    if not query.strip():
        raise InvalidInput("The question is empty.", next_step=next_step)
    filters.check_unicode(query)
    if len(query) > MAX_QUERY_CHARACTERS:
        raise InvalidInput(f"The question is longer than {MAX_QUERY_CHARACTERS:,} characters.")


def search_rows(
    store: Milvus,
    schema: Schema,
    vectors: list[list[float]],
    limit: int,
    answer_s: float,
    expr: str = "",
    fields: Sequence[str] = (),
) -> list[list[dict[str, Any]]]:
    """Return, for each vector, its nearest rows with these fields and the rows' own vectors.

    Waits at most `answer_s` for each try.
    """
    params: Any = store.search_params  # what the library searches with: the index's defaults
    vector = schema.vector.name if schema.vector else ""
    found: list[list[dict[str, Any]]] = store.client.search(
        store.collection_name,
        data=vectors,
        anns_field=vector,
        search_params=(params[0] if isinstance(params, list) else params) or {},
        limit=limit,
        filter=expr,
        output_fields=[*fields, vector],
        timeout=answer_s,
    )
    return found


def vectors_of(store: Milvus, schema: Schema, rows: Sequence[dict[str, Any]]) -> list[Any]:
    """Return the rows' vectors; some indexes of older servers return none with a search."""
    key, vector = schema.key.name, schema.vector.name if schema.vector else ""
    vectors = [row["entity"].get(vector) for row in rows]
    if all(each is not None for each in vectors):
        return vectors
    keys = [row[key] for row in rows]
    found = store.client.query(
        store.collection_name,
        filter=filters.equals_any(key, keys),
        output_fields=[key, vector],
        timeout=ANSWER_S,
    )
    by_key = {row[key]: row[vector] for row in found}
    if len(by_key) < len(keys):
        raise LabError("A row was deleted while it was being searched.", next_step="Search again.")
    return [by_key[key] for key in keys]


def row_document(row: Mapping[str, Any], schema: Schema) -> Document:
    """Return a row as a document whose id is the row's key, as a text."""
    return Document(
        schema.text_of(row), metadata=schema.metadata_of(row), id=str(row[schema.key.name])
    )


def found_document(row: Mapping[str, Any], schema: Schema) -> Document:
    """Return a row that a search found as a document."""
    return row_document({schema.key.name: row[schema.key.name], **row["entity"]}, schema)


def document_hit(rank: int, item: Any, schema: Schema) -> Hit:
    """Return a document that a method returned, with or without its score, as a hit."""
    document, score = item if isinstance(item, tuple) else (item, None)
    return Hit(
        rank=rank,
        key=str(document.id or document.metadata.get(schema.key.name, "")),
        text=document.page_content,
        metadata=schema.metadata_of(document.metadata),
        score=None if score is None else float(score),
    )
