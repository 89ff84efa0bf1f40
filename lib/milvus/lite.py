"""Milvus Lite's own server in this process: one of a path, started here and released at the end."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

from lib.errors import ConnectionFailed, OperationFailed
from lib.milvus.failures import explain

INDEX_TIMEOUT_S = 300.0
# What Milvus Lite holds in memory, up to 128 MB, is written as rows and as their index.
ROOM_BYTES = 256 << 20


class LiteServer:
    """The in-process Milvus Lite of one path, shared by all connections to that path.

    It is started here rather than through pymilvus for two reasons: one worker instead of ten
    serialises writes, which Milvus Lite asks its callers to do, and the lock on the file can be
    told apart from other failures and released when the last connection closes.
    """

    _running: dict[Path, "LiteServer"] = {}  # noqa: RUF012  # one registry for the process
    _opening = threading.Lock()

    def __init__(self, path: Path) -> None:
        from milvus_lite.adapter.grpc.server import start_server_in_thread

        path.parent.mkdir(parents=True, exist_ok=True)
        _check_files(path)
        self.path = path
        self.users = 0
        self._server, self._database, self.port = start_server_in_thread(
            data_dir=str(path), host="127.0.0.1", port=0, max_workers=1
        )

    @classmethod
    def acquire(cls, path: Path) -> "LiteServer":
        """Start or reuse the server of a path. Raises ConnectionFailed with the reason."""
        try:
            from milvus_lite.exceptions import DataDirLockedError
        except ModuleNotFoundError as error:
            raise ConnectionFailed(
                "Milvus Lite is not installed: it exists for Linux and macOS only.",
                next_step="Set MILVUS_URI to the address of a Milvus server, such as "
                "http://localhost:19530, or use “Connect to another Milvus” in the sidebar.",
            ) from error

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
                    known = explain(error, f"Milvus Lite could not open {path.name}.")
                    raise ConnectionFailed(
                        known.what,
                        kept="The file was left as it is.",
                        next_step=known.next_step
                        or "Set MILVUS_URI to another path ending in .db.",
                    ) from error
            server = cls._running[path]
            server.users += 1
            return server

    def names(self) -> list[str]:
        """Return the names of the collections; its own list fails for all where one is damaged."""
        return list(self._database.list_collections())

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
        self._database._collections.pop(("default", collection), None)

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
