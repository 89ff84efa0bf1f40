"""Writing: batches → which rows are new → concurrent writes → what the collection holds now.

A reader thread makes batches ahead of the workers. Each worker asks which keys are there already,
then calls one langchain-milvus method, whose embedding and whose insert overlap with those of the
other workers. Nothing holds more than a few batches at a time.
"""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_milvus import Milvus

from lib import event_loop
from lib.documents.problems import Problems
from lib.errors import (
    ConnectionFailed,
    InvalidInput,
    JobCancelled,
    LabError,
    OperationFailed,
)
from lib.ingestion.batches import Batch, fitting, from_documents
from lib.ingestion.known_rows import KnownRows
from lib.ingestion.outdated import count, remove_outdated
from lib.ingestion.plan import METHODS, IngestionPlan
from lib.ingestion.report import IngestionReport, Tally
from lib.jobs import Job
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, close_stores
from lib.milvus.embeddings import WORK_S, EmbeddingModel, embedding_clock
from lib.milvus.failures import reported
from lib.milvus.fields import EMBEDDING_PROPERTY
from lib.milvus.milvus_collections import Collection
from lib.milvus.operations import OPERATIONS
from lib.milvus.territory import store_class
from lib.workers.watchdog import TICK_S, watched

LOOK_UP_FAILED = "Could not look up which rows are there already."


def ingest(
    connection: Connection,
    model: EmbeddingModel,
    documents: Iterable[Document],
    plan: IngestionPlan,
    *,
    total: int = 0,
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
    total: int = 0,
    job: Job | None = None,
    problems: Problems | None = None,
) -> IngestionReport:
    """Write a stream of batches, as `ingest` does with documents.

    `total` is how many rows are expected, 0 when nobody knows.
    Two ingestions of one process into one collection take turns. A server that dies is reported
    within ten seconds.
    """
    plan.check()
    problems = problems or Problems()
    tally = Tally(expected=total)
    job = job or Job("Ingestion", "ingest")
    job.progress.unit, job.progress.total = "rows", total

    def work() -> IngestionReport:
        with _turns[connection.address, plan.collection]:
            there = _prepare(connection, model, plan)
            before, schema = (there.rows, there.schema) if there else (0, None)
            known = KnownRows(plan.collection, before, schema)
            fitted = fitting(batches, schema, problems) if schema else batches
            fitted = _giving_way(fitted, job)
            started = time.perf_counter()
            try:
                with contextlib.closing(_Writer(connection, model, plan, tally, job)) as writer:
                    _write_all(fitted, writer, known)
            except JobCancelled:
                tally.stopped = True
            except LabError as error:
                if isinstance(error, OperationFailed):
                    # What Milvus Lite acknowledged before the failure comes back into its sight.
                    with contextlib.suppress(LabError, TimeoutError):
                        milvus_collections.prepare_for_search(connection, plan.collection)
                raise _with_what_was_kept(error, tally) from error
            finally:
                tally.wall_s = time.perf_counter() - started - job.gave_s
            # Before outdated rows are removed: Milvus Lite finds rows by their source in Python
            # until they are flushed.
            milvus_collections.prepare_for_search(connection, plan.collection)
            if before and not tally.stopped:
                job.progress.message = "counting rows that are no longer in their file"
                remove_outdated(connection, plan, known, problems, tally)
            after = count(connection, plan, tally)
        for source, skipped in problems.counts().items():
            tally.source(source).skipped = skipped
        return IngestionReport(
            tally=tally,
            rows=after,
            collection=plan.collection,
            problems=problems.kept,
            problems_total=problems.total,
            written_by_others=after - (before + tally.added - tally.removed),
        )

    try:
        return watched(connection, work, job)
    except ConnectionFailed as error:
        raise _with_what_was_kept(error, tally) from error


def _giving_way(batches: Iterator[Batch], job: Job) -> Iterator[Batch]:
    """Yield batches one by one; short work of others goes before the next one."""
    try:
        for batch in batches:
            yield batch
            job.give_way()
    finally:
        if isinstance(batches, Generator):
            batches.close()


# One ingestion at a time decides what is new in a collection.
_turns: dict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)


def _prepare(
    connection: Connection, model: EmbeddingModel, plan: IngestionPlan
) -> Collection | None:
    """Make sure that the collection fits and return its facts; None where it is still to be made.

    It is counted with strong consistency. So the look-ups that follow see everything that was
    written before, even by a process that was killed a moment ago.
    """
    if not METHODS[plan.method].creates:
        there = milvus_collections.ensure(
            connection, plan.collection, model.dimension, embedding=model.model
        )
        if plan.method == "upsert" and there.schema.key.is_made:
            raise InvalidInput(
                f"Milvus makes the keys of {plan.collection!r}, and upsert wants given ones.",
                kept="Nothing was written to it.",
                next_step="Choose another method.",
            )
        return there
    if milvus_collections.exists(connection, plan.collection):
        raise InvalidInput(
            f"There is a collection named {plan.collection!r} already, and {plan.method} "
            "creates one.",
            kept="Nothing was written to it.",
            next_step="Choose a new name or another method.",
        )
    return None


def _write_all(batches: Iterator[Batch], writer: "_Writer", known: KnownRows) -> None:
    """Write all batches in the plan's mode. Raises JobCancelled after a stop."""
    job = writer.job
    job.progress.detail["mode"] = writer.plan.mode

    def done(
        batch: Batch, fresh: Sequence[int], changed: Sequence[int], began: float | None = None
    ) -> None:
        writer.tally.count(batch, fresh, changed)
        if began is not None:
            writer.tally.note_span(began)
        writer.tally.show(job)

    def loop() -> None:
        for batch in batches:
            job.check()
            began = time.perf_counter()
            fresh, changed = known.sort_out(batch, writer.look_up(known.question(batch)))
            writer.write(batch.only(fresh))
            writer.write(batch.only(changed), replaces=True)
            done(batch, fresh, changed, began)

    async def work(feed: "_Feed") -> None:
        while (batch := await feed.get()) is not None:
            job.check()
            began = time.perf_counter()
            fresh, changed = known.sort_out(batch, await writer.alook_up(known.question(batch)))
            await writer.awrite(batch.only(fresh))
            await writer.awrite(batch.only(changed), replaces=True)
            done(batch, fresh, changed, began)

    async def gather() -> None:
        feed = _Feed(batches)
        workers = [asyncio.create_task(work(feed)) for _ in range(writer.plan.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            # After the first failure the others finish the batch they are in, so that every row
            # that Milvus took is counted.
            await feed.close()
            await asyncio.gather(*workers, return_exceptions=True)

    try:
        if writer.store is None:
            job.check()
            first = _first_with_rows(batches, writer.tally)
            writer.create(first)
            done(first, *known.sort_out(first, ()))
        if writer.plan.mode == "gather":
            _unless_dead(event_loop.submit(gather()), job)
        else:
            loop()
    finally:
        if isinstance(batches, Generator):
            batches.close()


def _unless_dead(work: "concurrent.futures.Future[None]", job: Job) -> None:
    """Wait for the loop's work, and cancel its calls once the server was found dead."""
    while not concurrent.futures.wait([work], TICK_S).done:
        if isinstance(job.error, ConnectionFailed):
            work.cancel()
            raise job.error
    work.result()


class _Feed:
    """Hands batches to coroutines; the next one is made in a thread meanwhile."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._reader = ThreadPoolExecutor(1, "reader")
        self._turn = asyncio.Lock()
        self._next = self._read()
        self._closed = False

    def _read(self) -> "asyncio.Future[Batch | None]":
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._reader, next, self._batches, None)

    async def get(self) -> Batch | None:
        """Return the next batch, None at the end. Raises what making it raised."""
        async with self._turn:
            if self._closed:
                return None
            batch = await self._next
            self._next = self._read()
            return batch

    async def close(self) -> None:
        """Make no more batches, and wait for the one that is being made."""
        self._closed = True
        await asyncio.gather(self._next, return_exceptions=True)
        self._reader.shutdown(wait=False)


def _first_with_rows(batches: Iterator[Batch], tally: Tally) -> Batch:
    for batch in batches:
        if len(batch):
            return batch
        tally.refused += batch.refused
    raise InvalidInput("There is no text to ingest.", kept="Nothing was created.")


class _Writer:
    """Writes batches into the store of a plan's collection, and adds up the time it takes."""

    def __init__(
        self,
        connection: Connection,
        model: EmbeddingModel,
        plan: IngestionPlan,
        tally: Tally,
        job: Job,
    ) -> None:
        self.plan = plan
        self.tally = tally
        self.job = job
        self._connection = connection
        self._model = model
        self._method = METHODS[plan.method]
        self._created: Milvus | None = None
        self.store: Milvus | None = None
        if not self._method.creates:
            self.store = connection.store(plan.collection, model.embeddings)

    def close(self) -> None:
        """Close the store that from_texts made; the connection keeps the others."""
        if self._created is not None:
            close_stores(self._created)

    def create(self, batch: Batch) -> None:
        """Let from_texts make the collection with the first rows; the rest is added to it."""
        arguments = self._method.arguments(batch) | {
            "embedding": self._model.embeddings,
            "collection_name": self.plan.collection,
            "connection_args": self._connection.arguments,
            "index_params": {"index_type": "AUTOINDEX", "metric_type": "COSINE", "params": {}},
            "enable_dynamic_field": True,
            "collection_properties": {EMBEDDING_PROPERTY: self._model.model},
        }
        arguments.pop("batch_size")  # from_texts would hand it to the collection
        with reported("The collection could not be created."), self._timed():
            # Sync in every mode: afrom_texts makes the collection with sync calls, which would hold
            # the shared loop for half a second on a server.
            self.store = store_class(self._connection.territory).from_texts(**arguments)
        self._created = self.store
        self._connection.forget_stores(self.plan.collection)
        self._method = METHODS["add_texts"]

    def look_up(self, question: dict[str, Any] | None) -> list[dict[str, Any]]:
        """Ask a query, unless there is none."""
        if question is None or self.store is None:
            return []
        with self._looking_up():
            found: list[dict[str, Any]] = self.store.client.query(**question)
        return found

    async def alook_up(self, question: dict[str, Any] | None) -> list[dict[str, Any]]:
        """Ask a query on the loop, unless there is none."""
        if question is None or self.store is None:
            return []
        with self._looking_up():
            found: list[dict[str, Any]] = await self.store.aclient.query(**question)
        return found

    @contextlib.contextmanager
    def _looking_up(self) -> Iterator[None]:
        started = time.perf_counter()
        with reported(LOOK_UP_FAILED):
            yield
        self.tally.lookup_s += time.perf_counter() - started

    def write(self, part: Batch, *, replaces: bool = False) -> None:
        """Call the sync method with these rows."""
        if not len(part) or self.store is None:
            return
        with reported("A batch could not be inserted."), self._timed():
            if self._embeds_first(part, replaces):
                part.vectors = _array(self._model.embeddings.embed_documents(part.texts))
            operation, arguments = self._call(part, replaces)
            OPERATIONS[operation].call(self.store, arguments)

    async def awrite(self, part: Batch, *, replaces: bool = False) -> None:
        """Await the async method with these rows."""
        if not len(part) or self.store is None:
            return
        with reported("A batch could not be inserted."), self._timed():
            if self._embeds_first(part, replaces):
                part.vectors = _array(await self._model.embeddings.aembed_documents(part.texts))
            operation, arguments = self._call(part, replaces)
            await OPERATIONS[operation].acall(self.store, arguments)

    def _embeds_first(self, part: Batch, replaces: bool) -> bool:
        return self._method.embeds_first and not replaces and part.vectors is None

    def _call(self, part: Batch, replaces: bool) -> tuple[str, dict[str, Any]]:
        method = METHODS[self._connection.replaces_by] if replaces else self._method
        return method.operation, method.arguments(part)

    def _say_wait(self, seconds: float) -> None:
        self.job.progress.message = (
            f"the embedding service refused: asking it again after {seconds:.3g} s"
        )

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        self._connection.check_room()
        started, clock = time.perf_counter(), embedding_clock(WORK_S, self._say_wait)
        yield
        took = time.perf_counter() - started
        self.tally.waited_s += clock.waited_s
        self.tally.embed_s += clock.seconds
        self.tally.insert_s += max(took - clock.seconds, 0.0)


def _array(vectors: Sequence[Sequence[float]]) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return np.asarray(vectors, dtype=np.float32)


def _with_what_was_kept(error: LabError, tally: Tally) -> LabError:
    return type(error)(
        error.what,
        kept=f"{tally.written:,} rows were written before and are kept.",
        next_step=error.next_step or "Ingest again: rows that are there are not added twice.",
    )
