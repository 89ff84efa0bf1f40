"""Ingestion: batches → which rows are new → concurrent writes → what the collection holds now.

A reader thread makes batches ahead of the workers; each worker asks which keys are there already,
then calls one langchain-milvus method, whose embedding and whose insert overlap with those of the
other workers. Nothing holds more than a few batches at a time.
"""

import asyncio
import contextlib
import secrets
import threading
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_milvus import Milvus

from lib import event_loop
from lib.documents.problems import Problem, Problems
from lib.errors import InvalidInput, JobCancelled, LabError
from lib.ingestion.batches import Batch, from_documents
from lib.ingestion.plan import METHODS, IngestionPlan
from lib.ingestion.read_ahead import ReadAhead
from lib.jobs import Job
from lib.milvus import collections as milvus_collections
from lib.milvus import rows
from lib.milvus.connection import Connection, close_store
from lib.milvus.embeddings import EmbeddingModel, embedding_clock
from lib.milvus.failures import reported
from lib.milvus.fields import PRIMARY_FIELD, TEXT_FIELD
from lib.milvus.filters import equals_any, quote
from lib.milvus.operations import OPERATIONS

# Sources whose rows are counted in one query when looking for rows that are no longer theirs.
SOURCES_PER_QUERY = 500


@dataclass
class Tally:
    """What an ingestion has done so far; `embed_s` and `insert_s` are sums over all batches.

    Of the rows given each is added, updated (its key or its place in a source was there with
    another text), unchanged, given twice, or refused. `removed` are rows of before.
    """

    given: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    removed: int = 0
    gone: int = 0  # rows whose text is gone from their source, kept because nobody asked
    batches: int = 0
    embed_s: float = 0.0
    insert_s: float = 0.0
    lookup_s: float = 0.0
    wall_s: float = 0.0  # of reading and writing
    sweep_s: float = 0.0  # of looking for rows that are no longer in their source
    stopped: bool = False


@dataclass(frozen=True)
class IngestionReport:
    """The outcome: `rows` is the collection's exact count afterwards."""

    tally: Tally
    rows: int
    collection: str
    plan: IngestionPlan | None = None
    problems: tuple[Problem, ...] = ()
    problems_total: int = 0
    # Rows that the count shows and this ingestion did not write: somebody else did.
    written_by_others: int = 0

    @property
    def rows_per_s(self) -> float:
        """Rows written per second of wall time."""
        written = self.tally.added + self.tally.updated
        return written / self.tally.wall_s if self.tally.wall_s else 0.0

    @property
    def embedding_share(self) -> float:
        """The part of the time of all batches that went into embedding, between 0 and 1."""
        both = self.tally.embed_s + self.tally.insert_s
        return self.tally.embed_s / both if both else 0.0


def ingest(
    connection: Connection,
    model: EmbeddingModel,
    documents: Iterable[Document],
    plan: IngestionPlan,
    *,
    total: int | None = None,
    job: Job | None = None,
) -> IngestionReport:
    """Embed and insert a stream of documents.

    A document's `id` is its primary key; without one it gets a content key of its text, its
    metadata's `source` and `position`. Rows that are there with the same text are left alone, so
    ingesting twice adds nothing. Raises LabError; what was inserted before an error is kept.
    """
    problems = Problems()
    batches = from_documents(documents, plan.batch_size, problems)
    return ingest_batches(connection, model, batches, plan, total=total, job=job, problems=problems)


def ingest_batches(
    connection: Connection,
    model: EmbeddingModel,
    batches: Iterator[Batch],
    plan: IngestionPlan,
    *,
    total: int | None = None,
    estimate: Callable[[int], int] | None = None,
    job: Job | None = None,
    problems: Problems | None = None,
) -> IngestionReport:
    """Write a stream of batches, as `ingest` does with documents.

    `estimate` guesses the total from the rows given so far, for streams of unknown length.
    Two ingestions of one process into one collection take turns.
    """
    plan.check()
    problems = problems or Problems()
    with _turn(connection, plan.collection):
        writing = _Writing(connection, model, plan, total, estimate, job)
        before = writing.open()
        started = time.perf_counter()
        try:
            writing.write(batches)
        except LabError as error:
            raise _with_what_was_kept(error, writing.tally) from error
        finally:
            writing.tally.wall_s = time.perf_counter() - started
            writing.close()
        tally = writing.tally
        # Before the sweep: Milvus Lite finds rows by their source in Python until they are flushed.
        milvus_collections.prepare_for_search(connection, plan.collection)
        if writing.before and not tally.stopped:
            writing.sweep(problems)
        after = writing.count()
    return IngestionReport(
        tally=tally,
        rows=after,
        collection=plan.collection,
        plan=plan,
        problems=problems.kept,
        problems_total=problems.total,
        written_by_others=after - (before + tally.added - tally.removed),
    )


@dataclass(frozen=True)
class Comparison:
    """The same rows written by a sync loop and by gathered batches, once each."""

    sync_loop: IngestionReport
    gather: IngestionReport

    @property
    def speedup(self) -> float:
        """How many times the rows per second of the sync loop; 0 when nothing was written."""
        if not self.sync_loop.rows_per_s:
            return 0.0
        return self.gather.rows_per_s / self.sync_loop.rows_per_s


def ingest_both_ways(
    connection: Connection,
    ingest_with: Callable[[IngestionPlan], IngestionReport],
    plan: IngestionPlan,
) -> Comparison | IngestionReport:
    """Write rows with a sync loop into a scratch collection, then gathered into the real one.

    `ingest_with` does one of them. The scratch collection is dropped. A stop during the sync loop
    ends it all, with its report.
    """
    plan.check()
    scratch = f"{milvus_collections.SCRATCH_PREFIX}sync_{secrets.token_hex(4)}"
    try:
        first = ingest_with(replace(plan, mode="sync_loop", collection=scratch))
    finally:
        milvus_collections.drop(connection, scratch)
    if first.tally.stopped:
        return first
    return Comparison(first, ingest_with(replace(plan, mode="gather")))


_turns: dict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)


@contextlib.contextmanager
def _turn(connection: Connection, collection: str) -> Iterator[None]:
    """Let one ingestion at a time decide what is new in a collection."""
    with _turns[connection.address, collection]:
        yield


class _Writing:
    """One ingestion under way: its store, what it knows of the collection, and its tally."""

    def __init__(
        self,
        connection: Connection,
        model: EmbeddingModel,
        plan: IngestionPlan,
        total: int | None,
        estimate: Callable[[int], int] | None,
        job: Job | None,
    ) -> None:
        self.connection = connection
        self.model = model
        self.plan = plan
        self.method = METHODS[plan.method]
        self.job = job
        self.estimate = estimate
        self.tally = Tally()
        self.before = 0
        self.store: Milvus | None = None
        self._own_store = False
        self._seen: set[int] = set()
        self._sources: dict[str, array[int]] = {}
        if job:
            job.progress.unit = "rows"
            job.progress.total = total or 0

    def open(self) -> int:
        """Make sure that the collection fits and return its exact number of rows."""
        name = self.plan.collection
        if self.method.creates:
            if milvus_collections.exists(self.connection, name):
                raise InvalidInput(
                    f"There is a collection named {name!r} already, and {self.plan.method} "
                    "creates one.",
                    kept="Nothing was written to it.",
                    next_step="Choose a new name or another method.",
                )
            return 0
        facts = milvus_collections.ensure(
            self.connection, name, self.model.dimension, embedding=self.model.model
        )
        self.store = self.connection.store(name, self.model.embeddings)
        # Counted with strong consistency: everything written before now, by a process that was
        # killed a moment ago too, is visible to the look-ups that follow.
        self.before = facts.rows
        return self.before

    def close(self) -> None:
        """Close the store that from_texts made; the connection keeps the others."""
        if self._own_store and self.store is not None:
            close_store(self.store)

    def write(self, batches: Iterator[Batch]) -> None:
        """Write all batches in the plan's mode; a stop ends it and keeps what is in."""
        try:
            if self.method.creates:
                batches = self._create(batches)
            if self.plan.mode == "gather":
                event_loop.run(self._gather(batches))
            else:
                self._loop(batches)
        except JobCancelled:
            self.tally.stopped = True
        finally:
            if isinstance(batches, Generator):
                with contextlib.suppress(ValueError):  # its thread is still in it
                    batches.close()

    def _loop(self, batches: Iterator[Batch]) -> None:
        for batch in batches:
            self._check()
            fresh, changed = self._sort_out(batch, self._look_up(batch))
            self._write_part(batch.only(fresh), changed=False)
            self._write_part(batch.only(changed), changed=True)
            self._count(batch, fresh, changed)

    async def _gather(self, batches: Iterator[Batch]) -> None:
        feed = ReadAhead(batches, ahead=max(self.plan.concurrency // 2, 1))

        async def work() -> None:
            while (batch := await feed.get()) is not None:
                self._check()
                fresh, changed = self._sort_out(batch, await self._alook_up(batch))
                await self._awrite_part(batch.only(fresh), changed=False)
                await self._awrite_part(batch.only(changed), changed=True)
                self._count(batch, fresh, changed)

        workers = [asyncio.create_task(work()) for _ in range(self.plan.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            # After the first failure the others finish the batch they are in, so that every row
            # that Milvus took is counted.
            await feed.close()
            await asyncio.gather(*workers, return_exceptions=True)

    def _check(self) -> None:
        if self.job:
            self.job.check()

    def _must_look_up(self, batch: Batch) -> bool:
        return bool(self.before) and len(batch) > 0

    def _lookup_arguments(self, batch: Batch) -> dict[str, Any]:
        return {
            "collection_name": self.plan.collection,
            # Not `get`, which puts keys into its expression without quoting them.
            "filter": equals_any(PRIMARY_FIELD, batch.keys),
            # A content key says it all; of other keys the text may have changed.
            "output_fields": [PRIMARY_FIELD] if batch.content_keyed else [TEXT_FIELD],
            "consistency_level": "Session",
        }

    def _look_up(self, batch: Batch) -> dict[str, str | None]:
        if not self._must_look_up(batch):
            return {}
        started = time.perf_counter()
        with reported("Could not look up which rows are there already."):
            found = self._open_store.client.query(**self._lookup_arguments(batch))
        self.tally.lookup_s += time.perf_counter() - started
        return {row[PRIMARY_FIELD]: row.get(TEXT_FIELD) for row in found}

    async def _alook_up(self, batch: Batch) -> dict[str, str | None]:
        if not self._must_look_up(batch):
            return {}
        started = time.perf_counter()
        with reported("Could not look up which rows are there already."):
            found = await self._open_store.aclient.query(**self._lookup_arguments(batch))
        self.tally.lookup_s += time.perf_counter() - started
        return {row[PRIMARY_FIELD]: row.get(TEXT_FIELD) for row in found}

    def _sort_out(
        self, batch: Batch, present: dict[str, str | None]
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Return the places of the new rows and of those there with another text."""
        if batch.content_keyed:
            # A place in a source comes once, so a key does too.
            if not self.before:
                return range(len(batch)), ()
            self._remember(batch)
            return [i for i, key in enumerate(batch.keys) if key not in present], ()
        fresh: list[int] = []
        changed: list[int] = []
        for i, key in enumerate(batch.keys):
            mark = _mark(key)
            if mark in self._seen:
                continue
            self._seen.add(mark)
            if key not in present:
                fresh.append(i)
            elif present[key] != batch.texts[i]:
                changed.append(i)
        return fresh, changed

    def _remember(self, batch: Batch) -> None:
        """Keep eight bytes a row of what the sources hold now, for the sweep."""
        for key, metadata in zip(batch.keys, batch.metadatas, strict=True):
            source = metadata.get("source")
            if source is not None:
                self._sources.setdefault(source, array("Q")).append(_mark(key))

    def _call(self, part: Batch, changed: bool) -> tuple[str, dict[str, Any]]:
        method = METHODS[self.connection.replaces_by] if changed else self.method
        if method.creates:
            method = METHODS["add_texts"]
        return method.operation, method.arguments(part)

    def _embeds_first(self, part: Batch, changed: bool) -> bool:
        return self.method.embeds_first and not changed and part.vectors is None

    def _write_part(self, part: Batch, *, changed: bool) -> None:
        if not len(part):
            return
        started = time.perf_counter()
        with reported("A batch could not be inserted."), embedding_clock() as clock:
            if self._embeds_first(part, changed):
                part.vectors = _array(self.model.embeddings.embed_documents(part.texts))
            operation, arguments = self._call(part, changed)
            OPERATIONS[operation].call(self._open_store, arguments)
        self._add_times(time.perf_counter() - started, clock.seconds)

    async def _awrite_part(self, part: Batch, *, changed: bool) -> None:
        if not len(part):
            return
        started = time.perf_counter()
        with reported("A batch could not be inserted."), embedding_clock() as clock:
            if self._embeds_first(part, changed):
                part.vectors = _array(await self.model.embeddings.aembed_documents(part.texts))
            operation, arguments = self._call(part, changed)
            await OPERATIONS[operation].acall(self._open_store, arguments)
        self._add_times(time.perf_counter() - started, clock.seconds)

    @property
    def _open_store(self) -> Milvus:
        if self.store is None:
            raise LabError("The collection is not open.")
        return self.store

    def _create(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Let from_texts make the collection with the first rows; the rest is added to it."""
        batch = next(batches, None)
        while batch is not None and not len(batch):
            self.tally.refused += batch.refused
            batch = next(batches, None)
        if batch is None:
            raise InvalidInput("There is no text to ingest.", kept="Nothing was created.")
        self._check()
        arguments = METHODS["from_texts"].arguments(batch)
        arguments |= {
            "embedding": self.model.embeddings,
            "collection_name": self.plan.collection,
            "connection_args": self.connection.arguments,
            "index_params": {"index_type": "AUTOINDEX", "metric_type": "COSINE", "params": {}},
            "enable_dynamic_field": True,
            "collection_properties": {milvus_collections.EMBEDDING_PROPERTY: self.model.model},
        }
        arguments.pop("batch_size")  # from_texts would hand it to the collection
        started = time.perf_counter()
        with reported("The collection could not be created."), embedding_clock() as clock:
            if self.plan.mode == "gather":
                self.store = event_loop.run(Milvus.afrom_texts(**arguments))
            else:
                self.store = Milvus.from_texts(**arguments)
        self._own_store = True
        self._add_times(time.perf_counter() - started, clock.seconds)
        self.connection.forget_stores(self.plan.collection)
        fresh, changed = self._sort_out(batch, {})
        self._count(batch, fresh, changed)
        return batches

    def _add_times(self, took: float, embedding: float) -> None:
        self.tally.embed_s += embedding
        self.tally.insert_s += max(took - embedding, 0.0)

    def _count(self, batch: Batch, fresh: Sequence[int], changed: Sequence[int]) -> None:
        tally = self.tally
        tally.batches += 1
        tally.given += len(batch) + batch.refused
        tally.refused += batch.refused
        tally.added += len(fresh)
        tally.updated += len(changed)
        tally.unchanged += len(batch) - len(fresh) - len(changed)
        if self.job:
            progress = self.job.progress
            progress.done = tally.given
            if self.estimate:
                progress.total = max(self.estimate(tally.given), tally.given)
            progress.detail = {"added": tally.added, "unchanged": tally.unchanged}
            if tally.embed_s:
                share = tally.embed_s / (tally.embed_s + tally.insert_s)
                progress.message = f"{share:.0%} embedding, {1 - share:.0%} Milvus"

    def sweep(self, problems: Problems) -> None:
        """Take away the rows of the given sources that are no longer theirs.

        A row whose place in a source has another text now was updated: the new row is in, the old
        one goes. Rows beyond a source's end are gone from it, and go when the plan says so. It
        runs after everything was inserted and needs no memory of an earlier run, so a killed
        ingestion that is repeated ends the same. Sources with unread parts are left alone.
        """
        started = time.perf_counter()
        names = [name for name in self._sources if not problems.spoiled(name)]
        if self.job and names:
            self.job.progress.message = "looking for rows that are no longer in their source"
        if names and sum(len(self._sources[name]) for name in names) == self.count():
            names = []  # the collection holds nothing but what the sources hold now
        for start in range(0, len(names), SOURCES_PER_QUERY):
            part = names[start : start + SOURCES_PER_QUERY]
            expr = equals_any("source", part)
            given = sum(len(self._sources[name]) for name in part)
            if self.count(expr) > given:
                for name in part:
                    self._sweep_source(name)
        self.tally.sweep_s = time.perf_counter() - started

    def count(self, expr: str = "") -> int:
        """Count rows, seeing all that was there at the beginning and all that was written."""
        has_written = self.tally.added or self.tally.updated or self.tally.removed
        consistency = "Strong" if has_written else "Session"
        return milvus_collections.count(
            self.connection, self.plan.collection, expr, consistency=consistency
        )

    def _sweep_source(self, source: str) -> None:
        own = np.sort(np.frombuffer(self._sources[source], dtype=np.uint64))
        stale: list[str] = []
        gone: list[str] = []
        for part in rows.walk(
            self.connection,
            self.plan.collection,
            f"source == {quote(source)}",
            fields=[PRIMARY_FIELD, "position"],
        ):
            marks = np.array([_mark(row[PRIMARY_FIELD]) for row in part], dtype=np.uint64)
            for row, is_own in zip(part, np.isin(marks, own), strict=True):
                position = row.get("position")
                if is_own or not isinstance(position, int):
                    continue
                (stale if position < len(own) else gone).append(row[PRIMARY_FIELD])
        if not self.plan.remove_gone:
            self.tally.gone += len(gone)
            gone = []
        self._remove([*stale, *gone])
        # Each replaced row was counted as an added one when its successor came in.
        replaced = min(len(stale), self.tally.added)
        self.tally.updated += replaced
        self.tally.added -= replaced
        self.tally.removed += len(gone) + len(stale) - replaced

    def _remove(self, keys: Sequence[str]) -> None:
        with reported("Rows that are no longer in their source could not be removed."):
            for start in range(0, len(keys), rows.KEYS_PER_CALL):
                part = keys[start : start + rows.KEYS_PER_CALL]
                self.connection.client.delete(self.plan.collection, ids=list(part))


def _mark(key: str) -> int:
    """Return 64 bits that tell a key from the others of one ingestion, in this process only."""
    return hash(key) & 0xFFFF_FFFF_FFFF_FFFF


def _array(vectors: Sequence[Sequence[float]]) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return np.asarray(vectors, dtype=np.float32)


def _with_what_was_kept(error: LabError, tally: Tally) -> LabError:
    return type(error)(
        error.what,
        kept=f"{tally.added + tally.updated:,} rows were written before and are kept.",
        next_step=error.next_step or "Ingest again: rows that are there are not added twice.",
    )
