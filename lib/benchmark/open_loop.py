"""Calls that start at a given rate, whatever the answers do; and a token bucket.

In a closed loop a stalled server also stalls the client: the calls that would have suffered are
never made, and the latencies look good. An open loop starts each call when it is due and counts
its latency from that moment (Gil Tene calls the mistake coordinated omission).
"""

import asyncio
import itertools
import random
from collections.abc import Iterable

from lib.benchmark.recorder import Recorder


async def open_constant(recorder: Recorder) -> None:
    """Start the calls evenly spaced."""
    rate = _rate(recorder)
    await _open(recorder, (i / rate for i in itertools.count()))


async def open_poisson(recorder: Recorder) -> None:
    """Start the calls at random moments, as from many callers who do not know each other."""
    rate, dice = _rate(recorder), random.Random(recorder.seed)
    await _open(recorder, itertools.accumulate(dice.expovariate(rate) for _ in itertools.count()))


async def _open(recorder: Recorder, schedule: Iterable[float]) -> None:
    """Start each call when the schedule says that it is due, in seconds from the first one."""
    zero = recorder.clock()
    async with asyncio.TaskGroup() as calls:
        for i, due in zip(range(recorder.calls), schedule, strict=False):
            if recorder.stopped or (recorder.seconds and due >= recorder.seconds):
                return
            # A sleep of 0 s is needed too: it lets the calls run that are due.
            await asyncio.sleep(max(zero + due - recorder.clock(), 0.0))
            calls.create_task(recorder.acall(i, zero + due))


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
