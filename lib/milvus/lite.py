"""Milvus Lite of a path, in a process of its own: one of a path, watched, and started again."""

import importlib.util
import json
import shutil
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any

from lib.errors import ConnectionFailed, LabError, OperationFailed
from lib.workers.service import Service
from lib.workers.work import Ended

# What Milvus Lite holds in memory, up to 128 MB, is written as rows and as their index.
ROOM_BYTES = 256 << 20
# Its modules are imported once, by the host of the workers.
SERVER = "lib.milvus.lite_server"
# How often it is looked after, and for how long it may not answer even that.
LOOK_EVERY_S, HELD_S = 1.0, 30.0
# A call that takes longer than a client waits for, and this, is ended with the process.
SPARE_S = 5.0
# A process that ends again and again is not started for ever.
RESTARTS, RESTARTS_IN_S = 5, 60.0
CALL_S = 330.0


@dataclass(frozen=True)
class Mishap:
    """What happened to a Milvus Lite, in a sentence, and when by the monotonic clock."""

    sentence: str
    at: float


def open_store(path: str, name: str, port: int) -> Any:
    """Open a path in the process that this runs in; the modules are loaded there alone.

    At a port that was in use before, clients go on with collections that were loaded.
    """
    from lib.milvus.lite_server import LiteStore

    return LiteStore(path, name, port, load=port != 0)


class Lite(ABC):
    """The Milvus Lite of one path, served at a port of this computer, as a connection uses it."""

    path: Path
    port: int
    pid: int  # the process in which it runs
    mishap: Mishap | None

    @abstractmethod
    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of `lib.milvus.lite_server.LiteStore`. Raises ConnectionFailed."""

    @abstractmethod
    def release(self) -> None:
        """Give it back."""

    def names(self) -> list[str]:
        """Return the names of the collections; its own list fails for all where one is damaged."""
        return list(self.call("names"))

    def check_room(self) -> None:
        """Raise OperationFailed when the disk is nearly full.

        A write that the disk ends in its middle leaves a log in which Milvus Lite finds nothing
        that was written after it.
        """
        free = shutil.disk_usage(self.path).free
        if free < ROOM_BYTES:
            raise OperationFailed(
                f"The disk with {self.path.name} has {free >> 20:,} MB left, and writing needs "
                f"{ROOM_BYTES >> 20:,} MB.",
                kept="What was already stored is kept.",
                next_step="Free some space, then try again.",
            )

    def reread(self, collection: str) -> None:
        """Read a collection from the disk again: a flush that failed left it without its rows."""
        self.call("reread", collection)

    def wait_for_index(self, collection: str) -> None:
        """Wait for the thread that indexes flushed rows."""
        self.call("wait_for_index", collection)


class LiteGuest(Lite):
    """One that somebody else started and looks after; `ask` has its methods called there."""

    def __init__(
        self,
        path: Path,
        port: int,
        pid: int,
        ask: Callable[..., Any],
        mishap: Callable[[], Mishap | None] = lambda: None,
    ) -> None:
        self.path, self.port, self.pid = path, port, pid
        self._ask, self._mishap = ask, mishap

    @property
    def mishap(self) -> Mishap | None:  # type: ignore[override]  # it is only read
        """What happened to it, as far as one is told here."""
        return self._mishap()

    def call(self, method: str, *arguments: Any) -> Any:
        """Have a method called by who started it."""
        return self._ask(method, *arguments)

    def release(self) -> None:
        """Leave it to who started it."""


class LiteServer(Lite):
    """The Milvus Lite of one path, shared by all connections of this process to that path.

    It lives in a worker. One that ended, or that does not answer, is started again at the same
    port, where the clients find it; what was acknowledged lies on the disk.
    """

    _running: dict[Path, "LiteServer"] = {}  # noqa: RUF012  # one registry for the process
    _opening = threading.Lock()

    def __init__(self, path: Path, patience_s: float) -> None:
        self.path = path
        self.users = 0
        self.port = 0
        self.mishap = None
        self._patience_s = patience_s + SPARE_S
        self._restarts: list[float] = []
        self._released = threading.Event()
        self._ready = threading.Event()  # cleared while it is started again
        self._why = ""
        self._service = self._started()
        self.port = int(self.call("port"))
        threading.Thread(target=self._look_after, name="lite-watch", daemon=True).start()

    @classmethod
    def acquire(cls, path: Path, patience_s: float = 30.0) -> "LiteServer":
        """Start or reuse the server of a path. Raises ConnectionFailed with the reason.

        A call that takes longer than `patience_s`, which is what its clients wait for, is ended.
        """
        if importlib.util.find_spec("milvus_lite") is None:
            raise ConnectionFailed(
                "Milvus Lite is not installed: it exists for Linux and macOS only.",
                next_step="Set MILVUS_URI to the address of a Milvus server, such as "
                "http://localhost:19530, or use “Connect to another Milvus” in the sidebar.",
            )
        path = path.expanduser().absolute()
        with cls._opening:
            if path not in cls._running:
                cls._running[path] = cls(path, patience_s)
            server = cls._running[path]
            server.users += 1
            return server

    @property
    def pid(self) -> int:  # type: ignore[override]  # it is only read
        """The process in which it runs."""
        return self._service.pid

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the process; when it ends meanwhile, that of the next one."""
        for _ in range(2):
            self._ready.wait(HELD_S)
            try:
                return self._service.call(method, *arguments, timeout=CALL_S)
            except Ended as error:
                ended = error
                time.sleep(LOOK_EVERY_S / 10)  # until its end was noticed here
        raise ConnectionFailed(
            ended.what, kept="What was already stored is kept.", next_step="Restart the app."
        ) from ended

    def release(self) -> None:
        """Give the server back; the last user stops it and frees the file."""
        with self._opening:
            self.users -= 1
            if self.users > 0:
                return
            self._running.pop(self.path, None)
            self._released.set()
            self._ready.wait(HELD_S)
            self._service.close()

    def _started(self) -> Service:
        """Start the process. Raises ConnectionFailed."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConnectionFailed(
                f"Milvus Lite could not open {self.path.name}. Its folder cannot be written to.",
                kept="The file was left as it is.",
                next_step="Make it writable, or set MILVUS_URI to another path ending in .db.",
            ) from error
        _check_files(self.path)
        service = Service(
            open_store,
            str(self.path),
            self.path.name,
            self.port,
            what="Milvus Lite",
            modules=(SERVER,),
            on_end=self._start_again,
        )
        self._ready.set()
        return service

    def _start_again(self, number: int) -> None:
        """Start the process that ended, and keep what happened for those who use it."""
        self._ready.clear()
        began = time.monotonic()
        why = self._why or f"ended ({Signals(number).name if number > 0 else 'by itself'})"
        self._why = ""
        self._restarts = [each for each in self._restarts if each > began - RESTARTS_IN_S]
        self._restarts.append(began)
        try:
            if self._released.is_set():
                return
            if len(self._restarts) > RESTARTS:
                raise ConnectionFailed(f"it ended {RESTARTS} times within a minute.")
            self._service = self._started()
        except LabError as error:
            sentence = f"Milvus Lite {why} and could not be started again: {error}"
        else:
            took_s = time.monotonic() - began
            sentence = (
                f"Milvus Lite {why} and was started again in {took_s:.1f} s. "
                "What was stored is there; what was under way may have to be done again."
            )
        finally:
            self._ready.set()
        self.mishap = Mishap(sentence, time.monotonic())

    def _look_after(self) -> None:
        """End the process when a call in it takes longer than anybody waits."""
        held_since: float | None = None
        while not self._released.wait(LOOK_EVERY_S):
            service, now = self._service, time.monotonic()
            try:
                busy_s = service.call("busy_s", timeout=LOOK_EVERY_S)
                held_since = None
            except TimeoutError:  # something holds its interpreter
                held_since = held_since or now
                busy_s = 0.0
            except Ended:
                held_since = None
                continue
            held_s = now - held_since if held_since is not None else 0.0
            if busy_s > self._patience_s or held_s > HELD_S:
                self._why = f"did not answer for {max(busy_s, held_s):.0f} s, was ended"
                held_since = None
                service.interrupt()
                service.ended.wait(HELD_S)


def _check_files(path: Path) -> None:
    """Raise ConnectionFailed for a list of files that cannot be read or names what is not there.

    Milvus Lite would go on without a word, with the rows of an earlier list or with fewer.
    """
    for manifest in sorted(path.glob("collections/*/manifest.json")):
        try:
            listed: dict[str, Any] = json.loads(manifest.read_bytes())["partitions"]
            files = [
                manifest.parent / "partitions" / partition / name
                for partition, kept in listed.items()
                for name in (*kept["data_files"], *kept["delta_files"])
            ]
        except (ValueError, KeyError, TypeError):
            damaged: Path | None = manifest
        else:
            damaged = next((each for each in files if not each.is_file()), None)
        if damaged is not None:
            name = damaged.relative_to(path)
            state = "damaged" if damaged == manifest else "missing"
            raise ConnectionFailed(
                f"In {path.name} the file {name} is {state}.",
                kept="Nothing was changed.",
                next_step="Put back a copy of it, or move the folder of its collection away.",
            )
