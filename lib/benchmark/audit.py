"""Is a method really async? The RPCs of each pair, counted at the channel, and by which thread.

    python -m lib.benchmark audit --uri http://localhost:19530 --output audit.json

An RPC of the sync client on the loop's thread holds the loop until Milvus has answered. Beside the
RPCs it is measured what a neighbour on the loop waits, and what gathering gains. Beside the
fourteen pairs stand two searches that make more of `similarity_search`, the cure of `afrom_texts`,
and what pymilvus's own async client takes for the calls that langchain-milvus makes of it.
"""

import asyncio
import dataclasses
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
from langchain_milvus import Milvus
from pymilvus import AsyncMilvusClient, DataType

from lib import event_loop
from lib.benchmark import environment
from lib.benchmark.processors import Others
from lib.benchmark.recorder import Recorder
from lib.benchmark.strategies import STRATEGIES, keeper
from lib.benchmark.workspace import MilvusWorkspace
from lib.errors import OperationFailed
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.milvus_collections import MAX_VARCHAR_BYTES
from lib.milvus.operations import OPERATIONS, Operation
from lib.results.audit import Audit, Audited, Instead
from lib.results.catalogue import PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD, Effect
from lib.results.plan import Plan
from lib.settings import Settings

# A neighbour on the loop wakes so often, in s.
NEIGHBOUR_S = 0.001
# Async calls of a pair alone for each repeat: the first of all warms up, and the least that one of
# the others holds counts, because a busy machine makes each hold longer.
ALONE = 3
# A call that creates a collection takes hundreds of times as long as any other.
CREATES_FEWER = 20
LOOP, GATHERED = "sync_loop", "gather"


class _Asked:
    """A store whose searches are those of another pair of methods."""

    def __init__(self, sync: Callable[..., Any], asynchronous: Callable[..., Any]) -> None:
        self.similarity_search = sync
        self.asimilarity_search = asynchronous


def _scored(workspace: MilvusWorkspace) -> _Asked:
    store = workspace.store
    return _Asked(
        store.similarity_search_with_relevance_scores,
        store.asimilarity_search_with_relevance_scores,
    )


def _above_threshold(workspace: MilvusWorkspace) -> _Asked:
    # What a retriever is asked beside the question stands in it.
    retriever = workspace.store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.0}
    )
    return _Asked(
        lambda query, k: retriever.invoke(query, k=k),
        lambda query, k: retriever.ainvoke(query, k=k),
    )


class _Cured:
    """`afrom_texts` with nothing on the loop: the collection is there before its store is built."""

    def __init__(self, workspace: MilvusWorkspace) -> None:
        self._client = workspace.store.aclient
        self._dimension = len(workspace.inputs.query_vectors[0])

    async def afrom_texts(
        self,
        texts: list[str],
        metadatas: list[dict[str, Any]],
        ids: list[str],
        embedding: Any,
        index_params: dict[str, Any],
        **options: Any,
    ) -> Milvus:
        """Create the collection with the async client, build its store in a thread, then add."""
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=True)
        text = {"datatype": DataType.VARCHAR, "max_length": MAX_VARCHAR_BYTES}
        schema.add_field(PRIMARY_FIELD, is_primary=True, **text)
        schema.add_field(TEXT_FIELD, **text)
        schema.add_field(VECTOR_FIELD, DataType.FLOAT_VECTOR, dim=self._dimension)
        await self._client.create_collection(
            options["collection_name"],
            schema=schema,
            consistency_level="Session",  # as afrom_texts does
        )
        # Building a store asks Milvus through the sync client, which makes the index and loads it.
        # The async one asks for a time first, which Milvus Lite does not give.
        store: Milvus = await asyncio.to_thread(
            Milvus, embedding, index_params=index_params, **options
        )
        await store.aadd_texts(texts, metadatas=metadatas, ids=ids)
        return store


class _Raw:
    """pymilvus's async client, asked for what langchain-milvus asks it for."""

    def __init__(self, workspace: MilvusWorkspace) -> None:
        store = workspace.store
        self._client, self._name = store.aclient, store.collection_name
        self._found = {
            "anns_field": store._vector_field,
            "search_params": store.search_params,
            "output_fields": store._get_output_fields(),
        }

    async def aadd_embeddings(
        self,
        texts: Sequence[str],
        embeddings: Sequence[list[float]],
        metadatas: Sequence[dict[str, Any]],
        ids: Sequence[str],
    ) -> None:
        """Insert rows."""
        rows = zip(ids, texts, embeddings, metadatas, strict=True)
        await self._client.insert(
            self._name,
            [
                {PRIMARY_FIELD: key, TEXT_FIELD: text, VECTOR_FIELD: vector, **metadata}
                for key, text, vector, metadata in rows
            ],
        )

    async def asimilarity_search_by_vector(self, embedding: list[float], k: int) -> list[str]:
        """Search, and return the keys of the hits."""
        [hits] = await self._client.search(self._name, data=[embedding], limit=k, **self._found)
        return [hit.get(PRIMARY_FIELD, hit.get("id")) for hit in hits]

    async def adelete(self, expr: str, **level: str) -> None:
        """Delete by an expression."""
        await self._client.delete(self._name, filter=expr, **level)

    async def asearch_by_metadata(self, expr: str, fields: list[str], limit: int) -> list[str]:
        """Query rows, and return their keys."""
        rows = await self._client.query(self._name, filter=expr, output_fields=fields, limit=limit)
        return [row[PRIMARY_FIELD] for row in rows]

    async def aget_pks(self, expr: str) -> list[str]:
        """Query keys."""
        rows = await self._client.query(self._name, filter=expr, output_fields=[PRIMARY_FIELD])
        return [row[PRIMARY_FIELD] for row in rows]


# What has a pair's methods, made of the workspace.
Target = Callable[[MilvusWorkspace], Any]
# Another way to do what the async side of a pair does, by the pair's name.
INSTEAD: dict[str, dict[str, Target]] = {
    "from_texts": {"the collection created first, then `aadd_texts`": _Cured},
    "add_embeddings": {"`AsyncMilvusClient.insert`": _Raw},
    "similarity_search_by_vector": {"`AsyncMilvusClient.search`": _Raw},
    "delete": {"`AsyncMilvusClient.delete`": _Raw},
    "search_by_metadata": {"`AsyncMilvusClient.query`": _Raw},
    "get_pks": {"`AsyncMilvusClient.query`": _Raw},
}


def _of_store(workspace: MilvusWorkspace) -> Milvus:
    return workspace.store


@dataclasses.dataclass(frozen=True)
class Pair:
    """A pair by the sync side's name, and the operation that it is asked and judged as."""

    name: str
    operation: Operation
    target: Target = _of_store

    @property
    def instead(self) -> Mapping[str, Target]:
        """Other ways to do what its async side does."""
        return INSTEAD.get(self.name, {})


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
        targets = {"": self._pair.target, **self._pair.instead}
        times = 1 if creates else ALONE * self._plan.repeats
        alone = {name: self._alone(target, times) for name, target in targets.items()}
        calls = max(self._plan.counts[0] // (CREATES_FEWER if creates else 1), 1)
        loop_s: list[float] = []
        gathered: dict[str, list[tuple[float, float]]] = {name: [] for name in targets}
        ways = [LOOP, *targets]
        for repeat in range(self._plan.repeats):
            for way in ways if repeat % 2 else reversed(ways):
                if way == LOOP:
                    loop_s.append(self._trial(LOOP, calls))
                else:
                    taken_s = self._trial(GATHERED, calls, targets[way])
                    gathered[way].append((taken_s, max(self._lags_ms)))

        def fields(name: str) -> dict[str, Any]:
            gathered_s, waited_ms = zip(*gathered[name], strict=True)
            return {**alone[name], "gathered_s": gathered_s, "waited_ms": waited_ms}

        return Audited(
            self._pair.name,
            sync,
            calls=calls,
            loop_s=tuple(loop_s),
            instead=tuple(Instead(name, **fields(name)) for name in targets if name),
            **fields(""),
        )

    def _alone(self, target: Target, calls: int) -> dict[str, Any]:
        """Make calls one by one; return the last one's RPCs, and the least that one holds."""
        held_ms = []
        for _ in range(calls):
            self._trial(GATHERED, 1, target)
            held_ms.append(max(self._lags_ms))
        made = list(self._rpcs.made)
        blocking = (name for name, at, is_sync in made if is_sync and at == self._loop_thread)
        return {
            "asynchronous": tuple(name for name, _, _ in made),
            "on_loop": tuple(blocking),
            "held_ms": min(held_ms[1:] or held_ms),
        }

    def _trial(self, way: str, calls: int, target: Target | None = None) -> float:
        """Make calls in one way, check and undo them; return the seconds that they took."""
        self._check()
        operation, workspace, strategy = self._pair.operation, self._workspace, STRATEGIES[way]
        recorder = Recorder(
            operation,
            (target or self._pair.target)(workspace),
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
