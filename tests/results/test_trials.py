"""What a trial counts: rows that went in whatever the size of a batch is, and calls a second."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.benchmark.recorder import NO_EFFECT
from lib.results.plan import Plan
from lib.results.trials import Call, Trial
from tests.benchmark.stubs import ROWS, StubStore, measure
from tests.run_builder import trial

ADD = Plan(operations=("add_texts",), repeats=1, warmup=0)


def adding(count: int, batch: int, failures: dict[str, str], way: str) -> Trial:
    """Add rows in batches to a store in which some rows fail."""
    plan = replace(ADD, strategies=(way,), counts=(count,), batches=(batch,), concurrency=(3,))
    return measure(plan, StubStore(failures=failures)).trials[0]


@given(
    count=st.integers(1, ROWS),
    share=st.floats(0, 1),
    lost=st.sets(st.integers(0, ROWS - 1), max_size=5),
    way=st.sampled_from(["sync_loop", "gather", "gather_limited", "thread_pool"]),
)
def test_rows_are_those_that_went_in_and_a_missing_row_is_blamed_on_the_call_that_took_it(
    count: int, share: float, lost: set[int], way: str
) -> None:
    batch = 1 + round(share * (count - 1))
    missing = {row for row in lost if row < count}
    made = adding(count, batch, {f"new_{row}": "no effect" for row in missing}, way)
    assert made.rows == made.rows_counted == count - len(missing)
    assert made.throughput_per_s * made.wall_s == pytest.approx(made.rows)
    blamed = {i for i, call in enumerate(made.calls) if call.error == NO_EFFECT}
    assert blamed == {row // batch for row in missing}


@pytest.mark.parametrize(("count", "batch"), [(2, 2), (7, 3), (97, 13), (101, 100), (199, 150)])
def test_a_batch_that_is_refused_takes_its_rows_with_it(count: int, batch: int) -> None:
    for row in (0, count - 1):
        made = adding(count, batch, {f"new_{row}": "raise"}, "gather")
        call = row // batch
        taken = min(batch, count - call * batch)
        assert made.rows == count - taken
        assert [i for i, each in enumerate(made.calls) if not each.ok] == [call]
        assert made.verification == f"1 of {len(made.calls)} calls failed"
        # A file from before has no count: the same number is derived of the calls.
        assert replace(made, rows_counted=None).rows == made.rows


def test_a_trial_of_an_old_file_has_the_rows_of_its_calls() -> None:
    batched = replace(trial(1.0, count=2_000, durations=[0.5, 0.5]), batch=1_500)
    assert (batched.rows, batched.throughput_per_s) == (2_000, 2_000.0)
    assert trial(1.0, count=4, durations=[0.1] * 3, errors=["lost"]).rows == 3
    assert trial(2.0, strategy="one_batch", count=100).throughput_per_s == 50.0
    assert trial(2.0, strategy="one_batch", count=1).rows == 1
    assert replace(trial(2.0, count=0, durations=[0.1] * 7), seconds=2.0).rows == 7
    assert replace(trial(0.0, count=5), calls=()).rows == 0


def timed(callers: list[tuple[float, list[float]]], seconds: float) -> Trial:
    """Return a closed loop: each caller begins at a moment and calls again when answered."""
    calls = []
    for begin_s, durations in callers:
        at = begin_s
        for i in itertools.count():
            if at >= seconds:
                break
            end_s = at + durations[i % len(durations)]
            calls.append(Call(at, end_s, 0.0, ok=True, error=None))
            at = end_s
    calls.sort(key=lambda call: call.start_s)
    made = trial(max(call.end_s for call in calls), count=0)
    return replace(made, calls=tuple(calls), concurrency=len(callers), seconds=seconds)


begins = st.lists(st.floats(0, 0.2), min_size=1, max_size=23)


@given(begins=begins, call_s=st.floats(0.01, 0.3), seconds=st.floats(1, 3))
def test_callers_whose_calls_take_a_known_time_come_out_exactly_wherever_the_edges_fall(
    begins: list[float], call_s: float, seconds: float
) -> None:
    made = timed([(begin, [call_s]) for begin in begins], seconds)
    assert made.throughput_per_s == pytest.approx(len(begins) / call_s)


@given(
    begins=begins,
    durations=st.lists(st.floats(0.03, 0.2), min_size=1, max_size=7),
    seconds=st.floats(1, 3),
)
def test_no_edge_makes_a_rate_higher_than_the_shortest_call_allows(
    begins: list[float], durations: list[float], seconds: float
) -> None:
    made = timed([(begin, durations) for begin in begins], seconds)
    low, high = (len(begins) / pick(durations) for pick in (max, min))
    assert low * (1 - 1e-9) <= made.throughput_per_s <= high * (1 + 1e-9)


def test_calls_of_two_lengths_count_by_their_number_not_by_their_time() -> None:
    # 0.3 s for two calls, again and again.
    made = timed([(0.0, [0.1, 0.2])], 60.1)
    assert made.throughput_per_s == pytest.approx(2 / 0.3, rel=0.01)


def test_what_failed_is_no_answer_and_a_trial_of_one_round_counts_by_its_wall() -> None:
    made = timed([(0.0, [0.1]), (0.05, [0.1])], 2.0)
    half = replace(made, calls=tuple(replace(c, ok=i % 2 == 0) for i, c in enumerate(made.calls)))
    assert half.throughput_per_s == pytest.approx(made.throughput_per_s / 2, rel=0.03)
    once = timed([(0.0, [5.0]), (0.0, [5.0])], 2.0)
    assert once.throughput_per_s == pytest.approx(2 / 5)
    # A bound on the calls ended it long before its time.
    bounded = replace(made, calls=made.calls[:11])
    assert bounded.throughput_per_s == pytest.approx(2 / 0.1)
