"""How much of the processors other programs took is read, and told of a run."""

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from lib.benchmark.processors import NOT_KNOWN, Others
from lib.milvus.connection import open_connection
from lib.results.analysis import analyse
from lib.results.trials import Run
from lib.settings import Settings
from scripts.milvus_server import MilvusServer


@pytest.fixture
def busy() -> Iterator[psutil.Process]:
    """A program that computes."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def compute(seconds: float) -> None:
    """Keep this process busy for a while."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def test_a_program_beside_counts_and_milvus_and_this_process_do_not(busy: psutil.Process) -> None:
    both, without = Others(), Others(busy)
    took = busy.cpu_times().user, time.process_time()
    with both.watched(), without.watched():
        compute(0.7)
    share = (busy.cpu_times().user - took[0]) / 0.7 / (psutil.cpu_count() or 1)
    assert both.share is not None
    assert without.share is not None
    # Processors are read in steps of 10 ms.
    assert both.share - without.share == pytest.approx(share, abs=0.05)
    assert time.process_time() - took[1] > 0.1
    own = (time.process_time() - took[1]) / 0.7 / (psutil.cpu_count() or 1)
    assert both.share <= 1.05 - own


def test_too_short_a_time_or_an_unknown_milvus_gives_no_share(busy: psutil.Process) -> None:
    short = Others()
    with short.watched():
        pass
    assert short.share is None
    with NOT_KNOWN.watched():
        pass
    assert NOT_KNOWN.share is None
    ended = Others(busy)
    busy.kill()
    busy.wait()
    with ended.watched():
        compute(0.6)
    assert ended.share is None


def test_milvus_lite_and_a_server_are_found_where_they_run_on_this_computer(
    milvus_lite_uri: str, milvus_server: MilvusServer
) -> None:
    for uri in (milvus_lite_uri, milvus_server.uri):
        opened = open_connection(Settings(milvus_uri=uri))
        (found,) = Others.beside(opened)._measured
        assert sum(found.cpu_times()[:2]) > 0
        opened.close()


@pytest.mark.parametrize(("share", "is_told"), [(0.099, False), (0.1, True), (0.27, True)])
def test_a_busy_computer_is_told_of_a_run(share: float, is_told: bool) -> None:
    told = analyse(Run({"other_programs": share}, {})).warnings
    assert ("Other programs were busy" in told) is is_told
    if is_told:
        assert f"used {share:.0%} of the processor while" in str(told)
