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
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from langchain_core.embeddings import Embeddings
from langchain_milvus import Milvus
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from lib import event_loop
from lib.errors import ConnectionFailed, InvalidInput
from lib.milvus.failures import explain, reported
from lib.milvus.lite import LiteServer
from lib.settings import Settings, check_uri

CONNECT_TIMEOUT_S = 5.0
PING_TIMEOUT_S = 4.0

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
        self, *, kind: str, address: str, arguments: dict[str, Any], lite: LiteServer | None
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
        lite = LiteServer.acquire(Path(uri))
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
