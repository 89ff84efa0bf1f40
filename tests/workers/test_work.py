"""Work in a worker: its result, its limits, its progress, and every way in which it can end."""

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from lib.errors import InvalidInput, JobCancelled, LabError
from lib.workers import host, work
from lib.workers.work import Ended, Limits, OutOfMemory, OutOfTime, TooMuchOutput
from tests.waiting import wait_until
from tests.workers import tasks

ROOT = Path(__file__).resolve().parents[2]
READ = Limits(what="quotes.csv", done="read")


@pytest.fixture(params=["forked", "afresh"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Workers forked by the host, and started afresh as where `fork` is missing."""
    if request.param == "afresh":
        monkeypatch.setattr(host, "CAN_FORK", False)
    return str(request.param)


def test_a_function_returns_from_a_process_of_its_own(way: str) -> None:
    assert work.run(tasks.double, 21) == 42
    first, second = (work.run(tasks.process_id) for _ in range(2))
    assert len({os.getpid(), host.shared().pid, first, second}) == 4


def test_what_the_host_has_loaded_each_worker_has() -> None:
    ahead = ("tests.workers.tasks:load_ahead",)
    assert [work.run(tasks.loaded_by, modules=ahead) for _ in range(2)] == [host.shared().pid] * 2


def test_bytes_arrive_as_they_are(way: str) -> None:
    for size in (0, 1, 5_000_011):
        assert work.run(tasks.length, bytes(size)) == ("bytes", size)


@pytest.mark.parametrize("rows", [0, 1, 2, 401])
@pytest.mark.timeout(20)
def test_tables_arrive_as_they_are(rows: int) -> None:
    number = np.arange(rows)
    table = pd.DataFrame(
        {
            "true": number % 3 == 0,
            "false": number % 5 == 0,
            "byte": number.astype(np.uint8),
            "text": [f"lane {i}" for i in number],
            "share": number / 7,
            "at": pd.to_datetime(number, unit="s"),
        }
    )
    pd.testing.assert_frame_equal(work.run(tasks.same, table), table)


def test_what_a_worker_raises_is_raised_here_with_its_words(way: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        work.run(tasks.refuse, "quotes.csv")
    assert str(refused.value) == "quotes.csv cannot be read. Nothing was changed. Look."
    with pytest.raises(LabError) as strange:
        work.run(tasks.raise_strange)
    assert str(strange.value) == "Strange: strange"
    assert "tasks.py" in strange.value.__notes__[0]


@pytest.mark.parametrize("number", [0, 1, 9_973])
def test_a_stream_yields_everything_in_order(way: str, number: int) -> None:
    assert list(work.stream(tasks.count_to, number)) == list(range(number))


def test_a_slow_stream_is_not_kept_back() -> None:
    stream = work.stream(tasks.count_slowly, 0.15)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]


def test_a_stream_that_nobody_reads_any_more_ends_its_worker() -> None:
    with work_of_host() as before:
        stream = work.stream(tasks.count_slowly, 0.01)
        assert next(stream) == 0
        assert before() == 1
        del stream
        wait_until(lambda: before() == 0)


class work_of_host:  # noqa: N801  # reads as what it is
    """How many workers the host has."""

    def __enter__(self):  # type: ignore[no-untyped-def]
        work.run(tasks.double, 1)
        process = psutil.Process(host.shared().pid)
        wait_until(lambda: not process.children())
        return lambda: len(process.children())

    def __exit__(self, *_: object) -> None:
        pass


def test_progress_arrives_while_the_work_goes_on() -> None:
    told: list[int] = []
    assert work.run(tasks.half, 7, on_progress=told.append) == "done"
    assert told == list(range(7))


def test_a_question_waits_for_its_answer(way: str) -> None:
    assert work.run(tasks.ask_for_each, 7, on_question=lambda i: i * i) == [i * i for i in range(7)]
    expected = [i + 1 for i in range(13 * 4)]
    assert work.run(tasks.ask_in_threads, 4, on_question=lambda i: i + 1) == expected


def test_the_time_that_an_answer_takes_does_not_count_and_what_it_raises_ends_the_work() -> None:
    def answer(i: int) -> int:
        threading.Event().wait(0.4)
        return i

    limits = Limits(seconds=0.3)
    assert work.run(tasks.ask_for_each, 2, limits=limits, on_question=answer) == [0, 1]

    def refuse(i: int) -> int:
        raise JobCancelled("Stopped.")

    with work_of_host() as count:
        with pytest.raises(JobCancelled):
            work.run(tasks.ask_for_each, 2, on_question=refuse)
        wait_until(lambda: count() == 0)


def test_a_worker_that_has_more_in_memory_than_it_may_is_ended() -> None:
    limits = Limits(resident_mb=64, what="The benchmark", done="finished")
    asked: list[int] = []
    with pytest.raises(OutOfMemory, match=r"^The benchmark needs more than 64 MB to be finished$"):
        work.run(tasks.ask_and_take, 97, limits=limits, on_question=lambda i: asked.append(i) or i)
    assert asked == [97]
    # One that never pauses in what it tells is looked at as well.
    with pytest.raises(OutOfMemory):
        work.run(tasks.tell_always_and_take, 97, limits=limits, on_progress=lambda said: None)
    # The stacks of threads are reserved, 8 MB each, and hardly used.
    assert work.run(tasks.start_threads, 61, limits=limits) == 61


@pytest.mark.skipif(sys.platform != "linux", reason="Linux chooses by a number of each process")
def test_where_memory_runs_out_the_kernel_ends_a_worker_before_the_app() -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    assert int(work.run(tasks.precedence)) > own


def test_memory_above_the_start_ends_the_work_in_one_sentence() -> None:
    limits = Limits(memory_mb=64, what="quotes.csv", done="read")
    assert work.run(tasks.take, 40, limits=limits) == 40 << 20
    with pytest.raises(OutOfMemory, match=r"^quotes.csv needs more than 64 MB to be read$"):
        work.run(tasks.take, 97, limits=limits)
    # What was sent does not count: it is there before the start.
    content = bytes(80 << 20)
    assert work.run(tasks.length, content, limits=limits) == ("bytes", 80 << 20)


@pytest.mark.alone
@pytest.mark.parametrize("task", [tasks.compute_for_ever, tasks.hold_the_interpreter])
def test_time_ends_the_work_in_one_sentence(way: str, task: object) -> None:
    limits = Limits(seconds=0.3, what="quotes.csv", done="read")
    began = time.monotonic()
    with pytest.raises(OutOfTime, match=r"^quotes.csv needs more than 0.3 s to be read$"):
        work.run(task, limits=limits)  # type: ignore[arg-type]
    assert time.monotonic() - began < 5


def test_the_time_that_the_reader_takes_does_not_count() -> None:
    stream = work.stream(tasks.count_to, 200_000, limits=Limits(seconds=2))
    read = 0
    for number in stream:
        read += 1
        if number in (0, 100_000):
            threading.Event().wait(1.5)  # as one who reads slowly
    assert read == 200_000


def test_output_is_bounded() -> None:
    limits = Limits(output_mb=7, what="quotes.csv", done="read")
    assert len(list(work.stream(tasks.give, 6, limits=limits))) == 6
    taken = []
    with pytest.raises(TooMuchOutput, match=r"^quotes.csv gives more than 7 MB when it is read$"):
        taken.extend(work.stream(tasks.give, 11, limits=limits))
    assert len(taken) == 6


@pytest.mark.parametrize(
    ("task", "name"), [(tasks.abort, "SIGABRT"), (tasks.kill_itself, "SIGKILL")]
)
def test_a_worker_that_is_ended_says_by_what(task: object, name: str) -> None:
    with pytest.raises(Ended, match=rf"^quotes.csv could not be read: .* \({name}\)$"):
        work.run(task, limits=READ)  # type: ignore[arg-type]
    assert work.run(tasks.double, 4) == 8


@pytest.mark.skipif(not host.CAN_FORK, reason="a worker that is not forked prints to our own error")
@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(memory_mb=300, what="a.json", done="read"), "a.json needs more than 300 MB"),
        (Limits(what="a.json", done="read"), "a.json needs more memory than there is"),
    ],
)
def test_a_library_that_aborts_for_want_of_memory_is_no_crash(limits: Limits, said: str) -> None:
    with pytest.raises(OutOfMemory, match=rf"^{said} to be read$"):
        work.run(tasks.abort_without_memory, limits=limits)


@pytest.mark.alone
def test_work_is_stopped_within_a_second(way: str) -> None:
    asked: list[float] = []

    def check() -> None:
        asked.append(time.monotonic())
        if asked[-1] > asked[0] + 0.2:
            raise JobCancelled("Stopped.")

    with pytest.raises(JobCancelled):
        work.run(tasks.hold_the_interpreter, check=check)
    assert time.monotonic() - asked[-1] < 1
    assert max(b - a for a, b in itertools.pairwise(asked)) < 1


@pytest.mark.alone
def test_work_is_stopped_while_its_modules_are_imported() -> None:
    def check() -> None:
        raise JobCancelled("Stopped.")

    began = time.monotonic()
    with pytest.raises(JobCancelled):
        work.run(tasks.double, 1, modules=("tests.workers.slow_module",), check=check)
    assert time.monotonic() - began < 1
    host.shared().end()


def test_a_host_that_was_killed_is_started_again() -> None:
    work.run(tasks.double, 1)
    killed = host.shared().pid
    running = work.stream(tasks.count_slowly, 0.01)
    next(running)
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(Ended, match="ended"):
        list(running)
    assert work.run(tasks.double, 4) == 8
    assert host.shared().pid != killed


def test_many_threads_share_one_host() -> None:
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda i=i: results.append(work.run(tasks.double, i)))
        for i in range(17)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [2 * i for i in range(17)]


def test_what_the_app_was_told_is_not_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", "root:secret")
    host.shared().end()
    assert work.run(tasks.environment, "MILVUS_TOKEN") is None
    assert work.run(tasks.environment, "PATH") == os.environ["PATH"]


PARENT = """
import sys, threading
from lib.workers import host, work
from lib.workers.service import Service
from tests.workers import tasks
host.CAN_FORK = {can_fork}
counter = Service(tasks.Counter, 1, {closed!r}, what="The counter")
stream = work.stream(tasks.count_slowly, 0.01)
next(stream)
threading.Thread(target=work.run, args=(tasks.hold_the_interpreter,), daemon=True).start()
print("running", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("can_fork", [True, False])
def test_kill_9_of_the_parent_leaves_no_process(can_fork: bool, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(can_fork=can_fork, closed=str(closed))],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdin is not None
    assert parent.stdout is not None
    assert parent.stdout.readline() == "running\n"
    family = psutil.Process(parent.pid)
    wait_until(lambda: len(family.children(recursive=True)) == 3 + can_fork)
    left = family.children(recursive=True)
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(map(_lives, left)))
    # Forked services close what they hold; one started afresh has the time to, or has not.
    assert closed.exists() or not can_fork
    parent.stdin.close()
    parent.stdout.close()


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_worker_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "CAN_FORK", False)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(host.NotStarted, match="could not be started") as failure:
        work.run(tasks.double, 1)
    assert re.search("Try again", str(failure.value))


LEAVES = """
from lib.workers import host
own = host.Host()
for _ in range(3):
    own._asked(host.Request(("json",), is_service=False)).close()
own.warm()
own.end()
"""


@pytest.mark.skipif(not host.CAN_FORK, reason="there is no host")
def test_who_asks_and_leaves_makes_no_second_host_of_the_worker() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVES], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module", autouse=True)
def _end_the_host() -> Iterator[None]:
    yield
    host.shared().end()
    assert host.shared().pid == 0
