"""EXPERIMENTS: which cell comes next, as generators that are sent each finished trial.

The experiment "compare" knows all its cells beforehand. "rate" and "overload" choose the next one
by what the last ones showed.
"""

import dataclasses
import math
import random
from collections.abc import Callable, Generator

from lib.benchmark.advice import holds
from lib.benchmark.strategies import STRATEGIES
from lib.benchmark.trials import COMPARE, OVERLOAD, RATE, Trial
from lib.benchmark.workload import (
    MAX_RATE_PER_S,
    Cell,
    Plan,
)

# (cell, repeat); a repeat of None is a warm-up, after which None is sent instead of a trial.
Steps = Generator[tuple[Cell, int | None], Trial | None, None]

# A search ends when the highest rate that held and the lowest that did not are this close.
CLOSE = 1.03
# A p99 rests on some calls beyond it.
CALLS_OF_A_LEVEL = 500
LONGEST_LEVEL_S = 10.0
SLOWEST_RATE_PER_S = 0.5
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

    The rate doubles until a level fails, then the gap is bisected. The rate found is confirmed in
    `plan.repeats` trials, and its load is made once more as a closed loop, to stand beside it.
    """
    operation = plan.operations[0]
    name = next(name for name in plan.strategies if STRATEGIES[name].is_open)
    closed = Cell(operation, "gather_limited", 0, 1, seconds=plan.seconds)
    for _ in range(plan.warmup):
        yield closed, None
    lone = yield closed, 0
    tried: dict[float, int] = {}

    def level(rate: float) -> Generator[tuple[Cell, int | None], Trial | None, Trial | None]:
        """Make one level; once more when the client was too busy to keep the rate."""
        rate = _rounded(rate)
        seconds = min(max(plan.seconds, CALLS_OF_A_LEVEL / rate), LONGEST_LEVEL_S)
        trial = None
        for _ in range(ATTEMPTS):
            repeat = tried.get(rate, 0)
            tried[rate] = repeat + 1
            trial = yield Cell(operation, name, 0, None, rate, seconds=seconds), repeat
            if trial is not None and not trial.is_void:
                break
        return trial

    def is_held(trial: Trial | None) -> bool:
        return trial is not None and holds(trial, plan.p99_ms) is True

    rate = max(lone.throughput_per_s if lone else 1.0, SLOWEST_RATE_PER_S)
    low, high = 0.0, math.inf
    best: Trial | None = None
    while math.isinf(high) or not low or high / low > CLOSE:
        trial = yield from level(rate)
        if is_held(trial):
            low, best = rate, trial
        else:
            high = rate
        if rate <= SLOWEST_RATE_PER_S or low >= MAX_RATE_PER_S:
            break
        if math.isinf(high):
            rate = min(2 * rate, MAX_RATE_PER_S)
        else:
            rate = math.sqrt(low * high) if low else max(high / 2, SLOWEST_RATE_PER_S)
    if best is None:
        return
    for _ in range(plan.repeats):
        trial = yield from level(low)
        if not is_held(trial):
            low /= CLOSE
    limit = max(round(best.in_flight), 1)
    for repeat in range(plan.repeats):
        yield dataclasses.replace(closed, concurrency=limit), repeat + (limit == 1)


def _rounded(rate_per_s: float) -> float:
    return float(f"{rate_per_s:.4g}")


def overload(plan: Plan) -> Steps:
    """Gather more and more calls at once until some are refused; then try what avoids that."""
    operation, limit = plan.operations[0], plan.concurrency[0]
    for _ in range(plan.warmup):
        yield Cell(operation, "gather_limited", plan.counts[0], limit), None
    count = plan.counts[0]
    for count in sorted(plan.counts):
        trial = yield Cell(operation, "gather", count, None), 0
        if trial is not None and trial.refused:
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
}
