"""A store and a workspace in memory, for what must be known exactly."""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from langchain_core.documents import Document

from lib.benchmark.answers import Checked
from lib.benchmark.recorder import NO_EFFECT, Recorder
from lib.benchmark.runner import run_in
from lib.jobs import Job
from lib.milvus.embeddings import SimulatedLatency, TimedEmbeddings
from lib.milvus.operations import Inputs, Operation
from lib.results.catalogue import Effect
from lib.results.plan import Plan
from lib.results.trials import Run

ROWS = 200


class VirtualClock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class ConstantEmbeddings(SimulatedLatency):
    """Embeds nothing, in a known time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(self, mean_ms=0)  # type: ignore[arg-type]
        self.seconds = seconds

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        time.sleep(self.seconds)
        return [[1.0] for _ in texts]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        await asyncio.sleep(self.seconds)
        return [[1.0] for _ in texts]


class Server:
    """Serves at most `capacity` calls at once, each for exactly `seconds`."""

    def __init__(self, seconds: float, capacity: int = 10_000) -> None:
        self.seconds = seconds
        self.threads = threading.BoundedSemaphore(capacity)
        self.capacity = capacity
        self._tasks: asyncio.Semaphore | None = None

    def serve(self) -> None:
        with self.threads:
            time.sleep(self.seconds)

    async def aserve(self) -> None:
        self._tasks = self._tasks or asyncio.Semaphore(self.capacity)
        async with self._tasks:
            await asyncio.sleep(self.seconds)


class StubStore:
    """Rows by key, a delete and a search; `failures` says which keys fail and how."""

    def __init__(
        self,
        *,
        wait: Callable[[], None] = lambda: None,
        server: Server | None = None,
        embed_s: float = 0.0,
        failures: dict[str, str] | None = None,
    ) -> None:
        self.rows = {f"doc_{i}" for i in range(ROWS)}
        self.failures = failures or {}
        self.calls = 0
        self._wait = wait
        self._server = server
        self._embeddings = TimedEmbeddings(ConstantEmbeddings(embed_s))

    def delete(self, expr: str) -> bool:
        self.calls += 1
        self._wait()
        if self._server:
            self._server.serve()
        return self._delete(expr.split('"')[1])

    async def adelete(self, expr: str) -> bool:
        self.calls += 1
        if self._server:
            await self._server.aserve()
        return self._delete(expr.split('"')[1])

    def _delete(self, key: str) -> bool:
        failure = self.failures.get(key, "")
        if failure == "raise":
            raise ConnectionResetError("the server hung up")
        if failure == "return False":
            return False
        if failure != "no effect":
            self.rows.discard(key)
        return True

    def add_texts(self, texts: list[str], metadatas: list[dict[str, Any]], ids: list[str]) -> None:
        self.calls += 1
        failure = next((self.failures[key] for key in ids if key in self.failures), "")
        if failure != "raise":
            self.rows.update(key for key in ids if self.failures.get(key) != "no effect")
            return
        raise ConnectionResetError("the server hung up")

    async def aadd_texts(self, **rows: Any) -> None:
        self.add_texts(**rows)

    def similarity_search(self, query: str, k: int) -> list[Document]:
        self._embeddings.embed_query(query)
        if self._server:
            self._server.serve()
        return []

    async def asimilarity_search(self, query: str, k: int) -> list[Document]:
        await self._embeddings.aembed_query(query)
        if self._server:
            await self._server.aserve()
        return []


# Made once: a proof makes thousands of workspaces, and nobody changes these.
EXISTING = [Document(page_content="x", id=f"doc_{i}") for i in range(ROWS)]
NEW = [Document(page_content="x", id=f"new_{i}") for i in range(ROWS)]
KEYS = frozenset(str(document.id) for document in EXISTING)


class StubWorkspace:
    """What the runner needs, without a Milvus."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.inputs = Inputs(
            new=NEW,
            new_vectors=[[1.0]] * ROWS,
            existing=EXISTING,
            queries=["a", "b"],
            query_vectors=[[1.0], [0.5]],
        )

    def prepare(self, operation: Operation, count: int) -> None:
        self.store.rows = set(KEYS)

    def begin_repeat(self, repeat: int) -> None:
        pass

    def check(self, recorder: Recorder) -> Checked:
        rows, asked = self.store.rows, range(recorder.count)
        if recorder.operation.effect is Effect.ADDS:
            return Checked({i: NO_EFFECT for i in asked if f"new_{i}" not in rows})
        if recorder.operation.effect is Effect.REMOVES:
            return Checked({i: NO_EFFECT for i in asked if f"doc_{i}" in rows})
        return Checked()

    def observed(self) -> dict[str, Any]:
        return {}

    def restore(self, recorder: Recorder) -> None:
        pass

    def release(self, recorder: Recorder) -> None:
        pass

    def close(self) -> None:
        pass


def measure(plan: Plan, store: Any, clock: Callable[[], float] = time.perf_counter) -> Run:
    """Run a plan on a stub store."""
    return run_in(plan, StubWorkspace(store), job=Job("test", "test"), clock=clock)


JITTERS: dict[str, Callable[[random.Random], float]] = {
    "normal": lambda dice: max(dice.gauss(0.010, 0.002), 0.0001),
    "skewed": lambda dice: 0.005 + 0.001 * dice.lognormvariate(1, 1),
    # Pareto with index 2: a finite mean and an infinite variance.
    "heavy-tailed": lambda dice: 0.005 + 0.005 * dice.paretovariate(2),
}
