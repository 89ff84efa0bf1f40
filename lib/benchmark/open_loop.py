"""Calls that start at a given rate, whatever the answers do; and a token bucket.

In a closed loop a stalled server also stalls the client: the calls that would have suffered are
never made, and the latencies look well. An open loop starts each call when it is due and counts
its latency from that moment (Gil Tene calls the mistake coordinated omission).
"""

import asyncio
import itertools
import random
from collections.abc import Iterator

from lib.benchmark.recorder import Recorder


def constant(rate_per_s: float) -> Iterator[float]:
    """Yield the seconds at which calls are due, evenly spaced."""
    for i in itertools.count():
        yield i / rate_per_s


def poisson(rate_per_s: float, seed: int) -> Iterator[float]:
    """Yield the seconds at which calls are due, as from many callers who do not know each other."""
    dice = random.Random(seed)
    due = 0.0
    while True:
        due += dice.expovariate(rate_per_s)
        yield due


async def open_constant(recorder: Recorder) -> None:
    """Start the calls evenly spaced."""
    await _open(recorder, constant(_rate(recorder)))


async def open_poisson(recorder: Recorder) -> None:
    """Start the calls at random moments with the same mean rate."""
    await _open(recorder, poisson(_rate(recorder), recorder.seed))


async def _open(recorder: Recorder, schedule: Iterator[float]) -> None:
    zero = recorder.clock()
    async with asyncio.TaskGroup() as calls:
        for i, due in zip(range(recorder.calls), schedule, strict=False):
            if recorder.stopped or (recorder.seconds and due >= recorder.seconds):
                return
            # A sleep of 0 s is needed too: it lets the calls run that are due.
            await asyncio.sleep(max(zero + due - recorder.clock(), 0.0))
            calls.create_task(recorder.acall_due(i, zero + due))


async def token_bucket(recorder: Recorder) -> None:
    """Start each call when the bucket has a token for it: `rate_per_s` a second flow in.

    The bucket holds `concurrency` tokens, and starts full.
    """
    rate, burst = _rate(recorder), recorder.concurrency or 1
    zero = recorder.clock()
    async with asyncio.TaskGroup() as calls:
        for i in recorder.turns():
            await asyncio.sleep(max(zero + (i + 1 - burst) / rate - recorder.clock(), 0.0))
            calls.create_task(recorder.acall(i))


def _rate(recorder: Recorder) -> float:
    if not recorder.rate_per_s:
        raise ValueError("An open loop needs a rate.")
    return recorder.rate_per_s
