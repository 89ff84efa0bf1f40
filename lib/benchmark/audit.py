"""Is a method really async? The RPCs of each pair, counted at the channel, and by which thread.

    python -m lib.benchmark audit --uri http://localhost:19530 --output audit.json

An RPC of the sync client on the loop's thread holds the loop until Milvus has answered. Beside the
RPCs it is measured what a neighbour on the loop waits, and what gathering gains. Beside the
fourteen pairs stand two searches that make more of `similarity_search`.
"""

import asyncio
import dataclasses
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from langchain_milvus import Milvus
from pymilvus import AsyncMilvusClient

from lib import event_loop
from lib.benchmark import environment
from lib.benchmark.processors import Others
from lib.benchmark.recorder import Recorder
from lib.benchmark.strategies import STRATEGIES, keeper
from lib.benchmark.workspace import MilvusWorkspace
from lib.errors import OperationFailed
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.operations import OPERATIONS, Operation
from lib.results.audit import Audit, Audited
from lib.results.catalogue import Effect
from lib.results.plan import Plan
from lib.settings import Settings

# A neighbour on the loop wakes so often, in s.
NEIGHBOUR_S = 0.001
# Async calls of a pair alone: the first warms up, and the least that one of the others holds
# counts, because a busy machine makes each hold longer.
ALONE = 9
# A call that creates a collection takes hundreds of times as long as any other.
CREATES_FEWER = 20
LOOP, GATHERED = "sync_loop", "gather"


class _Asked:
    """A store whose searches are those of another pair of methods."""

    def __init__(self, sync: Callable[..., Any], asynchronous: Callable[..., Any]) -> None:
        self.similarity_search = sync
        self.asimilarity_search = asynchronous


def _scored(store: Milvus) -> _Asked:
    return _Asked(
        store.similarity_search_with_relevance_scores,
        store.asimilarity_search_with_relevance_scores,
    )


def _above_threshold(store: Milvus) -> _Asked:
    # What a retriever is asked beside the question stands in it.
    retriever = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.0}
    )
    return _Asked(
        lambda query, k: retriever.invoke(query, k=k),
        lambda query, k: retriever.ainvoke(query, k=k),
    )


@dataclasses.dataclass(frozen=True)
class Pair:
    """A pair by the sync side's name, and the operation that it is asked and judged as."""

    name: str
    operation: Operation
    target: Callable[[Milvus], Any] = lambda store: store


SEARCH = OPERATIONS["similarity_search"]
PAIRS = (
    *(Pair(name, operation) for name, operation in OPERATIONS.items()),
    Pair("similarity_search_with_relevance_scores", SEARCH, _scored),
    Pair("retriever with a score threshold", SEARCH, _above_threshold),
)


class _Rpcs:
    """The RPCs so far: a name, the thread, and whether a sync client made it."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int, bool]] = []

    def note(self, method: Any, *, is_sync: bool) -> None:
        path = method.decode() if isinstance(method, bytes) else str(method)
        self.made.append((path.rpartition("/")[2], threading.get_ident(), is_sync))


class _Sync(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no types
    def __init__(self, rpcs: _Rpcs) -> None:
        self._rpcs = rpcs

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        self._rpcs.note(details.method, is_sync=True)
        return continuation(details, request)


class _Async(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no types
    def __init__(self, rpcs: _Rpcs) -> None:
        self._rpcs = rpcs

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        self._rpcs.note(details.method, is_sync=False)
        return await continuation(details, request)


@contextmanager
def _counted() -> Iterator[_Rpcs]:
    """Count the RPCs of all channels that this process opens inside, whichever client does.

    The functions of grpc that open channels are replaced meanwhile: it depends on no name inside a
    client. Nothing else of the process may open a channel.
    """
    rpcs = _Rpcs()
    kept = {
        (module, name): getattr(module, name)
        for module in (grpc, grpc.aio)
        for name in ("insecure_channel", "secure_channel")
    }

    def counting(module: Any, opens: Callable[..., Any]) -> Callable[..., Any]:
        if module is grpc.aio:
            return lambda *given, **named: opens(*given, **named, interceptors=[_Async(rpcs)])
        return lambda *given, **named: grpc.intercept_channel(opens(*given, **named), _Sync(rpcs))

    for (module, name), opens in kept.items():
        setattr(module, name, counting(module, opens))
    try:
        yield rpcs
    finally:
        for (module, name), opens in kept.items():
            setattr(module, name, opens)


def audit(
    settings: Settings,
    model: EmbeddingModel,
    plan: Plan,
    on_pair: Callable[[Audited], None] = lambda pair: None,
    check: Callable[[], None] = lambda: None,
) -> Audit:
    """Audit every pair with a plan's one count, repeats, rows and simulated wait.

    Opens a connection of its own, and drops what it made. What `check` raises before some calls
    ends it. Raises what opening and calling raise, and OperationFailed for a pair whose calls did
    not do what they should.
    """
    with _counted() as rpcs:
        connection = open_connection(settings)
        try:
            workspace = MilvusWorkspace(plan, connection, model)
            try:
                facts = environment.describe(plan, connection, model, workspace.facts())
                said = (AsyncMilvusClient.__doc__ or "").lower()
                facts["async_client_is_experimental"] = "experimental" in said
                others, pairs = Others.beside(connection), []
                with others.watched():
                    for pair in PAIRS:
                        pairs.append(_Auditor(pair, plan, workspace, rpcs, check).audited())
                        on_pair(pairs[-1])
                if others.share is not None:
                    facts["other_programs"] = others.share
                return Audit(facts, tuple(pairs))
            finally:
                workspace.close()
        finally:
            connection.close()


class _Auditor:
    """One pair's audit."""

    def __init__(
        self,
        pair: Pair,
        plan: Plan,
        workspace: MilvusWorkspace,
        rpcs: _Rpcs,
        check: Callable[[], None],
    ) -> None:
        self._pair = pair
        self._plan = plan
        self._workspace = workspace
        self._rpcs = rpcs
        self._check = check
        self._lags_ms: list[float] = []
        self._loop_thread = 0

    def audited(self) -> Audited:
        """Make the calls: some alone, then many in a loop and gathered, in turn."""
        creates = self._pair.operation.effect is Effect.CREATES
        for _ in range(1 if creates else 2):
            self._trial(LOOP, 1)
        sync = tuple(name for name, _, _ in self._rpcs.made)
        held_ms = []
        for _ in range(1 if creates else ALONE):
            self._trial(GATHERED, 1)
            held_ms.append(max(self._lags_ms))
        made = list(self._rpcs.made)
        calls = max(self._plan.counts[0] // (CREATES_FEWER if creates else 1), 1)
        taken: dict[str, list[float]] = {LOOP: [], GATHERED: []}
        waited_ms = []
        for repeat in range(self._plan.repeats):
            for way in (LOOP, GATHERED) if repeat % 2 else (GATHERED, LOOP):
                taken[way].append(self._trial(way, calls))
                if way == GATHERED:
                    waited_ms.append(max(self._lags_ms))
        return Audited(
            self._pair.name,
            sync,
            tuple(name for name, _, _ in made),
            tuple(name for name, at, is_sync in made if is_sync and at == self._loop_thread),
            min(held_ms[1:] or held_ms),
            calls,
            tuple(taken[LOOP]),
            tuple(taken[GATHERED]),
            tuple(waited_ms),
        )

    def _trial(self, way: str, calls: int) -> float:
        """Make calls in one way, check and undo them; return the seconds that they took."""
        self._check()
        operation, workspace, strategy = self._pair.operation, self._workspace, STRATEGIES[way]
        recorder = Recorder(
            operation,
            self._pair.target(workspace.store),
            calls,
            lambda i: operation.arguments(workspace.inputs, i),
            count=calls,
            keep=keeper(strategy, operation),
        )
        workspace.prepare(operation, calls)
        workspace.begin_repeat(0)
        self._rpcs.made.clear()
        try:
            made = strategy.execute(recorder)
            if made is not None:
                event_loop.run(self._beside_a_neighbour(made))
            noted = list(self._rpcs.made)
            wrong = workspace.check(recorder).wrong
            if recorder.raised or wrong:
                what = [*recorder.finish(wrong)]
                raise OperationFailed(
                    f"{self._pair.name}: {next(call.error for call in what if not call.ok)}",
                    kept="Nothing was audited.",
                )
            workspace.restore(recorder)
        finally:
            workspace.release(recorder)
        self._rpcs.made[:] = noted
        return recorder.wall_s

    async def _beside_a_neighbour(self, calls: Awaitable[None]) -> None:
        """Await the calls, and note how late a task on the same loop is woken."""
        self._loop_thread = threading.get_ident()
        self._lags_ms = []
        due = time.perf_counter()

        async def wake() -> None:
            nonlocal due
            while True:
                due = time.perf_counter() + NEIGHBOUR_S
                await asyncio.sleep(NEIGHBOUR_S)
                self._lags_ms.append(1000 * max(time.perf_counter() - due, 0.0))

        neighbour = asyncio.create_task(wake())
        await asyncio.sleep(0)  # it sleeps before the first call begins
        try:
            await calls
        finally:
            # A loop that was held until now has not woken it yet.
            self._lags_ms.append(1000 * max(time.perf_counter() - due, 0.0))
            neighbour.cancel()
