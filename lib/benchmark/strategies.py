"""STRATEGIES: the ways to issue N calls, as data.

The load is closed-loop, where a strategy issues its next call when one has ended, or all at once;
or open, where it starts calls at a rate. Sync methods are called in worker threads, coroutines run
on the one background loop.
"""

import asyncio
import inspect
import threading
from collections.abc import Callable, Collection, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from langchain_milvus import Milvus

from lib.benchmark import open_loop, retriever
from lib.benchmark.recorder import Recorder, Turns
from lib.milvus.fields import PRIMARY_FIELD
from lib.milvus.operations import OPERATIONS, Effect, Inputs, Operation, result_keys

BASELINE = "sync_loop"


@dataclass(frozen=True)
class Strategy:
    """One way to issue N calls of one operation.

    `execute` makes the recorder's calls. A function runs in a worker thread, a coroutine function
    on the background loop.
    """

    name: str  # the id in files, URLs and on the command line
    title: str
    summary: str
    execute: Callable[[Recorder], None] | Callable[[Recorder], Coroutine[Any, Any, None]]
    limited_label: str = ""  # the title with the concurrency in it; empty where there is no limit
    is_batch: bool = False
    uses_rate: bool = False
    is_open: bool = False  # whether calls start when they are due, whatever became of the others
    can_be_timed: bool = False  # whether it can make calls for a time instead of a number of them
    only: Collection[str] = ()  # the operations it can issue; all of them when empty

    @property
    def is_async(self) -> bool:
        """Say whether it awaits the async methods."""
        return inspect.iscoroutinefunction(self.execute)

    @property
    def uses_limit(self) -> bool:
        """Say whether it takes a bound on the calls in flight."""
        return bool(self.limited_label)

    def label(self, concurrency: int | None = None, rate_per_s: float | None = None) -> str:
        """Return the name with its concurrency or rate: 'Async, at most 32'."""
        if self.uses_rate and rate_per_s:
            return f"{self.title}, {rate_per_s:,.4g}/s"
        if self.uses_limit and concurrency:
            label = self.limited_label.format(concurrency)
            return label.removesuffix("s") if concurrency == 1 else label  # 1 thread
        return self.title

    @property
    def family(self) -> str:
        """Its kind, one of `lib.charts.theme.FAMILIES`: what its colour says in every chart."""
        if self.is_async:
            return "async"
        if self.is_batch:
            return "batch"
        return "threads" if self.uses_limit else "loop"

    def applies(self, operation: str) -> bool:
        """Say whether the operation of this name can be issued this way."""
        offered = not self.only or operation in self.only
        return offered and (OPERATIONS[operation].batchable or not self.is_batch)

    def concurrency(self, limit: int | None) -> int | None:
        """Return the most calls in flight at once; None where nothing limits it."""
        if self.uses_limit:
            return limit
        return None if self.is_async else 1


def _sync_loop(recorder: Recorder) -> None:
    _take_turns(recorder, recorder.turns())


def _thread_pool(recorder: Recorder) -> None:
    workers = min(recorder.concurrency or 1, recorder.calls)
    ready = threading.Barrier(workers + 1)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="benchmark")
    try:
        # The threads are started before the clock, as the connections are.
        for _ in range(workers):
            pool.submit(ready.wait)
        ready.wait()
        if recorder.seconds:
            turns = recorder.turns()
            wait([pool.submit(_take_turns, recorder, turns) for _ in range(workers)])
            return
        for _ in pool.map(recorder.call, range(recorder.calls)):
            pass
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _take_turns(recorder: Recorder, turns: Turns) -> None:
    for i in turns:
        recorder.call(i)


async def _gather(recorder: Recorder) -> None:
    await asyncio.gather(*(recorder.acall(i) for i in range(recorder.calls)))


async def _gather_limited(recorder: Recorder) -> None:
    await retriever.in_flight(recorder, recorder.acall)


def _one_batch(recorder: Recorder) -> None:
    operation = recorder.operation
    if operation.batch_arguments is not None:
        recorder.call(0)
    else:
        arguments = [recorder.arguments(i) for i in range(recorder.count)]
        recorder.measure(0, lambda: search_at_once(recorder.store, operation, arguments))


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy(
            name="sync_loop",
            title="Loop",
            summary="One call after another. The baseline of every speed-up.",
            execute=_sync_loop,
            can_be_timed=True,
        ),
        Strategy(
            name="thread_pool",
            title="Threads",
            summary="The sync method from a fixed number of threads.",
            limited_label="{} threads",
            execute=_thread_pool,
            can_be_timed=True,
        ),
        Strategy(
            name="gather",
            title="Async",
            summary="All coroutines at once in asyncio.gather, as the tutorial does.",
            execute=_gather,
        ),
        Strategy(
            name="gather_limited",
            title="Async, limited",
            summary="asyncio.gather with a bound on the calls in flight.",
            limited_label="Async, at most {}",
            execute=_gather_limited,
            can_be_timed=True,
        ),
        Strategy(
            name="one_batch",
            title="One batch",
            summary="One call with everything in it, where the operation has such a form.",
            execute=_one_batch,
            is_batch=True,
        ),
        Strategy(
            name="open_constant",
            title="Open loop",
            summary="Calls start evenly spaced, whether or not earlier ones were answered.",
            execute=open_loop.open_constant,
            is_open=True,
            uses_rate=True,
            can_be_timed=True,
        ),
        Strategy(
            name="open_poisson",
            title="Open loop, Poisson",
            summary="Calls start at random moments with a given mean rate.",
            execute=open_loop.open_poisson,
            is_open=True,
            uses_rate=True,
            can_be_timed=True,
        ),
        Strategy(
            name="token_bucket",
            title="Token bucket",
            summary="Each call takes a token; tokens come in at a given rate.",
            execute=open_loop.token_bucket,
            uses_rate=True,
            can_be_timed=True,
        ),
        Strategy(
            name="retriever_invoke",
            title="Retriever, invoke",
            summary="`invoke` of the store as a LangChain retriever, one call after another.",
            execute=retriever.invoke,
            can_be_timed=True,
            only=retriever.SEARCH_TYPES,
        ),
        Strategy(
            name="retriever_batch",
            title="Retriever, batch",
            summary="The retriever's `batch`: `invoke` from langchain's threads.",
            limited_label="Retriever, batch, {} threads",
            execute=retriever.batch,
            can_be_timed=True,
            only=retriever.SEARCH_TYPES,
        ),
        Strategy(
            name="retriever_ainvoke",
            title="Retriever, ainvoke",
            summary="The retriever's `ainvoke` in a gather with a bound on the calls in flight.",
            limited_label="Retriever, ainvoke, at most {}",
            execute=retriever.ainvoke,
            can_be_timed=True,
            only=retriever.SEARCH_TYPES,
        ),
        Strategy(
            name="retriever_abatch",
            title="Retriever, abatch",
            summary="The retriever's `abatch`: `ainvoke` in langchain's own bounded gather.",
            limited_label="Retriever, abatch, at most {}",
            execute=retriever.abatch,
            can_be_timed=True,
            only=retriever.SEARCH_TYPES,
        ),
    )
}


def trial_arguments(
    strategy: Strategy, operation: Operation, inputs: Inputs, count: int, rows: int = 1
) -> Callable[[int], dict[str, Any]]:
    """Return the function that makes the i-th call's arguments, built when the call starts.

    With several `rows` a call, the i-th call takes the i-th part of the documents.
    """
    batch = operation.batch_arguments
    if rows > 1 and batch is not None:

        def part(i: int) -> dict[str, Any]:
            end = min((i + 1) * rows, count)
            mine = replace(
                inputs,
                new=inputs.new[i * rows : end],
                new_vectors=inputs.new_vectors[i * rows : end],
            )
            return batch(mine, end - i * rows)

        return part
    if strategy.is_batch and batch is not None:
        return lambda i: batch(inputs, count)
    return lambda i: operation.arguments(inputs, i)


def keeper(
    strategy: Strategy, operation: Operation, key: str = PRIMARY_FIELD
) -> Callable[[Any], Any]:
    """Return what is kept of a call's result for the check: keys, or the store it created.

    `key` is the name of the key's field.
    """
    if operation.effect is Effect.CREATES:
        return lambda store: store  # somebody has to close it
    if strategy.is_batch and operation.searches:
        return partial(_keys_of_hits, key=key)
    return partial(result_keys, key=key)


def _keys_of_hits(answer: list[list[dict[str, Any]]], key: str) -> list[tuple[str, ...]]:
    return [tuple(str(hit.get(key, hit.get("id"))) for hit in hits) for hits in answer]


def search_at_once(
    store: Milvus, operation: Operation, calls: Sequence[dict[str, Any]]
) -> list[list[dict[str, Any]]]:
    """Answer many searches with one embedding call and one multi-vector request.

    langchain-milvus has no such method, so this uses the store's own client with the store's own
    search parameters. Returns, for each call, Milvus's hits: dicts with key, distance and entity.
    """
    if "embedding" in calls[0]:
        vectors = [call["embedding"] for call in calls]
    else:
        # A question asked twice is embedded twice, as in the loop.
        embeddings: Any = store.embedding_func
        vectors = embeddings.embed_documents([call["query"] for call in calls])
    search_params: Any = store.search_params
    answer: list[list[dict[str, Any]]] = store.client.search(
        store.collection_name,
        data=vectors,
        anns_field=str(store._vector_field),
        search_params=search_params,
        limit=calls[0]["k"],
        output_fields=store._get_output_fields(),
    )
    return answer
