"""Memory that was freed goes back to the system, however many threads have allocated."""

import subprocess
import sys

import pytest

from lib.settings import PROJECT_ROOT

PROGRAM = """
import threading
from lib.ui.common import memory
memory.use_few_heaps()
kept = []
def allocate():
    mine = [bytes(2_000) for _ in range(10_000)]
    kept.append(mine[-1])  # what stays holds the top of the heap
threads = [threading.Thread(target=allocate) for _ in range(8)]
before = memory.used_mb()
for each in threads: each.start()
for each in threads: each.join()
memory.give_back()
print(memory.used_mb() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is meant")
def test_what_threads_have_freed_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 10
