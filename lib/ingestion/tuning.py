"""Tuning: which way, batch size and concurrency write fastest here, measured as the benchmark does.

Each setting is tried in every repeat, in an order shuffled by a seed, in a scratch collection of
its own. What is compared are the wall times of one repeat, with the benchmark's statistics.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from langchain_core.documents import Document

from lib.benchmark.statistics import Speedup, median, speedup
from lib.errors import InvalidInput
from lib.ingestion.plan import METHODS, IngestionPlan
from lib.ingestion.writing import ingest
from lib.jobs import Job
from lib.milvus import collections as milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel

REPEATS = 5
SEED = 0


@dataclass(frozen=True)
class Grid:
    """What to try: rows a trial, batch sizes, concurrencies. A concurrency of 0 is the loop."""

    rows: int
    batch_sizes: tuple[int, ...]
    concurrencies: tuple[int, ...]

    @property
    def settings(self) -> list[tuple[int, int]]:
        """The pairs of batch size and concurrency."""
        # More batches at once than there are batches measures nothing new.
        return [
            (size, concurrency)
            for size, concurrency in product(self.batch_sizes, self.concurrencies)
            if size * concurrency <= max(self.rows, 2 * self.batch_sizes[0])
        ]


# A remote service may charge for what is embedded: few rows, small batches, more calls at once.
REMOTE = Grid(rows=512, batch_sizes=(32, 128), concurrencies=(0, 2, 8, 16))
LOCAL = Grid(rows=2_000, batch_sizes=(256, 1_000), concurrencies=(0, 2, 4))


@dataclass(frozen=True)
class Setting:
    """One way to write and the rows per second that it reached.

    `gain` says how many times faster than one batch after another, in batches of the same size. It
    is None for that loop itself.
    """

    mode: str
    batch_size: int
    concurrency: int
    rows_per_s: float
    gain: Speedup | None


def grid_for(model: EmbeddingModel) -> Grid:
    """Return the settings worth trying with an embedding."""
    return REMOTE if model.is_remote else LOCAL


def find_best(
    connection: Connection,
    model: EmbeddingModel,
    documents: Sequence[Document],
    *,
    method: str = "add_documents",
    job: Job | None = None,
) -> list[Setting]:
    """Write a sample with each setting, several times, and return the settings, fastest first.

    Raises InvalidInput when the sample is too small to tell settings apart.
    """
    grid = grid_for(model)
    sample = list(documents[: grid.rows])
    if len(sample) < 2 * grid.batch_sizes[0]:
        raise InvalidInput(
            f"{len(sample):,} rows are too few to measure on.",
            next_step=f"Choose at least {2 * grid.batch_sizes[0]:,}.",
        )
    settings = Grid(len(sample), grid.batch_sizes, grid.concurrencies).settings
    if job:
        job.progress.unit, job.progress.total = "trials", REPEATS * len(settings)
    method = "add_texts" if METHODS[method].creates else method
    walls_s: dict[tuple[int, int], list[float]] = {setting: [] for setting in settings}
    # The first writes anywhere are slow, so one batch goes ahead uncounted.
    _wall_s(connection, model, sample[: grid.batch_sizes[0]], method, grid.batch_sizes[0], 0)
    dice = random.Random(SEED)
    for _ in range(REPEATS):
        for size, concurrency in dice.sample(settings, len(settings)):
            if job:
                job.check()
                job.progress.message = f"batches of {size:,}, {_in_words(concurrency)}"
            wall_s = _wall_s(connection, model, sample, method, size, concurrency)
            walls_s[size, concurrency].append(wall_s)
            if job:
                job.progress.done += 1
    found = [
        Setting(
            "gather" if concurrency else "sync_loop",
            size,
            concurrency or 1,
            len(sample) / median(own),
            speedup(walls_s[size, 0], own) if concurrency else None,
        )
        for (size, concurrency), own in walls_s.items()
    ]
    return sorted(found, key=lambda setting: setting.rows_per_s, reverse=True)


def _in_words(concurrency: int) -> str:
    return f"{concurrency} at once" if concurrency else "one after another"


def _wall_s(
    connection: Connection,
    model: EmbeddingModel,
    sample: Sequence[Document],
    method: str,
    batch_size: int,
    concurrency: int,
) -> float:
    name = connection.scratch_name()
    mode = "gather" if concurrency else "sync_loop"
    plan = IngestionPlan(name, batch_size, concurrency or 1, method, mode)
    try:
        return ingest(connection, model, sample, plan).tally.wall_s
    finally:
        milvus_collections.drop(connection, name)
