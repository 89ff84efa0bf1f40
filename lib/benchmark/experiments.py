"""EXPERIMENTS: which cell comes next, as generators that are sent each finished trial.

The experiments "compare", "service" and "chain" know all their cells beforehand. "rate" and
"overload" choose the next one by what the last ones showed.
"""

import dataclasses
import math
import random
from collections.abc import Callable, Generator

from lib.results.advice import confirming_trials, holds, loses, rate_level
from lib.results.catalogue import STRATEGIES
from lib.results.plan import MAX_RATE_PER_S, Cell, Plan
from lib.results.summaries import median
from lib.results.trials import CHAIN, COMPARE, OVERLOAD, RATE, SERVICE, Trial

# (cell, repeat); a repeat of None is a warm-up, after which None is sent instead of a trial.
Steps = Generator[tuple[Cell, int | None], Trial | None, None]

# A search ends when the highest rate that held and the lowest that did not are this close.
CLOSE = 1.03
# A p99 rests on some calls beyond it.
CALLS_OF_A_LEVEL = 500
LONGEST_LEVEL_S = 10.0
SLOWEST_RATE_PER_S = 0.5
LOWEST_SHARE = 0.1
# A busy moment of the client voids a level; after so many the client is the limit.
ATTEMPTS = 3
# A token bucket that fills a little more slowly than the server empties it never overflows.
BELOW_CAPACITY = 0.99


def compare(plan: Plan) -> Steps:
    """Make every cell; those of a group alternate within each repeat, shuffled by the seed."""
    dice = random.Random(plan.seed)
    for group in plan.groups():
        rounds: list[int | None] = [None] * plan.warmup
        for repeat in [*rounds, *range(plan.repeats)]:
            order = list(group)
            dice.shuffle(order)
            for cell in order:
                yield cell, repeat


def highest_rate(plan: Plan) -> Steps:
    """Search for the highest rate at which the open loop's p99 stays below `plan.p99_ms`.

    The rate doubles until a level fails, then the gap is bisected. A level whose trials are void
    is neither held nor too high: the search goes on below it, because the client can measure no
    more. The rate found is confirmed in `plan.repeats` further trials; one that does not hold
    gives way to a lower one, until a rate is confirmed. Its load, by its own calls in flight, is
    made once more as a closed loop, to stand beside it.
    """
    operation = plan.operations[0]
    name = next(name for name in plan.strategies if STRATEGIES[name].is_open)
    closed = Cell(operation, "gather_limited", 0, 1, seconds=plan.seconds)
    for _ in range(plan.warmup):
        yield closed, None
    lone = yield closed, 0
    made: dict[float, list[Trial]] = {}

    def cell(rate: float) -> Cell:
        seconds = min(max(plan.seconds, CALLS_OF_A_LEVEL / rate), LONGEST_LEVEL_S)
        return Cell(operation, name, 0, None, rate, seconds=seconds)

    def level(rate: float) -> Generator[tuple[Cell, int | None], Trial | None, bool | None]:
        """Make a trial and say whether it held; again when the client was too busy to keep it."""
        mine = made.setdefault(rate, [])
        for _ in range(ATTEMPTS):
            trial = yield cell(rate), len(mine)
            if trial is None:
                return None
            mine.append(trial)
            if (is_held := holds(trial, plan.p99_ms)) is not None:
                return is_held
        return None

    start = max(lone.throughput_per_s if lone else 1.0, SLOWEST_RATE_PER_S)
    # Below a tenth of what one caller reaches, it is not the load that is too high.
    lowest = max(start * LOWEST_SHARE, SLOWEST_RATE_PER_S)
    rate = _rounded(start)
    for _ in range(plan.warmup):
        yield cell(rate), None
    low, high = 0.0, math.inf
    while math.isinf(high) or not low or high / low > CLOSE:
        if (yield from level(rate)):
            low = rate
        else:
            # Too high, or more than this client can measure: either way the answer lies below.
            high = rate
        if (not low and rate <= lowest) or low >= MAX_RATE_PER_S:
            break
        if math.isinf(high):
            rate = _rounded(min(2 * rate, MAX_RATE_PER_S))
        else:
            rate = _rounded(math.sqrt(low * high) if low else max(high / 2, lowest))
        if rate in made:
            break
    found = yield from _confirmed(plan, level, made, low, lowest)
    valid = [trial for trial in made.get(found, ()) if not trial.is_void]
    if not valid:
        return
    limit = max(round(median([trial.in_flight for trial in valid])), 1)
    for repeat in range(plan.repeats):
        yield dataclasses.replace(closed, concurrency=limit), repeat + (limit == 1)


def _confirmed(
    plan: Plan,
    level: Callable[[float], Generator[tuple[Cell, int | None], Trial | None, bool | None]],
    made: dict[float, list[Trial]],
    rate: float,
    lowest: float,
) -> Generator[tuple[Cell, int | None], Trial | None, float]:
    """Confirm a rate in enough valid trials, or lower and lower ones; return 0 where none held."""
    needed = confirming_trials(plan.repeats)
    step = CLOSE
    while rate and rate >= lowest:
        if not made.get(rate):
            yield from level(rate)
        while True:
            found = rate_level(rate, made[rate], plan.p99_ms, needed)
            if found.is_confirmed:
                return rate
            failed = found.trials - found.held_trials
            if found.trials >= needed or 2 * failed >= needed:
                break
            if (yield from level(rate)) is None:
                break  # the client cannot keep this rate
        if found.held and found.trials >= needed:
            return 0.0  # too few calls for a p99, and a lower rate makes fewer
        rate = _rounded(rate / step)
        step *= step  # 3 %, 6 %, 13 %: a busy machine does not try for hours
    return 0.0


def _rounded(rate_per_s: float) -> float:
    return float(f"{rate_per_s:.4g}")


def overload(plan: Plan) -> Steps:
    """Gather more and more calls at once until some are lost; then try what avoids that."""
    operation, limit = plan.operations[0], plan.concurrency[0]
    for _ in range(plan.warmup):
        yield Cell(operation, "gather_limited", plan.counts[0], limit), None
    count = plan.counts[0]
    for count in sorted(plan.counts):
        trial = yield Cell(operation, "gather", count, None), 0
        if trial is not None and loses(trial):
            break
    limited = Cell(operation, "gather_limited", count, limit)
    rate = plan.rates[0] if plan.rates else 0.0
    for repeat in range(plan.repeats):
        if repeat:
            yield Cell(operation, "gather", count, None), repeat
        trial = yield limited, repeat
        # One rate for all repeats, taken from the first: they belong to one cell.
        rate = rate or _rounded(BELOW_CAPACITY * (trial.throughput_per_s if trial else 0.0))
        if rate:
            yield Cell(operation, "token_bucket", count, None, rate), repeat
        if plan.retries:
            yield Cell(operation, "gather", count, None, retries=plan.retries), repeat


EXPERIMENTS: dict[str, Callable[[Plan], Steps]] = {
    COMPARE: compare,
    RATE: highest_rate,
    OVERLOAD: overload,
    SERVICE: compare,
    CHAIN: compare,
}
