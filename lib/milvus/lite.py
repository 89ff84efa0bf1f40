"""Milvus Lite's own server in this process: one of a path, started here and released at the end."""

import threading
from pathlib import Path

from lib.errors import ConnectionFailed
from lib.milvus.failures import milvus_reason

INDEX_TIMEOUT_S = 300.0


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
        self.path = path
        self.users = 0
        self._server, self._database, self.port = start_server_in_thread(
            data_dir=str(path), host="127.0.0.1", port=0, max_workers=1
        )

    @classmethod
    def acquire(cls, path: Path) -> "LiteServer":
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
