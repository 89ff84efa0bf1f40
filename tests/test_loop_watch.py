"""The watch of a loop for the soak: who held it, and for how long."""

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from lib.event_loop import EventLoop
from scripts.loop_watch import Held, LoopWatch
from tests.waiting import wait_until


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    """A loop of its own for each test."""
    made = EventLoop()
    yield made
    made.close()


@pytest.mark.alone
def test_a_call_that_holds_the_loop_is_told_by_its_name(loop: EventLoop) -> None:
    told: list[Held] = []
    watch = LoopWatch(loop, told.append, every_s=0.1)

    async def block() -> None:
        # What is to be found: a blocking call on the loop.
        threading.Event().wait(0.2)

    loop.run(block())
    wait_until(lambda: any(held.late_s > 0.1 for held in told))
    worst = max(told, key=lambda held: held.late_s)
    assert watch.longest_held_s >= worst.late_s
    assert worst.is_by_a_call
    assert worst.doing == "threading.wait"
    assert worst.own_s < 0.1


def test_a_call_that_computes_is_told_by_its_time(loop: EventLoop) -> None:
    told: list[Held] = []
    LoopWatch(loop, told.append, every_s=0.1)

    async def compute() -> None:
        ends = time.thread_time() + 0.2
        while time.thread_time() < ends:
            pass

    loop.run(compute())
    wait_until(lambda: any(held.own_s > 0.1 for held in told))
    assert max(told, key=lambda held: held.late_s).doing.endswith(".compute")


def test_an_interpreter_that_is_busy_elsewhere_is_no_call_on_the_loop(loop: EventLoop) -> None:
    told: list[Held] = []
    LoopWatch(loop, told.append, every_s=0.1)
    # One call into C that keeps the interpreter for itself, in this thread.
    while not told:
        sum(range(20_000_000))
    assert not told[0].is_by_a_call


def test_a_garbage_collection_is_no_call_on_the_loop(loop: EventLoop) -> None:
    told: list[Held] = []
    LoopWatch(loop, told.append, every_s=0.1)
    # Each collection looks at all of them.
    lists = [[] for _ in range(2_000_000)]
    collected: list[Held] = []
    while not collected:
        gc.collect()
        collected = [held for held in told if held.collected_s > 0.05]
    assert len(lists) == 2_000_000
    assert not collected[0].is_by_a_call


def test_a_call_is_told_before_a_longer_wait_that_nobody_caused(loop: EventLoop) -> None:
    told: list[Held] = []
    watch = LoopWatch(loop, told.append, every_s=3)

    async def block() -> None:
        threading.Event().wait(0.15)

    loop.run(block())
    wait_until(lambda: watch.longest_held_s > 0.1)
    # One call into C that keeps the interpreter for itself, for longer than the other.
    while watch.longest_held_s < 0.3:
        sum(range(50_000_000))
    wait_until(lambda: bool(told))
    assert told[0].is_by_a_call
    assert told[0].late_s < watch.longest_held_s
