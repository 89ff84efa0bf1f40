"""From trials to advice: which limit, which batch, which rate, and what breaks without a limit.

Pure functions. Advice is a measured statement: it carries its interval, and "not enough evidence"
is an answer.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lib.benchmark.statistics import (
    BUSY_SHARE,
    MIN_REPEATS,
    Speedup,
    by_cell,
    cell_label,
    median,
    paired,
    percentile,
)
from lib.benchmark.strategies import STRATEGIES
from lib.benchmark.trials import CellKey, Run, Trial
from lib.words import counted, duration_text

# The smallest level that reaches this share of the best throughput is the one to set.
ENOUGH = 0.9
# Below this share of its limit in flight, a level was not sustained.
SUSTAINED = 0.85
MIN_LEVELS = 3
# Above this p99 of the loop's lag, calls wait for the client.
BUSY_LAG_MS = 50.0
# An open loop falls behind when its latency grows by more than this part of the time that passes.
GROWTH = 0.02
# An interval whose ends are so many times apart says nothing, and is not printed in a sentence.
TOO_WIDE = 20.0


@dataclass(frozen=True)
class SweepLevel:
    """One level of a sweep: a limit, or a batch size. Times in ms, throughput in calls or rows/s.

    `share` is its throughput over the best level's, with an interval from the paired repeats.
    """

    level: int
    throughput_per_s: float
    share: Speedup
    p50_ms: float
    p95_ms: float
    in_flight: float
    is_sustained: bool


@dataclass(frozen=True)
class SweepAdvice:
    """The level to set: the smallest with at least 90 % of the best throughput.

    `plausible` are the levels that the intervals leave open, smallest and largest. `p95_cost` is
    the p95 at the advised level over that at the lowest one. `client` says why the client, not
    Milvus, bounds the throughput; empty where it does not.
    """

    operation: str
    strategy: str
    unit: str  # what a level counts: "calls in flight" or "rows a call"
    levels: tuple[SweepLevel, ...]
    advised: SweepLevel
    best: SweepLevel
    plausible: tuple[int, int]
    p95_cost: Speedup
    client: str

    @property
    def is_limit(self) -> bool:
        """Say whether the levels are limits on the calls in flight."""
        return self.unit == IN_FLIGHT

    @property
    def sentence(self) -> str:
        """The advice in one line, with its interval."""
        what = "Set {:,} in flight" if self.is_limit else "Set {:,} rows a call"
        thing = "calls/s" if self.is_limit else "rows/s"
        low, high = self.plausible
        between = f" The repeats do not tell {low:,} to {high:,} apart." if low != high else ""
        text = (
            f"{what.format(self.advised.level)}: {self.advised.throughput_per_s:,.0f} {thing}, "
            f"{_share_text(self.advised.share)} of the most ({self.best.level:,}).{between}"
        )
        if self.client:
            return f"The client is the limit, not Milvus: {self.client}. It reached: {text}"
        return text

    @property
    def cost(self) -> str:
        """What the advised level costs in latency, in one line."""
        noun = "call in flight" if self.is_limit else "row a call"
        return (
            f"p95 of a call: {self.advised.p95_ms:,.3g} ms, {_ratio_text(self.p95_cost)} that with "
            f"{counted(self.levels[0].level, noun, self.unit)}."
        )

    @property
    def little(self) -> str:
        """Little's law beside the advice: predicted and measured calls in flight."""
        per_s, lone_ms = self.best.throughput_per_s, self.levels[0].p50_ms
        return (
            f"Little's law: {per_s:,.0f} calls/s × {lone_ms:,.3g} ms = "
            f"{per_s * lone_ms / 1000:,.1f} in flight; "
            f"measured {self.advised.in_flight:,.1f}, as calls take longer under load."
        )


IN_FLIGHT, ROWS_A_CALL = "calls in flight", "rows a call"


def sweep_advice(run: Run) -> tuple[SweepAdvice, ...]:
    """Return the advice on each limit that was swept with limited gather, then on each batch."""
    return run.keep("sweep_advice", lambda: _sweep_advice(run))


def _sweep_advice(run: Run) -> tuple[SweepAdvice, ...]:
    found = []
    for unit in (IN_FLIGHT, ROWS_A_CALL):
        groups: dict[tuple[str, str, int, int, int], dict[int, list[Trial]]] = {}
        for trial in run.trials:
            strategy = STRATEGIES[trial.strategy]
            swept = strategy.is_async and strategy.uses_limit
            if swept and trial.counts and trial.throughput_per_s:
                limit, batch = trial.concurrency or 0, trial.batch
                level, other = (limit, batch) if unit == IN_FLIGHT else (batch, limit)
                group = (trial.operation, trial.strategy, trial.count, other, trial.retries)
                groups.setdefault(group, {}).setdefault(level, []).append(trial)
        found += [
            _advise(operation, strategy, unit, levels)
            for (operation, strategy, *_), levels in groups.items()
            if len(levels) >= MIN_LEVELS
        ]
    return tuple(advice for advice in found if advice is not None)


def _advise(
    operation: str, strategy: str, unit: str, trials: dict[int, list[Trial]]
) -> SweepAdvice | None:
    best_level = max(trials, key=lambda level: _throughput(trials[level]))
    levels = tuple(
        _level(level, trials[level], trials[best_level], unit) for level in sorted(trials)
    )
    sustained = [level for level in levels if level.is_sustained]
    if len(sustained) < MIN_LEVELS:
        return None
    by_level = {level.level: level for level in levels}
    best = by_level[best_level]
    advised = next((one for one in sustained if one.share.ratio >= ENOUGH), best)
    possible = [one.level for one in sustained if (one.share.high or one.share.ratio) >= ENOUGH]
    certain = [one.level for one in sustained if (one.share.low or one.share.ratio) >= ENOUGH]
    low = min([*possible, advised.level])
    high = max(min(certain, default=best_level), advised.level)
    return SweepAdvice(
        operation=operation,
        strategy=strategy,
        unit=unit,
        levels=levels,
        advised=advised,
        best=best,
        plausible=(low, high),
        p95_cost=_compared(
            trials[advised.level],
            trials[levels[0].level],
            lambda trial: percentile([call.latency_s for call in trial.calls if call.ok], 95),
        ),
        client=_client(trials[best_level]),
    )


def _throughput(trials: Sequence[Trial]) -> float:
    return median([trial.throughput_per_s for trial in trials])


def _level(level: int, trials: Sequence[Trial], best: Sequence[Trial], unit: str) -> SweepLevel:
    latencies = [1000 * c.latency_s for trial in trials for c in trial.calls if c.ok]
    in_flight = median([trial.in_flight for trial in trials])
    return SweepLevel(
        level=level,
        throughput_per_s=_throughput(trials),
        share=_compared(trials, best, lambda trial: trial.throughput_per_s),
        p50_ms=percentile(latencies, 50),
        p95_ms=percentile(latencies, 95),
        in_flight=in_flight,
        is_sustained=unit != IN_FLIGHT or in_flight >= SUSTAINED * level,
    )


def _compared(
    trials: Sequence[Trial], others: Sequence[Trial], value: Callable[[Trial], float]
) -> Speedup:
    """Say how many times the others' value theirs is, by pairs where they share a repeat."""
    if found := paired(trials, others, value):
        return found
    ratio = median([value(trial) for trial in trials]) / median([value(trial) for trial in others])
    return Speedup(ratio, None, None, 0)


def _client(trials: Sequence[Trial]) -> str:
    """Say why the client was the bottleneck in these trials; empty where it was not."""
    share = median([trial.cpu_s / trial.wall_s for trial in trials if trial.wall_s])
    if share >= BUSY_SHARE:
        return f"it used {share:.0%} of a processor core at its fastest"
    lags = [trial.loop_lag_ms_p99 for trial in trials if trial.loop_lag_ms_p99 is not None]
    if lags and median(lags) >= BUSY_LAG_MS:
        return f"its event loop woke up {median(lags):,.0f} ms late (p99) at its fastest"
    return ""


def _share_text(share: Speedup) -> str:
    if share.low is None or share.high is None:
        return f"{share.ratio:.0%} (fewer than {MIN_REPEATS} repeats)"
    if share.ratio == share.low == share.high:
        return f"{share.ratio:.0%}"
    return f"{share.ratio:.0%} (95 % CI {share.low * 100:.0f}–{share.high:.0%})"


def _ratio_text(ratio: Speedup) -> str:
    if ratio.low is None or ratio.high is None:
        return f"{ratio.ratio:.2g} times"
    if ratio.high > TOO_WIDE * ratio.low:
        return f"about {ratio.ratio:.2g} times"
    return f"{ratio.ratio:.2g} times ({ratio.low:.2g}–{ratio.high:.2g})"


# Open loop


def is_growing(trial: Trial) -> bool:
    """Say whether the latency grew through the trial: calls came in faster than they were served.

    Compares the median latency of the first third of the calls with that of the last.
    """
    calls = sorted(trial.calls, key=lambda call: call.start_s if call.due_s is None else call.due_s)
    third = len(calls) // 3
    if not third or not trial.seconds:
        return False
    first = median([call.latency_s for call in calls[:third]])
    last = median([call.latency_s for call in calls[-third:]])
    return last - first > GROWTH * trial.seconds * 2 / 3


def holds(trial: Trial, p99_ms: float) -> bool | None:
    """Say whether an open loop's trial kept its p99 below so many ms; None for a void one."""
    if trial.is_void:
        return None
    if not trial.calls or any(not call.ok for call in trial.calls):
        return False
    p99 = 1000 * percentile([call.latency_s for call in trial.calls], 99)
    return p99 < p99_ms and not is_growing(trial)


@dataclass(frozen=True)
class RateLevel:
    """One rate of a search. `held` is None where every trial was void."""

    rate_per_s: float
    p99_ms: float
    late: int
    calls: int
    held: bool | None


@dataclass(frozen=True)
class RateAdvice:
    """The highest rate at which the p99 stayed below `p99_ms`, and the lowest at which it did not.

    `rate_per_s` is None where no rate held; `fails_at_per_s` where none failed. `closed` is the
    same load as a closed loop.
    """

    p99_ms: float
    levels: tuple[RateLevel, ...]
    rate_per_s: float | None
    fails_at_per_s: float | None
    is_client_bound: bool
    closed: RateLevel | None

    @property
    def void(self) -> int:
        """How many of the rates the client itself could not keep."""
        return sum(level.held is None for level in self.levels)

    @property
    def is_unmeasurable(self) -> bool:
        """Say whether no rate held because the client could not keep most of them."""
        return self.rate_per_s is None and 2 * self.void > len(self.levels)

    @property
    def at_rate(self) -> RateLevel | None:
        """The level at the rate found."""
        return next((one for one in self.levels if one.rate_per_s == self.rate_per_s), None)

    @property
    def sentence(self) -> str:
        """The advice in one line, with the rate that is too high."""
        level = self.at_rate
        if self.is_unmeasurable:
            rates = counted(len(self.levels), "rate")
            return f"Not measurable here: the client was too slow at {self.void} of {rates}."
        if self.rate_per_s is None or level is None:
            return f"No rate kept the p99 below {self.p99_ms:g} ms."
        end = "no higher rate was tried"
        if self.fails_at_per_s is not None:
            end = f"{self.fails_at_per_s:,.4g}/s did not hold"
            if self.is_client_bound:
                end = f"at {self.fails_at_per_s:,.4g}/s the client was too slow"
        return (
            f"Holds {self.rate_per_s:,.4g} calls/s with a p99 below {self.p99_ms:g} ms "
            f"({level.p99_ms:,.3g} ms, n = {level.calls:,}); {end}."
        )

    @property
    def contrast(self) -> str:
        """Closed and open latency of the same load side by side, and why they differ."""
        level = self.at_rate
        if level is None or self.closed is None:
            return ""
        told = (
            f"A closed loop with as many calls in flight: p99 {self.closed.p99_ms:,.3g} ms at "
            f"{self.closed.rate_per_s:,.4g}/s. "
        )
        if self.closed.p99_ms <= level.p99_ms:
            return told + (
                "It waits while the server stalls; the open loop counts from when a call was due."
            )
        if self.closed.rate_per_s > level.rate_per_s:
            return told + "It makes its next call at once: more load."
        return told + "It met slower moments."


def rate_advice(run: Run) -> RateAdvice | None:
    """Return the highest rate of a search, or None for a run that searched for none."""
    return run.keep("rate_advice", lambda: _rate_advice(run))


def _rate_advice(run: Run) -> RateAdvice | None:
    p99_ms = float(run.settings.get("p99_ms") or 0.0)
    trials = [trial for trial in run.trials if trial.is_timed and not trial.warmup]
    by_rate: dict[float, list[Trial]] = {}
    for trial in trials:
        if trial.rate_per_s:
            by_rate.setdefault(trial.rate_per_s, []).append(trial)
    if not p99_ms or not by_rate:
        return None
    levels = tuple(_rate_level(rate, by_rate[rate], p99_ms) for rate in sorted(by_rate))
    failed = [level for level in levels if not level.held]
    held = [
        level
        for level in levels
        if level.held and not any(other.rate_per_s < level.rate_per_s for other in failed)
    ]
    first_failed = failed[0] if failed else None
    closed = [trial for trial in trials if trial.rate_per_s is None and trial.verified]
    most = max((trial.concurrency or 1 for trial in closed), default=1)
    beside = [trial for trial in closed if trial.concurrency == most]
    return RateAdvice(
        p99_ms=p99_ms,
        levels=levels,
        rate_per_s=held[-1].rate_per_s if held else None,
        fails_at_per_s=first_failed.rate_per_s if first_failed else None,
        is_client_bound=first_failed is not None and first_failed.held is None,
        closed=_rate_level(_throughput(beside), beside, p99_ms) if beside else None,
    )


def _rate_level(rate: float, trials: Sequence[Trial], p99_ms: float) -> RateLevel:
    valid = [trial for trial in trials if not trial.is_void] or list(trials)
    latencies = [1000 * call.latency_s for trial in valid for call in trial.calls if call.ok]
    verdicts = [verdict for trial in trials if (verdict := holds(trial, p99_ms)) is not None]
    return RateLevel(
        rate_per_s=rate,
        p99_ms=percentile(latencies, 99) if latencies else 0.0,
        late=sum(trial.late_starts for trial in trials),
        calls=len(latencies),
        # A level holds when most of its trials held: a p99 can fail once by chance.
        held=2 * sum(verdicts) > len(verdicts) if verdicts else None,
    )


# Overload


@dataclass(frozen=True)
class OverloadLevel:
    """One way to issue many calls at once: how many were lost, refused per kind, and the time."""

    key: CellKey
    calls: int  # a trial
    lost: int  # of all trials together: calls that failed for good
    refused: dict[str, int]  # attempts turned away, those that were retried included
    trials: int
    wall_s: float

    @property
    def label(self) -> str:
        """How the calls were issued."""
        return cell_label(self.key)

    @property
    def sentence(self) -> str:
        """What became of the calls, in one line."""
        total = self.calls * self.trials
        kinds = "; ".join(f"{n:,}× {kind}" for kind, n in self.refused.items())
        refused = f"; refused: {kinds}" if kinds else ""
        return (
            f"{self.label}: {self.lost:,} of {counted(total, 'call')} lost in "
            f"{duration_text(self.wall_s)}{refused}."
        )


@dataclass(frozen=True)
class OverloadAdvice:
    """What breaks without a limit, and what avoids it."""

    levels: tuple[OverloadLevel, ...]
    breaks_at: int | None  # calls at once; None where nothing was refused
    most: int  # calls at once that were tried

    @property
    def sentence(self) -> str:
        """What breaks first, in one line."""
        unlimited = self._level("gather")
        limited = self._level("gather_limited")
        if self.breaks_at is None:
            text = f"Nothing was refused with up to {self.most:,} calls at once"
            if unlimited is None or limited is None:
                return f"{text}."
            return (
                f"{text}: {duration_text(unlimited.wall_s)} without a limit, "
                f"{duration_text(limited.wall_s)} with {limited.label}."
            )
        text = f"{self.breaks_at:,} calls at once are too many"
        if unlimited is not None:
            share = unlimited.lost / (unlimited.calls * unlimited.trials)
            text += f": {share:.0%} lost without a limit"
        if limited is not None:
            lost = f"{limited.lost:,}" if limited.lost else "none"
            text += f", {lost} with {limited.label} ({duration_text(limited.wall_s)})"
        return f"{text}."

    def _level(self, strategy: str) -> OverloadLevel | None:
        """Return a strategy's level in which no refused call was tried again."""
        mine = (level for level in self.levels if level.key.strategy == strategy)
        return next((level for level in mine if not level.key.retries), None)


def overload_advice(run: Run) -> OverloadAdvice | None:
    """Return what an overload showed, or None for another run."""
    if run.settings.get("experiment") != "overload":
        return None
    trials = [trial for trial in run.trials if not trial.warmup]
    if not trials:
        return None
    refused = [trial.count for trial in trials if trial.strategy == "gather" and trial.refused]
    most = max(trial.count for trial in trials)
    cells = by_cell(trial for trial in trials if trial.count == most)
    return OverloadAdvice(
        levels=tuple(_overload_level(key, mine) for key, mine in cells.items()),
        breaks_at=min(refused, default=None),
        most=most,
    )


def _overload_level(key: CellKey, trials: Sequence[Trial]) -> OverloadLevel:
    return OverloadLevel(
        key=key,
        calls=len(trials[0].calls),
        lost=sum(not call.ok for trial in trials for call in trial.calls),
        refused=dict(sum((Counter(trial.refused) for trial in trials), Counter[str]())),
        trials=len(trials),
        wall_s=median([trial.wall_s for trial in trials]),
    )


def sentences(run: Run) -> tuple[str, ...]:
    """Return all advice that a run supports, the advice itself first, in whole sentences."""
    found: list[str] = []
    for sweep in sweep_advice(run):
        found += [sweep.sentence, sweep.cost, *([sweep.little] if sweep.is_limit else [])]
    rate = rate_advice(run)
    if rate is not None:
        found += [rate.sentence, *([rate.contrast] if rate.contrast else [])]
    overload = overload_advice(run)
    if overload is not None:
        found += [overload.sentence, *(level.sentence for level in overload.levels)]
    return tuple(found)


def brief(run: Run) -> str:
    """Return the advice as a list of runs shows it: 'limit 16', '580/s'; or an empty text."""
    for sweep in sweep_advice(run):
        return f"{'limit' if sweep.is_limit else 'batch of'} {sweep.advised.level:,}"
    rate = rate_advice(run)
    if rate is not None:
        if rate.is_unmeasurable:
            return "not measurable"
        return f"{rate.rate_per_s:,.0f}/s" if rate.rate_per_s else "no rate held"
    overload = overload_advice(run)
    if overload is None:
        return ""
    return f"breaks at {overload.breaks_at:,}" if overload.breaks_at else "nothing broke"


def short(run: Run) -> str:
    """Return the advice in at most eight words, or an empty text."""
    for sweep in sweep_advice(run):
        if sweep.client:
            return "The client is the limit, not Milvus"
        return f"Set {sweep.advised.level:,} {sweep.unit}"
    rate = rate_advice(run)
    if rate is not None:
        found = rate.rate_per_s
        if rate.is_unmeasurable:
            return "Not measurable: the client was too slow"
        return f"It holds {found:,.4g} calls/s" if found else "No rate held"
    overload = overload_advice(run)
    if overload is None:
        return ""
    if overload.breaks_at is None:
        return f"Nothing was refused with {overload.most:,} at once"
    return f"{overload.breaks_at:,} calls at once are too many"
