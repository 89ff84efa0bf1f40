"""The CI gate in real time: a run against its own equal, and against one that is 30 % slower.

    python -m benchmarks.gate_real_time

A stub whose calls sleep for a random time; the runs alternate. Prints how many equal pairs were
called slower, and how many slowdowns were caught.
"""

import argparse
import random
import time
from typing import Any

from benchmarks.real_time_aa import SleepyWorkspace
from lib.benchmark.runner import SUBJECT, run_in
from lib.jobs import Job
from lib.results.gate import Verdict, decide
from lib.results.plan import Plan
from lib.results.trials import Run

# By how much one side is slower, and what the gate lets pass.
SLOWED, THRESHOLD = 0.30, 0.15
PLAN = Plan(
    operations=("similarity_search_by_vector",),
    strategies=("sync_loop",),
    counts=(40,),
    repeats=8,
    warmup=0,
)


class SlowedStore:
    """A store whose lookups take a random time, longer by a factor."""

    def __init__(self, seed: int, factor: float) -> None:
        self._dice = random.Random(seed)
        self._factor = factor

    def similarity_search_by_vector(self, embedding: list[float], k: int) -> list[Any]:
        """Sleep for about four milliseconds."""
        time.sleep(self._factor * self._dice.uniform(0.003, 0.005))
        return []


def _measured(seed: int, factor: float) -> Run:
    workspace = SleepyWorkspace(seed)
    workspace.store = SlowedStore(seed, factor)
    return run_in(PLAN, workspace, job=Job("gate", SUBJECT))


def main() -> int:
    """Print false alarms and catches; return 1 when there are too many or too few."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    given = parser.parse_args()
    alarms = caught = 0
    for pair in range(given.pairs):
        baseline = _measured(2 * pair, 1.0)
        equal = decide(baseline, _measured(2 * pair + 1, 1.0), THRESHOLD)
        alarms += equal.verdict is Verdict.SLOWER
        slower = decide(baseline, _measured(2 * pair + 1, 1 + SLOWED), THRESHOLD)
        caught += slower.verdict is Verdict.SLOWER
    print(f"equal pairs called slower: {alarms} of {given.pairs}")
    print(f"pairs that are {SLOWED:.0%} slower, caught: {caught} of {given.pairs}")
    return 0 if alarms <= max(1, 0.05 * given.pairs) and caught >= 0.9 * given.pairs else 1


if __name__ == "__main__":
    raise SystemExit(main())
