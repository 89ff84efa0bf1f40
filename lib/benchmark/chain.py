"""A RAG chain over a workspace's collection: retriever | prompt | chat model, as services have it.

The chat model is OpenAI's client over HTTP to an endpoint in a worker, which streams an answer with
a known time to its first token. The whole chain is asked as a search is: what it retrieved is
checked like any answer.
"""

import contextlib
import time
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableParallel,
    RunnablePassthrough,
)

from lib.benchmark.endpoint import in_a_worker
from lib.benchmark.workspace import SearchWorkspace, WorkspaceAround
from lib.errors import OperationFailed
from lib.milvus.operations import Operation
from lib.results.chain import ANSWER_S, FIRST_TOKEN_S

PROMPT = ChatPromptTemplate.from_template(
    "Answer from these documents:\n{context}\n\nQuestion: {question}"
)
TIMEOUT_S = 60.0


class _First(BaseCallbackHandler):
    """Knows when the first token of one answer came."""

    run_inline = True  # not in a thread, which would be measured too

    def __init__(self) -> None:
        self.asked_at = time.perf_counter()
        self.came_at: float | None = None

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        """Note the moment of the first one."""
        if self.came_at is None:
            self.came_at = time.perf_counter()


class Chain:
    """The chain with a store's names: a search asks it, and returns what it retrieved."""

    def __init__(self, store: Any, chat: Runnable[Any, Any], k: int) -> None:
        found: Runnable[Any, Any] = RunnableParallel(
            context=store.as_retriever(search_kwargs={"k": k}), question=RunnablePassthrough()
        )
        self._chain = found.assign(answer=PROMPT | chat)
        # From each question to its first token, in the order in which answers ended.
        self.first_token_s: list[float] = []

    def similarity_search(self, query: str, k: int) -> list[Document]:
        """Ask with `invoke`."""
        first = _First()
        return self._retrieved(self._chain.invoke(query, {"callbacks": [first]}), first)

    async def asimilarity_search(self, query: str, k: int) -> list[Document]:
        """Ask with `ainvoke`."""
        first = _First()
        return self._retrieved(await self._chain.ainvoke(query, {"callbacks": [first]}), first)

    async def abatch(self, queries: list[str]) -> list[list[Document]]:
        """Ask all with the chain's `abatch`, which takes one step for all before the next."""
        firsts = [_First() for _ in queries]
        told: list[RunnableConfig] = [{"callbacks": [first]} for first in firsts]
        answers = await self._chain.abatch(queries, told)
        return [self._retrieved(*each) for each in zip(answers, firsts, strict=True)]

    def _retrieved(self, answer: dict[str, Any], first: _First) -> list[Document]:
        if first.came_at is None or not answer["answer"].content:
            raise OperationFailed("The chat model answered nothing.")
        self.first_token_s.append(first.came_at - first.asked_at)
        found: list[Document] = answer["context"]
        return found


class ChainWorkspace(WorkspaceAround):
    """A workspace that is searched by a chain; all else is that of the one inside.

    The chat's first token comes after `first_token_s`, its last after `answer_s` seconds.
    """

    def __init__(
        self,
        inner: SearchWorkspace,
        first_token_s: float = FIRST_TOKEN_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        """Start the chat model. Raises what starting a worker raises."""
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr

        super().__init__(inner)
        self._told = {"chat_first_ms": 1000 * first_token_s, "chat_ms": 1000 * answer_s}
        self._held = contextlib.ExitStack()
        url, pid = self._held.enter_context(in_a_worker(0.0, first_token_s, answer_s))
        chat = ChatOpenAI(
            model="answers-with-words-of-the-question",
            base_url=url,
            api_key=SecretStr("any"),
            streaming=True,
            max_retries=0,
            timeout=TIMEOUT_S,
        )
        self.store: Chain = Chain(inner.store, chat, inner.inputs.k)
        self.processes = (pid,)

    def facts(self) -> dict[str, Any]:
        """Return what the environment record says about the collection and the chat."""
        return self._inner.facts() | self._told

    def prepare(self, operation: Operation, count: int) -> None:
        """Prepare the workspace inside."""
        self._inner.prepare(operation, count)
        self.store.first_token_s.clear()

    def observed(self) -> dict[str, Any]:
        """Return the times to the first token of the trial that has just ended."""
        return {"first_token_s": tuple(self.store.first_token_s)}

    def close(self) -> None:
        """End the chat model, then close the workspace inside."""
        self._held.close()
        super().close()
