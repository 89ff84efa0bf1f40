"""A measured gain and a reader's own load → hours of waiting saved a day, as an extrapolation."""

from dataclasses import dataclass

from lib.errors import InvalidInput
from lib.results.summaries import FASTER, CellSummary
from lib.results.trials import Run
from lib.runs import findings

SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class Savings:
    """Hours a day that callers of a loop wait, and how many of them async would save.

    `low_h` and `high_h` are the 95 % interval of the speed-up, carried through.
    """

    waiting_h: float
    saved_h: float
    low_h: float
    high_h: float


def gaining(run: Run) -> dict[str, CellSummary]:
    """Return the leading async cell of each operation that is faster than the loop."""
    return {
        cell.operation: cell
        for cell in findings.leading_of_each(run)
        if cell.verdict == FASTER and cell.count
    }


def saved_a_day(run: Run, operation: str, calls: int, in_flight: int) -> Savings:
    """Return what async would save a day of `calls`, of which `in_flight` wait at once.

    The loop waits `calls` times its measured time of a call. Calls in flight cannot be faster than
    their number, so the gain is at most `in_flight`; and no more than was measured is claimed.
    Raises InvalidInput for an operation without a shown gain, or numbers below 1.
    """
    cell = gaining(run).get(operation)
    loop = findings.baseline(run, cell) if cell else None
    if cell is None or loop is None or not loop.geomean_wall_s:
        raise InvalidInput(f"This run shows no gain for {operation}.")
    if calls < 1 or in_flight < 1:
        raise InvalidInput("Give at least one call a day and one call at once.")
    waiting_h = calls * loop.geomean_wall_s / cell.count / SECONDS_AN_HOUR

    def saved(speedup: float | None) -> float:
        return waiting_h * (1 - 1 / max(min(speedup or 1.0, float(in_flight)), 1.0))

    return Savings(
        waiting_h,
        saved(cell.speedup),
        saved(cell.speedup_low),
        saved(cell.speedup_high),
    )
