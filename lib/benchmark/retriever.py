"""The store as a LangChain retriever: its four ways to ask, each call recorded."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.vectorstores import VectorStoreRetriever

from lib.benchmark.recorder import Recorder

# The operations that a retriever makes, and its name for each.
SEARCH_TYPES = {"similarity_search": "similarity", "max_marginal_relevance_search": "mmr"}


class RecordedRetriever(VectorStoreRetriever):
    """A retriever that is given the numbers of a trial's calls and records what it makes of them.

    langchain's `batch` and `abatch` call `invoke` and `ainvoke`, so one place records all four.
    """

    recorder: Any

    # `input` is langchain's name for it.
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Ask the question of this number."""
        query = self.recorder.arguments(input)["query"]
        self.recorder.measure(
            input, lambda: VectorStoreRetriever.invoke(self, query, config, **kwargs)
        )

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Ask the question of this number."""
        query = self.recorder.arguments(input)["query"]
        await self.recorder.ameasure(
            input, lambda: VectorStoreRetriever.ainvoke(self, query, config, **kwargs)
        )


def _retriever(recorder: Recorder) -> Any:
    arguments = recorder.arguments(0)
    return RecordedRetriever(
        vectorstore=recorder.store,
        search_type=SEARCH_TYPES[recorder.operation.name],
        search_kwargs={name: value for name, value in arguments.items() if name != "query"},
        recorder=recorder,
    )


def invoke(recorder: Recorder) -> None:
    """Ask one question after another."""
    retriever = _retriever(recorder)
    for i in range(recorder.calls):
        retriever.invoke(i)


def batch(recorder: Recorder) -> None:
    """Ask from langchain's threads."""
    limit = RunnableConfig(max_concurrency=recorder.concurrency)
    _retriever(recorder).batch(range(recorder.calls), config=limit)


async def ainvoke(recorder: Recorder) -> None:
    """Ask in a gather with a bound on the calls in flight."""
    await in_flight(recorder, _retriever(recorder).ainvoke)


async def abatch(recorder: Recorder) -> None:
    """Ask in langchain's own bounded gather."""
    limit = RunnableConfig(max_concurrency=recorder.concurrency)
    await _retriever(recorder).abatch(range(recorder.calls), config=limit)


async def in_flight(recorder: Recorder, call: Callable[[int], Awaitable[None]]) -> None:
    """Make a trial's calls, at most `recorder.concurrency` at once."""
    # As many workers as may be in flight, taking from one iterator: the bound of a semaphore
    # without a task for every call that waits.
    pending = iter(recorder.turns())

    async def work() -> None:
        for i in pending:
            await call(i)

    workers = min(recorder.concurrency or recorder.calls, recorder.calls)
    await asyncio.gather(*(work() for _ in range(workers)))
