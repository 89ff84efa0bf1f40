"""Open, describe and close a Milvus; everything peculiar to Milvus Lite is in here.

One `Connection` is a synchronous client for the lab's own bookkeeping plus the langchain-milvus
stores opened through it. Every RPC has a deadline: the gRPC service config sets it for all methods,
because several langchain-milvus calls have no timeout argument of their own.
"""

import contextlib
import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from langchain_core.embeddings import Embeddings
from langchain_milvus import Milvus
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from lib import event_loop
from lib.errors import ConnectionFailed, InvalidInput, LabError, OperationFailed
from lib.settings import Settings, check_uri

CONNECT_TIMEOUT_S = 5.0
PING_TIMEOUT_S = 4.0
INDEX_TIMEOUT_S = 300.0
PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD = "pk", "text", "vector"

# On failure the libraries log the first row, text included, or a traceback per retry. Whoever
# reads our log must not find a visitor's documents there; our errors carry what is needed.
for _noisy in ("pymilvus", "langchain_milvus", "milvus_lite", "grpc"):
    logging.getLogger(_noisy).setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Description:
    """What answers at the other end."""

    kind: str  # "lite", "server" or "zilliz"
    label: str  # for people: "Milvus Lite (embedded)"
    version: str
    address: str  # host and port, or the file's name; never credentials or a full path
    collections: tuple[str, ...]


LABELS = {
    "lite": "Milvus Lite (embedded)",
    "server": "Milvus server",
    "zilliz": "Zilliz Cloud",
}


class Connection:
    """An open Milvus. Make it with `open_connection`; safe to share between threads."""

    def __init__(
        self, *, kind: str, address: str, arguments: dict[str, Any], lite: "_LiteServer | None"
    ) -> None:
        self.id = uuid.uuid4().hex  # what one visitor's token may see is cached for nobody else
        self.kind = kind
        self.address = address
        self.arguments = arguments
        self._lite = lite
        self._stores: dict[tuple[str, int], Milvus] = {}
        self._lock = threading.RLock()
        self.closed = False
        self.client = MilvusClient(**arguments)

    @property
    def is_lite(self) -> bool:
        """Say whether Milvus runs inside this process."""
        return self.kind == "lite"

    @property
    def label(self) -> str:
        """The backend's name for people."""
        return LABELS[self.kind]

    def describe(self) -> Description:
        """Ask the backend who it is and what it holds. Raises ConnectionFailed."""
        with reported("Could not read the list of collections."):
            return Description(
                kind=self.kind,
                label=self.label,
                version=_plain_version(self.client.get_server_version(timeout=PING_TIMEOUT_S)),
                address=self.address,
                collections=tuple(sorted(self.client.list_collections(timeout=PING_TIMEOUT_S))),
            )

    def ping(self) -> float:
        """Return the seconds one small RPC takes. Raises ConnectionFailed within 5 seconds."""
        if self.closed:
            raise ConnectionFailed("The connection was closed.", next_step="Reload the page.")
        started = time.perf_counter()
        try:
            self.client.has_collection("lab_ping", timeout=PING_TIMEOUT_S)
        except Exception as error:
            raise explain(error, f"{self.label} at {self.address} does not answer.") from error
        return time.perf_counter() - started

    def store(self, collection: str, embeddings: Embeddings) -> Milvus:
        """Return the langchain-milvus store for an existing collection, opened once and kept.

        A store object learns the schema when it is built, so the collection must exist first and
        `forget_stores` must be called when it is dropped.
        """
        key = (collection, id(embeddings))
        with self._lock:
            if key not in self._stores:
                self._stores[key] = self.new_store(collection, embeddings)
            return self._stores[key]

    def new_store(self, collection: str, embeddings: Embeddings) -> Milvus:
        """Build a store that the caller closes with `close_store`."""
        with reported(f"Could not open the collection {collection!r}."):
            if not self.client.has_collection(collection, timeout=PING_TIMEOUT_S):
                raise InvalidInput(
                    f"There is no collection named {collection!r}.",
                    next_step="Ingest something first.",
                )
            return Milvus(
                embedding_function=embeddings,
                collection_name=collection,
                connection_args=self.arguments,
                auto_id=False,
                enable_dynamic_field=True,
            )

    @property
    def replaces_by(self) -> str:
        """The method that writes a row over the one of the same key and leaves nothing of it.

        Milvus Lite's upsert keeps each dynamic field that the new row does not name, and its insert
        replaces the row; a server's insert adds a second row of the key, and its upsert replaces.
        """
        return "add_documents" if self.is_lite else "upsert"

    def replace_rows(self, collection: str, rows: list[dict[str, Any]]) -> None:
        """Write whole rows, vectors and all, over those of the same keys, as `replaces_by` says."""
        (self.client.insert if self.is_lite else self.client.upsert)(collection, rows)

    def wait_for_index(self, collection: str) -> None:
        """Wait until Milvus Lite has indexed what was flushed; a server needs no such waiting."""
        if self._lite is not None:
            self._lite.wait_for_index(collection)

    def forget_stores(self, collection: str) -> None:
        """Close the kept stores of a collection that was dropped or made anew."""
        with self._lock:
            keys = [key for key in self._stores if key[0] == collection]
            stores = [self._stores.pop(key) for key in keys]
        for store in stores:
            close_store(store)

    def close(self) -> None:
        """Close every client and channel and, for Milvus Lite, release the file."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            stores, self._stores = list(self._stores.values()), {}
        for store in stores:
            close_store(store)
        self.client.close()
        if self._lite is not None:
            self._lite.release()


def open_connection(settings: Settings) -> Connection:
    """Open the Milvus that the settings name.

    Raises ConnectionFailed within ten seconds when nobody answers, the credentials are wrong, or
    another process holds the Milvus Lite file.
    """
    uri = check_uri(settings.milvus_uri)
    if settings.is_embedded:
        lite = _LiteServer.acquire(Path(uri))
        try:
            return Connection(
                kind="lite",
                address=Path(uri).name,
                arguments=_arguments(f"http://127.0.0.1:{lite.port}", settings),
                lite=lite,
            )
        except Exception as error:
            lite.release()
            raise explain(error, "Milvus Lite started but does not answer.") from error
    address = _address(uri)
    try:
        return Connection(
            kind="zilliz" if "zillizcloud.com" in address else "server",
            address=address,
            arguments=_arguments(uri, settings),
            lite=None,
        )
    except Exception as error:
        raise explain(error, f"No Milvus answered at {address}.") from error


def close_store(store: Milvus) -> None:
    """Close a store's two clients; the asynchronous one on the loop it lives on."""
    with contextlib.suppress(MilvusException):
        store.client.close()
    with contextlib.suppress(MilvusException, TimeoutError):
        event_loop.run(store.aclient.close(), timeout=5)


@contextlib.contextmanager
def reported(what: str) -> Iterator[None]:
    """Turn whatever Milvus or gRPC raises inside the block into a LabError that begins `what`."""
    try:
        yield
    except (LabError, TimeoutError):
        raise
    except Exception as error:
        raise explain(error, what) from error


UNREACHABLE = re.compile(
    r"fail connecting|unavailable|failed to connect|connection refused|deadline exceeded"
    r"|retry timeout|retry run out|should create connect|channel.*clos|connection.*clos",
    re.IGNORECASE,
)
REFUSED = re.compile(r"unauthenticated|auth check fail|permission.?denied", re.IGNORECASE)


def explain(error: BaseException, what: str) -> LabError:
    """Word a library's exception for the reader; the reason stays, the noise goes."""
    if isinstance(error, LabError):
        return error
    reason = milvus_reason(error)
    # pymilvus says "server unavailable" for a refused token too; only the cause tells them apart.
    if any(REFUSED.search(milvus_reason(cause)) for cause in _causes(error)):
        return ConnectionFailed(
            f"{what} It refused the credentials.",
            kept="Nothing was changed.",
            next_step="Check MILVUS_TOKEN (user:password, or the API key of Zilliz Cloud).",
        )
    if UNREACHABLE.search(reason):
        return ConnectionFailed(
            what,
            kept="What was already stored is kept.",
            next_step="Check that the server runs and that MILVUS_URI is right, then try again.",
        )
    return OperationFailed(f"{what} Milvus says: {reason}")


def milvus_reason(error: BaseException) -> str:
    """Return an exception's message as one line of at most 400 characters."""
    message = getattr(error, "message", "") or str(error) or type(error).__name__
    code = getattr(error, "code", None)
    if callable(code):  # a gRPC error
        message = f"{code()}: {error.details()}" if hasattr(error, "details") else str(code())
    line = " ".join(str(message).split())
    return line if len(line) <= 400 else line[:399] + "…"


def _causes(error: BaseException) -> Iterator[BaseException]:
    # pymilvus writes `raise e from e`, which makes an exception its own cause.
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__


def _arguments(uri: str, settings: Settings) -> dict[str, Any]:
    deadline = {
        # Waiting for a channel that comes back, up to the deadline, replaces pymilvus's 75 retries.
        "name": [{}],
        "waitForReady": True,
        "timeout": f"{settings.rpc_timeout_s:g}s",
    }
    options: dict[str, Any] = {"grpc.service_config": json.dumps({"methodConfig": [deadline]})}
    if settings.is_embedded:
        # Milvus Lite answers pymilvus's idle pings with GOAWAY, which breaks the next connect.
        options |= {"grpc.keepalive_time_ms": 600_000, "grpc.keepalive_permit_without_calls": 0}
    arguments: dict[str, Any] = {
        "uri": uri,
        "timeout": CONNECT_TIMEOUT_S,
        # A shared connection outlives close() and keeps the token in memory; a dedicated one ends.
        "dedicated": True,
        "grpc_options": options,
    }
    if settings.milvus_token:
        arguments["token"] = settings.milvus_token
    if settings.milvus_database and not settings.is_embedded:
        arguments["db_name"] = settings.milvus_database
    return arguments


def _address(uri: str) -> str:
    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 19530)
    return f"{parts.hostname}:{port}"


def _plain_version(text: str) -> str:
    """Return 2.3.5 for 'v2.3.5-lite' and 3.2.2 for 'milvus_lite-3.2.2'."""
    match = re.search(r"\d+\.\d+(\.\d+)?", text)
    return match.group() if match else text


class _LiteServer:
    """The in-process Milvus Lite of one path, shared by all connections to that path.

    It is started here rather than through pymilvus for two reasons: one worker instead of ten
    serialises writes, which Milvus Lite asks its callers to do, and the lock on the file can be
    told apart from other failures and released when the last connection closes.
    """

    _running: dict[Path, "_LiteServer"] = {}  # noqa: RUF012  # one registry for the process
    _opening = threading.Lock()

    def __init__(self, path: Path) -> None:
        from milvus_lite.adapter.grpc.server import start_server_in_thread

        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.users = 0
        self._server, self._database, self.port = start_server_in_thread(
            data_dir=str(path), host="127.0.0.1", port=0, max_workers=1
        )

    @classmethod
    def acquire(cls, path: Path) -> "_LiteServer":
        """Start or reuse the server of a path. Raises ConnectionFailed with the reason."""
        from milvus_lite.exceptions import DataDirLockedError

        path = path.expanduser().absolute()
        with cls._opening:
            if path not in cls._running:
                try:
                    cls._running[path] = cls(path)
                except DataDirLockedError as error:
                    raise ConnectionFailed(
                        f"Another process has the Milvus Lite file {path.name} open.",
                        kept="Its rows are untouched.",
                        next_step="Close the other app or script, or set MILVUS_URI to another "
                        "path ending in .db, or run a Milvus server that many can share.",
                    ) from error
                except Exception as error:
                    raise ConnectionFailed(
                        f"Milvus Lite could not open {path.name}: {milvus_reason(error)}",
                        kept="The file was left as it is.",
                        next_step="Check that the folder is writable and the disk is not full, "
                        "or set MILVUS_URI to another path ending in .db.",
                    ) from error
            server = cls._running[path]
            server.users += 1
            return server

    def wait_for_index(self, collection: str) -> None:
        """Wait for the thread that indexes flushed rows.

        No RPC tells when it is done, and loading the collection meanwhile can read half an index
        file. The method is Milvus Lite's own drain point, though not a public one.
        """
        self._database.get_collection(collection)._wait_for_bg(timeout=INDEX_TIMEOUT_S)

    def release(self) -> None:
        """Give the server back; the last user stops it and frees the file."""
        with self._opening:
            self.users -= 1
            if self.users > 0:
                return
            self._running.pop(self.path, None)
            self._server.stop(grace=2).wait(3)
            self._database.close()
