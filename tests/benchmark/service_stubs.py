"""Searches of known behaviour, served by the API of the experiment "service"."""

import asyncio
import itertools
import time

from lib.benchmark.service.api import LIMIT, SearchService

SEARCH_S = 0.05
KEYS = ("doc_1", "doc_2", "doc_3")


class Asleep:
    """A search that waits, and keeps nobody else from anything."""

    def search(self, query: str, k: int) -> tuple[str, ...]:
        time.sleep(SEARCH_S)
        return KEYS

    async def asearch(self, query: str, k: int) -> tuple[str, ...]:
        await asyncio.sleep(SEARCH_S)
        return KEYS

    def restart(self, seed: int) -> None:
        pass

    def close(self) -> None:
        pass


class Holding(Asleep):
    """An async search that holds the loop for its whole time."""

    async def asearch(self, query: str, k: int) -> tuple[str, ...]:
        return self.search(query, k)


class Stuck(Asleep):
    """A search that holds whoever calls it for a minute."""

    def search(self, query: str, k: int) -> tuple[str, ...]:
        time.sleep(60)
        return KEYS


class Wrong(Asleep):
    """A search whose seventh answer has another row."""

    def __init__(self) -> None:
        self._answers = itertools.count(1)

    async def asearch(self, query: str, k: int) -> tuple[str, ...]:
        return (*KEYS[:2], "doc_8") if next(self._answers) == 7 else await super().asearch(query, k)


class Failing(Asleep):
    """A search that fails for one question."""

    async def asearch(self, query: str, k: int) -> tuple[str, ...]:
        if query == "b":
            raise ConnectionResetError("10.0.0.7:19530 hung up")
        return await super().asearch(query, k)


KINDS = {each.__name__: each for each in (Asleep, Holding, Stuck, Wrong, Failing)}


def open_stub(kind: str, port: int = 0, limit: int = LIMIT) -> SearchService:
    """Serve a search of this kind."""
    return SearchService(KINDS[kind](), port, limit)
