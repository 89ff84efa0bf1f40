"""Ingestion: documents → keys → concurrent batches → rows, with progress."""

import asyncio
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from itertools import islice

from langchain_core.documents import Document
from langchain_milvus import Milvus

from lib import collections, event_loop
from lib.connection import PRIMARY_FIELD, Connection, reported
from lib.embeddings import EmbeddingModel, embedding_clock
from lib.errors import InvalidInput, JobCancelled, LabError
from lib.jobs import Job

DEFAULT_BATCH_SIZE = 256
DEFAULT_CONCURRENCY = 4
MAX_BATCH_SIZE = 5_000
MAX_CONCURRENCY = 64


@dataclass
class Tally:
    """What an ingestion has done so far; `embed_s` and `insert_s` are sums over all batches."""

    given: int = 0
    added: int = 0
    unchanged: int = 0
    embed_s: float = 0.0
    insert_s: float = 0.0
    wall_s: float = 0.0
    stopped: bool = False


@dataclass(frozen=True)
class IngestionPlan:
    """How to ingest. `concurrency` is how many batches are under way at once."""

    collection: str
    batch_size: int = DEFAULT_BATCH_SIZE
    concurrency: int = DEFAULT_CONCURRENCY

    def check(self) -> None:
        """Raise InvalidInput for a size or concurrency that cannot work."""
        collections.check_name(self.collection)
        if not 1 <= self.batch_size <= MAX_BATCH_SIZE:
            raise InvalidInput(f"The batch size must be between 1 and {MAX_BATCH_SIZE:,}.")
        if not 1 <= self.concurrency <= MAX_CONCURRENCY:
            raise InvalidInput(f"The concurrency must be between 1 and {MAX_CONCURRENCY}.")


@dataclass(frozen=True)
class IngestionReport:
    """The outcome: `rows` is the collection's exact count afterwards."""

    tally: Tally
    rows: int
    collection: str

    @property
    def rows_per_s(self) -> float:
        """Rows added per second of wall time."""
        return self.tally.added / self.tally.wall_s if self.tally.wall_s else 0.0


def ingest(
    connection: Connection,
    model: EmbeddingModel,
    documents: Iterable[Document],
    plan: IngestionPlan,
    *,
    total: int | None = None,
    job: Job | None = None,
) -> IngestionReport:
    """Embed and insert documents in concurrent batches through `aadd_documents`.

    Documents carry their primary key in `id`; rows whose key is already there are left alone, so
    ingesting twice adds nothing. Raises LabError; what was inserted before an error is kept.
    """
    plan.check()
    tally = Tally()
    collections.ensure(connection, plan.collection, model.dimension, embedding=model.model)
    store = connection.store(plan.collection, model.embeddings)
    if job:
        job.progress.unit = "rows"
        job.progress.total = total or 0
    before = collections.count(connection, plan.collection)
    started = time.perf_counter()
    try:
        event_loop.run(_ingest(store, documents, plan, tally, job))
    except JobCancelled:
        tally.stopped = True
    except LabError as error:
        raise _with_what_was_kept(error, tally) from error
    finally:
        tally.wall_s = time.perf_counter() - started
    collections.prepare_for_search(connection, plan.collection)
    rows = collections.count(connection, plan.collection)
    if rows != before + tally.added:
        # Two people may write at once, so a difference is reported, not raised.
        tally.unchanged = max(tally.given - (rows - before), 0)
    return IngestionReport(tally=tally, rows=rows, collection=plan.collection)


async def _ingest(
    store: Milvus,
    documents: Iterable[Document],
    plan: IngestionPlan,
    tally: Tally,
    job: Job | None,
) -> None:
    batches = _batches(documents, plan.batch_size)

    async def work() -> None:
        for batch in batches:
            if job:
                job.check()
            await _ingest_batch(store, plan.collection, batch, tally)
            if job:
                job.progress.done = tally.given
                job.progress.detail = {"added": tally.added, "unchanged": tally.unchanged}

    workers = [asyncio.create_task(work()) for _ in range(plan.concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        # After the first failure the others finish the batch they are in, so that every row that
        # Milvus took is counted.
        batches.close()
        await asyncio.gather(*workers, return_exceptions=True)


async def _ingest_batch(
    store: Milvus, collection: str, batch: list[Document], tally: Tally
) -> None:
    keys = [str(document.id) for document in batch]
    with reported("A batch could not be inserted."):
        present = await store.aclient.get(collection, ids=keys, output_fields=[PRIMARY_FIELD])
        known = {row[PRIMARY_FIELD] for row in present}
        fresh = [document for document in batch if str(document.id) not in known]
        with embedding_clock() as clock:
            started = time.perf_counter()
            if fresh:
                await store.aadd_documents(fresh, ids=[str(document.id) for document in fresh])
            took = time.perf_counter() - started
    tally.given += len(batch)
    tally.added += len(fresh)
    tally.unchanged += len(batch) - len(fresh)
    tally.embed_s += clock.seconds
    tally.insert_s += took - clock.seconds


def _batches(documents: Iterable[Document], size: int) -> Generator[list[Document], None, None]:
    iterator = iter(documents)
    while batch := list(islice(iterator, size)):
        yield batch


def _with_what_was_kept(error: LabError, tally: Tally) -> LabError:
    return type(error)(
        error.what,
        kept=f"{tally.added:,} rows were added before and are kept.",
        next_step=error.next_step or "Ingest again: rows that are there are not added twice.",
    )
