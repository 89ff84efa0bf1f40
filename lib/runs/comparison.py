"""Two to four runs, cell by cell: a verdict only where the intervals do not overlap."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from lib.benchmark import gate
from lib.benchmark import statistics as trial_statistics
from lib.benchmark.strategies import STRATEGIES
from lib.benchmark.trials import CellKey, Run, Trial
from lib.charts.data import group_label
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
    """One cell of one run: its wall times in seconds.

    The interval, 95 %, is of the geometric mean, and None below three verified repeats.
    """

    run: str
    median_s: float
    mean_s: float
    low_s: float | None
    high_s: float | None

    @property
    def text(self) -> str:
        """The median and the interval: '10.7 s (10.5–10.9)'."""
        if self.low_s is None or self.high_s is None:
            return f"{duration_text(self.median_s)} (no interval)"
        return f"{duration_text(self.median_s)} ({self.low_s:.3g}–{self.high_s:.3g})"


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
        how = trial_statistics.cell_label(self.key)
        return f"{group_label(self.key.operation, self.key.count)}, {how}"


def compare(runs: Sequence[tuple[str, Run]]) -> tuple[ComparedCell, ...]:
    """Compare the cells that at least two runs have, in the order in which they appear."""
    by_run = [
        (name, trial_statistics.by_cell(t for t in run.trials if t.counts and t.work_s > 0))
        for name, run in runs
    ]
    had = Counter(key for _, cells in by_run for key in cells)
    shared = [key for key, number in had.items() if number >= MIN_RUNS]
    return tuple(
        ComparedCell(key, levels, *_verdict(levels))
        for key in shared
        if (levels := tuple(_level(name, cells[key]) for name, cells in by_run if key in cells))
    )


def strangers(runs: Sequence[tuple[str, Run]], cells: Sequence[ComparedCell]) -> list[str]:
    """Return the names of the runs that share no cell with another."""
    met = {level.run for cell in cells for level in cell.levels}
    return [name for name, _ in runs if name not in met]


def _level(name: str, trials: Sequence[Trial]) -> Level:
    """Return a cell's level. The runs are independent, so nothing is paired."""
    walls = [trial.work_s for trial in trials]
    mean = trial_statistics.geometric_mean(walls)
    return Level(name, trial_statistics.median(walls), *mean)


def _verdict(levels: Sequence[Level]) -> tuple[str, bool]:
    """Return what may be said, and whether the fastest and the slowest stand apart."""
    ordered = sorted(levels, key=lambda level: level.mean_s)
    fastest, slowest = ordered[0], ordered[-1]
    is_decided = not _overlap(fastest, slowest)
    short = [level.run for level in levels if level.low_s is None]
    if short:
        return f"no verdict: fewer than three repeats in {', '.join(short)}", is_decided
    if not is_decided:
        return "no difference that the intervals support", is_decided
    ratio = ratio_text(slowest.mean_s / fastest.mean_s)
    if any(_overlap(fastest, level) for level in ordered[1:]):
        text = f"{fastest.run} is {ratio} faster than {slowest.run}; the others overlap"
        return text, is_decided
    return f"{fastest.run} is faster, {ratio} against {slowest.run}", is_decided


def _overlap(one: Level, other: Level) -> bool:
    if one.low_s is None or one.high_s is None or other.low_s is None or other.high_s is None:
        return True
    return one.low_s <= other.high_s and other.low_s <= one.high_s


def differences(runs: Sequence[tuple[str, Run]]) -> dict[str, dict[str, str]]:
    """Return by its name what bears on speed and differs between the runs, and what each has."""
    titles = [title for title, _ in runs]
    found = gate.differing([run.environment for _, run in runs], ENVIRONMENT)
    found |= gate.differing([run.settings for _, run in runs], SETTINGS)
    return {name: dict(zip(titles, values, strict=True)) for name, values in found.items()}


def frame(cells: Sequence[ComparedCell]) -> pd.DataFrame:
    """Return one row per cell and run, for the chart."""
    rows = [
        {
            "group": cell.label,
            "strategy": level.run,
            "family": STRATEGIES[cell.key.strategy].family,
            "wall_s": level.median_s,
            "low": level.low_s,
            "high": level.high_s,
            "text": level.text,
        }
        for cell in cells
        for level in cell.levels
    ]
    columns = ["group", "strategy", "family", "wall_s", "low", "high", "text"]
    return pd.DataFrame(rows, columns=columns).astype({"low": float, "high": float})
