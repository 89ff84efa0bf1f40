"""From trials to medians, percentiles, speed-ups with an interval, and warnings. Pure functions."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lib.benchmark.strategies import BASELINE, STRATEGIES
from lib.benchmark.trials import CellKey, Run, Trial
from lib.words import bounds_text, counted, ratio_text

MIN_REPEATS = 3
# Below this many repeats an interval exists but is wide; the warning asks for more.
COMFORTABLE_REPEATS = 5
OUTLIER_MADS = 3.5
# So many kinds of failures are named; the rest are counted together.
MAX_KINDS = 20
SLOW_FIRST = 1.5
BUSY_SHARE = 0.9
STALLED_LAG_MS = 100.0
# 1 / Φ⁻¹(3/4): makes the median absolute deviation estimate a standard deviation.
MAD_TO_SIGMA = 1.4826
# One side of a 95 % interval.
CONFIDENCE = 0.975
BISECTIONS = 60  # halves π/2 down to the precision of a float


@dataclass(frozen=True)
class Speedup:
    """How many times faster than the baseline; bounds are None below three paired repeats."""

    ratio: float
    low: float | None
    high: float | None
    pairs: int

    @property
    def is_difference(self) -> bool | None:
        """Say whether 1 lies outside the interval; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return not self.low <= 1 <= self.high


@dataclass(frozen=True)
class CellSummary:
    """A cell's trials in numbers, of verified trials only; None where there is none.

    Times are of whole trials (`wall_s`) or of single calls (`ms`); percentiles come from
    `samples` calls of all repeats together. `throughput_per_s` is `count` over the median wall
    time. `speedup` is against the sync loop of the same operation and count.
    """

    operation: str
    strategy: str
    count: int
    concurrency: int | None
    repeats: int
    failed_trials: int
    samples: int
    median_wall_s: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    embed_p50_ms: float | None
    milvus_p50_ms: float | None
    throughput_per_s: float | None
    cpu_share: float | None
    loop_lag_ms_max: float | None
    errors: dict[str, int]
    speedup: float | None
    speedup_low: float | None
    speedup_high: float | None
    speedup_note: str
    rate_per_s: float | None = None
    batch: int = 1
    retries: int = 0

    @property
    def label(self) -> str:
        """The strategy with its concurrency: 'Async, at most 32'."""
        return cell_label(self.cell)

    @property
    def cell(self) -> CellKey:
        """The cell that it sums up."""
        return CellKey.of(self)

    @property
    def interval_text(self) -> str:
        """Return '41× (38–44)', '41× (no interval)', or an empty text without a speed-up."""
        if self.speedup is None:
            return ""
        if self.speedup_low is None or self.speedup_high is None:
            return f"{ratio_text(self.speedup)} (no interval)"
        return f"{ratio_text(self.speedup)} ({bounds_text(self.speedup_low, self.speedup_high)})"


def cell_label(key: CellKey) -> str:
    """Return how a cell's calls were issued: 'Async, at most 2, 500 rows a call'."""
    label = STRATEGIES[key.strategy].label(key.concurrency, key.rate_per_s)
    label += f", {key.batch:,} rows a call" if key.batch > 1 else ""
    return label + (f", {counted(key.retries, 'retry', 'retries')}" if key.retries else "")


def cell_text(key: CellKey) -> str:
    """Return a cell in words: 'add_documents × 100, Async'."""
    much = f" × {key.count:,}" if key.count else ""
    return f"{key.operation}{much}, {cell_label(key)}"


def median(values: Sequence[float]) -> float:
    """Return the middle value. Raises ValueError for none."""
    return percentile(values, 50)


def percentile(values: Iterable[float], q: float) -> float:
    """Return the q-th percentile with linear interpolation (Hyndman and Fan's type 7, numpy's)."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("No values, no percentile.")
    position = (len(ordered) - 1) * q / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def speedup(baseline: Sequence[float], other: Sequence[float]) -> Speedup:
    """Compare paired wall times of two strategies: the i-th of each was measured in repeat i.

    The ratio is the geometric mean of baseline/other, its 95 % interval that of Student's t on
    the paired differences of the logarithms, taken back by exp: a repeat that is slow for both
    cancels out, and the interval of A against B is the inverse of that of B against A.
    (Student's one-sample interval on paired differences: any textbook, such as Montgomery,
    Design and Analysis of Experiments, section 2.5; the log makes it one of a ratio.)
    """
    if len(baseline) != len(other) or not baseline:
        raise ValueError("A speed-up needs as many times of one side as of the other.")
    if min(*baseline, *other) <= 0:
        raise ValueError("Wall times must be above zero.")
    ratios = [b / o for b, o in zip(baseline, other, strict=True)]
    return Speedup(*geometric_mean(ratios), len(ratios))


def geometric_mean(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Return the geometric mean of positive values and its 95 % interval.

    The interval is Student's on the logarithms, taken back by exp; None below three values.
    """
    logs = [math.log(value) for value in values]
    n = len(logs)
    mean = math.fsum(logs) / n
    if n < MIN_REPEATS:
        return math.exp(mean), None, None
    variance = math.fsum((log - mean) ** 2 for log in logs) / (n - 1)
    margin = t_quantile(CONFIDENCE, n - 1) * math.sqrt(variance / n)
    return math.exp(mean), math.exp(mean - margin), math.exp(mean + margin)


def paired(
    baseline: Iterable[Trial],
    other: Iterable[Trial],
    value: Callable[[Trial], float] = lambda trial: trial.work_s,
) -> Speedup | None:
    """Compare two cells by the repeats in which both were verified; None where there is none."""
    mine, others = (
        {trial.repeat: found for trial in trials if trial.counts and (found := value(trial)) > 0}
        for trials in (baseline, other)
    )
    repeats = sorted(mine.keys() & others.keys())
    return speedup([mine[r] for r in repeats], [others[r] for r in repeats]) if repeats else None


@lru_cache(maxsize=256)
def t_quantile(probability: float, degrees: int) -> float:
    """Return the quantile of Student's t for a probability of at least one half.

    Found by bisection in the distribution function, which is a finite sum for whole degrees of
    freedom (Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4).
    """
    if degrees < 1:
        raise ValueError("Student's t needs at least one degree of freedom.")
    low, high = 0.0, math.pi / 2
    for _ in range(BISECTIONS):
        angle = (low + high) / 2
        low, high = (angle, high) if _t_probability(angle, degrees) < probability else (low, angle)
    return math.tan(low) * math.sqrt(degrees)


def _t_probability(angle: float, degrees: int) -> float:
    """Return the probability of at most t, where `angle` is the arc tangent of t/√degrees."""
    is_odd = degrees % 2
    cosine = math.cos(angle)
    term, total = (cosine, cosine) if is_odd else (1.0, 1.0)
    for i in range(2 + is_odd, degrees - 1, 2):
        term *= cosine**2 * (i - 1) / i
        total += term
    if not is_odd:
        return (1 + math.sin(angle) * total) / 2
    inner = 0.0 if degrees == 1 else math.sin(angle) * total
    return 0.5 + (angle + inner) / math.pi


def summarise(trials: Iterable[Trial]) -> tuple[CellSummary, ...]:
    """Return one summary per cell, in the order in which the cells first appear."""
    cells = by_cell(trials)
    ordered = sorted(cells.items(), key=lambda item: _rank(item[0], list(cells)))
    return tuple(_summary(key, mine, cells) for key, mine in ordered)


def by_cell(trials: Iterable[Trial]) -> dict[CellKey, list[Trial]]:
    """Return the trials of each cell without the warm-up."""
    cells: dict[CellKey, list[Trial]] = {}
    for trial in trials:
        if not trial.warmup:
            cells.setdefault(trial.cell, []).append(trial)
    return cells


def _rank(key: CellKey, keys: list[CellKey]) -> tuple[float, ...]:
    # Operations as they were run. The order of strategies was shuffled: theirs is the registry's.
    operations = list(dict.fromkeys(other.operation for other in keys))
    strategy = list(STRATEGIES).index(key.strategy)
    level = (key.concurrency or 0, key.rate_per_s or 0.0, key.batch, key.retries)
    return operations.index(key.operation), key.count, strategy, *level


def _summary(key: CellKey, trials: list[Trial], cells: dict[CellKey, list[Trial]]) -> CellSummary:
    good = [trial for trial in trials if trial.verified]
    calls = [call for trial in good for call in trial.calls if call.ok]
    durations = [1000 * call.latency_s for call in calls]
    walls = [trial.wall_s for trial in good]
    lags = [trial.loop_lag_ms_max for trial in trials if trial.loop_lag_ms_max is not None]
    middle = median(walls) if walls else None
    rates = [trial.throughput_per_s for trial in good]
    throughput = median(rates) if rates and (not key.count or key.batch > 1) else None
    throughput = key.count / middle if middle and throughput is None else throughput
    gain, note = _against_baseline(key, cells)
    errors = Counter(call.error or "failed" for t in trials for call in t.calls if not call.ok)
    kinds = dict(errors.most_common(MAX_KINDS))
    if len(errors) > MAX_KINDS:
        kinds["other kinds"] = errors.total() - sum(kinds.values())
    return CellSummary(
        **key._asdict(),
        repeats=len(good),
        failed_trials=len(trials) - len(good),
        samples=len(calls),
        median_wall_s=middle,
        p50_ms=percentile(durations, 50) if durations else None,
        p95_ms=percentile(durations, 95) if durations else None,
        p99_ms=percentile(durations, 99) if durations else None,
        embed_p50_ms=median([1000 * call.embed_s for call in calls]) if calls else None,
        milvus_p50_ms=median([1000 * call.milvus_s for call in calls]) if calls else None,
        throughput_per_s=throughput,
        cpu_share=median([t.cpu_s / t.wall_s for t in good if t.wall_s > 0]) if middle else None,
        loop_lag_ms_max=max(lags) if lags else None,
        errors=kinds,
        speedup=gain.ratio if gain else None,
        speedup_low=gain.low if gain else None,
        speedup_high=gain.high if gain else None,
        speedup_note=note,
    )


def _against_baseline(
    key: CellKey, cells: dict[CellKey, list[Trial]]
) -> tuple[Speedup | None, str]:
    if key.strategy == BASELINE:
        return None, "the baseline"
    baseline = [
        trial
        for other, trials in cells.items()
        if (other.operation, other.strategy, other.count) == (key.operation, BASELINE, key.count)
        for trial in trials
    ]
    if not baseline:
        return None, ""
    gain = paired(baseline, cells[key])
    if gain is None:
        return None, "no repeat in which this and the loop were both verified"
    if gain.low is None:
        return gain, f"{gain.pairs} paired repeats: too few for an interval, which takes three"
    return gain, f"95 % interval from {gain.pairs} paired repeats"


def warnings(run: Run, summaries: Iterable[CellSummary]) -> dict[str, list[str]]:
    """Return what a reader must know before believing the numbers: the messages by their title.

    The gravest come first.
    """
    cells = list(summaries)
    trials = {
        key: sorted(mine, key=lambda trial: trial.repeat)
        for key, mine in by_cell(run.trials).items()
    }
    found = {"Another session used the store": _disturbed(run)}
    for title, check in _CHECKS.items():
        found[title] = [
            f"{cell_text(cell.cell)}: {message}"
            for cell in cells
            if (message := check(cell, trials[cell.cell]))
        ]
    found["Few repeats"] = _few_repeats(cells)
    return {title: messages for title, messages in found.items() if messages}


def _disturbed(run: Run) -> list[str]:
    """Warn when others used the store while the run measured."""
    sessions, uses = (run.environment.get(name) for name in ("other_sessions", "uses_by_others"))
    if not isinstance(sessions, int) or not isinstance(uses, int):
        return []
    return [
        f"{counted(sessions, 'other session')} used this Milvus meanwhile "
        f"({counted(uses, 'time')}), which may have slowed the run"
    ]


def _failed(cell: CellSummary, trials: list[Trial]) -> str:
    if not cell.failed_trials:
        return ""
    kinds = ", ".join(f"{kind} ({n:,}×)" for kind, n in cell.errors.items())
    if void := sum(trial.is_void for trial in trials):
        return (
            f"{void} of {len(trials)} trials are void: the client could not keep the rate"
            f"{f'; failed: {kinds}' if kinds else ''}"
        )
    return f"{cell.failed_trials} of {len(trials)} trials failed and do not count: {kinds}"


def _turned_away(cell: CellSummary, trials: list[Trial]) -> str:
    refused = sum(trial.provider_refused for trial in trials)
    if not refused:
        return ""
    sent = sum(trial.provider_sent for trial in trials)
    waited_s = sum(trial.provider_waited_s for trial in trials)
    return (
        f"the embedding service turned away {refused:,} of {counted(sent, 'request')}, after which "
        f"its client waited {waited_s:,.1f} s in all: the times are those of its quota"
    )


def _few_repeats(cells: Iterable[CellSummary]) -> list[str]:
    """Warn once for the whole run, because all of its cells have the same repeats."""
    fewest = min((cell.repeats for cell in cells if cell.repeats), default=COMFORTABLE_REPEATS)
    if fewest >= COMFORTABLE_REPEATS:
        return []
    what = "no interval" if fewest < MIN_REPEATS else "wide intervals"
    times = "repeat gives" if fewest == 1 else "repeats give"
    return [f"{fewest} {times} {what}; {COMFORTABLE_REPEATS} or more are better"]


def _slow_first(cell: CellSummary, trials: list[Trial]) -> str:
    walls = [trial.wall_s for trial in trials if trial.verified]
    if len(walls) < MIN_REPEATS or walls[0] <= SLOW_FIRST * median(walls[1:]):
        return ""
    return (
        f"the first trial took {walls[0] / median(walls[1:]):.1f} times as long as the others: "
        "warm up more"
    )


def _outliers(cell: CellSummary, trials: list[Trial]) -> str:
    walls = [trial.wall_s for trial in trials if trial.verified]
    count = len(outliers(walls))
    return f"{count} of {len(walls)} trials lie far from the others" if count else ""


def outliers(values: Sequence[float]) -> tuple[int, ...]:
    """Return the indexes of values more than 3.5 scaled median absolute deviations off.

    Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993). A deviation below 5 % of the
    median is no outlier, however well the others agree. At least five values are needed.
    """
    if len(values) < COMFORTABLE_REPEATS:
        return ()
    middle = median(values)
    deviation = MAD_TO_SIGMA * median([abs(value - middle) for value in values])
    bound = max(OUTLIER_MADS * deviation, 0.05 * middle)
    return tuple(i for i, value in enumerate(values) if abs(value - middle) > bound)


def _client_busy(cell: CellSummary, trials: list[Trial]) -> str:
    if cell.cpu_share is None or cell.cpu_share < BUSY_SHARE:
        return ""
    return (
        f"the client (and Milvus Lite in it) used {cell.cpu_share:.0%} of a processor core: it is "
        "the bottleneck"
    )


def _stalled(cell: CellSummary, trials: list[Trial]) -> str:
    if cell.loop_lag_ms_max is None or cell.loop_lag_ms_max < STALLED_LAG_MS:
        return ""
    return f"the event loop was blocked for up to {cell.loop_lag_ms_max:,.0f} ms"


# What a warning about a cell is about, for the reader, and how it is found; the gravest first.
_CHECKS = {
    "Failed trials": _failed,
    "The embedding service refused requests": _turned_away,
    "The client is the bottleneck": _client_busy,
    "Blocked event loop": _stalled,
    "Slow first trial": _slow_first,
    "Trials far from the others": _outliers,
}
