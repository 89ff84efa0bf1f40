"""From trials to advice: which limit, which batch, which rate, and what breaks without a limit.

Pure functions. Advice is a measured statement: it carries its interval or in how many of its
trials it held, and "not enough evidence" is an answer. The rules stand in `docs/measurement.md`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lib.results.catalogue import BASELINE, STRATEGIES
from lib.results.chain import ChainVerdict
from lib.results.service import ServiceVerdict
from lib.results.summaries import (
    BUSY_SHARE,
    MIN_REPEATS,
    P99_SAMPLES,
    CellSummary,
    Speedup,
    by_cell,
    cell_label,
    gain,
    geometric_mean,
    median,
    percentile,
)
from lib.results.trials import OVERLOAD, CellKey, Trial
from lib.words import counted, duration_text, ms_text, rate_text, ratio_text

# A level reaches the best when its interval holds this share of the best throughput: for the rest
# nobody keeps more calls in flight.
ENOUGH = 0.95
# Below this share of its limit in flight, a level was not sustained.
SUSTAINED = 0.85
MIN_LEVELS = 3
# Above this p99 of the loop's lag, calls wait for the client.
BUSY_LAG_MS = 50.0
# An open loop falls behind when its latency grows by more than this part of the time that passes.
GROWTH = 0.02
# An interval whose ends are so many times apart says nothing, and is not printed in a sentence.
TOO_WIDE = 20.0
# A level is not advised whose share of the best is only known within such a factor.
TOO_VAGUE = 2.0


@dataclass(frozen=True)
class SweepLevel:
    """One level of a sweep: a limit, or a batch size. Times in ms, throughput in calls or rows/s.

    `share` is its throughput over the best level's; its interval is that of one of as many
    verdicts as there are levels. `in_flight` are the calls in flight on average, and
    `is_sustained` says whether they came near the limit that was asked for.
    """

    level: int
    throughput_per_s: float
    share: Speedup
    mean_ms: float
    p50_ms: float
    p95_ms: float
    in_flight: float
    is_sustained: bool

    @property
    def reaches_best(self) -> bool:
        """Say whether its interval reaches the best level, or its value where there is none."""
        return (self.share.high or self.share.ratio) >= ENOUGH


@dataclass(frozen=True)
class SweepAdvice:
    """The level to set: the lowest sustained one whose interval reaches the best.

    `plausible` are the levels that the repeats do not tell apart, lowest and highest. `p95_cost`
    is the p95 at the advised level over that at the lowest one. `client` says why the client, not
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
    def thing(self) -> str:
        """What the throughput counts: calls or rows."""
        return "calls" if self.is_limit else "rows"

    @property
    def is_decided(self) -> bool:
        """Say whether the repeats are enough for advice: the level's share is not just anything."""
        low, high = self.advised.share.low, self.advised.share.high
        return low is None or high is None or high <= TOO_VAGUE * low

    @property
    def brief(self) -> str:
        """The advice as a list of runs shows it: 'limit 16'."""
        if not self.is_decided:
            return "not enough evidence"
        return f"{'limit' if self.is_limit else 'batch of'} {self.advised.level:,}"

    @property
    def short(self) -> str:
        """The advice in at most eight words."""
        is_known = self.client and self.is_decided
        return "The client is the limit, not Milvus" if is_known else self._use

    @property
    def _use(self) -> str:
        """What to set: 'Use 16 in flight'."""
        if not self.is_decided:
            return f"Not enough evidence for a {'limit' if self.is_limit else 'batch size'}"
        return f"Use {self.advised.level:,} {'in flight' if self.is_limit else ROWS_A_CALL}"

    @property
    def sentence(self) -> str:
        """The advice in a few sentences, with its interval."""
        advised = self.advised
        if not self.is_decided:
            low, high = self.plausible
            return (
                f"{self._use}: {low:,} to {high:,} {self.unit} are too close to call. The most "
                f"was {self.best.throughput_per_s:,.0f} {self.thing}/s at {self.best.level:,}; "
                f"{advised.level:,} reached {_share_text(advised.share)} of it. "
                "Measure with more repeats."
            )
        text = f"{self._use}: {advised.throughput_per_s:,.0f} {self.thing}/s"
        if advised != self.best:
            text += f", {_share_text(advised.share)} of the best, which {self.best.level:,} reached"
        elif advised.share.high is None:
            text += " (fewer than 3 repeats: no interval)"
        text += "."
        low, high = self.plausible
        if low != high:
            text += f" {low:,} to {high:,} are too close to call."
        if self.client:
            return f"The client is the limit, not Milvus: {self.client}. {text}"
        return text

    @property
    def cost(self) -> str:
        """What the advised level costs in latency, in one line; nothing for the lowest one."""
        if self.advised == self.levels[0]:
            return ""
        noun = "call in flight" if self.is_limit else "row a call"
        return (
            f"p95 of a call: {ms_text(self.advised.p95_ms)}, {_ratio_text(self.p95_cost)} that "
            f"with {counted(self.levels[0].level, noun, self.unit)}."
        )

    @property
    def little(self) -> str:
        """Little's law at the advised level: predicted and measured calls in flight."""
        level = self.advised
        return (
            f"Little's law: {level.throughput_per_s:,.0f} calls/s × {ms_text(level.mean_ms)} "
            f"a call = {level.throughput_per_s * level.mean_ms / 1000:,.1f} in flight; "
            f"measured {level.in_flight:,.1f} of {level.level:,}."
        )


IN_FLIGHT, ROWS_A_CALL = "calls in flight", "rows a call"


def sweep_advice(trials: Sequence[Trial]) -> tuple[SweepAdvice, ...]:
    """Return the advice on each limit that was swept with limited gather, then on each batch."""
    found = []
    for unit in (IN_FLIGHT, ROWS_A_CALL):
        groups: dict[tuple[str, str, int, int, int], dict[int, list[Trial]]] = {}
        for trial in trials:
            strategy = STRATEGIES[trial.strategy]
            swept = strategy.is_async and strategy.uses_limit and not strategy.style
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
    reached = {level: _in_flight(mine) for level, mine in trials.items()}
    sustained = [
        level
        for level in sorted(trials)
        if unit != IN_FLIGHT or reached[level] >= SUSTAINED * level
    ]
    if len(sustained) < MIN_LEVELS:
        return None
    # A limit that was not filled says nothing about that many calls in flight.
    best_level = max(sustained, key=lambda level: _throughput(trials[level]))
    levels = tuple(
        _level(
            level,
            trials[level],
            _compared(trials[level], trials[best_level], lambda trial: trial.throughput_per_s),
            verdicts=len(trials),
            is_sustained=level in sustained,
        )
        for level in sorted(trials)
    )
    by_level = {level.level: level for level in levels}
    close = [by_level[level] for level in sustained if by_level[level].reaches_best]
    advised = close[0]
    return SweepAdvice(
        operation=operation,
        strategy=strategy,
        unit=unit,
        levels=levels,
        advised=advised,
        best=by_level[best_level],
        plausible=(advised.level, close[-1].level),
        p95_cost=_compared(
            trials[advised.level],
            trials[levels[0].level],
            lambda trial: percentile([call.latency_s for call in trial.calls if call.ok], 95),
        ),
        client=_client(trials[best_level]),
    )


def _throughput(trials: Sequence[Trial]) -> float:
    return geometric_mean([trial.throughput_per_s for trial in trials])[0]


def _in_flight(trials: Sequence[Trial]) -> float:
    return median([trial.in_flight for trial in trials])


def _level(
    level: int, trials: Sequence[Trial], share: Speedup, *, verdicts: int, is_sustained: bool
) -> SweepLevel:
    calls = [call for trial in trials for call in trial.calls if call.ok]
    latencies = [1000 * call.latency_s for call in calls]
    return SweepLevel(
        level=level,
        throughput_per_s=_throughput(trials),
        share=share.corrected(verdicts),
        mean_ms=1000 * sum(call.duration_s for call in calls) / len(calls),
        p50_ms=percentile(latencies, 50),
        p95_ms=percentile(latencies, 95),
        in_flight=_in_flight(trials),
        is_sustained=is_sustained,
    )


def _compared(
    trials: Sequence[Trial], others: Sequence[Trial], value: Callable[[Trial], float]
) -> Speedup:
    """Say how many times the others' value theirs is; all of them count, and have such values."""
    found = gain(trials, others, value)
    return found or Speedup(1.0, None, None, 0)


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
        return f"{share.ratio:.0%} (fewer than {MIN_REPEATS} repeats: no interval)"
    if share.ratio == share.low == share.high:
        return f"{share.ratio:.0%}"
    return f"{share.ratio:.0%} ({share.low * 100:.0f}–{share.high:.0%})"


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


class Outcome(Enum):
    """What an open loop's trial, or all trials of a rate, showed. LATE says nothing of Milvus."""

    HELD = "held"
    SLOW = "the p99 was too high"
    GROWING = "calls came in faster than they were answered"
    LOST = "calls failed"
    LATE = "the client was too slow"


def outcome(trial: Trial, p99_ms: float) -> Outcome:
    """Say what an open loop's trial showed of a p99 that shall stay below so many ms."""
    if trial.is_void or not trial.calls:
        return Outcome.LATE
    if not trial.verified or any(not call.ok for call in trial.calls):
        return Outcome.LOST
    if 1000 * percentile([call.latency_s for call in trial.calls], 99) >= p99_ms:
        return Outcome.SLOW
    return Outcome.GROWING if is_growing(trial) else Outcome.HELD


def holds(trial: Trial, p99_ms: float) -> bool | None:
    """Say whether an open loop's trial kept its p99 below so many ms; None for a void one."""
    found = outcome(trial, p99_ms)
    return None if found is Outcome.LATE else found is Outcome.HELD


def confirming_trials(repeats: int) -> int:
    """Return how many valid trials confirm a rate: the one that found it, and the repeats."""
    return repeats + 1


@dataclass(frozen=True)
class RateLevel:
    """One rate of a search, or a closed loop's own.

    `outcome` is that of most valid trials, and LATE where none was valid. The p99 and its `calls`
    are of all valid trials together. `is_confirmed`: enough valid trials, most of which held, and
    enough calls for a p99.
    """

    rate_per_s: float
    p99_ms: float
    late: int
    calls: int
    outcome: Outcome
    held_trials: int
    trials: int  # valid ones
    void_trials: int
    in_flight: float
    lost: Mapping[str, int]  # calls that failed, by kind
    is_confirmed: bool

    @property
    def held(self) -> bool | None:
        """Whether it held; None where every trial was void."""
        return None if self.outcome is Outcome.LATE else self.outcome is Outcome.HELD

    @property
    def reason(self) -> str:
        """What it showed, in words with its figures."""
        if self.outcome is Outcome.LOST:
            return f"{counted(sum(self.lost.values()), 'call')} failed: {_kinds(self.lost)}"
        if self.outcome is Outcome.SLOW:
            return f"the p99 was {ms_text(self.p99_ms)}"
        return str(self.outcome.value)


@dataclass(frozen=True)
class RateAdvice:
    """The highest rate that was confirmed to keep the p99 below `p99_ms`.

    `rate_per_s` is None where no rate was confirmed; `fails_at_per_s` is the lowest rate above it
    that did not hold, None where there is none. `needed` is how many valid trials confirm a rate.
    `closed` is the same load as a closed loop.
    """

    p99_ms: float
    levels: tuple[RateLevel, ...]
    rate_per_s: float | None
    fails_at_per_s: float | None
    needed: int
    closed: RateLevel | None

    @property
    def void(self) -> int:
        """How many of the rates the client itself could not keep."""
        return sum(level.held is None for level in self.levels)

    @property
    def is_unmeasurable(self) -> bool:
        """Say whether no rate was confirmed because the client could not keep most of them."""
        return self.rate_per_s is None and 2 * self.void > len(self.levels)

    @property
    def brief(self) -> str:
        """The advice as a list of runs shows it: '580/s'."""
        if self.is_unmeasurable:
            return "not measurable"
        return f"{self.rate_per_s:,.0f}/s" if self.rate_per_s else "no rate confirmed"

    @property
    def short(self) -> str:
        """The advice in at most ten words."""
        if self.is_unmeasurable:
            return "Not measurable: the client was too slow"
        found = self.rate_per_s
        if not found:
            return "No rate was confirmed"
        return f"Keeps up with {rate_text(found)} calls/s, p99 below {self.p99_ms:g} ms"

    @property
    def to_set(self) -> tuple[str, ...]:
        """What to set, in a sentence; nothing where no rate was confirmed."""
        found = self.rate_per_s
        return (f"Start at most {rate_text(found)} calls a second.",) if found else ()

    @property
    def at_rate(self) -> RateLevel | None:
        """The level at the rate found."""
        return next((one for one in self.levels if one.rate_per_s == self.rate_per_s), None)

    @property
    def sentence(self) -> str:
        """The advice in one line, with what the next higher rate showed."""
        level = self.at_rate
        if level is None:
            return self._nothing_found
        return (
            f"Holds {rate_text(level.rate_per_s)} calls/s with a p99 below {self.p99_ms:g} ms: "
            f"{ms_text(level.p99_ms)} (n = {level.calls:,}) in {level.held_trials} of "
            f"{counted(level.trials, 'trial')}, {level.in_flight:,.3g} calls in flight; "
            f"{self._above(level)}."
        )

    def _above(self, found: RateLevel) -> str:
        """Say what the next higher rate showed."""
        higher = [level for level in self.levels if level.rate_per_s > found.rate_per_s]
        if not higher:
            return "no higher rate was tried"
        next_one = higher[0]
        rate = f"{rate_text(next_one.rate_per_s)}/s"
        if next_one.held is None:
            return f"at {rate} the client was too slow to tell"
        if next_one.held:
            return f"{rate} was not confirmed"
        return f"{rate} did not hold ({next_one.reason})"

    @property
    def _nothing_found(self) -> str:
        """Say why no rate is advised, by what the rates themselves showed."""
        rates = counted(len(self.levels), "rate")
        if self.is_unmeasurable:
            return f"Not measurable here: the client was too slow at {self.void} of {rates}."
        late = f" At {self.void} of {rates} the client was too slow to tell." if self.void else ""
        held = [level for level in self.levels if level.held]
        if held:
            best = held[-1]
            why = f"{self.needed} valid trials confirm a rate"
            if best.calls < P99_SAMPLES:
                why = f"a p99 takes {P99_SAMPLES} calls"
            return (
                f"No rate was confirmed: {rate_text(best.rate_per_s)}/s held in "
                f"{best.held_trials} of {counted(best.trials, 'trial')} (n = {best.calls:,}), "
                f"and {why}.{late}"
            )
        failed = [level for level in self.levels if level.held is False]
        lowest = failed[0]
        at = f"at {rate_text(lowest.rate_per_s)}/s"
        if lowest.outcome is Outcome.SLOW:
            return (
                f"No rate kept the p99 below {self.p99_ms:g} ms: {at} it was "
                f"{lowest.p99_ms:,.3g} ms.{late}"
            )
        return f"No rate held: {at} {lowest.reason}.{late}"

    @property
    def contrast(self) -> str:
        """Closed and open latency of the same load side by side, and why they differ."""
        level = self.at_rate
        if level is None or self.closed is None:
            return ""
        told = (
            f"A closed loop with as many calls in flight: p99 {self.closed.p99_ms:,.3g} ms at "
            f"{rate_text(self.closed.rate_per_s)}/s. "
        )
        if self.closed.p99_ms <= level.p99_ms:
            return told + (
                "It waits while the server stalls; the open loop counts from the scheduled start."
            )
        if self.closed.rate_per_s > level.rate_per_s:
            return told + "It makes its next call at once: more load."
        return told + "The server was slower during that trial."


def rate_advice(settings: Mapping[str, Any], every: Sequence[Trial]) -> RateAdvice | None:
    """Return the highest rate of a search, or None for a run that searched for none."""
    p99_ms = float(settings.get("p99_ms") or 0.0)
    needed = confirming_trials(int(settings.get("repeats") or 1))
    trials = [trial for trial in every if trial.is_timed and not trial.warmup]
    by_rate: dict[float, list[Trial]] = {}
    for trial in trials:
        if trial.rate_per_s:
            by_rate.setdefault(trial.rate_per_s, []).append(trial)
    if not p99_ms or not by_rate:
        return None
    levels = tuple(rate_level(rate, by_rate[rate], p99_ms, needed) for rate in sorted(by_rate))
    failed = [level.rate_per_s for level in levels if level.held is False]
    confirmed = [
        level.rate_per_s
        for level in levels
        if level.is_confirmed and not any(rate < level.rate_per_s for rate in failed)
    ]
    found = max(confirmed, default=None)
    closed = [trial for trial in trials if trial.rate_per_s is None and trial.verified]
    most = max((trial.concurrency or 1 for trial in closed), default=1)
    beside = [trial for trial in closed if trial.concurrency == most and trial.throughput_per_s]
    return RateAdvice(
        p99_ms=p99_ms,
        levels=levels,
        rate_per_s=found,
        fails_at_per_s=min((rate for rate in failed if rate > (found or 0.0)), default=None),
        needed=needed,
        closed=rate_level(_throughput(beside), beside, p99_ms, needed) if beside else None,
    )


def rate_level(rate: float, trials: Sequence[Trial], p99_ms: float, needed: int) -> RateLevel:
    """Return what a rate's trials showed; `needed` valid ones confirm it. There is at least one."""
    showed = [(trial, outcome(trial, p99_ms)) for trial in trials]
    valid = [trial for trial, what in showed if what is not Outcome.LATE]
    shown = valid or list(trials)
    latencies = [1000 * call.latency_s for trial in shown for call in trial.calls if call.ok]
    outcomes = Counter(what for _, what in showed if what is not Outcome.LATE)
    held, p99 = outcomes[Outcome.HELD], percentile(latencies, 99) if latencies else 0.0
    # A p99 can fail once by chance: what most valid trials showed, and all their calls together.
    if 2 * held > len(valid):
        most = Outcome.HELD if p99 < p99_ms else Outcome.SLOW
    else:
        others = [one for one, _ in outcomes.most_common() if one is not Outcome.HELD]
        most = next(iter(others), Outcome.LATE)
    return RateLevel(
        rate_per_s=rate,
        p99_ms=p99,
        late=sum(trial.late_starts for trial in trials),
        calls=len(latencies),
        outcome=most,
        held_trials=held,
        trials=len(valid),
        void_trials=len(trials) - len(valid),
        in_flight=_in_flight(shown),
        lost=_lost(valid),
        is_confirmed=most is Outcome.HELD
        and len(valid) >= needed
        and len(latencies) >= P99_SAMPLES,
    )


def _lost(trials: Sequence[Trial]) -> dict[str, int]:
    """Return the calls that failed for good, by kind, the most frequent first."""
    kinds = Counter(
        call.error or "failed" for trial in trials for call in trial.calls if not call.ok
    )
    return dict(kinds.most_common())


def _kinds(kinds: Mapping[str, int]) -> str:
    return "; ".join(f"{n:,}× {kind}" for kind, n in kinds.items())


# Overload


@dataclass(frozen=True)
class OverloadLevel:
    """One way to issue many calls at once: how many were lost, by kind, and the time.

    A call is lost when it failed for good, for whatever reason. `retried` are refusals after which
    the call was made again; those that were not are among the lost. `wall_s` is a geometric mean.
    """

    key: CellKey
    calls: int  # a trial
    lost: Mapping[str, int]  # of all trials together
    refused: Mapping[str, int]  # attempts turned away, those that were retried included
    trials: int
    wall_s: float

    @property
    def label(self) -> str:
        """How the calls were issued."""
        return cell_label(self.key)

    @property
    def lost_calls(self) -> int:
        """How many calls failed for good, of all trials together."""
        return sum(self.lost.values())

    @property
    def retried(self) -> int:
        """How many refusals were followed by another attempt."""
        final = sum(n for kind, n in self.lost.items() if kind in self.refused)
        return max(sum(self.refused.values()) - final, 0)

    @property
    def sentence(self) -> str:
        """What became of the calls, in one line."""
        total = self.calls * self.trials
        text = f"{self.label}: {self.lost_calls:,} of {counted(total, 'call')} lost in "
        # Calls of several trials never stand beside the seconds of one.
        text += f"{self.trials} trials of " if self.trials > 1 else ""
        text += duration_text(self.wall_s)
        if self.lost:
            text += f" ({_kinds(self.lost)})"
        if self.retried:
            again = "was tried again" if self.retried == 1 else "were tried again"
            text += f"; {counted(self.retried, 'refusal')} {again} ({_kinds(self.refused)})"
        return f"{text}."


@dataclass(frozen=True)
class OverloadAdvice:
    """What breaks without a limit, and what avoids it."""

    levels: tuple[OverloadLevel, ...]
    breaks_at: int | None  # calls at once; None where none was lost
    most: int  # calls at once that were tried

    @property
    def brief(self) -> str:
        """What broke as a list of runs shows it."""
        return f"breaks at {self.breaks_at:,}" if self.breaks_at else "nothing broke"

    @property
    def short(self) -> str:
        """What broke in at most eight words."""
        if self.breaks_at is None:
            return f"No call was lost with {self.most:,} at once"
        return f"{self.breaks_at:,} calls at once are too many"

    @property
    def sentence(self) -> str:
        """What breaks first and why, in one line."""
        unlimited = self._level("gather")
        limited = self._level("gather_limited")
        if self.breaks_at is None:
            text = f"No call was lost with up to {self.most:,} at once"
            if unlimited is None or limited is None:
                return f"{text}."
            return (
                f"{text}: {duration_text(unlimited.wall_s)} without a limit, "
                f"{duration_text(limited.wall_s)} with {limited.label}."
            )
        text = f"{self.breaks_at:,} calls at once are too many"
        if unlimited is not None:
            share = unlimited.lost_calls / (unlimited.calls * unlimited.trials)
            why = next(iter(unlimited.lost), "")
            text += f": {share:.0%} lost without a limit"
            text += f" ({why})" if why else ""
        if limited is not None:
            lost = f"{limited.lost_calls / limited.trials:,.3g}" if limited.lost else "none"
            text += f", {lost} with {limited.label} ({duration_text(limited.wall_s)})"
        return f"{text}."

    @property
    def to_set(self) -> tuple[str, ...]:
        """What to set: the ways in which no call was lost, the fastest first."""
        safe = [
            one for one in self.levels if not one.lost and STRATEGIES[one.key.strategy].is_async
        ]
        if self.breaks_at is None or not safe:
            return ()
        told = [
            f"{one.label} ({duration_text(one.wall_s)})"
            for one in sorted(safe, key=lambda one: one.wall_s)
        ]
        return (f"Lost no call of {self.most:,}: {', '.join(told)}.",)

    def _level(self, strategy: str) -> OverloadLevel | None:
        """Return a strategy's level in which no refused call was tried again."""
        mine = (level for level in self.levels if level.key.strategy == strategy)
        return next((level for level in mine if not level.key.retries), None)


def loses(trial: Trial) -> bool:
    """Say whether calls of a trial failed for good, for whatever reason."""
    return any(not call.ok for call in trial.calls)


def overload_advice(experiment: str, every: Sequence[Trial]) -> OverloadAdvice | None:
    """Return what an overload showed, or None for another run."""
    if experiment != OVERLOAD:
        return None
    trials = [trial for trial in every if not trial.warmup]
    if not trials:
        return None
    unlimited = [trial for trial in trials if trial.strategy == "gather" and not trial.retries]
    most = max(trial.count for trial in trials)
    cells = by_cell(trial for trial in trials if trial.count == most)
    return OverloadAdvice(
        levels=tuple(_overload_level(key, mine) for key, mine in cells.items()),
        breaks_at=min((trial.count for trial in unlimited if loses(trial)), default=None),
        most=most,
    )


def _overload_level(key: CellKey, trials: Sequence[Trial]) -> OverloadLevel:
    walls = [trial.wall_s for trial in trials if trial.wall_s]
    return OverloadLevel(
        key=key,
        calls=len(trials[0].calls),
        lost=_lost(trials),
        refused=dict(sum((Counter(trial.refused) for trial in trials), Counter[str]())),
        trials=len(trials),
        wall_s=geometric_mean(walls)[0] if walls else 0.0,
    )


Advice = SweepAdvice | RateAdvice | OverloadAdvice | ServiceVerdict | ChainVerdict


def sentences(
    sweeps: Sequence[SweepAdvice],
    rate: RateAdvice | None,
    overload: OverloadAdvice | None,
    verdict: ServiceVerdict | ChainVerdict | None,
) -> tuple[str, ...]:
    """Return all advice that a run supports, the advice itself first, in whole sentences."""
    said: list[str] = []
    for sweep in sweeps:
        told = (sweep.cost, sweep.little if sweep.is_limit else "") if sweep.is_decided else ()
        said += [sweep.sentence, *told]
    if rate:
        said += [rate.sentence, rate.contrast]
    if overload:
        said += [overload.sentence, *(level.sentence for level in overload.levels)]
    if verdict:
        said += [verdict.sentence, *verdict.lines]
    return tuple(filter(None, said))


def rows_a_second(cells: Sequence[CellSummary]) -> str:
    """Say what batches bring and what gathering them adds; empty unless a loop has both.

    The gains of the two multiply, so that the largest alone would claim that of batches for async.
    """
    measured = [cell for cell in cells if cell.throughput_per_s]
    loops = [cell for cell in measured if cell.strategy == BASELINE]
    sizes = {cell.batch for cell in loops}
    if len(sizes) < 2 or len({(cell.operation, cell.count) for cell in measured}) > 1:
        return ""
    told = ", ".join(f"{cell.label} {cell.throughput_per_s:,.0f}" for cell in measured)
    single, batched = (pick(loops, key=lambda cell: cell.batch) for pick in (min, max))
    gain = (batched.throughput_per_s or 0) / (single.throughput_per_s or 1)
    said = f"Rows a second: {told}. Batches of {batched.batch} alone bring {ratio_text(gain)}"
    awaited = [
        cell.throughput_per_s or 0
        for cell in measured
        if STRATEGIES[cell.strategy].is_async and cell.batch == batched.batch
    ]
    if awaited:
        more = max(awaited) / (batched.throughput_per_s or 1)
        said += f", gathering them {ratio_text(more)} more"
    return f"{said}."
