"""How much later a benchmark that a page starts makes its first call, because a worker makes it.

    python -m benchmarks.first_call [--repeats 10]

A search on an embedded Milvus Lite, in turn in this process, as before workers, and in a worker
whose host has loaded what it needs, as a page's has after the first page. Counted from the press to
the end of the first trial, of one call. Printed: medians in seconds, their difference and ratio.
Asked: at most 0.3 s later.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lib.benchmark import measurement, runner
from lib.benchmark.access import Access, modules_of
from lib.jobs import Job
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.results.plan import Plan
from lib.settings import Settings
from lib.workers import host

ALLOWED_S = 0.3
LOOK_S = 0.001
PLAN = Plan(
    operations=("similarity_search",), strategies=("sync_loop",), counts=(1,), repeats=1, rows=100
)


def first_trial_s(measure: Callable[[Job], object]) -> float:
    """Return the seconds until the first trial has ended; the rest is waited for."""
    job = Job("Benchmark", runner.SUBJECT)
    began = time.perf_counter()
    measuring = threading.Thread(target=measure, args=(job,))
    measuring.start()
    while not (job.result and job.result.trials):
        time.sleep(LOOK_S)
    took = time.perf_counter() - began
    measuring.join()
    return took


def main() -> int:
    """Measure both in turn, print them, and say whether the worker is as soon as asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(milvus_uri=str(Path(folder, "lab.db")))
        connection, model = open_connection(settings), open_model(settings)
        access = Access.of(settings, connection, model)
        host.shared().warm("lib.benchmark.measurement", *modules_of(settings.embedding_provider))
        ways: dict[str, Callable[[Job], object]] = {
            "here": lambda job: runner.run(PLAN, connection, model, job=job),
            "worker": lambda job: measurement.apart(PLAN, access, job, connection),
        }
        for measure in ways.values():
            first_trial_s(measure)
        took: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(given.repeats):
            for name, measure in ways.items():
                took[name].append(first_trial_s(measure))
        connection.close()
    here, worker = (statistics.median(each) for each in took.values())
    print(f"in this process {here:.3f} s, in a worker {worker:.3f} s, n = {given.repeats}")
    print(f"later by {worker - here:.3f} s (asked: {ALLOWED_S}), ratio {worker / here:.2f}")
    return int(worker - here > ALLOWED_S)


if __name__ == "__main__":
    sys.exit(main())
