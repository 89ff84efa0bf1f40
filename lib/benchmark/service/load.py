"""The users of a service: each asks one question after another, with a connection of its own."""

import asyncio

from lib.benchmark.recorder import Recorder

# They begin one after another within this time, or a tenth of a shorter trial: users who begin
# together would be answered together for as long as all wait the same.
SPREAD_S = 1.0


async def load(recorder: Recorder, style: str) -> None:
    """Let `recorder.concurrency` users search by one style, with the neighbour beside them.

    Returns when all have been answered. Raises Ended when the service has ended.
    """
    served = recorder.store
    clients, users = served.client(), recorder.concurrency or 1
    spread_s = min(SPREAD_S, recorder.seconds / 10)
    turns = recorder.turns()

    async def ask(i: int) -> None:
        await recorder.ameasure(i, lambda: served.ask(clients, style, **recorder.arguments(i)))
        served.check()

    async def user(number: int) -> None:
        await asyncio.sleep(number / users * spread_s)
        for i in turns:
            await ask(i)

    try:
        opened = asyncio.to_thread(served.neighbour.call, "open", recorder.seconds)
        await asyncio.gather(clients.open(users), opened)
        zero = recorder.clock()
        beats = asyncio.create_task(
            asyncio.to_thread(served.neighbour.call, "beats", zero, recorder.seconds)
        )
        try:
            await asyncio.gather(*map(user, range(users)))
            await asyncio.to_thread(served.neighbour.call, "stop")
            recorder.beats = await beats
        finally:
            beats.cancel()
    finally:
        clients.close()
