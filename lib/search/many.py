"""Many questions at once: one set of queries, issued in several ways, timed and compared by key.

The plain ways are the benchmark's own strategies. The retriever's ways are what a service built on
LangChain would write: the same store behind `as_retriever`.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_milvus import Milvus

from lib import event_loop
from lib.benchmark.recorder import Recorder
from lib.benchmark.strategies import STRATEGIES, keeper
from lib.errors import InvalidInput, OperationFailed
from lib.jobs import Job
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel, embedding_clock
from lib.milvus.operations import OPERATIONS, result_keys
from lib.search.ask import MAX_K, MAX_QUERY_CHARACTERS

MAX_QUERIES = 500
MAX_CONCURRENCY = 128
PROGRESS_S = 0.1
OPERATION = OPERATIONS["similarity_search_with_score"]
WAYS = ("sync_loop", "gather_limited", "one_batch")


@dataclass(frozen=True)
class ManyRequest:
    """What to ask, and how many requests may be in flight in the concurrent way."""

    queries: tuple[str, ...]
    k: int = 5
    concurrency: int = 32
    search_type: str = "similarity"  # what a retriever does: "similarity" or "mmr"
    lambda_mult: float = 0.5

    def check(self) -> None:
        """Raise InvalidInput, one clear line, for what cannot be asked."""
        if not 1 <= len(self.queries) <= MAX_QUERIES:
            raise InvalidInput(
                f"Give 1 to {MAX_QUERIES} queries, one a line, not {len(self.queries)}."
            )
        if any(len(query) > MAX_QUERY_CHARACTERS for query in self.queries):
            raise InvalidInput(f"A query is longer than {MAX_QUERY_CHARACTERS:,} characters.")
        if not 1 <= self.k <= MAX_K:
            raise InvalidInput(f"k must be between 1 and {MAX_K}, not {self.k}.")
        if not 1 <= self.concurrency <= MAX_CONCURRENCY:
            raise InvalidInput(f"The concurrency must be between 1 and {MAX_CONCURRENCY}.")


@dataclass(frozen=True)
class Span:
    """When one call ran, in milliseconds from the first call's start."""

    start_ms: float
    end_ms: float
    embed_ms: float
    error: str = ""


@dataclass(frozen=True)
class Run:
    """One way's calls and, for every query, the keys it returned (none where it failed)."""

    way: str
    label: str
    is_async: bool
    wall_ms: float
    spans: tuple[Span, ...]
    keys: tuple[tuple[str, ...] | None, ...]

    @property
    def failures(self) -> int:
        """How many queries got no answer."""
        return sum(keys is None for keys in self.keys)


@dataclass(frozen=True)
class ManyAnswer:
    """All ways side by side. `partial` says that a person stopped it."""

    request: ManyRequest
    runs: tuple[Run, ...]
    partial: bool = False
    differing: tuple[int, ...] = field(default=())  # queries that two ways answered differently

    @property
    def verified(self) -> bool:
        """Say whether every way answered every query, all with the same keys in the same order."""
        return (
            len(self.runs) > 1
            and not self.partial
            and not self.differing
            and not any(run.failures for run in self.runs)
        )

    def speedup(self, run: Run) -> float:
        """How many times faster than the first way."""
        return self.runs[0].wall_ms / run.wall_ms if run.wall_ms else 0.0


def read_queries(text: str) -> tuple[str, ...]:
    """Return the lines that are not empty."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def ask_many(
    connection: Connection,
    model: EmbeddingModel,
    collection: str,
    request: ManyRequest,
    job: Job | None = None,
) -> ManyAnswer:
    """Ask all queries as a sync loop, with a limited gather and as one batched request.

    One call of each kind is made before the clock starts. Raises InvalidInput for a request that
    cannot be asked; calls that fail are counted in the answer.
    """
    request.check()
    store = connection.store(collection, model.embeddings)
    _warm_up(store, request)
    return _run_all(
        request,
        [partial(_measured, store, way, request, job) for way in WAYS],
        job,
    )


def ask_retriever(
    connection: Connection,
    model: EmbeddingModel,
    collection: str,
    request: ManyRequest,
    job: Job | None = None,
) -> ManyAnswer:
    """Ask all queries of the store as a retriever: invoke, batch, ainvoke in a gather, abatch."""
    request.check()
    store = connection.store(collection, model.embeddings)
    _warm_up(store, request)
    retriever = store.as_retriever(
        search_type=request.search_type, search_kwargs=retriever_arguments(request)
    )
    return _run_all(
        request,
        [partial(_retrieved, retriever, way, request, job) for way in RETRIEVER_WAYS],
        job,
    )


def retriever_arguments(request: ManyRequest) -> dict[str, Any]:
    """Return the `search_kwargs` of the retriever."""
    more = {"lambda_mult": request.lambda_mult, "fetch_k": max(20, request.k)}
    return {"k": request.k} | (more if request.search_type == "mmr" else {})


def compare(runs: Sequence[Run]) -> tuple[int, ...]:
    """Return the indexes of the queries that two of the runs answered with different keys."""
    if not runs:
        return ()
    first = runs[0].keys
    return tuple(
        index
        for index in range(len(first))
        if len({run.keys[index] for run in runs if run.keys[index] is not None}) > 1
    )


def _run_all(
    request: ManyRequest, steps: Sequence[Callable[[], Run]], job: Job | None
) -> ManyAnswer:
    answer = ManyAnswer(request, ())
    if job is not None:
        job.progress.total = len(steps) * len(request.queries)
        job.progress.unit = "queries"
    for step in steps:
        run = step()
        stopped = job is not None and job.is_cancelled
        if not stopped:
            answer = replace(answer, runs=(*answer.runs, run))
        answer = replace(answer, partial=stopped, differing=compare(answer.runs))
        if job is not None:
            job.result = answer
            job.progress.done = len(answer.runs) * len(request.queries)
        if stopped:
            break
    return answer


def _warm_up(store: Milvus, request: ManyRequest) -> None:
    arguments = {"query": request.queries[0], "k": request.k}
    try:
        OPERATION.call(store, arguments)
        event_loop.run(OPERATION.acall(store, arguments), timeout=30)
    except Exception as error:
        raise OperationFailed(f"The first query failed: {error}") from error


def _measured(store: Milvus, way: str, request: ManyRequest, job: Job | None) -> Run:
    strategy = STRATEGIES[way]
    count = len(request.queries)
    recorder = Recorder(
        OPERATION,
        store,
        1 if strategy.is_batch else count,
        lambda i: {"query": request.queries[i], "k": request.k},
        count=count,
        concurrency=strategy.concurrency(request.concurrency),
        keep=keeper(strategy, OPERATION),
    )
    if job is not None:
        job.progress.message = strategy.label(request.concurrency)
        job.on_cancel(lambda: setattr(recorder, "stopped", True))
    before = job.progress.done if job is not None else 0
    execute: Any = strategy.execute
    if strategy.is_async:
        future = event_loop.submit(execute(recorder))
        _follow(future.done, lambda: len(recorder.finished), before, job)
        future.result()
    else:
        watched = _Watched(recorder.finished, before, job)
        recorder.finished = watched
        execute(recorder)
    spans = tuple(
        Span(call.start_s * 1000, call.end_s * 1000, call.embed_s * 1000, call.error or "")
        for call in recorder.finish({})
    )
    found = recorder.results[0] if strategy.is_batch else recorder.results
    keys = tuple(found) if found is not None else (None,) * count
    return Run(
        way,
        strategy.label(request.concurrency),
        strategy.is_async,
        recorder.wall_s * 1000,
        spans,
        keys,
    )


class _Watched(list[int]):
    """A list whose growth is a job's progress."""

    def __init__(self, finished: list[int], before: int, job: Job | None) -> None:
        super().__init__(finished)
        self._before = before
        self._job = job

    def append(self, i: int) -> None:
        """Note that a call ended."""
        super().append(i)
        if self._job is not None:
            self._job.progress.done = self._before + len(self)


def _follow(
    is_done: Callable[[], bool], count: Callable[[], int], before: int, job: Job | None
) -> None:
    """Copy progress while the event loop works."""
    while job is not None and not is_done():
        job.progress.done = before + count()
        time.sleep(PROGRESS_S)


@dataclass(frozen=True)
class RetrieverWay:
    """One way to ask a retriever many questions."""

    label: str
    is_async: bool
    ask: Callable[[Any, Sequence[str], int, "_Slots"], Any]


class _Slots:
    """The times and keys of the queries, one slot each."""

    def __init__(self, count: int) -> None:
        self.spans: list[Span | None] = [None] * count
        self.keys: list[tuple[str, ...] | None] = [None] * count
        self.started = time.perf_counter()

    def now_ms(self) -> float:
        """Milliseconds since the first call could start."""
        return (time.perf_counter() - self.started) * 1000


def _invoke(retriever: Any, queries: Sequence[str], _: int, slots: _Slots) -> None:
    for i, query in enumerate(queries):
        start = slots.now_ms()
        with embedding_clock() as embedding:
            slots.keys[i] = result_keys(retriever.invoke(query))
        slots.spans[i] = Span(start, slots.now_ms(), embedding.seconds * 1000)


class _Watch(BaseCallbackHandler):
    """Notes when each query of a batch ran; a batch itself returns only when all are done."""

    run_inline = True  # called on the event loop itself, not from another thread later

    def __init__(self, slots: _Slots) -> None:
        self._slots = slots
        self._places: dict[UUID, tuple[int, float]] = {}

    def on_retriever_start(
        self, serialized: dict[str, Any], query: str, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Take the next place; queries start in their order."""
        self._places[run_id] = len(self._places), self._slots.now_ms()

    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **kwargs: Any) -> None:
        """Fill the place."""
        place, start = self._places[run_id]
        self._slots.spans[place] = Span(start, self._slots.now_ms(), 0.0)


def _batch(retriever: Any, queries: Sequence[str], concurrency: int, slots: _Slots) -> None:
    config = RunnableConfig(max_concurrency=concurrency, callbacks=[_Watch(slots)])
    _keep(slots, retriever.batch(list(queries), config=config))


async def _ainvoke(retriever: Any, queries: Sequence[str], concurrency: int, slots: _Slots) -> None:
    limit = asyncio.Semaphore(concurrency)

    async def ask(i: int, query: str) -> None:
        async with limit:
            start = slots.now_ms()
            with embedding_clock() as embedding:
                slots.keys[i] = result_keys(await retriever.ainvoke(query))
            slots.spans[i] = Span(start, slots.now_ms(), embedding.seconds * 1000)

    await asyncio.gather(*(ask(i, query) for i, query in enumerate(queries)))


async def _abatch(retriever: Any, queries: Sequence[str], concurrency: int, slots: _Slots) -> None:
    config = RunnableConfig(max_concurrency=concurrency, callbacks=[_Watch(slots)])
    _keep(slots, await retriever.abatch(list(queries), config=config))


def _keep(slots: _Slots, answers: Sequence[Any]) -> None:
    slots.keys[:] = [result_keys(documents) for documents in answers]


RETRIEVER_WAYS: dict[str, RetrieverWay] = {
    "invoke": RetrieverWay("invoke in a loop", False, _invoke),
    "batch": RetrieverWay(
        "batch (threads)",
        False,
        _batch,
    ),
    "ainvoke": RetrieverWay(
        "ainvoke in a gather",
        True,
        _ainvoke,
    ),
    "abatch": RetrieverWay(
        "abatch",
        True,
        _abatch,
    ),
}


def _retrieved(retriever: Any, name: str, request: ManyRequest, job: Job | None) -> Run:
    way = RETRIEVER_WAYS[name]
    if job is not None:
        job.check()
        job.progress.message = way.label
    slots = _Slots(len(request.queries))
    work = way.ask(retriever, request.queries, request.concurrency, slots)
    if way.is_async:
        pending: Coroutine[Any, Any, None] = work
        future = event_loop.submit(pending)
        if job is not None:
            job.on_cancel(future.cancel)
        future.result()
    return Run(
        name,
        way.label,
        way.is_async,
        slots.now_ms(),
        tuple(span for span in slots.spans if span is not None),
        tuple(slots.keys),
    )
