"""Milvus Lite of a path, in a process of its own: one of a path, watched, and started again."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import ConnectionFailed, OperationFailed
from lib.workers.service import Service
from lib.workers.supervised import OnEnd, Supervised

# What Milvus Lite holds in memory, up to 128 MB, is written as rows and as their index.
ROOM_BYTES = 256 << 20
# Its modules are imported once, by the host of the workers.
SERVER = "lib.workers.lite_server"


def open_store(path: str, name: str, port: int) -> Any:
    """Open a path in the process that this runs in; the modules are loaded there alone.

    At a port that was in use before, clients go on with collections that were loaded. Raises
    ConnectionFailed.
    """
    from lib.milvus.failures import explain
    from lib.workers.lite_server import DataDirLockedError, LiteStore

    try:
        return LiteStore(path, port, load=port != 0)
    except DataDirLockedError as error:
        raise ConnectionFailed(
            f"Another process has the Milvus Lite file {name} open.",
            kept="Its rows are untouched.",
            next_step="Close the other app or script, or set MILVUS_URI to another "
            "path ending in .db, or run a Milvus server that many can share.",
        ) from error
    except Exception as error:
        known = explain(error, f"Milvus Lite could not open {name}.")
        raise ConnectionFailed(
            known.what,
            kept="The file was left as it is.",
            next_step=known.next_step or "Set MILVUS_URI to another path ending in .db.",
        ) from error


@dataclass(frozen=True)
class Asked:
    """One that another process looks after; `call` has its methods called there."""

    pid: int
    call: Callable[..., Any]
    mishap: None = None


class Lite:
    """The Milvus Lite of one path, served at a port of this computer, as a connection uses it.

    `served` is its process, `release` gives it back.
    """

    def __init__(
        self,
        path: Path,
        port: int,
        served: Supervised | Asked,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self.port = port
        self.served = served
        self.release = release
        # A method of `lib.workers.lite_server.LiteStore`. Raises ConnectionFailed.
        self.call = served.call

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


def acquire(path: Path, patience_s: float = 30.0) -> Lite:
    """Start or reuse the one of a path that all connections of this process share.

    It lives in a worker. One that ended, or in which a call takes longer than `patience_s`, which
    is what its clients wait for, is started again at the same port, where the clients find it; what
    was acknowledged lies on the disk. Raises ConnectionFailed with the reason.
    """
    if importlib.util.find_spec("milvus_lite") is None:
        raise ConnectionFailed(
            "Milvus Lite is not installed: it exists for Linux and macOS only.",
            next_step="Set MILVUS_URI to the address of a Milvus server, such as "
            "http://localhost:19530, or use “Connect to another Milvus” in the sidebar.",
        )
    path = path.expanduser().absolute()
    served = Supervised.acquire(path, _Start(path), "Milvus Lite", patience_s)
    try:
        return Lite(path, int(served.call("port")), served, served.release)
    except ConnectionFailed:
        served.release()
        raise


@dataclass
class _Start:
    """Starts the process of a path, again at the port that the first one got."""

    path: Path
    port: int = 0

    def __call__(self, on_end: OnEnd) -> Service:
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
            on_end=on_end,
        )
        self.port = int(service.call("port"))
        return service


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
