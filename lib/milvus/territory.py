"""What a visitor of a public app may write: collections of their own, and nothing else.

A guarded client stands in for pymilvus's, in the connection and in every langchain-milvus store
opened through it. It knows what reads and what writes one collection, and refuses the rest.
"""

import contextlib
import hashlib
import inspect
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil

from lib.errors import VISITORS_PREFIX, LabError
from lib.words import counted, shown_name

if TYPE_CHECKING:
    from langchain_milvus import Milvus

VISITOR_PREFIX = "lab_v"
# Collections of this prefix are made to measure; lists leave them out.
SCRATCH_PREFIX = "lab_bench_"
MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
READS = {
    "has_collection",
    "describe_collection",
    "query",
    "search",
    "hybrid_search",
    "list_indexes",
    "describe_index",
    "get_collection_stats",
    # Loading changes no row, and a collection that is not loaded cannot be read.
    "load_collection",
    "load_partitions",
}
WRITES = {
    "create_collection",
    "create_index",
    "insert",
    "upsert",
    "delete",
    "flush",
    "drop_collection",
    "alter_collection_properties",
}
NEITHER = {"get_server_version", "create_schema", "prepare_index_params", "close", "_using"}


class ReadOnly(LabError):
    """A visitor's call would change a collection that is not theirs."""


class QuotaReached(LabError):
    """A visitor's collections hold as much as one visitor may keep."""


@dataclass(frozen=True)
class Quota:
    """What one visitor may keep: collections, and rows in all of them together."""

    collections: int
    rows: int


@dataclass(frozen=True)
class Territory:
    """One visitor's collections: all whose names begin with a prefix that nobody can guess.

    The prefix holds the time, in seconds since 1970, after which anybody may drop them.
    """

    prefix: str = field(repr=False)
    expires: float
    quota: Quota
    # Set while the visitor cannot come back to it in another session.
    _session_only: threading.Event = field(
        default_factory=threading.Event, repr=False, compare=False
    )
    # Set while nobody has counted what an earlier process wrote there.
    _uncounted: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)
    # By collection: rows written since it was created; those made to measure are not counted.
    _scratch: set[str] = field(default_factory=set, repr=False, compare=False)
    _rows: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @classmethod
    def of(cls, secret: str, expires: int, quota: Quota, *, is_new: bool) -> "Territory":
        """Return the one of a secret of 32 hexadecimal digits: a new visitor's, or as it was left.

        A new visitor's ends with the session until the visitor is found to be able to come back.
        """
        territory = cls(f"{VISITOR_PREFIX}{expires:x}_{secret}_", expires, quota)
        (territory._session_only if is_new else territory._uncounted).set()
        return territory

    @property
    def ends_with_session(self) -> bool:
        """Say whether nobody can come back to it once the session is over."""
        return self._session_only.is_set()

    def comes_back(self) -> None:
        """Note that the visitor can come back in another session."""
        self._session_only.clear()

    def recall(self, count: Callable[[], Mapping[str, int]]) -> None:
        """Count once what an earlier process wrote; `count` returns the rows by collection."""
        if self._uncounted.is_set():
            found = count()
            with self._lock:
                for name, rows in found.items():
                    self._rows.setdefault(name, rows)
            self._uncounted.clear()

    @classmethod
    def to_measure(cls, prefix: str, expires: float, collection: str) -> "Territory":
        """Make the one of a visitor again where only this collection, made to measure, is filled.

        Collections whose names begin with its name are filled too.
        """
        return cls(prefix, expires, Quota(0, 0), _scratch={collection})

    @property
    def is_over(self) -> bool:
        """Say whether its time has passed."""
        return time.time() > self.expires

    def owns(self, name: str) -> bool:
        """Say whether a collection is the visitor's."""
        return name.startswith(self.prefix) and len(name) > len(self.prefix)

    def may_read(self, name: str) -> bool:
        """Say whether a collection is the visitor's or the host's, and not another visitor's."""
        return self.owns(name) or not name.startswith(VISITOR_PREFIX)

    def full_name(self, name: str) -> str:
        """Return the collection that a visitor means by a name."""
        return name if name.startswith(self.prefix) else self.prefix + name

    def scratch_name(self) -> str:
        """Return a new name for a collection that is dropped after use."""
        name = f"{self.prefix}{SCRATCH_PREFIX}{secrets.token_hex(4)}"
        self._scratch.add(name)
        return name

    def check_write(self, name: str, method: str) -> None:
        """Raise ReadOnly unless the collection is the visitor's."""
        if not self.owns(name):
            raise ReadOnly(
                f"The collection “{shown_name(name)}” belongs to the host and can only be read.",
                kept="Nothing was changed.",
                next_step="Write to a collection of your own.",
            )
        if self.is_over and method not in {"drop_collection", "delete", "flush"}:
            raise ReadOnly(
                "The time of your collections is over.",
                kept="They will be deleted soon.",
                next_step="Reload the page to begin anew.",
            )

    def check_read(self, name: str) -> None:
        """Raise ReadOnly for another visitor's collection, as if there were none."""
        if not self.may_read(name):
            raise ReadOnly("There is no such collection.")

    def note_creation(self, name: str) -> bool:
        """Count a new collection and say whether it is one.

        Raises QuotaReached when the visitor has as many as allowed.
        """
        if self._is_scratch(name):
            return False
        with self._lock:
            if name in self._rows:
                return False
            if len(self._rows) >= self.quota.collections:
                most = counted(self.quota.collections, "collection")
                raise QuotaReached(
                    f"A visitor may keep {most} here.", next_step="Drop one of yours first."
                )
            self._rows[name] = 0
            return True

    def note_rows(self, name: str, count: int) -> None:
        """Count rows about to be written. Raises QuotaReached when they would be too many."""
        if self._is_scratch(name):
            return
        with self._lock:
            before = sum(self._rows.values())
            if before + count > self.quota.rows:
                raise QuotaReached(
                    f"A visitor may write {self.quota.rows:,} rows here; "
                    f"{before:,} were written before.",
                    kept="Those are kept.",
                    next_step="Drop a collection of yours to write more.",
                )
            self._rows[name] = self._rows.get(name, 0) + count

    def note_failed(self, name: str) -> None:
        """Take back a creation that failed; what holds rows of the visitor's counts on."""
        with self._lock:
            if not self._rows.get(name):
                self._rows.pop(name, None)

    def note_drop(self, name: str) -> None:
        """Forget what a dropped collection held."""
        with self._lock:
            self._rows.pop(name, None)

    def _is_scratch(self, name: str) -> bool:
        return any(name.startswith(each) for each in self._scratch)


def scratch_name() -> str:
    """Return a new name for a collection that this process drops after use."""
    process = psutil.Process()
    made_by = f"{MACHINE}_{process.pid:x}_{int(process.create_time()):x}"
    return f"{SCRATCH_PREFIX}{made_by}_{int(time.time()):x}_{secrets.token_hex(4)}"


# A territory without a collection. It guards the stores of the host's collections.
NOTHING = Territory("-", 0.0, Quota(0, 0))


def is_scratch(name: str) -> bool:
    """Say whether a collection was made to measure; lists leave these out."""
    return shown_name(name).startswith(SCRATCH_PREFIX)


def expiry(name: str) -> float | None:
    """Return when a visitor's collection may be dropped; None for any other collection."""
    found = VISITORS_PREFIX.match(name)
    return float(int(found["expires"], 16)) if found and found.end() < len(name) else None


class GuardedClient:
    """A MilvusClient or AsyncMilvusClient that reads for a visitor and writes to their own only."""

    def __init__(self, client: Any, territory: Territory) -> None:
        self._guarded = client
        self._territory = territory

    def list_collections(self, **arguments: Any) -> list[str]:
        """Return the host's collections and the visitor's."""
        names = self._guarded.list_collections(**arguments)
        return [name for name in names if self._territory.may_read(name)]

    def __getattr__(self, name: str) -> Any:
        """Return the client's method, guarded. Raises ReadOnly for one that is not known here."""
        if name in NEITHER:
            return getattr(self._guarded, name)
        if name in READS | WRITES:
            return self._checked(name, getattr(self._guarded, name))
        raise ReadOnly(f"{name} is not possible on a public host.", kept="Nothing was changed.")

    def _checked(self, method: str, call: Callable[..., Any]) -> Callable[..., Any]:
        territory = self._territory

        def checked(*args: Any, **kwargs: Any) -> Any:
            collection = str(args[0] if args else kwargs.get("collection_name", ""))
            if method in READS:
                territory.check_read(collection)
                return call(*args, **kwargs)
            territory.check_write(collection, method)
            if method in {"insert", "upsert"}:
                data = args[1] if len(args) > 1 else kwargs.get("data", ())
                territory.note_rows(collection, len(data) if isinstance(data, Sequence) else 1)
            elif method == "create_collection":
                # One that is there already counts on when it cannot be made again.
                if territory.note_creation(collection):
                    failed = partial(territory.note_failed, collection)
                    return _or_undone(call, failed, args, kwargs)
            elif method == "drop_collection":
                territory.note_drop(collection)
            return call(*args, **kwargs)

        return checked


def _or_undone(
    call: Callable[..., Any], undo: Callable[[], None], args: Any, kwargs: dict[str, Any]
) -> Any:
    """Call, awaited or not, and undo what was noted for it where it fails."""

    async def awaited() -> Any:
        with _undoing(undo):
            return await made

    with _undoing(undo):
        made = call(*args, **kwargs)
    return awaited() if inspect.isawaitable(made) else made


@contextlib.contextmanager
def _undoing(undo: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        undo()
        raise


def store_class(territory: Territory | None) -> type["Milvus"]:
    """Return langchain-milvus's class, whose clients are guarded when there is a territory."""
    from langchain_milvus import Milvus  # takes a quarter of a second, and no first page needs it

    if territory is None:
        return Milvus
    guard: Territory = territory

    class GuardedMilvus(Milvus):
        """A store that can write to one visitor's collections only."""

        @property
        def client(self) -> Any:
            """The sync client, guarded."""
            return GuardedClient(super().client, guard)

        @property
        def aclient(self) -> Any:
            """The async client, guarded."""
            return GuardedClient(super().aclient, guard)

    return GuardedMilvus
