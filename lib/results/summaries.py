"""From trials to times, percentiles, speed-ups with an interval, and warnings. Pure functions.

The rules stand in `docs/measurement.md`, each once.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean, variance
from typing import Any

from lib.results.catalogue import BASELINE, STRATEGIES
from lib.results.trials import CHAIN, COMPARE, CellKey, Trial
from lib.settings import AIOHTTP
from lib.words import bounds_text, counted, ms_text, ratio_text

MIN_REPEATS = 3
# Below this many repeats an interval exists but is wide; the warning asks for more.
COMFORTABLE_REPEATS = 5
OUTLIER_MADS = 3.5
# So many kinds of failures are named; the rest are counted together.
MAX_KINDS = 20
SLOW_FIRST = 1.5
BUSY_SHARE = 0.9
QUIET_SHARE = 0.1  # what other programs may take of the processors
STALLED_LAG_MS = 100.0
# 1 / Φ⁻¹(3/4): makes the median absolute deviation estimate a standard deviation.
MAD_TO_SIGMA = 1.4826
# The chance that any of the verdicts that are made at once is wrong.
ERROR_RATE = 0.05
# A p99 of fewer calls rests on fewer than five beyond it: the slowest of them is told instead.
P99_SAMPLES = 500
# What may be said of a speed-up.
FASTER, SLOWER, UNDECIDED = "faster", "slower", "undecided"
BISECTIONS = 60  # halves π/2 down to the precision of a float


@dataclass(frozen=True)
class Speedup:
    """How many times faster than the baseline; bounds are None below three repeats.

    The interval, 95 %, is of the paired differences where both sides have the same repeats, and
    Welch's where a repeat of one side is missing. `repeats` are those of the side with fewer.
    """

    ratio: float
    low: float | None
    high: float | None
    repeats: int
    degrees: int = 0
    is_paired: bool = True

    @property
    def margin(self) -> float | None:
        """Half the interval's width on the logarithm; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return (math.log(self.high) - math.log(self.low)) / 2

    @property
    def is_difference(self) -> bool | None:
        """Say whether 1 lies outside the interval; None without an interval."""
        return (found != UNDECIDED) if (found := self.verdict()) else None

    def corrected(self, verdicts: int) -> "Speedup":
        """Return it with the interval that one of so many verdicts rests on, which is wider."""
        if self.margin is None or not self.degrees or verdicts <= 1:
            return self
        wider = t_quantile(confidence(verdicts), self.degrees) / t_quantile(
            confidence(), self.degrees
        )
        factor = math.exp(self.margin * wider)
        return replace(self, low=self.ratio / factor, high=self.ratio * factor)

    @property
    def p_value(self) -> float:
        """The chance of a ratio at least as far from 1 where there is no difference; 1 if unknown.

        That of Student's t, which the interval rests on.
        """
        if self.margin is None or not self.degrees:
            return 1.0
        if not self.margin:
            return 0.0 if self.ratio != 1 else 1.0
        t = abs(math.log(self.ratio)) / self.margin * t_quantile(confidence(), self.degrees)
        return 2 * (1 - _t_probability(math.atan(t / math.sqrt(self.degrees)), self.degrees))

    def verdict(self, verdicts: int = 1) -> str:
        """Say FASTER, SLOWER or UNDECIDED, as one of so many verdicts; nothing without interval."""
        found = self.corrected(verdicts)
        if found.low is None or found.high is None:
            return ""
        return FASTER if found.low > 1 else SLOWER if found.high < 1 else UNDECIDED


def confidence(verdicts: int = 1) -> float:
    """Return one side of the interval that one of so many verdicts rests on: 0.975 for one.

    The chance of error is split evenly among them (Bonferroni).
    """
    return 1 - ERROR_RATE / verdicts / 2


def verdicts_on(speedups: Sequence[Speedup | None]) -> list[str]:
    """Return the verdict on each of the speed-ups that are told at once.

    Holm's correction (1979): the clearest is one of all, the next one of the rest, and so on until
    one cannot be told; those after it cannot either. It errs no more than Bonferroni's, and finds
    more. Without an interval the verdict is an empty text.
    """
    found = [one.verdict() if one else "" for one in speedups]
    judged = sorted((one.p_value, i) for i, one in enumerate(speedups) if one and found[i])
    is_open = True
    for rank, (p_value, i) in enumerate(judged):
        is_open = is_open and p_value <= ERROR_RATE / (len(judged) - rank)
        if not is_open:
            found[i] = UNDECIDED
    return found


@dataclass(frozen=True)
class CellSummary:
    """A cell's trials in numbers, of verified trials only; None where there is none.

    `geomean_wall_s` is the geometric mean of the trials' wall times, and the time that is shown of
    the cell everywhere. Times in ms are of single calls; percentiles come from `samples` calls of
    all repeats together, the p99 from 500 on. `throughput_per_s` is the geometric mean of the
    trials' calls a second, or of the rows where a call has several.

    `speedup` is the baseline's `geomean_wall_s` over this one's; of timed trials it is the ratio
    of what a call takes. `verdict` is one of all that are told of the run.

    `neighbour_ms` is what a service's neighbour waited, the geometric mean of `neighbour_s` of the
    repeats: a p99 where each of them has 500 `pings`, which are those of the repeat with the
    fewest. `served_threads` and `served_mb` are the most of any repeat.
    """

    operation: str
    strategy: str
    count: int
    concurrency: int | None
    repeats: int
    failed_trials: int
    samples: int
    geomean_wall_s: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    slowest_ms: float | None
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
    verdict: str = ""
    rate_per_s: float | None = None
    batch: int = 1
    retries: int = 0
    neighbour_ms: float | None = None
    neighbour_is_p99: bool = False
    pings: int = 0
    served_threads: int = 0
    served_mb: float = 0.0

    @property
    def label(self) -> str:
        """The strategy with its concurrency: 'Async, at most 32'."""
        return cell_label(self.cell)

    @property
    def cell(self) -> CellKey:
        """The cell that it sums up."""
        return CellKey.of(self)

    @property
    def is_undecided(self) -> bool:
        """Say whether there is an interval, and it does not tell this cell from the baseline."""
        return self.verdict == UNDECIDED

    @property
    def p99_text(self) -> str:
        """Return 'p99 12.3 ms', or of fewer than 500 calls 'slowest of 100: 14.1 ms'."""
        if self.p99_ms is not None:
            return f"p99 {ms_text(self.p99_ms)}"
        if self.slowest_ms is None:
            return ""
        return f"slowest of {self.samples:,}: {ms_text(self.slowest_ms)}"

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
    # Only the async ways try a refused call again.
    retries = key.retries if STRATEGIES[key.strategy].is_async else 0
    return label + (f", {counted(retries, 'retry', 'retries')}" if retries else "")


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
    """Compare paired times of two strategies: the i-th of each was measured in repeat i.

    Raises ValueError for sides of two lengths, none at all, or a time that is not above zero.
    """
    if len(baseline) != len(other) or not baseline:
        raise ValueError("A speed-up needs as many times of one side as of the other.")
    return compared(dict(enumerate(baseline)), dict(enumerate(other)))


def compared(baseline: Mapping[int, float], other: Mapping[int, float]) -> Speedup:
    """Say how many times the other's values the baseline's are; both are given by repeat.

    The ratio is that of the two geometric means. Its 95 % interval is Student's t on the
    logarithms, taken back by exp: of the paired differences where both sides have the same
    repeats, so that a repeat that is slow for both cancels out; of two independent samples
    (Welch's) where a repeat of one side failed. The interval of A against B is the inverse of
    that of B against A. (Any textbook, such as Montgomery, Design and Analysis of Experiments,
    sections 2.4 and 2.5; the logarithm makes it an interval of a ratio.)
    """
    if min(*baseline.values(), *other.values()) <= 0:
        raise ValueError("Wall times must be above zero.")
    one, two = ({i: math.log(value) for i, value in side.items()} for side in (baseline, other))
    is_paired = one.keys() == two.keys()
    repeats = min(len(one), len(two))
    mean = fmean(one.values()) - fmean(two.values())
    if repeats < MIN_REPEATS:
        return Speedup(math.exp(mean), None, None, repeats, is_paired=is_paired)
    sides = [[one[i] - two[i] for i in one]] if is_paired else [[*one.values()], [*two.values()]]
    error, degrees = _error_of_difference(sides)
    margin = t_quantile(confidence(), degrees) * error
    low, high = math.exp(mean - margin), math.exp(mean + margin)
    return Speedup(math.exp(mean), low, high, repeats, degrees, is_paired)


def _error_of_difference(sides: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Return the standard error of the difference of means, and its degrees of freedom.

    Of two sides the degrees are Welch and Satterthwaite's, rounded down.
    """
    squares = [variance(side) / len(side) for side in sides]
    total, fewest = sum(squares), min(map(len, sides)) - 1
    parts = sum(square**2 / (len(side) - 1) for square, side in zip(squares, sides, strict=True))
    return math.sqrt(total), max(math.floor(total**2 / parts), fewest) if parts else fewest


def geometric_mean(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Return the geometric mean of positive values and its 95 % interval.

    The interval is Student's on the logarithms, taken back by exp; None below three values.
    """
    logs = [math.log(value) for value in values]
    mean = fmean(logs)
    if len(logs) < MIN_REPEATS:
        return math.exp(mean), None, None
    margin = t_quantile(confidence(), len(logs) - 1) * math.sqrt(variance(logs) / len(logs))
    return math.exp(mean), math.exp(mean - margin), math.exp(mean + margin)


def neighbour_s(trial: Trial) -> float:
    """Return what a service's neighbour waited in a trial: the p99 from 500 requests on, else the
    slowest; 0 without a neighbour.
    """
    waits = [ping.latency_s for ping in trial.pings if ping.ok]
    if len(waits) >= P99_SAMPLES:
        return percentile(waits, 99)
    return max(waits, default=0.0)


def gain(
    baseline: Iterable[Trial],
    other: Iterable[Trial],
    value: Callable[[Trial], float] = lambda trial: trial.work_s,
) -> Speedup | None:
    """Compare two cells by their verified repeats; None where one of them has none."""
    mine, others = (by_repeat(trials, value) for trials in (baseline, other))
    return compared(mine, others) if mine and others else None


def by_repeat(
    trials: Iterable[Trial], value: Callable[[Trial], float] = lambda trial: trial.work_s
) -> dict[int, float]:
    """Return a value above zero of each trial that counts, by its repeat."""
    return {trial.repeat: found for trial in trials if trial.counts and (found := value(trial)) > 0}


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
    ordered = sorted(cells, key=lambda key: _rank(key, list(cells)))
    gains = [_against_baseline(key, cells) for key in ordered]
    verdicts = verdicts_on([found for found, _ in gains])
    return tuple(
        _summary(key, cells[key], found, note, verdict)
        for key, (found, note), verdict in zip(ordered, gains, verdicts, strict=True)
    )


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


def _summary(
    key: CellKey, trials: list[Trial], found: Speedup | None, note: str, verdict: str
) -> CellSummary:
    good = [trial for trial in trials if trial.verified]
    calls = [call for trial in good for call in trial.calls if call.ok]
    durations = [1000 * call.latency_s for call in calls]
    walls = [trial.wall_s for trial in good if trial.wall_s > 0]
    lags = [trial.loop_lag_ms_max for trial in trials if trial.loop_lag_ms_max is not None]
    rates = [rate for trial in good if (rate := trial.throughput_per_s) > 0]
    errors = Counter(call.error or "failed" for t in trials for call in t.calls if not call.ok)
    beside = [1000 * wait_s for trial in good if (wait_s := neighbour_s(trial)) > 0]
    pings = min((len(trial.pings) for trial in good), default=0)
    kinds = dict(errors.most_common(MAX_KINDS))
    if len(errors) > MAX_KINDS:
        kinds["other kinds"] = errors.total() - sum(kinds.values())
    return CellSummary(
        **key._asdict(),
        repeats=len(good),
        failed_trials=len(trials) - len(good),
        samples=len(calls),
        geomean_wall_s=geometric_mean(walls)[0] if walls else None,
        p50_ms=percentile(durations, 50) if durations else None,
        p95_ms=percentile(durations, 95) if durations else None,
        p99_ms=percentile(durations, 99) if len(durations) >= P99_SAMPLES else None,
        slowest_ms=max(durations, default=None),
        embed_p50_ms=median([1000 * call.embed_s for call in calls]) if calls else None,
        milvus_p50_ms=median([1000 * call.milvus_s for call in calls]) if calls else None,
        throughput_per_s=geometric_mean(rates)[0] if rates else None,
        cpu_share=median([t.cpu_s / t.wall_s for t in good if t.wall_s > 0]) if walls else None,
        loop_lag_ms_max=max(lags) if lags else None,
        errors=kinds,
        speedup=found.ratio if found else None,
        speedup_low=found.low if found else None,
        speedup_high=found.high if found else None,
        speedup_note=note,
        verdict=verdict,
        neighbour_ms=geometric_mean(beside)[0] if beside else None,
        neighbour_is_p99=pings >= P99_SAMPLES,
        pings=pings,
        served_threads=max((trial.served_threads for trial in good), default=0),
        served_mb=max((trial.served_mb for trial in good), default=0.0),
    )


def baseline_of(key: CellKey, cells: Iterable[CellKey]) -> CellKey | None:
    """Return what a cell is compared with: the sync loop of the same operation and count.

    Of loops with several rows a call it is the one with the fewest, in every comparison.
    """
    loops = [
        other
        for other in cells
        if (other.operation, other.strategy, other.count) == (key.operation, BASELINE, key.count)
    ]
    return min(loops, key=lambda loop: (loop.batch, loop.retries), default=None)


def _against_baseline(
    key: CellKey, cells: dict[CellKey, list[Trial]]
) -> tuple[Speedup | None, str]:
    if STRATEGIES[key.strategy].uses_rate:
        return None, "its rate was set, so its time says nothing"
    baseline = baseline_of(key, cells)
    if baseline is None:
        return None, ""
    if baseline == key:
        return None, "the baseline"
    found = gain(cells[baseline], cells[key])
    if found is None:
        return None, "this or the loop has no verified repeat"
    if found.low is None:
        return found, f"{counted(found.repeats, 'repeat')}: too few for an interval"
    paired = "paired" if found.is_paired else "not paired, as a repeat of one side failed"
    return found, f"95% interval from {found.repeats} repeats, {paired}"


def warnings(
    environment: Mapping[str, Any],
    experiment: str,
    cells: Sequence[CellSummary],
    trials: Mapping[CellKey, Sequence[Trial]],
) -> dict[str, list[str]]:
    """Return what a reader must know before believing the numbers: the messages by their title.

    The gravest come first.
    """
    found = {
        "Another session used the store": _disturbed(environment),
        "Other programs were busy": _not_quiet(environment),
        "Others went between or beside trials": _gave_way(environment),
    }
    for title, check in _CHECKS.items():
        found[title] = [
            f"{cell_text(cell.cell)}: {message}"
            for cell in cells
            if (message := check(cell, sorted(trials[cell.cell], key=lambda each: each.repeat)))
        ]
    for title in _OF_THE_CLIENT:
        if found[title] and environment.get("http_client", AIOHTTP) != AIOHTTP:
            found[title].append(OVER_AIOHTTP)
    if experiment in (COMPARE, CHAIN):
        # The other experiments choose their repeats by what they see, and say n of how many.
        found["Few repeats"] = _few_repeats(cells)
    return {title: messages for title, messages in found.items() if messages}


def _disturbed(environment: Mapping[str, Any]) -> list[str]:
    """Warn when others used the store while the run measured."""
    sessions, uses = (environment.get(name) for name in ("other_sessions", "uses_by_others"))
    if not isinstance(sessions, int) or not isinstance(uses, int):
        return []
    return [
        f"{counted(sessions, 'other session')} used this Milvus meanwhile "
        f"({counted(uses, 'time')}), which may have slowed the run"
    ]


def _not_quiet(environment: Mapping[str, Any]) -> list[str]:
    """Warn when other programs took much of the computer while the run measured."""
    share = environment.get("other_programs")
    if not isinstance(share, float) or share < QUIET_SHARE:
        return []
    return [
        f"Other programs used {share:.0%} of the processor while trials ran: on a quiet computer "
        "times may be shorter"
    ]


def _gave_way(environment: Mapping[str, Any]) -> list[str]:
    """Say how often short work of others went between two trials or beside one."""
    times = environment.get("gave_way")
    if not isinstance(times, int) or not times:
        return []
    return [
        f"Short work of others went between trials {counted(times, 'time')}: the trial after was "
        "warmed up again"
    ]


def _failed(cell: CellSummary, trials: list[Trial]) -> str:
    if not cell.failed_trials:
        return ""
    kinds = ", ".join(f"{kind} ({n:,}×)" for kind, n in cell.errors.items())
    if void := sum(trial.is_void for trial in trials):
        return (
            f"{void} of {len(trials)} trials are not valid: client too slow"
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
    """Warn once for the whole run, of the cells with the fewest repeats."""
    repeats = [cell.repeats for cell in cells if cell.repeats]
    fewest = min(repeats, default=COMFORTABLE_REPEATS)
    if fewest >= COMFORTABLE_REPEATS:
        return []
    few = repeats.count(fewest)
    where = "" if few == len(repeats) else f" ({few} of {len(repeats)} cells)"
    what = "no interval" if fewest < MIN_REPEATS else "wide intervals"
    times = "repeat gives" if fewest == 1 else "repeats give"
    return [f"{fewest} {times} {what}{where}; {COMFORTABLE_REPEATS} or more are better"]


def _varying(trials: Iterable[Trial]) -> list[float]:
    """Return what can differ between a cell's verified repeats: its time, or a call's.

    Timed trials all last as long, and an open loop also makes as many calls: what a call of them
    takes can differ.
    """
    return [value for trial in trials if trial.counts and (value := _varies(trial)) > 0]


def _varies(trial: Trial) -> float:
    latencies = [call.latency_s for call in trial.calls if call.ok]
    if STRATEGIES[trial.strategy].uses_rate and latencies:
        return median(latencies)
    return trial.work_s


def _slow_first(cell: CellSummary, trials: list[Trial]) -> str:
    values = _varying(trials)
    if len(values) < MIN_REPEATS or values[0] <= SLOW_FIRST * median(values[1:]):
        return ""
    return (
        f"the first trial took {values[0] / median(values[1:]):.1f} times as long as the others: "
        "warm up more"
    )


def _outliers(cell: CellSummary, trials: list[Trial]) -> str:
    values = _varying(trials)
    count = len(outliers(values))
    return f"{count} of {len(values)} trials lie far from the others" if count else ""


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
    return f"the client used {cell.cpu_share:.0%} of a processor core: it is the bottleneck"


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
# What another HTTP client of the provider may cure.
_OF_THE_CLIENT = ("The client is the bottleneck", "Blocked event loop")
OVER_AIOHTTP = (
    "OpenAI's async client takes less of a processor a call over aiohttp: --http-client aiohttp, "
    "or the dialog Connect."
)
