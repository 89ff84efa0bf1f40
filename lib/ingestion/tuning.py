"""Tuning: which way, batch size and concurrency write fastest here, measured as the benchmark does.

Each setting is tried in every repeat, in an order shuffled by a seed, in a scratch collection of
its own. What is compared are the wall times of one repeat, with the benchmark's statistics.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product

from langchain_core.documents import Document

from lib.errors import InvalidInput
from lib.ingestion.plan import METHODS, IngestionPlan
from lib.ingestion.writing import ingest
from lib.jobs import Job
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.results.summaries import Speedup, geometric_mean, speedup

SUBJECT = "tuning"  # by which pages find its job
REPEATS = 5
SEED = 0


@dataclass(frozen=True)
class Grid:
    """What to try: rows a trial, batch sizes, concurrencies. A concurrency of 0 is the loop."""

    rows: int
    batch_sizes: tuple[int, ...]
    concurrencies: tuple[int, ...]

    def plans(self, rows: int, method: str) -> list[IngestionPlan]:
        """Return what to try with so many rows, the loop with the smallest batches first."""
        # More batches at once than there are batches measures nothing new.
        return [
            IngestionPlan("", size, at_once or 1, method, "gather" if at_once else "sync_loop")
            for size, at_once in product(self.batch_sizes, self.concurrencies)
            if size * at_once <= max(rows, 2 * self.batch_sizes[0])
        ]


# A remote service may charge for what is embedded: few rows, small batches, more calls at once.
REMOTE = Grid(rows=512, batch_sizes=(32, 128), concurrencies=(0, 2, 8, 16))
LOCAL = Grid(rows=2_000, batch_sizes=(256, 1_000), concurrencies=(0, 2, 4))


@dataclass(frozen=True)
class Setting:
    """One way to write and the rows per second that it reached, a geometric mean.

    `gain` says how many times faster than one batch after another, in batches of the same size. It
    is None for that loop itself. Its interval is corrected for the number of settings compared.
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
    documents: Iterable[Document],
    *,
    method: str = "add_documents",
    job: Job | None = None,
) -> list[Setting]:
    """Write a sample with each setting, several times, and return the settings, fastest first.

    Raises InvalidInput when the sample is too small to tell settings apart.
    """
    grid = grid_for(model)
    sample = list(islice(documents, grid.rows))
    if len(sample) < 2 * grid.batch_sizes[0]:
        raise InvalidInput(
            f"{len(sample):,} rows are too few to measure on.",
            next_step=f"Choose at least {2 * grid.batch_sizes[0]:,}.",
        )
    method = "add_texts" if METHODS[method].creates else method
    plans = grid.plans(len(sample), method)
    job = job or Job("Tuning", SUBJECT)
    job.progress.unit, job.progress.total = "trials", REPEATS * len(plans)
    walls_s: dict[IngestionPlan, list[float]] = {plan: [] for plan in plans}
    # The first writes anywhere are slow, so one batch goes ahead uncounted.
    _wall_s(connection, model, sample[: plans[0].batch_size], plans[0])
    dice = random.Random(SEED)
    for _ in range(REPEATS):
        for plan in dice.sample(plans, len(plans)):
            job.check()
            if job.give_way():
                _wall_s(connection, model, sample[: plans[0].batch_size], plans[0])
            way = f"{plan.concurrency} at once" if plan.mode == "gather" else "one after another"
            job.progress.message = f"batches of {plan.batch_size:,}, {way}"
            walls_s[plan].append(_wall_s(connection, model, sample, plan))
            job.progress.done += 1
    found = []
    compared = sum(plan.mode != "sync_loop" for plan in plans)
    for plan, own in walls_s.items():
        loop = replace(plan, mode="sync_loop", concurrency=1)
        gain = speedup(walls_s[loop], own).corrected(compared) if plan != loop else None
        rows_per_s = len(sample) / geometric_mean(own)[0]
        found.append(Setting(plan.mode, plan.batch_size, plan.concurrency, rows_per_s, gain))
    return sorted(found, key=lambda setting: setting.rows_per_s, reverse=True)


def _wall_s(
    connection: Connection, model: EmbeddingModel, sample: Sequence[Document], plan: IngestionPlan
) -> float:
    name = connection.scratch_name()
    try:
        return ingest(connection, model, sample, replace(plan, collection=name)).tally.wall_s
    finally:
        milvus_collections.drop(connection, name)
