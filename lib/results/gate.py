"""Is a run slower than a baseline? A decision from intervals; "cannot tell" is an answer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lib.errors import InvalidInput
from lib.results.summaries import (
    MIN_REPEATS,
    Speedup,
    by_cell,
    by_repeat,
    cell_text,
    compared,
    confidence,
    t_quantile,
)
from lib.results.trials import MAX_REPEATS, CellKey, Run

# The repeats that are asked for decide with this chance, if the change is as large as it seemed.
POWER = 0.9


class Verdict(Enum):
    """What may be said about a cell or a run."""

    SLOWER = "slower"
    NOT_SLOWER = "not slower"
    UNDECIDED = "not enough evidence"


@dataclass(frozen=True)
class CellDecision:
    """One cell of the new run against the same cell of the baseline.

    `ratio` is the new wall time over the old one, the geometric mean; above 1 is slower. The
    bounds are None below three repeats. `repeats_needed` is set where the verdict is UNDECIDED:
    about that many repeats on both sides would decide, if the change is as large as it seemed;
    None where that is more than a plan allows.
    """

    key: CellKey
    repeats: int
    paired: bool
    ratio: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    repeats_needed: int | None = None

    @property
    def label(self) -> str:
        """The cell in words."""
        return cell_text(self.key)

    @property
    def text(self) -> str:
        """The decision in one line, with its interval."""
        if self.ratio is None:
            return f"{self.label}: no verified repeat to compare."
        change = f"{self.ratio:.3f} times the baseline's time"
        if self.low is not None and self.high is not None:
            pairing = "paired" if self.paired else "not paired"
            change += (
                f" (interval {self.low:.3f}–{self.high:.3f}, {self.repeats} repeats, {pairing})"
            )
        more = ""
        if self.verdict is Verdict.UNDECIDED:
            more = (
                f" About {self.repeats_needed} repeats on both sides would decide."
                if self.repeats_needed
                else f" Even {MAX_REPEATS} repeats would hardly decide: it lies at the threshold."
            )
        return f"{self.label}: {self.verdict.value}, {change}.{more}"


@dataclass(frozen=True)
class Decision:
    """All cells of a run against a baseline, and what follows."""

    cells: tuple[CellDecision, ...]
    differing: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The run's verdict: slower when one cell is, undecided when one cell is."""
        found = {cell.verdict for cell in self.cells}
        for verdict in (Verdict.SLOWER, Verdict.UNDECIDED):
            if verdict in found:
                return verdict
        return Verdict.NOT_SLOWER

    @property
    def repeats_needed(self) -> int | None:
        """How many repeats would decide every cell; None where that is unknown or not needed."""
        undecided = [cell for cell in self.cells if cell.verdict is Verdict.UNDECIDED]
        needed = [cell.repeats_needed for cell in undecided if cell.repeats_needed]
        return max(needed) if needed and len(needed) == len(undecided) else None


def decide(baseline: Run, run: Run, threshold: float) -> Decision:
    """Decide for each cell that both runs have whether it became slower by `threshold` (0.15).

    The interval is that of every comparison (`lib.results.summaries.compared`), paired where
    both runs followed the same plan and no repeat failed, and corrected for the number of cells.

    - slower: the whole interval lies beyond the threshold;
    - not slower: the whole interval lies below it;
    - not enough evidence: the threshold lies inside.

    Raises InvalidInput when the runs have no cell in common.
    """
    old, new = _walls(baseline), _walls(run)
    shared = [key for key in new if key in old]
    if not shared:
        raise InvalidInput(
            "The run and the baseline have no cell in common.",
            next_step="Measure the same operations, strategies and counts.",
        )
    paired = same_plan(baseline, run)
    cells = [
        _decide_cell(key, old[key], new[key], threshold, paired=paired, cells=len(shared))
        for key in shared
    ]
    missing = len(old) - len(shared)
    absent = (f"cells of the baseline that were not measured: {missing}",) if missing else ()
    other = differing((baseline.environment, run.environment), ENVIRONMENT)
    changed = (f"{name}: {' → '.join(values)}" for name, values in other.items())
    return Decision(tuple(cells), (*changed, *absent))


def same_plan(one: Run, other: Run) -> bool:
    """Say whether two runs followed the same plan, so that the i-th repeats are alike."""
    names = ({*one.settings} | {*other.settings}) - {"command"}
    return all(one.settings.get(name) == other.settings.get(name) for name in names)


ENVIRONMENT = (
    *("backend_label", "milvus_version", "distance", "embedding", "simulated_latency_ms"),
    *("cpu_count", "python", "system", "index_type", "rows", "dimension"),
)


def differing(
    records: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return by its name, in words, what differs between records, and what each of them has."""
    found = {
        name.replace("_", " "): tuple(_value(record.get(name)) for record in records)
        for name in names
    }
    return {name: values for name, values in found.items() if len(set(values)) > 1}


def _value(value: object) -> str:
    return "not given" if value in (None, "") else str(value)


def _walls(run: Run) -> dict[CellKey, dict[int, float]]:
    """Return each verified wall time by repeat, for each cell."""
    return {key: by_repeat(trials) for key, trials in by_cell(run.trials).items()}


def _decide_cell(
    key: CellKey,
    old: dict[int, float],
    new: dict[int, float],
    threshold: float,
    *,
    paired: bool,
    cells: int,
) -> CellDecision:
    if not old or not new:
        return CellDecision(key, 0, paired, None, None, None, Verdict.UNDECIDED)
    if not paired:
        # The i-th repeats of two plans have nothing in common.
        old = {-1 - i: wall_s for i, wall_s in old.items()}
    found = compared(new, old).corrected(cells)
    verdict, needed = Verdict.UNDECIDED, None
    if found.low is None or found.high is None:
        needed = MIN_REPEATS
    elif found.high < 1 + threshold:
        verdict = Verdict.NOT_SLOWER
    elif found.low > 1 + threshold:
        verdict = Verdict.SLOWER
    else:
        needed = _repeats_needed(found, threshold, confidence(cells))
    return CellDecision(
        key, found.repeats, found.is_paired, found.ratio, found.low, found.high, verdict, needed
    )


def _repeats_needed(found: Speedup, threshold: float, probability: float) -> int | None:
    """Return the repeats that decide on a change as large as this one, most of the time."""
    if found.margin is None:
        return None
    away = abs(math.log(found.ratio) - math.log1p(threshold))
    # What one repeat contributes, and how many degrees of freedom it brings.
    spread = found.margin / t_quantile(probability, found.degrees) * math.sqrt(found.repeats)
    a_repeat = found.degrees / (found.repeats - 1)
    for repeats in range(found.repeats + 1, MAX_REPEATS + 1):
        degrees = math.floor(a_repeat * (repeats - 1))
        margins = t_quantile(probability, degrees) + t_quantile(POWER, degrees)
        if margins * spread / math.sqrt(repeats) < away:
            return repeats
    return None
