"""The neighbour of a service's users: a request that asks for nothing, every 50 ms.

Its requests are due whatever became of the earlier ones, and each counts from the moment it was
due: a neighbour that waited for its answer would hide the very stall that it is there to see. It
has a process of its own, because the answers to fifty users would make it late.
"""

import asyncio
import contextlib
import itertools
import math
import os
import time

from lib import event_loop
from lib.benchmark.recorder import error_kind
from lib.benchmark.service.client import Client, many_sockets

PING_EVERY_S = 0.05
# Connections that it has before the trial. A new one takes a held loop several rounds to accept,
# which is another question.
MOST_KEPT = 600
# When a request was due, when it was sent, when it was answered, and the kind of failure or None.
Beat = tuple[float, float, float, str | None]


class Neighbour:
    """Asks the service at a port of this computer. Times are of `perf_counter`, in s.

    That clock is the same in all processes of a computer.
    """

    def __init__(self, port: int) -> None:
        many_sockets()
        # It takes next to nothing of a processor and must be on time: where the system lets it, it
        # goes before all that compute.
        with contextlib.suppress(OSError, AttributeError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        self._client = Client(port)
        self._is_over = False

    def open(self, seconds: float) -> None:
        """Open the connections that a trial of so many seconds may need."""
        self._is_over = False
        event_loop.run(self._client.open(min(math.ceil(seconds / PING_EVERY_S), MOST_KEPT)))

    def beats(self, zero: float, seconds: float) -> list[Beat]:
        """Ask from `zero` on, for so many seconds or until `stop`, and wait for the answers."""
        try:
            return event_loop.run(self._beats(zero, seconds))
        finally:
            self.close()

    def stop(self) -> None:
        """Send no more requests."""
        self._is_over = True

    def close(self) -> None:
        """Close all connections."""
        event_loop.shared().loop.call_soon_threadsafe(self._client.close)

    async def _beats(self, zero: float, seconds: float) -> list[Beat]:
        asked = []
        async with asyncio.TaskGroup() as sent:
            for i in itertools.count(1):
                due = zero + i * PING_EVERY_S
                if due >= zero + seconds:
                    break
                await asyncio.sleep(max(due - time.perf_counter(), 0.0))
                if self._is_over:
                    break
                asked.append(sent.create_task(self._ping(due)))
        return [each.result() for each in asked]

    async def _ping(self, due: float) -> Beat:
        started, error = time.perf_counter(), None
        try:
            await self._client.get("/ping")
        except OSError as failed:
            error = error_kind(failed)
        return due, started, time.perf_counter(), error
