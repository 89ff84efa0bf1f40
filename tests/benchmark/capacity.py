"""Servers whose capacity is known: service time, how many at once, and what they refuse."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from langchain_core.documents import Document

from lib.benchmark.runner import run_in
from lib.jobs import Job
from lib.results.plan import Plan
from lib.results.trials import Run
from tests.benchmark.stubs import StubWorkspace
from tests.benchmark.virtual_loop import VirtualGuard

SEARCH = "similarity_search_by_vector"


class RequestLimitExceeded(Exception):
    """What a Milvus says whose queue is full."""

    def __init__(self) -> None:
        super().__init__("request limit exceeded[limit=1024]")


@dataclass
class Capacity:
    """Serves `parallel` calls at once, each for `service_s`; more than `queue` waiting is refused.

    `spread` makes service times vary (the sigma of a lognormal with mean `service_s`);
    `thrash` makes each call slower by that share for every call in flight beyond `parallel`;
    `stall_at_s` and `stall_s` stop everything once, after so many seconds of the trial.
    """

    service_s: float
    parallel: int
    queue: int = 10**9
    spread: float = 0.0
    thrash: float = 0.0
    stall_at_s: float | None = None
    stall_s: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def per_s(self) -> float:
        """Calls a second at most."""
        return self.parallel / self.service_s


class CapacityStore:
    """A store whose searches take what the capacity says."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.rows = {f"doc_{i}" for i in range(200)}
        self._dice = random.Random(5)
        self.restart()

    def restart(self) -> None:
        """Begin a trial: nothing waits, and nothing has stalled yet."""
        self._served = asyncio.Semaphore(self.capacity.parallel)
        self._inside = 0
        self._begun: float | None = None

    async def asimilarity_search_by_vector(self, embedding: list[float], k: int) -> list[Document]:
        capacity = self.capacity
        if self._inside >= capacity.parallel + capacity.queue:
            capacity.refused["limit"] += 1
            raise RequestLimitExceeded
        self._inside += 1
        try:
            async with self._served:
                if capacity.stall_at_s is not None:
                    await self._stall(capacity.stall_at_s)
                await asyncio.sleep(self._service_s())
                return []
        finally:
            self._inside -= 1

    async def _stall(self, at_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._begun is None:
            self._begun = loop.time()
        begin = self._begun + at_s
        end = begin + self.capacity.stall_s
        if begin <= loop.time() < end:
            await asyncio.sleep(end - loop.time())

    def _service_s(self) -> float:
        capacity = self.capacity
        beyond = max(self._inside - capacity.parallel, 0)
        service_s = capacity.service_s * (1 + capacity.thrash * beyond)
        if not capacity.spread:
            return service_s
        return service_s * self._dice.lognormvariate(-(capacity.spread**2) / 2, capacity.spread)


class CapacityWorkspace(StubWorkspace):
    """Starts each trial with an idle server."""

    def prepare(self, operation: Any, count: int) -> None:
        self.store.restart()


def measured(plan: Plan, capacity: Capacity) -> Run:
    """Run a plan against a server of known capacity, on a virtual clock."""
    guard = VirtualGuard()
    workspace = CapacityWorkspace(CapacityStore(capacity))
    return run_in(plan, workspace, job=Job("test", "test"), guard=guard, clock=guard.clock)


# Ten servers: fast and slow, narrow and wide, even and uneven, and some that suffer from a crowd.
SERVERS = (
    Capacity(0.005, 1),
    Capacity(0.010, 2),
    Capacity(0.020, 4),
    Capacity(0.020, 8, spread=0.3),
    Capacity(0.050, 16),
    Capacity(0.040, 12, spread=0.5),
    Capacity(0.100, 32),
    Capacity(0.050, 24, spread=0.2),
    Capacity(0.010, 4, thrash=0.002),
    Capacity(0.080, 64),
)
