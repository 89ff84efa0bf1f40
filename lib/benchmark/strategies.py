"""STRATEGIES: the ways to issue N calls, with what issues them.

The load is closed-loop, where a strategy issues its next call when one has ended, or all at once;
or open, where it starts calls at a rate. Sync methods are called in worker threads, coroutines run
on the one background loop.
"""

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from langchain_milvus import Milvus

from lib.benchmark import open_loop, retriever
from lib.benchmark.recorder import Recorder, Turns
from lib.benchmark.service.load import load
from lib.milvus.operations import Inputs, Operation, result_keys
from lib.results import catalogue
from lib.results.catalogue import PRIMARY_FIELD, Effect


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


async def _blocking(recorder: Recorder) -> None:
    async def call(i: int) -> None:
        recorder.call(i)  # it is awaited nowhere: the loop does nothing else meanwhile

    await asyncio.gather(*(call(i) for i in range(recorder.calls)))


async def _to_thread(recorder: Recorder) -> None:
    calls = (asyncio.to_thread(recorder.call, i) for i in range(recorder.calls))
    await asyncio.gather(*calls)


async def _gather_limited(recorder: Recorder) -> None:
    await retriever.in_flight(recorder, recorder.acall)


def _one_batch(recorder: Recorder) -> None:
    operation = recorder.operation
    if operation.batch_arguments is not None:
        recorder.call(0)
    else:
        arguments = [recorder.arguments(i) for i in range(recorder.count)]
        recorder.measure(0, lambda: search_at_once(recorder.store, operation, arguments))


async def _chain_abatch(recorder: Recorder) -> None:
    questions = [recorder.arguments(i)["query"] for i in range(recorder.count)]
    await recorder.ameasure(0, lambda: recorder.store.abatch(questions))


Execute = Callable[[Recorder], None] | Callable[[Recorder], Coroutine[Any, Any, None]]


def _execute(way: catalogue.Strategy) -> Execute:
    """Return the function that a strategy of the catalogue is executed by: the one of its name.

    A function runs in a worker thread, a coroutine function on the background loop.
    """
    if way.style:
        return partial(load, style=way.style)
    here = globals().get(f"_{way.name}") or getattr(open_loop, way.name, None)
    found: Execute = here or getattr(retriever, way.name.removeprefix("retriever_"))
    return found


@dataclass(frozen=True, kw_only=True)
class Strategy(catalogue.Strategy):
    """A strategy of the catalogue with what makes the recorder's calls."""

    execute: Execute

    @property
    def on_loop(self) -> bool:
        """Say whether its calls begin on the background loop, whichever methods they call."""
        return inspect.iscoroutinefunction(self.execute)


STRATEGIES: dict[str, Strategy] = {
    name: Strategy(**vars(entry), execute=_execute(entry))
    for name, entry in catalogue.STRATEGIES.items()
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
    if strategy.style:
        return tuple  # a service answers with keys
    if strategy.of_a_chain:
        return lambda answers: [result_keys(found, key) for found in answers]
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
