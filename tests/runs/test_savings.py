"""Hours saved a day: an extrapolation that claims no more than was measured."""

import pytest

from lib.errors import InvalidInput
from lib.results.analysis import analyse
from lib.results.trials import Run
from lib.runs.savings import Gain, gains
from tests.run_builder import make_run, make_trial

CALLS = 36_000  # a loop of 0.1 s a call waits an hour for them


def run_of(async_s: list[float]) -> Run:
    """Return a run whose loop takes 10 s for 100 calls, and gather these times."""
    return make_run(
        *(make_trial(repeat=i) for i in range(len(async_s))),
        *(
            make_trial("gather", concurrency=None, repeat=i, call_s=seconds)
            for i, seconds in enumerate(async_s)
        ),
    )


def gains_of(run: Run) -> dict[str, Gain]:
    """Return the gains of a run by operation."""
    return gains(analyse(run))


def test_the_hours_are_the_loops_waiting_without_what_async_needs() -> None:
    run = run_of([1.0, 1.0, 1.0])
    found = gains_of(run)["add_documents"].saved_a_day(CALLS, 100)
    assert found.waiting_h == pytest.approx(1.0)
    assert (found.saved_h, found.low_h, found.high_h) == pytest.approx((0.9, 0.9, 0.9))


def test_the_interval_of_the_speed_up_is_carried_through() -> None:
    run = run_of([0.9, 1.0, 1.1])
    cell = gains_of(run)["add_documents"].cell
    assert cell.speedup_low is not None
    assert cell.speedup_high is not None
    found = gains_of(run)["add_documents"].saved_a_day(CALLS, 100)
    assert found.low_h == pytest.approx(1 - 1 / cell.speedup_low)
    assert found.high_h == pytest.approx(1 - 1 / cell.speedup_high)
    assert found.low_h < found.saved_h < found.high_h


@pytest.mark.parametrize(("in_flight", "saved_h"), [(1, 0.0), (2, 0.5), (5, 0.8), (10_000, 0.9)])
def test_the_gain_is_at_most_the_calls_at_once_and_what_was_measured(
    in_flight: int, saved_h: float
) -> None:
    found = gains_of(run_of([1.0, 1.0, 1.0]))["add_documents"].saved_a_day(CALLS, in_flight)
    assert found.saved_h == pytest.approx(saved_h)


def test_without_a_shown_gain_nothing_is_extrapolated() -> None:
    for run in (run_of([9.0, 10.0, 11.5]), run_of([20.0, 20.0, 20.0]), run_of([1.0])):
        assert gains_of(run) == {}
    with pytest.raises(InvalidInput, match="at least one call"):
        gains_of(run_of([1.0, 1.0, 1.0]))["add_documents"].saved_a_day(0, 100)
