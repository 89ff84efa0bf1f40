"""What a run of a service showed: its ways by requests a second, and what their neighbour waited.

Pure functions. Of several numbers of users the verdict is about the one with the most repeats, and
of those about the most users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib.results.catalogue import STRATEGIES
from lib.results.summaries import (
    CellSummary,
    Speedup,
    gain,
    neighbour_s,
)
from lib.results.trials import SERVICE, CellKey, Trial
from lib.words import bounds_text, counted, duration_text, ms_text, ratio_text

BLOCKING, THREADED, AWAITED = "service_blocking", "service_def", "service_async"


@dataclass(frozen=True)
class ServiceVerdict:
    """The ways of a service at one number of users, the one with the most requests a second first.

    `faster` is how many times the requests a second of the blocking call the awaited one has,
    `calmer` how many times as long the neighbour waits beside the blocking call; None where one of
    the two was not measured.
    """

    users: int
    ways: tuple[CellSummary, ...]
    faster: Speedup | None
    calmer: Speedup | None

    def way(self, strategy: str) -> CellSummary | None:
        """Return what was measured of a way."""
        return next((cell for cell in self.ways if cell.strategy == strategy), None)

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        blocking, awaited = self.way(BLOCKING), self.way(AWAITED)
        users = counted(self.users, "user")
        if blocking is None or awaited is None or self.calmer is None:
            best = self.ways[0]
            return (
                f"{users}: {STRATEGIES[best.strategy].title} answers the most, "
                f"{per_s(best)}, and a health check beside it waits {waits(best)}."
            )
        return (
            f"{users}: with the sync call in async def a service answers {per_s(blocking)} and a "
            f"health check beside it waits {waits(blocking)}; awaited, {per_s(awaited)} and "
            f"{waits(awaited)}, {_times(self.calmer)}."
        )

    @property
    def short(self) -> str:
        """The verdict in at most eight words."""
        blocking, awaited = self.way(BLOCKING), self.way(AWAITED)
        if blocking is None or awaited is None:
            return f"{STRATEGIES[self.ways[0].strategy].title} answers the most"
        return f"Blocking: others wait {waits(blocking)}. Awaited: {waits(awaited)}"

    @property
    def brief(self) -> str:
        """The verdict as a list of runs shows it."""
        if self.calmer is None:
            return per_s(self.ways[0])
        return f"wait {ratio_text(self.calmer.ratio)} shorter"

    @property
    def lines(self) -> tuple[str, ...]:
        """One sentence a way, the one with the most requests a second first."""
        return tuple(_line(cell) for cell in self.ways)


def per_s(cell: CellSummary) -> str:
    """Return '364 requests/s', or '9.5 requests/s' below 20."""
    rate = cell.throughput_per_s or 0.0
    return f"{rate:,.{0 if rate >= 20 else 1}f} requests/s"


def waits(cell: CellSummary) -> str:
    """Return what the neighbour waited: '5.20 s'; which of its requests that is says `basis`."""
    return duration_text((cell.neighbour_ms or 0.0) / 1000)


def basis(cell: CellSummary) -> str:
    """Say what a neighbour's wait is: 'p99 of 520' or 'slowest of 100', in each repeat."""
    return f"{'p99' if cell.neighbour_is_p99 else 'slowest'} of {cell.pings:,} in each repeat"


def _times(ratio: Speedup) -> str:
    said = f"{ratio_text(ratio.ratio).removesuffix('×')} times shorter"
    if ratio.low is None or ratio.high is None:
        return f"{said} (no interval)"
    return f"{said} ({bounds_text(ratio.low, ratio.high)})"


def _line(cell: CellSummary) -> str:
    threads = f", {counted(cell.served_threads, 'thread')}" if cell.served_threads else ""
    return (
        f"{STRATEGIES[cell.strategy].title}: {per_s(cell)}, p50 {ms_text(cell.p50_ms or 0)}, "
        f"{cell.p99_text}; health check {waits(cell)} ({basis(cell)}){threads}, "
        f"{cell.served_mb:,.0f} MB."
    )


def service_verdict(
    experiment: str, cells: Sequence[CellSummary], trials: Mapping[CellKey, Sequence[Trial]]
) -> ServiceVerdict | None:
    """Return what a run of a service showed; None for another run, or one without good trials."""
    if experiment != SERVICE:
        return None
    by_users: dict[int, list[CellSummary]] = {}
    for cell in cells:
        if cell.throughput_per_s and cell.neighbour_ms is not None and cell.concurrency:
            by_users.setdefault(cell.concurrency, []).append(cell)
    if not by_users:
        return None
    users = max(by_users, key=lambda each: (_repeats(by_users[each]), each))
    ways = sorted(by_users[users], key=lambda cell: -(cell.throughput_per_s or 0.0))
    pair = [
        trials[cell.cell] for name in (BLOCKING, AWAITED) for cell in ways if cell.strategy == name
    ]
    faster = calmer = None
    if len(pair) == 2:
        blocking, awaited = pair
        faster = gain(blocking, awaited)
        calmer = gain(blocking, awaited, neighbour_s)
    return ServiceVerdict(users, tuple(ways), faster, calmer)


def _repeats(cells: Sequence[CellSummary]) -> int:
    return sum(cell.repeats for cell in cells)


def typical(trials: Mapping[CellKey, Sequence[Trial]], cell: CellSummary) -> Trial:
    """Return the repeat of a way whose neighbour's wait is nearest to the one that is shown."""
    shown_s = (cell.neighbour_ms or 0.0) / 1000
    counting = [trial for trial in trials[cell.cell] if trial.counts]
    return min(counting, key=lambda trial: abs(neighbour_s(trial) - shown_s))
