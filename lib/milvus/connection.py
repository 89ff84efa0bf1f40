"""Open, describe and close a Milvus, embedded or on a server.

One `Connection` is a synchronous client for the lab's own bookkeeping plus the langchain-milvus
stores opened through it. Every RPC has a deadline: the gRPC service config sets it for all methods,
because several langchain-milvus calls have no timeout argument of their own.
"""

import contextlib
import copy
import json
import logging
import re
import socket
import ssl
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from langchain_core.embeddings import Embeddings
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from lib import event_loop
from lib.errors import CollectionMismatch, ConnectionFailed, InvalidInput
from lib.milvus import lite as milvus_lite
from lib.milvus.failures import explain, reported
from lib.milvus.fields import (
    DYNAMIC_FIELD,
    WORDS_FIELD,
    Schema,
    StoredField,
    dynamic_text,
    read_schema,
)
from lib.milvus.lite import Lite
from lib.milvus.territory import NOTHING, GuardedClient, Territory, scratch_name, store_class
from lib.results.catalogue import TEXT_FIELD, VECTOR_FIELD
from lib.settings import HTTP_PORTS, Settings, canonical, check_uri
from lib.workers.supervised import Mishap

if TYPE_CHECKING:
    from langchain_milvus import Milvus

THIS_COMPUTER = {"localhost", "127.0.0.1", "::1", "[::1]"}
CONNECT_TIMEOUT_S = 5.0
PING_TIMEOUT_S = 4.0
# This is shorter than a ping waits. So the first ping after a server came back finds it.
RECONNECT_MS = 3_000
# How long an answer may take that a person waits for. Milvus Lite answers one call after another,
# so a question may wait for a batch that is being written. The last try to connect may add up to
# `RECONNECT_MS`.
ANSWER_S = 6.0
LITE_ANSWER_S = 30.0
# Rows in which a text is looked for that the schema does not name.
TEXT_SAMPLE_ROWS = 20

# On failure the libraries log the first row, text included, or a traceback per retry. Our log must
# not hold a visitor's documents, and our errors say what is needed.
for _noisy in ("pymilvus", "langchain_milvus", "milvus_lite", "grpc"):
    logging.getLogger(_noisy).setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Description:
    """What answers at the other end."""

    version: str
    collections: tuple[str, ...]


LABELS = {"lite": "Milvus Lite (embedded)", "server": "Milvus server", "zilliz": "Zilliz Cloud"}


# How often each session used the Milvus at an address. Each use slows a measurement there.
_uses: dict[str, Counter[str]] = {}
_counting_uses = threading.Lock()


class Lease:
    """One user's hold on a connection, which stays open until its last user lets go."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self._lock = threading.Lock()
        self._is_held = True

    def release(self, *, drop_own: bool = False) -> None:
        """End this hold; a second call does nothing.

        With `drop_own` a visitor's collections are dropped with their last hold.
        """
        with self._lock:
            was_held, self._is_held = self._is_held, False
        if was_held:
            self.connection._let_go(drop_own=drop_own)

    def __enter__(self) -> "Connection":
        """Return the connection."""
        return self.connection

    def __exit__(self, *_: object) -> None:
        """Let go."""
        self.release()


class Closed(ConnectionFailed):
    """A hold was asked for when the last one had just been let go."""


class Pool:
    """One connection that many users share: the host's own."""

    def __init__(self) -> None:
        self._shared: Connection | None = None
        self._failure: ConnectionFailed | None = None
        self._failed = 0.0
        self._lock = threading.Lock()

    @property
    def users(self) -> int:
        """How many hold the shared connection."""
        shared = self._shared
        return shared._users[0] if shared is not None and not shared.closed else 0

    def lease(self, settings: Settings, territory: Territory | None = None) -> Lease:
        """Return a hold on the shared connection, opened when there is none.

        With a territory it is a hold on a view that can write there only.
        """
        asked = time.monotonic()
        with self._lock:
            if self._failure is not None and self._failed > asked:
                # It failed while this caller waited, so the caller need not wait for it again.
                raise self._failure
            if self._shared is not None:
                # Asked for and not looked at first: its last user may let go at any moment.
                with contextlib.suppress(Closed):
                    return self._shared.lease(territory)
            try:
                lease = open_lease(settings, territory)
            except ConnectionFailed as error:
                self._failure, self._failed = error, time.monotonic()
                raise
            self._shared = lease.connection._whole
            return lease

    def retire(self, connection: "Connection") -> None:
        """Give this connection to no new user. Its present users keep it."""
        with self._lock:
            if self._shared is connection._whole:
                self._shared = None


class Connection:
    """An open Milvus. Make it with `open_connection`; safe to share between threads.

    Each of its users takes a `lease`. `limited_to` gives a view that writes to one territory only.
    """

    def __init__(
        self, *, kind: str, address: str, arguments: dict[str, Any], lite: Lite | None
    ) -> None:
        self.id = uuid.uuid4().hex  # the key of caches: no visitor gets what another may see
        self.kind = kind  # "lite", "server" or "zilliz"
        self.address = address  # host and port, or the file's name; no credentials, no path
        self.arguments = arguments
        self.territory: Territory | None = None
        self.lite = lite  # None where a server answers
        self._stores: dict[tuple[str, int, bool, tuple[str, ...], str], Milvus] = {}
        self._schemas: dict[str, Schema] = {}  # of the collections whose stores are kept
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._users = [1]  # whoever opened it; a list, which a view shares
        self._visitors: Counter[str] = Counter()  # holds by territory, shared too
        self.client: Any = MilvusClient(**arguments)
        self._whole = self

    @property
    def closed(self) -> bool:
        """Say whether it was closed."""
        return self._closed.is_set()

    def note_use(self, session: str) -> None:
        """Count that a session works with this Milvus now."""
        with _counting_uses:
            _uses.setdefault(self.arguments["uri"], Counter())[session] += 1

    def uses(self) -> Counter[str]:
        """Return how often each session of this process has worked with this Milvus."""
        with _counting_uses:
            return Counter(_uses.get(self.arguments["uri"], {}))

    def lease(self, territory: Territory | None = None) -> Lease:
        """Return a hold, with a territory one on a view that can write there only.

        The connection closes when the last one is released. Raises Closed when it is closed.
        """
        if territory is not None:
            return self.limited_to(territory).lease()
        with self._lock:
            if self.closed:
                raise Closed("The connection was closed.", next_step="Reload the page.")
            self._users[0] += 1
            if self.territory is not None:
                self._visitors[self.territory.prefix] += 1
        return Lease(self)

    def _let_go(self, *, drop_own: bool = False) -> None:
        try:
            self._visitor_lets_go(drop_own)
        finally:
            with self._lock:
                self._users[0] -= 1
            self.close(if_unused=True)

    def _visitor_lets_go(self, drop_own: bool) -> None:
        """Close what was kept for a visitor alone when this was their last hold.

        That is the stores of their own collections, and those with an embedding of their own: it
        holds their key, and channels that nobody else may use.
        """
        if self.territory is None:
            return
        with self._lock:
            self._visitors[self.territory.prefix] -= 1
            if self._visitors[self.territory.prefix] > 0:
                return
            del self._visitors[self.territory.prefix]
            # Taken before the lock is free: a new hold makes stores of its own.
            stores = self._take_stores(self.territory.owns, whose=self.territory.prefix)
        close_stores(*stores)
        if drop_own:
            with reported("Could not drop a visitor's collections."):
                for name in filter(self.may_write, self.client.list_collections()):
                    self.client.drop_collection(name)
                    self.forget_stores(name)

    def limited_to(self, territory: Territory) -> "Connection":
        """Return a view of the same connection that can write to one territory only."""
        view = copy.copy(self._whole)
        view.id = f"{self._whole.id}-{uuid.uuid4().hex}"
        view.territory = territory
        view.client = GuardedClient(self._whole.client, territory)
        return view

    def may_write(self, collection: str) -> bool:
        """Say whether this view may change a collection; the guard refuses it anyway."""
        return self.territory is None or self.territory.owns(collection)

    def scratch_name(self) -> str:
        """Return a new name for a collection that is dropped after use."""
        if self.territory is None:
            return scratch_name()
        return self.territory.scratch_name()

    @property
    def is_lite(self) -> bool:
        """Say whether Milvus runs embedded, in a process of this app."""
        return self.kind == "lite"

    @property
    def is_nearby(self) -> bool:
        """Say whether Milvus runs on this computer, as far as its address tells."""
        return self.is_lite or self.address.rpartition(":")[0] in THIS_COMPUTER

    @property
    def answer_s(self) -> float:
        """Seconds that an answer for a waiting person may take, with all its tries."""
        return LITE_ANSWER_S if self.is_lite else ANSWER_S

    @property
    def label(self) -> str:
        """The backend's name for people."""
        return LABELS[self.kind]

    def describe(self) -> Description:
        """Ask the backend who it is and what it holds. Raises ConnectionFailed."""
        with reported(f"{self.label} does not answer."):
            version = self.ask(PING_TIMEOUT_S)
        return Description(version, tuple(self.collection_names()))

    def ask(self, timeout: float) -> str:
        """Return the version: the proxy alone answers, also while collections keep it busy.

        It is 2.3.5 for 'v2.3.5-lite' and 3.2.2 for 'milvus_lite-3.2.2'.
        """
        text = str(self.client.get_server_version(timeout=timeout))
        match = re.search(r"\d+\.\d+(\.\d+)?", text)
        return match.group() if match else text

    def collection_names(self) -> list[str]:
        """Return the names of all collections that may be read, damaged ones too."""
        with reported("Could not read the list of collections."):
            if self.lite is None:
                return sorted(self.client.list_collections(timeout=PING_TIMEOUT_S))
            may_read = self.territory.may_read if self.territory else lambda name: True
            return sorted(filter(may_read, self.lite.call("names")))

    @property
    def mishap(self) -> Mishap | None:
        """The last time that Milvus Lite ended and was started again; None while it never did."""
        return self.lite.served.mishap if self.lite is not None else None

    def check_room(self) -> None:
        """Raise OperationFailed when the disk under Milvus Lite is too full to write to."""
        if self.lite is not None:
            self.lite.check_room()

    def ping(self) -> float:
        """Return the seconds one small RPC takes. Raises ConnectionFailed within 5 seconds."""
        if self.closed:
            raise ConnectionFailed("The connection was closed.", next_step="Reload the page.")
        started = time.perf_counter()
        with reported(f"{self.label} at {self.address} does not answer."):
            self.client.has_collection("lab_ping", timeout=PING_TIMEOUT_S)
        return time.perf_counter() - started

    def schema(self, collection: str, *, fresh: bool = False) -> Schema:
        """Return the description of a collection, read anew when it must be `fresh`.

        Raises InvalidInput when there is no such collection.
        """
        if not fresh and collection in self._schemas:
            return self._schemas[collection]
        with reported(f"Could not read the fields of {collection!r}."):
            if not self.client.has_collection(collection, timeout=self.answer_s):
                raise InvalidInput(
                    f"There is no collection named {collection!r}.",
                    next_step="Ingest something first.",
                )
            facts = self.client.describe_collection(collection, timeout=self.answer_s)
            names = self.client.list_indexes(collection, timeout=self.answer_s)
            indexes = [
                self.client.describe_index(collection, each, timeout=self.answer_s) or {}
                for each in names
            ]
        schema = read_schema(facts, indexes)
        if schema.may_have_dynamic_text:
            schema = replace(schema, text=dynamic_text(schema, self._first_rows(collection)))
        self._schemas[collection] = schema
        return schema

    def _first_rows(self, collection: str) -> list[dict[str, Any]]:
        """Return the dynamic fields of some rows, none while the collection is not loaded."""
        with contextlib.suppress(MilvusException):
            if self.is_lite:
                self.client.load_collection(collection)
            found: list[dict[str, Any]] = self.client.query(
                collection,
                limit=TEXT_SAMPLE_ROWS,
                output_fields=[DYNAMIC_FIELD],
                consistency_level="Strong",
                timeout=self.answer_s,
            )
            return found
        return []

    def store(
        self, collection: str, embeddings: Embeddings, legs: tuple[str, ...] = (VECTOR_FIELD,)
    ) -> "Milvus":
        """Return the langchain-milvus store for an existing collection, opened once and kept.

        `legs` say by what it searches: the embedding's vectors, the words', or both.

        A store object learns the schema when it is built, so the collection must exist first and
        `forget_stores` must be called when it is dropped.
        """
        if self.territory is not None:
            self.territory.check_read(collection)
        # All visitors share the stores of the host's collections and model: none can write.
        is_visitors = getattr(embeddings, "is_visitors", False)
        whose = self.territory.prefix if self.territory and is_visitors else ""
        key = (collection, id(embeddings), self.territory is not None, legs, whose)
        with self._lock:
            if key not in self._stores:
                self._stores[key] = self.new_store(collection, embeddings, legs)
            return self._stores[key]

    def new_store(
        self, collection: str, embeddings: Embeddings, legs: tuple[str, ...] = (VECTOR_FIELD,)
    ) -> "Milvus":
        """Build a store that the caller closes with `close_stores`.

        Raises CollectionMismatch for a collection without an index, which the library would make.
        """
        territory = self.territory
        if territory is not None and not territory.owns(collection):
            territory = NOTHING
        schema = self.schema(collection, fresh=True)
        if schema.unindexed:
            raise no_index(schema)
        vector = schema.vector or next(each for each in schema.fields if each.is_vector)
        with reported(f"Could not open the collection {collection!r}."):
            cls = store_class(territory)
            store = cls(
                embedding_function=embeddings if VECTOR_FIELD in legs else None,
                collection_name=collection,
                connection_args=self.arguments,
                auto_id=schema.key.is_made,
                enable_dynamic_field=schema.is_dynamic,
                primary_field=schema.key.name,
                text_field=schema.text or TEXT_FIELD,
                **(_legs(legs, schema) if WORDS_FIELD in legs else _vector(vector)),
            )
        # What the library asks for; a server refuses the vectors that it makes itself.
        store.fields = [schema.key.name, *schema.scalars]
        return store

    @property
    def replaces_by(self) -> str:
        """The method that replaces a whole row by a new one with the same key.

        Milvus Lite's upsert keeps each dynamic field that the new row does not name, and its insert
        replaces the row; a server's insert adds a second row of the key, and its upsert replaces.
        """
        return "add_documents" if self.is_lite else "upsert"

    def replace_rows(self, collection: str, rows: list[dict[str, Any]]) -> None:
        """Replace whole rows, with their vectors, in the way that `replaces_by` says."""
        self.check_room()
        (self.client.insert if self.is_lite else self.client.upsert)(collection, rows)

    def forget_stores(self, collection: str) -> None:
        """Close the kept stores of a collection that was dropped or made anew."""
        self._schemas.pop(collection, None)
        close_stores(*self._take_stores(lambda name: name == collection))

    def _take_stores(
        self, is_meant: Callable[[str], bool], *, whose: str | None = None
    ) -> "list[Milvus]":
        """Take the kept stores of these collections or of this visitor, for the caller to close."""
        with self._lock:
            keys = [key for key in self._stores if is_meant(key[0]) or key[-1] == whose]
            return [self._stores.pop(key) for key in keys]

    def close(self, *, if_unused: bool = False) -> None:
        """Close every client and channel and, for Milvus Lite, release the file.

        With `if_unused` it stays open while somebody holds it.
        """
        with self._lock:
            if self.closed or (if_unused and self._users[0] > 0):
                return
            # Marked before the lock is free: nobody may take a lease on what is being closed.
            self._closed.set()
            stores = self._take_stores(lambda name: True)
        close_stores(*stores)
        self._whole.client.close()
        if self.lite is not None:
            self.lite.release()


def open_connection(settings: Settings, guest: Lite | None = None) -> Connection:
    """Open the Milvus that the settings name; a Milvus Lite as the `guest` of another process.

    Raises ConnectionFailed within ten seconds when nobody answers, the credentials are wrong, or
    another process holds the Milvus Lite file.
    """
    uri = check_uri(settings.milvus_uri)
    if settings.is_embedded:
        lite = guest or milvus_lite.acquire(Path(uri), settings.rpc_timeout_s)
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
    address = canonical(uri, HTTP_PORTS["milvus_uri"]).split("/")[2]
    try:
        return Connection(
            kind="zilliz" if "zillizcloud.com" in address else "server",
            address=address,
            arguments=_arguments(uri, settings),
            lite=None,
        )
    except Exception as error:
        nobody = f"No Milvus answered at {address}."
        explained = explain(error, nobody)
        if explained.what == nobody and (reason := _distrust(uri)):
            explained = ConnectionFailed(
                f"The certificate of {address} is not trusted: {reason}.",
                next_step="Point GRPC_DEFAULT_SSL_ROOTS_FILE_PATH at a file with the certificate "
                "of the authority that signed it.",
            )
        raise explained from error


def _distrust(uri: str) -> str:
    """Return why the certificate at an https address is not trusted; an empty text if it is.

    gRPC gives the same error as for a server that does not exist.
    """
    parts = urlsplit(uri)
    if parts.scheme != "https" or parts.hostname is None:
        return ""
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), timeout=2) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError:
        return ""


def open_lease(
    settings: Settings, territory: Territory | None = None, guest: Lite | None = None
) -> Lease:
    """Open a connection that lives as long as somebody holds it, and return the first hold.

    With a territory it is a view that can write there only; a Milvus Lite may be the `guest` of
    another process. Raises ConnectionFailed.
    """
    opened = open_connection(settings, guest)
    lease = opened.lease(territory)
    opened._let_go()  # whoever opened it: only the lease counts from now on
    return lease


def close_stores(*stores: "Milvus") -> None:
    """Close the two clients of each store; the asynchronous one on the loop it lives on."""
    for store in stores:
        with contextlib.suppress(MilvusException):
            store.client.close()
        with contextlib.suppress(MilvusException, TimeoutError):
            event_loop.run(store.aclient.close(), timeout=5)


# Indexes for which langchain-milvus knows how to search.
KNOWN_INDEXES = ("FLAT", "IVF_FLAT", "IVF_SQ8", "IVF_PQ", "HNSW", "SCANN", "AUTOINDEX")


def no_index(schema: Schema) -> CollectionMismatch:
    """Return the error for a collection that cannot be searched before it has an index."""
    names = ", ".join(each.name for each in schema.unindexed)
    return CollectionMismatch(
        f"The collection {schema.collection!r} has no index on {names}, so Milvus cannot search "
        "it.",
        kept="Nothing was changed.",
        next_step="Build the index on the page Collections.",
    )


def _vector(vector: StoredField) -> dict[str, Any]:
    """Return the options of a store that searches by one vector, also with an unknown index."""
    known = vector.index_type in KNOWN_INDEXES
    params = None if known else {"metric_type": vector.metric_type, "params": {}}
    return {"vector_field": vector.name, "search_params": params}


def _legs(legs: tuple[str, ...], schema: Schema) -> dict[str, Any]:
    """Return the options of a store that searches by words; Milvus Lite refuses the defaults."""
    from langchain_milvus import BM25BuiltInFunction

    vector = schema.vector.name if schema.vector else ""
    names = [schema.words if leg == WORDS_FIELD else vector for leg in legs]
    explicit: list[dict[str, Any]] = [
        {"metric_type": "BM25", "params": {}} if leg == WORDS_FIELD else {"params": {}}
        for leg in legs
    ]
    bm25 = BM25BuiltInFunction(input_field_names=schema.text, output_field_names=schema.words)
    return {
        "vector_field": names if len(legs) > 1 else names[0],
        "search_params": explicit if len(legs) > 1 else explicit[0],
        "builtin_function": bm25,
    }


def _arguments(uri: str, settings: Settings) -> dict[str, Any]:
    deadline = {
        # Waiting for a channel that comes back, up to the deadline, replaces pymilvus's 75 retries.
        "name": [{}],
        "waitForReady": True,
        "timeout": f"{settings.rpc_timeout_s:g}s",
    }
    options: dict[str, Any] = {
        "grpc.service_config": json.dumps({"methodConfig": [deadline]}),
        # A server that came back is found within seconds. By default one attempt may wait 20 s for
        # a server that accepts and says nothing, and the next attempt may follow after 2 minutes.
        "grpc.initial_reconnect_backoff_ms": 500,
        "grpc.min_reconnect_backoff_ms": RECONNECT_MS,
        "grpc.max_reconnect_backoff_ms": RECONNECT_MS,
    }
    if settings.is_embedded:
        # Milvus Lite answers pymilvus's idle pings with GOAWAY, which breaks the next connect.
        options |= {"grpc.keepalive_time_ms": 600_000, "grpc.keepalive_permit_without_calls": 0}
    else:
        # A silent connection is closed within seconds, so that the next try opens a new one. By
        # default a ping may stay unanswered for a minute, and no third ping follows without a call.
        # A server refuses more than one ping in 5 s.
        options |= {
            "grpc.keepalive_time_ms": 6_000,
            "grpc.http2.max_pings_without_data": 0,
            "grpc.http2.ping_timeout_ms": 3_500,
        }
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
