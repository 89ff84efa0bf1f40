"""While a trial is timed the collector is held, and between trials it works."""

import gc
from dataclasses import replace

import pytest

from lib.benchmark import garbage
from lib.benchmark.strategies import STRATEGIES
from lib.results.plan import Plan
from tests.benchmark.stubs import StubStore, measure
from tests.waiting import at_once


@pytest.mark.parametrize("way", ["sync_loop", "thread_pool", "gather", "gather_limited"])
def test_no_garbage_is_collected_while_calls_are_timed_and_it_is_between_trials(way: str) -> None:
    seen: list[bool] = []

    class Watched(StubStore):
        def _delete(self, key: str) -> bool:
            seen.append(gc.isenabled())
            return super()._delete(key)

    collected: list[str] = []

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            collected.append("between trials" if gc.isenabled() else "in a trial")

    gc.callbacks.append(note)
    try:
        plan = Plan(("delete",), strategies=(way,), counts=(20,), repeats=3, warmup=0, rows=200)
        measure(replace(plan, concurrency=(4,)), Watched())
    finally:
        gc.callbacks.remove(note)
    assert seen == [False] * 60
    assert collected.count("between trials") >= 3
    assert "in a trial" not in collected
    assert gc.isenabled()
    assert STRATEGIES[way].is_async is way.startswith("gather")


def test_the_collector_comes_back_when_the_last_of_several_trials_has_ended() -> None:
    with garbage.held():
        with garbage.held():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off_and_a_failure_ends_the_trial() -> None:
    gc.disable()
    try:
        with pytest.raises(KeyError), garbage.held():
            raise KeyError
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_trials_in_many_threads_leave_the_collector_as_it_was() -> None:
    def time_some(_: int) -> None:
        for _ in range(200):
            with garbage.held():
                assert not gc.isenabled()

    at_once(7, time_some)
    assert gc.isenabled()
