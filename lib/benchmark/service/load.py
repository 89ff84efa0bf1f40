"""The users of a service, and their neighbour: a request that asks for nothing, every 50 ms.

Users ask one question after another, each with a connection of its own. The neighbour's requests
are due whatever became of the earlier ones, and each counts from the moment it was due: a neighbour
that waited for its answer would hide the very stall that it is there to see.
"""

import asyncio
import itertools
import math

from lib.benchmark.recorder import Recorder, error_kind
from lib.benchmark.retriever import in_flight
from lib.benchmark.service.client import Client

PING_EVERY_S = 0.05
# Connections that the neighbour has before the trial. A new one takes a held loop several rounds to
# accept, which is another question.
MOST_KEPT = 600


async def load(recorder: Recorder, style: str) -> None:
    """Let `recorder.concurrency` users search by one style, with the neighbour beside them.

    Returns when all have been answered. Raises Ended when the service has ended.
    """
    served = recorder.store
    users, neighbour = served.client(), served.client()
    over = asyncio.Event()
    try:
        kept = min(math.ceil(recorder.seconds / PING_EVERY_S) or 1, MOST_KEPT)
        await asyncio.gather(users.open(recorder.concurrency or 1), neighbour.open(kept))
        heart = asyncio.create_task(_beat(recorder, neighbour, over))

        async def ask(i: int) -> None:
            await recorder.ameasure(i, lambda: served.ask(users, style, **recorder.arguments(i)))
            served.check()

        try:
            await in_flight(recorder, ask)
            over.set()
            await heart
        finally:
            heart.cancel()
    finally:
        users.close()
        neighbour.close()


async def _beat(recorder: Recorder, client: Client, over: asyncio.Event) -> None:
    """Send the neighbour's requests for as long as the users ask, and wait for the answers."""
    zero = recorder.clock()
    async with asyncio.TaskGroup() as sent:
        for i in itertools.count():
            due_s = i * PING_EVERY_S
            if recorder.seconds and due_s >= recorder.seconds:
                return
            await asyncio.sleep(max(zero + due_s - recorder.clock(), 0.0))
            if over.is_set() or recorder.stopped:
                return
            sent.create_task(_ping(recorder, client, zero + due_s))


async def _ping(recorder: Recorder, client: Client, due: float) -> None:
    started, error = recorder.clock(), None
    try:
        await client.get("/ping")
    except OSError as failed:
        error = error_kind(failed)
    recorder.beats.append((due, started, recorder.clock(), error))
