"""Two to four runs, cell by cell: a verdict only where an interval supports it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib.results import gate, summaries
from lib.results.groups import group_label, in_order
from lib.results.summaries import (
    FASTER,
    MIN_REPEATS,
    Speedup,
    by_repeat,
    compared,
    geometric_mean,
    neighbour_s,
)
from lib.results.trials import CellKey, Run, Trial
from lib.words import duration_text, ratio_text

MIN_RUNS, MAX_RUNS = 2, 4
# What bears on speed.
ENVIRONMENT = (
    *("backend_label", "milvus_version", "distance", "embedding_label"),
    *("simulated_latency_ms", "cpu_count", "index_type", "dimension"),
)
SETTINGS = ("rows", "k", "repeats", "warmup", "delete_by", "delete_consistency")


@dataclass(frozen=True)
class Level:
    """One cell of one run: the geometric mean of what its repeats took, in seconds.

    That is the time of a trial, and of a timed one what a call takes. The interval, 95 %, is None
    below three verified repeats.
    """

    run: str
    mean_s: float
    low_s: float | None
    high_s: float | None

    @property
    def text(self) -> str:
        """The time and its interval: '10.7 s (10.5–10.9)'."""
        if self.low_s is None or self.high_s is None:
            return f"{duration_text(self.mean_s)} (no interval)"
        return f"{duration_text(self.mean_s)} ({self.low_s:.3g}–{self.high_s:.3g})"


@dataclass(frozen=True)
class ComparedCell:
    """One cell in several runs, and what may be said about it."""

    key: CellKey
    levels: tuple[Level, ...]
    verdict: str
    is_decided: bool  # whether the intervals of the fastest and the slowest stand apart

    @property
    def label(self) -> str:
        """The cell in words: 'Add documents × 100, Async'."""
        how = summaries.cell_label(self.key)
        return f"{group_label(self.key.operation, self.key.count)}, {how}"


def compare(runs: Sequence[tuple[str, Run]]) -> tuple[ComparedCell, ...]:
    """Compare the cells that at least two runs have: works as they appear, the ways in their order.

    The verdicts are corrected for the number of cells.
    """
    by_run = [
        (name, {key: walls for key, trials in cells.items() if (walls := _values(trials))})
        for name, cells in ((name, summaries.by_cell(run.trials)) for name, run in runs)
    ]
    had = Counter(key for _, cells in by_run for key in cells)
    shared = [key for key in in_order(had) if had[key] >= MIN_RUNS]
    return tuple(
        ComparedCell(
            key,
            tuple(Level(name, *geometric_mean([*walls.values()])) for name, walls in mine.items()),
            *_verdict(mine, len(shared)),
        )
        for key in shared
        if (mine := {name: cells[key] for name, cells in by_run if key in cells})
    )


def _values(trials: Sequence[Trial]) -> dict[int, float]:
    """Return what is compared of each repeat: its time, of a service what its neighbour waited."""
    if any(trial.pings for trial in trials):
        return by_repeat(trials, neighbour_s)
    return by_repeat(trials)


def strangers(runs: Sequence[tuple[str, Run]], cells: Sequence[ComparedCell]) -> list[str]:
    """Return the names of the runs that share no cell with another."""
    met = {level.run for cell in cells for level in cell.levels}
    return [name for name, _ in runs if name not in met]


def _verdict(walls: Mapping[str, Mapping[int, float]], verdicts: int) -> tuple[str, bool]:
    """Return what may be said, and whether the fastest and the slowest stand apart."""
    ordered = sorted(walls, key=lambda name: geometric_mean([*walls[name].values()])[0])
    fastest, slowest = ordered[0], ordered[-1]

    def gain_over(other: str) -> Speedup:
        # The runs are independent: the i-th repeats of two have nothing in common.
        apart = {-1 - repeat: wall_s for repeat, wall_s in walls[other].items()}
        return compared(apart, walls[fastest])

    gains = {other: gain_over(other) for other in ordered[1:]}
    is_decided = gains[slowest].verdict(verdicts) == FASTER
    short = [name for name in walls if len(walls[name]) < MIN_REPEATS]
    if short:
        return f"no verdict: fewer than three repeats in {', '.join(short)}", is_decided
    if not is_decided:
        if gains[slowest].verdict() == FASTER:
            return "too few repeats to tell", is_decided
        return "no clear difference", is_decided
    ratio = ratio_text(gains[slowest].ratio)
    if any(gain.verdict(verdicts) != FASTER for gain in gains.values()):
        return f"{fastest} is {ratio} faster than {slowest}; the others overlap", is_decided
    return f"{fastest} is faster, {ratio} against {slowest}", is_decided


def differences(runs: Sequence[tuple[str, Run]]) -> dict[str, dict[str, str]]:
    """Return by its name what bears on speed and differs between the runs, and what each has."""
    titles = [title for title, _ in runs]
    found = gate.differing([run.environment for _, run in runs], ENVIRONMENT)
    found |= gate.differing([run.settings for _, run in runs], SETTINGS)
    return {name: dict(zip(titles, values, strict=True)) for name, values in found.items()}
