"""A worker forked by the host against a process started afresh that imports the same.

`python -m benchmarks.worker_start [REPEATS]` prints milliseconds of both, their ratio, and what a
worker takes of memory that it does not share with the host.
"""

import statistics
import subprocess
import sys
import time

from benchmarks._own_memory import own_memory
from lib.workers import host, work

MODULES = ("langchain_milvus",)
AFRESH = [sys.executable, "-c", "import langchain_milvus"]


def forked_s() -> float:
    """Return the seconds that a worker takes from the call to its result."""
    began = time.perf_counter()
    work.run(own_memory, modules=MODULES)
    return time.perf_counter() - began


def afresh_s() -> float:
    """Return the seconds that a program takes to start, import the same and end."""
    began = time.perf_counter()
    subprocess.run(AFRESH, check=True)
    return time.perf_counter() - began


def main(repeats: int) -> None:
    """Measure both in turn and print the medians."""
    began = time.perf_counter()
    host.shared().warm(*MODULES)
    print(f"host ready, {MODULES[0]} imported: {time.perf_counter() - began:.2f} s")
    pairs = [(forked_s(), afresh_s()) for _ in range(repeats)]
    forked, afresh = (statistics.median(each) for each in zip(*pairs, strict=True))
    own = statistics.median(work.run(own_memory, modules=MODULES) for _ in range(repeats))
    print(f"forked {forked * 1e3:.1f} ms, afresh {afresh * 1e3:.0f} ms, n = {repeats}")
    print(f"ratio {afresh / forked:.0f}; a worker's own memory {own / 2**20:.1f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 15)
