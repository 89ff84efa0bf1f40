"""Tuning: which batch size and concurrency write fastest here, measured on a scratch collection."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from langchain_core.documents import Document
from langchain_milvus import Milvus

from lib import event_loop
from lib.documents.problems import Problems
from lib.errors import InvalidInput
from lib.ingestion.batches import Batch, from_documents
from lib.ingestion.plan import METHODS
from lib.jobs import Job
from lib.milvus import collections as milvus_collections
from lib.milvus.collections import SCRATCH_PREFIX
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.failures import reported
from lib.milvus.operations import OPERATIONS


@dataclass(frozen=True)
class Grid:
    """What to try: rows a trial, batch sizes, concurrencies."""

    rows: int
    batch_sizes: tuple[int, ...]
    concurrencies: tuple[int, ...]

    @property
    def trials(self) -> int:
        """How many combinations there are."""
        return len(self.batch_sizes) * len(self.concurrencies)


# A remote service may charge for what is embedded: few rows, small batches, more calls at once.
REMOTE = Grid(rows=512, batch_sizes=(32, 128), concurrencies=(2, 8, 16))
LOCAL = Grid(rows=4_000, batch_sizes=(256, 1_000, 2_000), concurrencies=(1, 2, 4))


@dataclass(frozen=True)
class Trial:
    """One combination and what it reached."""

    batch_size: int
    concurrency: int
    rows: int
    wall_s: float

    @property
    def rows_per_s(self) -> float:
        """Rows written per second."""
        return self.rows / self.wall_s


def grid_for(model: EmbeddingModel) -> Grid:
    """Return the combinations worth trying with an embedding."""
    is_remote = model.simulated_latency_ms or not model.model.startswith("bundled/")
    return REMOTE if is_remote else LOCAL


def find_best(
    connection: Connection,
    model: EmbeddingModel,
    documents: Sequence[Document],
    *,
    method: str = "add_documents",
    job: Job | None = None,
) -> list[Trial]:
    """Write a sample once with each combination and return the trials, the fastest first.

    Every trial writes into its own scratch collection, which is dropped. Raises InvalidInput when
    the sample is too small to tell combinations apart.
    """
    grid = grid_for(model)
    sample = list(documents[: grid.rows])
    if len(sample) < 2 * grid.batch_sizes[0]:
        raise InvalidInput(
            f"{len(sample):,} rows are too few to measure on.",
            next_step=f"Choose at least {2 * grid.batch_sizes[0]:,}.",
        )
    name = METHODS[method].operation if method in ("add_texts", "upsert") else "add_documents"
    combinations = [
        (size, concurrency)
        for size, concurrency in product(grid.batch_sizes, grid.concurrencies)
        # More batches at once than there are batches measures nothing new.
        if size * concurrency <= max(len(sample), 2 * grid.batch_sizes[0])
    ]
    if job:
        job.progress.unit, job.progress.total = "combinations", len(combinations)
    trials = []
    # The first writes anywhere are slow, so one batch goes ahead uncounted.
    _measure(connection, model, sample[: grid.batch_sizes[0]], name, grid.batch_sizes[0], 1)
    for done, (size, concurrency) in enumerate(combinations):
        if job:
            job.check()
            job.progress.done = done
            job.progress.message = f"batches of {size:,}, {concurrency} at once"
        wall_s = _measure(connection, model, sample, name, size, concurrency)
        trials.append(Trial(size, concurrency, len(sample), wall_s))
    return sorted(trials, key=lambda trial: trial.wall_s)


def _measure(
    connection: Connection,
    model: EmbeddingModel,
    sample: Sequence[Document],
    method: str,
    batch_size: int,
    concurrency: int,
) -> float:
    name = f"{SCRATCH_PREFIX}tuning_{secrets.token_hex(4)}"
    batches = list(from_documents(sample, batch_size, Problems()))
    try:
        milvus_collections.create(connection, name, model.dimension, embedding=model.model)
        store = connection.store(name, model.embeddings)
        with reported("A batch could not be inserted."):
            return event_loop.run(_write(store, batches, method, concurrency))
    finally:
        milvus_collections.drop(connection, name)


async def _write(store: Milvus, batches: Sequence[Batch], method: str, concurrency: int) -> float:
    limit = asyncio.Semaphore(concurrency)

    async def write(batch: Batch) -> None:
        async with limit:
            await OPERATIONS[method].acall(store, METHODS[method].arguments(batch))

    started = time.perf_counter()
    await asyncio.gather(*[write(batch) for batch in batches])
    return time.perf_counter() - started
