"""The store as a LangChain retriever: its four ways to ask, each call recorded."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.vectorstores import VectorStoreRetriever

from lib.benchmark.recorder import Recorder, Turns
from lib.results.catalogue import SEARCH_TYPES

# In a timed trial, the calls of one batch for each that may be in flight.
ROUND = 50


class RecordedRetriever(VectorStoreRetriever):
    """A retriever whose every call takes the next turn of a trial and is recorded.

    langchain's `batch` and `abatch` call `invoke` and `ainvoke`, so one place records all four.
    """

    recorder: Any
    turns: Any

    # `input` is langchain's name for it.
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Ask the next question; nothing when the trial's time is over."""
        turn = next(self.turns, None)
        if turn is None:
            return
        query = self.recorder.arguments(turn)["query"]
        self.recorder.measure(
            turn, lambda: VectorStoreRetriever.invoke(self, query, config, **kwargs)
        )

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Ask the next question; nothing when the trial's time is over."""
        turn = next(self.turns, None)
        if turn is None:
            return
        query = self.recorder.arguments(turn)["query"]
        await self.recorder.ameasure(
            turn, lambda: VectorStoreRetriever.ainvoke(self, query, config, **kwargs)
        )


def _retriever(recorder: Recorder) -> Any:
    arguments = recorder.arguments(0)
    return RecordedRetriever(
        vectorstore=recorder.store,
        search_type=SEARCH_TYPES[recorder.operation.name],
        search_kwargs={name: value for name, value in arguments.items() if name != "query"},
        recorder=recorder,
        turns=recorder.turns(),
    )


def _rounds(recorder: Recorder, turns: Turns) -> Iterator[range]:
    """Yield what a batch gets: all calls at once, or in a timed trial some again and again.

    A round has many times as many calls as may be in flight: at its end some of them wait.
    """
    if not recorder.seconds:
        yield range(recorder.calls)
        return
    while not turns.ended:
        yield range(ROUND * (recorder.concurrency or 1))


def invoke(recorder: Recorder) -> None:
    """Ask one question after another."""
    retriever = _retriever(recorder)
    while not retriever.turns.ended:
        retriever.invoke(None)


def batch(recorder: Recorder) -> None:
    """Ask from langchain's threads."""
    limit, retriever = RunnableConfig(max_concurrency=recorder.concurrency), _retriever(recorder)
    for some in _rounds(recorder, retriever.turns):
        retriever.batch(some, config=limit)


async def ainvoke(recorder: Recorder) -> None:
    """Ask in a gather with a bound on the calls in flight."""
    retriever = _retriever(recorder)

    async def work() -> None:
        while not retriever.turns.ended:
            await retriever.ainvoke(None)

    workers = min(recorder.concurrency or recorder.calls, recorder.calls)
    await asyncio.gather(*(work() for _ in range(workers)))


async def abatch(recorder: Recorder) -> None:
    """Ask in langchain's own bounded gather."""
    limit, retriever = RunnableConfig(max_concurrency=recorder.concurrency), _retriever(recorder)
    for some in _rounds(recorder, retriever.turns):
        await retriever.abatch(some, config=limit)


async def in_flight(recorder: Recorder, call: Callable[[int], Awaitable[None]]) -> None:
    """Make a trial's calls, at most `recorder.concurrency` at once."""
    # As many workers as may be in flight, taking from one iterator: the bound of a semaphore
    # without a task for every call that waits.
    pending = recorder.turns()

    async def work() -> None:
        for i in pending:
            await call(i)

    workers = min(recorder.concurrency or recorder.calls, recorder.calls)
    await asyncio.gather(*(work() for _ in range(workers)))
