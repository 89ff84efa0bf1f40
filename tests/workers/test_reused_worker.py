"""A worker that is kept for the next caller, and the ways in which it is not."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from lib.errors import InvalidInput, JobCancelled
from lib.workers import host
from lib.workers.work import Ended, Limits, OutOfMemory, OutOfTime, Reused
from tests.waiting import wait_until
from tests.workers import tasks


@pytest.fixture
def kept() -> Iterator[Reused]:
    made = Reused()
    yield made
    made.end()


@pytest.fixture(params=["forked", "afresh"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Workers forked by the host, and started afresh as where `fork` is missing."""
    if request.param == "afresh":
        monkeypatch.setattr(host, "CAN_FORK", False)
    return str(request.param)


def test_the_next_caller_gets_the_same_worker(way: str, kept: Reused) -> None:
    first = kept.run(tasks.process_id)
    assert first != os.getpid()
    assert [kept.run(tasks.length, bytes(size)) for size in (0, 3)] == [("bytes", 0), ("bytes", 3)]
    assert kept.run(tasks.process_id) == first


def test_it_ends_when_nobody_comes() -> None:
    kept = Reused(idle_s=0.2)
    process = psutil.Process(kept.run(tasks.process_id))
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    assert kept.run(tasks.process_id) != process.pid
    kept.end()


@pytest.mark.parametrize(
    ("task", "arguments", "error"),
    [
        (tasks.refuse, ("It",), InvalidInput),
        (tasks.take, (97,), OutOfMemory),
        (tasks.compute_for_ever, (), OutOfTime),
        (tasks.abort, (), Ended),
    ],
)
def test_one_in_which_work_failed_is_not_kept(
    kept: Reused, task: object, arguments: tuple[object, ...], error: type[Exception]
) -> None:
    first = kept.run(tasks.process_id)
    with pytest.raises(error):
        kept.run(task, *arguments, limits=Limits(seconds=0.5, memory_mb=64))  # type: ignore[arg-type]
    assert kept.run(tasks.process_id) != first


def test_one_that_was_killed_meanwhile_is_replaced_without_a_word(kept: Reused) -> None:
    first = kept.run(tasks.process_id)
    os.kill(first, signal.SIGKILL)
    assert kept.run(tasks.double, 4) == 8
    host.shared().end()  # and its host
    assert kept.run(tasks.double, 5) == 10


def test_memory_counts_from_its_start_however_often_it_works(kept: Reused) -> None:
    limits = Limits(memory_mb=64)
    first = kept.run(tasks.hold, 40, limits=limits)
    second = kept.run(tasks.hold, 41, limits=limits)  # no room beside the first: in a new one
    assert first != second
    with pytest.raises(OutOfMemory):
        kept.run(tasks.hold, 97, limits=limits)


@pytest.mark.alone
def test_callers_take_turns_and_may_give_up_waiting(kept: Reused) -> None:
    working = threading.Thread(target=kept.run, args=(tasks.sleep, 1.0))
    working.start()
    wait_until(kept._turn.locked)

    def check() -> None:
        raise JobCancelled("Stopped.")

    began = time.monotonic()
    with pytest.raises(JobCancelled):
        kept.run(tasks.double, 1, check=check)
    assert time.monotonic() - began < 0.5
    # Waiting is not part of what it may take.
    assert kept.run(tasks.double, 4, limits=Limits(seconds=0.5)) == 8
    assert time.monotonic() - began > 0.4
    working.join()
