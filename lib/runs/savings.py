"""A measured gain and a reader's own load → hours of waiting saved a day, as an extrapolation."""

from dataclasses import dataclass

from lib.errors import InvalidInput
from lib.results.analysis import Analysis
from lib.results.summaries import FASTER, CellSummary

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


@dataclass(frozen=True)
class Gain:
    """The leading async cell of an operation that is faster than the loop, and what a call of the
    loop takes.
    """

    cell: CellSummary
    call_s: float

    def saved_a_day(self, calls: int, in_flight: int) -> Savings:
        """Return what async would save a day of `calls`, of which `in_flight` wait at once.

        The loop waits `calls` times its measured time of a call. Calls in flight cannot be faster
        than their number, so the gain is at most `in_flight`; and no more than was measured is
        claimed. Raises InvalidInput for numbers below 1.
        """
        if calls < 1 or in_flight < 1:
            raise InvalidInput("Give at least one call a day and one call at once.")
        waiting_h = calls * self.call_s / SECONDS_AN_HOUR

        def saved(speedup: float | None) -> float:
            return waiting_h * (1 - 1 / max(min(speedup or 1.0, float(in_flight)), 1.0))

        cell = self.cell
        return Savings(
            waiting_h,
            saved(cell.speedup),
            saved(cell.speedup_low),
            saved(cell.speedup_high),
        )


def gains(found: Analysis) -> dict[str, Gain]:
    """Return by operation the gains that were shown."""
    return {
        cell.operation: Gain(cell, loop.geomean_wall_s / cell.count)
        for cell in found.leading
        if cell.verdict == FASTER
        and cell.count
        and (loop := found.baseline(cell))
        and loop.geomean_wall_s
    }
