"""The search API that is measured: one endpoint in five styles, and one that does nothing.

It runs in a process of its own, on the one event loop of that process. `lib.benchmark.strategies`
has a way for each style, by the same name.
"""

import asyncio
import contextlib
import errno
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn, Protocol

import psutil
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lib import event_loop
from lib.benchmark.access import Access
from lib.benchmark.recorder import error_kind
from lib.benchmark.service.client import HOST, many_sockets
from lib.errors import InvalidInput, LabError, OperationFailed
from lib.milvus.connection import close_stores
from lib.milvus.embeddings import EmbeddingModel, SimulatedLatency, TimedEmbeddings, embedding_clock
from lib.milvus.operations import result_keys

# The searches that the style with a limit has under way at once.
LIMIT = 32
OPEN_S = 20.0
# Connections wait for the accepting loop, also while a call holds it.
BACKLOG = 2048
KEEP_ALIVE_S = 600
MEGABYTE = 1 << 20

Endpoint = Callable[[Request], Response] | Callable[[Request], Awaitable[Response]]


class SearchFailed(LabError):
    """A search failed; `what` is the kind of failure."""


class Search(Protocol):
    """What the endpoints call: a search, sync and async, that returns the keys found."""

    def search(self, query: str, k: int) -> Sequence[str]:
        """Return the keys."""

    async def asearch(self, query: str, k: int) -> Sequence[str]:
        """Return the keys."""

    def restart(self, seed: int) -> None:
        """Begin the sequence of simulated waits anew."""

    def close(self) -> None:
        """Let go of what it holds."""


class SearchService:
    """The API, served at a port of this computer until it is closed.

    Port 0 takes a free one. Raises InvalidInput for a port that is taken.
    """

    def __init__(self, search: Search, port: int = 0, limit: int = LIMIT) -> None:
        self._search = search
        self._threads: set[int] = set()
        many_sockets()
        self._socket = _bound(port)
        routes = [Route(f"/{style}", made) for style, made in self._endpoints(limit).items()]
        app = Starlette(
            routes=[*routes, Route("/ping", _ping)], exception_handlers={SearchFailed: _failed}
        )
        config = uvicorn.Config(
            app,
            log_level="critical",
            log_config=None,
            access_log=False,
            lifespan="off",
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._serving = event_loop.submit(self._server.serve(sockets=[self._socket]))
        deadline = time.monotonic() + OPEN_S
        while not self._server.started and time.monotonic() < deadline:
            if self._serving.done():
                self._serving.result()
            time.sleep(0.005)
        self.begin(0)

    def port(self) -> int:
        """Return the port."""
        number: int = self._socket.getsockname()[1]
        return number

    def begin(self, seed: int) -> None:
        """Begin a trial: its waits are those of the seed, and what it takes counts from here."""
        self._search.restart(seed)
        self._threads.clear()
        self._began_s = time.process_time()

    def seen(self) -> dict[str, Any]:
        """Return what the service took since the trial began, as fields of a trial."""
        return {
            "served_threads": len(self._threads),
            "served_mb": psutil.Process().memory_info().rss / MEGABYTE,
            "served_cpu_s": time.process_time() - self._began_s,
        }

    def close(self) -> None:
        """Answer nobody any more, and let go of what it holds."""
        self._server.should_exit = True
        self._search.close()

    def _endpoints(self, limit: int) -> dict[str, Endpoint]:
        """Return the search in the five styles in which services have it."""
        at_once = asyncio.Semaphore(limit)

        # An error of another class would make the web server close the user's connection.
        def search(query: str, k: int) -> Sequence[str]:
            self._threads.add(threading.get_ident())
            try:
                return self._search.search(query, k)
            except Exception as error:
                raise SearchFailed(error_kind(error)) from error

        async def asearch(query: str, k: int) -> Sequence[str]:
            try:
                return await self._search.asearch(query, k)
            except Exception as error:
                raise SearchFailed(error_kind(error)) from error

        async def blocking(request: Request) -> Response:
            clock = embedding_clock()
            return _answer(search(*_question(request)), clock.seconds)

        def plain_def(request: Request) -> Response:
            clock = embedding_clock()
            return _answer(search(*_question(request)), clock.seconds)

        async def to_thread(request: Request) -> Response:
            clock = embedding_clock()
            keys = await asyncio.to_thread(search, *_question(request))
            return _answer(keys, clock.seconds)

        async def awaited(request: Request) -> Response:
            clock = embedding_clock()
            keys = await asearch(*_question(request))
            return _answer(keys, clock.seconds)

        async def limited(request: Request) -> Response:
            async with at_once:
                return await awaited(request)

        return {
            "blocking": blocking,
            "def": plain_def,
            "to_thread": to_thread,
            "async": awaited,
            "limited": limited,
        }


class StoreSearch:
    """The search of a langchain-milvus store."""

    def __init__(self, store: Any, key: str, close: Callable[[], None]) -> None:
        self._store = store
        self._key = key
        self.close = close

    def search(self, query: str, k: int) -> Sequence[str]:
        """Return the keys of the rows found."""
        return result_keys(self._store.similarity_search(query, k=k), self._key)

    async def asearch(self, query: str, k: int) -> Sequence[str]:
        """Return the keys of the rows found."""
        return result_keys(await self._store.asimilarity_search(query, k=k), self._key)

    def restart(self, seed: int) -> None:
        """Begin the sequence of simulated waits anew."""
        embeddings = self._store.embedding_func
        inner = embeddings.inner if isinstance(embeddings, TimedEmbeddings) else embeddings
        if isinstance(inner, SimulatedLatency):
            inner.restart(seed)


def open_search(
    access: Access, collection: str, key: str, wait: tuple[float, float], port: int = 0
) -> SearchService:
    """Serve the search of a collection; `wait` is mean and deviation of the simulated wait in ms.

    `key` is the name of the key's field. Raises what opening the Milvus and the model raises, and
    InvalidInput for a port that is taken.
    """
    with contextlib.ExitStack() as held:
        connection, model, _ = held.enter_context(access.opened(access.guest(_only_searches)))
        slowed: EmbeddingModel = model.slowed(*wait)
        store = connection.new_store(collection, slowed.embeddings)
        held.callback(close_stores, store)
        event_loop.run(store.aclient.has_collection(collection), timeout=OPEN_S)
        # The model is loaded and both clients have answered before anybody is served.
        store.similarity_search("warm up", k=1)
        kept = held.pop_all()
        try:
            return SearchService(StoreSearch(store, key, kept.close), port)
        except BaseException:
            kept.close()
            raise


def _only_searches(*_: Any) -> NoReturn:
    raise OperationFailed("A search service asks Milvus Lite for nothing but searches.")


def _bound(port: int) -> socket.socket:
    """Return a socket at a port of this computer. Raises InvalidInput for one that is taken."""
    # asyncio sends at once only on sockets that say they are TCP's; others wait 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
        raise InvalidInput(
            f"The port {port} for the search service {why}.",
            kept="Nothing was measured.",
            next_step="Name another one, or 0 for one that is free.",
        ) from error
    return bound


def _question(request: Request) -> tuple[str, int]:
    asked = request.query_params
    return asked["q"], int(asked["k"])


def _answer(keys: Sequence[str], embed_s: float) -> Response:
    return JSONResponse({"keys": list(keys), "embed_s": embed_s})


async def _ping(request: Request) -> Response:
    return Response(b"")


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, SearchFailed)
    return JSONResponse({"error": error.what}, status_code=500)
