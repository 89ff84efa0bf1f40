"""Is a run slower than a baseline? A decision from intervals; "cannot tell" is an answer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import fmean, variance
from typing import Any

from lib.benchmark.statistics import MIN_REPEATS, by_cell, cell_text, t_quantile
from lib.benchmark.trials import MAX_REPEATS, CellKey, Run
from lib.errors import InvalidInput

# The chance of a wrong verdict on any cell of a run, split evenly among its cells.
ERROR_RATE = 0.05


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
    about that many repeats on both sides would decide; None where more than a plan allows.
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
                else f" Even {MAX_REPEATS} repeats would not decide: make more calls a trial."
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

    The interval is Student's on the logarithms of the wall times: of the paired differences where
    both runs followed the same plan, Welch's where not. With m cells each has 1 - 0.05/m coverage.

    - slower: 1 lies below the interval, and the ratio is nearer to the threshold than to 1;
    - not slower: the whole interval lies below the threshold;
    - not enough evidence: neither.

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
    """Return the logarithm of each verified wall time by repeat, for each cell."""
    return {
        key: {t.repeat: math.log(t.work_s) for t in trials if t.verified and t.work_s > 0}
        for key, trials in by_cell(run.trials).items()
    }


def _decide_cell(
    key: CellKey,
    old: dict[int, float],
    new: dict[int, float],
    threshold: float,
    *,
    paired: bool,
    cells: int,
) -> CellDecision:
    both = sorted({*old} & {*new})
    paired = paired and len(both) == len(old) == len(new)
    if not old or not new:
        return CellDecision(key, 0, paired, None, None, None, Verdict.UNDECIDED)
    repeats = min(len(old), len(new))
    sides = [[new[i] - old[i] for i in both]] if paired else [[*new.values()], [*old.values()]]
    shift = fmean(sides[0]) - (0.0 if paired else fmean(sides[1]))
    if repeats < MIN_REPEATS:
        return CellDecision(
            key, repeats, paired, math.exp(shift), None, None, Verdict.UNDECIDED, MIN_REPEATS
        )
    probability = 1 - ERROR_RATE / cells / 2
    margin = t_quantile(probability, _degrees(sides)) * math.sqrt(sum(map(_error, sides)))
    low, high, bound = shift - margin, shift + margin, math.log1p(threshold)
    needed = None
    if high < bound:
        verdict = Verdict.NOT_SLOWER
    elif low > 0 and shift >= bound / 2:
        verdict = Verdict.SLOWER
    else:
        verdict = Verdict.UNDECIDED
        needed = _repeats_needed(sides, bound / 2, probability)
    return CellDecision(
        key, repeats, paired, math.exp(shift), math.exp(low), math.exp(high), verdict, needed
    )


def _error(values: Sequence[float]) -> float:
    """Return the squared standard error of the mean."""
    return variance(values) / len(values)


def _degrees(sides: Sequence[Sequence[float]]) -> int:
    """Return the degrees of freedom; of two sides Welch and Satterthwaite's, rounded down."""
    total = sum(map(_error, sides))
    parts = sum(_error(side) ** 2 / (len(side) - 1) for side in sides)
    fewest = min(len(side) - 1 for side in sides)
    return max(math.floor(total**2 / parts), fewest) if parts else fewest


def _repeats_needed(
    sides: Sequence[Sequence[float]], margin: float, probability: float
) -> int | None:
    """Return the repeats at which the interval is so narrow that one of the verdicts holds."""
    together = sum(map(variance, sides))
    for repeats in range(MIN_REPEATS, MAX_REPEATS + 1):
        degrees = len(sides) * (repeats - 1)
        if t_quantile(probability, degrees) * math.sqrt(together / repeats) < margin:
            return repeats
    return None
