"""A service keeps an object in a worker, which ends by itself, by its user or by its user's end."""

import contextlib
import os
import signal
import threading
from pathlib import Path

import pytest

from lib.errors import InvalidInput
from lib.workers.service import Service
from lib.workers.work import Ended
from tests.waiting import at_once, wait_until
from tests.workers import tasks


def test_calls_reach_one_object_from_many_threads() -> None:
    counter = Service(tasks.Counter, 5, what="The counter")
    at_once(23, lambda _: counter.call("add", 1))
    assert counter.call("add", 0) == 28
    counter.close()


def test_what_a_method_or_the_factory_raises_is_raised_here() -> None:
    counter = Service(tasks.Counter, 5, what="The counter")
    with pytest.raises(InvalidInput, match="It cannot be read"):
        counter.call("refuse")
    for timeout in (None, 20.0):
        with pytest.raises(TimeoutError, match=r"^Nobody answered\."):
            counter.call("give_up", timeout=timeout)
    assert counter.call("add", 2) == 7
    counter.close()
    with pytest.raises(InvalidInput, match="The store cannot be read"):
        Service(tasks.broken_service, what="The counter")


def test_a_slow_call_holds_no_other() -> None:
    counter = Service(tasks.Counter, 5, what="The counter")

    def wait() -> None:
        with contextlib.suppress(Ended):
            counter.call("sleep", 30)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert counter.call("add", 1, timeout=2) == 6
    with pytest.raises(TimeoutError, match=r"did not answer within 0\.1 s"):
        counter.call("sleep", 30, timeout=0.1)
    counter.kill()
    waiting.join(5)
    assert not waiting.is_alive()


def test_closing_closes_what_it_holds(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    counter = Service(tasks.Counter, 5, str(closed), what="The counter")
    counter.close()
    assert closed.read_text() == "closed"
    assert counter.ended.is_set()
    with pytest.raises(Ended, match="The counter ended"):
        counter.call("add", 1)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGABRT"])
def test_its_end_is_told_at_once_to_who_waits_and_who_watches(how: str) -> None:
    ends: list[int] = []
    counter = Service(tasks.Counter, 5, what="The counter", on_end=ends.append)
    timer = threading.Timer(0.2, os.kill, [counter.pid, signal.SIGKILL])
    if how == "SIGKILL":
        timer.start()
    with pytest.raises(Ended, match=rf"^The counter ended \({how}\)\. Try again\.$"):
        counter.call("sleep" if how == "SIGKILL" else "abort", *([30] if how == "SIGKILL" else []))
    wait_until(lambda: ends)
    assert ends == [signal.Signals[how]]


def test_what_its_user_ends_is_told_to_nobody() -> None:
    ends: list[int] = []
    for end in (Service.close, Service.kill):
        end(Service(tasks.Counter, 5, what="The counter", on_end=ends.append))
    assert ends == []
