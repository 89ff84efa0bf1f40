"""The sync loop against itself in real time: the interval must hold 1 nearly always.

    python -m benchmarks.real_time_aa

Forty runs of five repeats on a stub whose calls sleep for a random time. Of 40 intervals with 95 %
coverage between 35 and 40 contain 1, in all but one of a hundred attempts.
"""

import argparse
import random
import statistics
import time
from dataclasses import replace
from typing import Any

from lib.benchmark.runner import SUBJECT, run_in
from lib.benchmark.strategies import STRATEGIES
from lib.benchmark.workspace import Workspace
from lib.jobs import Job
from lib.milvus.operations import Inputs
from lib.results import catalogue
from lib.results.plan import Plan
from lib.results.summaries import summarise

AGAIN = "sync_loop_again"
FEWEST = 35


class SleepyStore:
    """A store whose lookups take a random time."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def similarity_search_by_vector(self, embedding: list[float], k: int) -> list[Any]:
        """Sleep for about two milliseconds, now and then for much longer."""
        time.sleep(0.001 + 0.001 * self._dice.paretovariate(2))
        return []


class SleepyWorkspace(Workspace):
    """No rows, nothing to check."""

    def __init__(self, seed: int) -> None:
        self.store = SleepyStore(seed)
        self.inputs = Inputs([], [], [], ["q"], [[1.0]])


def main() -> int:
    """Print how many of the runs contain 1, and the median width of their intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    given = parser.parse_args()
    again = replace(STRATEGIES["sync_loop"], name=AGAIN)
    catalogue.STRATEGIES[AGAIN] = STRATEGIES[AGAIN] = again
    plan = Plan(
        operations=("similarity_search_by_vector",),
        strategies=("sync_loop", AGAIN),
        counts=(50,),
        repeats=5,
    )
    contained, widths = 0, []
    for seed in range(given.runs):
        run = run_in(replace(plan, seed=seed), SleepyWorkspace(seed), job=Job("A/A", SUBJECT))
        cell = next(cell for cell in summarise(run.trials) if cell.strategy == AGAIN)
        low, high = cell.speedup_low or 0.0, cell.speedup_high or 0.0
        contained += low <= 1 <= high
        widths.append(high - low)
    print(
        f"{contained} of {given.runs} intervals contain 1, "
        f"median width {statistics.median(widths):.3f}"
    )
    return 0 if contained >= FEWEST * given.runs / 40 else 1


if __name__ == "__main__":
    raise SystemExit(main())
