"""Notices that a Milvus server died, long before the deadline of an RPC passes."""

import socket
import threading
import time

from lib.errors import ConnectionFailed
from lib.milvus.connection import Connection

INTERVAL_S = 1.0
RPC_TIMEOUT_S = 3.0
CONNECT_TIMEOUT_S = 1.0
# A busy server may be late once; one that is gone refuses the connection, which counts at once.
MISSES = 2


class Watchdog:
    """Asks the server for its version once a second, in a thread of its own.

    The version is answered by the proxy alone, so a server that is busy with collections is not
    taken for a dead one. Milvus Lite is not watched: it lives and ends with this process.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._error: ConnectionFailed | None = None
        self._ended = threading.Event()
        if not connection.is_lite:
            threading.Thread(target=self._watch, name="benchmark-watchdog", daemon=True).start()

    @property
    def is_dead(self) -> bool:
        """Say whether the server was found dead."""
        return self._error is not None

    def check(self) -> None:
        """Raise ConnectionFailed once the server was found dead."""
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()

    def _watch(self) -> None:
        misses = 0
        while not self._ended.wait(INTERVAL_S):
            asked = time.perf_counter()
            try:
                self._connection.client.get_server_version(timeout=RPC_TIMEOUT_S)
                misses = 0
            except Exception:  # noqa: BLE001  # whatever the reason, it did not answer
                misses += 1
                if self._ended.is_set():
                    return
                if misses >= MISSES or not self._listens():
                    self._error = ConnectionFailed(
                        f"{self._connection.label} at {self._connection.address} stopped answering "
                        f"{time.perf_counter() - asked:.1f} s ago.",
                        kept="The trials finished before are kept.",
                        next_step="Start the server again and repeat the run.",
                    )
                    return

    def _listens(self) -> bool:
        host, _, port = self._connection.address.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S):
                return True
        except OSError:
            return False
