"""Milvus Lite's server as it runs in a worker, which loads its modules; nobody else does."""

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from milvus_lite.adapter.grpc.servicer import MilvusServicer
from milvus_lite.db import MilvusLite
from milvus_lite.exceptions import DataDirLockedError, MilvusLiteError
from pymilvus.grpc_gen import milvus_pb2_grpc

__all__ = ["DataDirLockedError", "LiteStore"]
INDEX_TIMEOUT_S = 300.0
MAX_MESSAGE_BYTES = 256 << 20
# The process of an app that was killed may hold the file for so long.
LOCKED_S, LOOK_EVERY_S = 4.0, 0.05


class _Clock(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Knows since when the call that is being answered is under way."""

    def __init__(self) -> None:
        self.began: float | None = None

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Return the handler of a call, which looks at the clock."""
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        def timed(request: Any, context: Any) -> Any:
            self.began = time.monotonic()
            try:
                return handler.unary_unary(request, context)
            finally:
                self.began = None

        return grpc.unary_unary_rpc_method_handler(
            timed, handler.request_deserializer, handler.response_serializer
        )


class LiteStore:
    """The Milvus Lite of one path.

    It is started here rather than by pymilvus for three reasons: one worker instead of ten
    serialises writes, which Milvus Lite asks its callers to do; the lock on the file can be told
    apart from other failures; and it tells for how long a call is under way.
    """

    def __init__(self, path: str, port: int, *, load: bool) -> None:
        """Open the path and serve it at this port, 0 for a free one.

        With `load` all collections are loaded first. Raises DataDirLockedError when another process
        holds the file, and whatever Milvus Lite and gRPC raise.
        """
        self._database = _opened(path)
        if load:
            self._load_all()
        self._clock = _Clock()
        # With one worker the calls of all clients come one after another.
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=1),
            interceptors=[self._clock],
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ],
        )
        milvus_pb2_grpc.add_MilvusServiceServicer_to_server(
            MilvusServicer(self._database), self._server
        )
        self._port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def _load_all(self) -> None:
        for name in self._database.list_collections():
            with contextlib.suppress(MilvusLiteError, OSError, ValueError):  # said when it is used
                self._database.get_collection(name).load()

    def port(self) -> int:
        """Return the port."""
        return int(self._port)

    def busy_s(self) -> float:
        """Return for how many seconds the present call is under way; 0 while there is none."""
        began = self._clock.began
        return time.monotonic() - began if began is not None else 0.0

    def names(self) -> list[str]:
        """Return the names of the collections; its own list fails for all where one is damaged."""
        return list(self._database.list_collections())

    def reread(self, collection: str) -> None:
        """Read a collection from the disk again: a flush that failed left it without its rows."""
        self._database._collections.pop(("default", collection), None)

    def wait_for_index(self, collection: str) -> None:
        """Wait for the thread that indexes flushed rows.

        No RPC tells when it is done, and loading the collection meanwhile can read half an index
        file. The method is Milvus Lite's own drain point, though not a public one.
        """
        self._database.get_collection(collection)._wait_for_bg(timeout=INDEX_TIMEOUT_S)

    def close(self) -> None:
        """Stop serving and free the file; a second call does nothing."""
        self._server.stop(grace=1).wait(2)
        self._database.close()


def _opened(path: str) -> Any:
    deadline = time.monotonic() + LOCKED_S
    while True:
        try:
            return MilvusLite(path)
        except DataDirLockedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_EVERY_S)
