"""Notices that a Milvus server died, long before the deadline of an RPC passes."""

import concurrent.futures
import contextvars
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from lib.errors import ConnectionFailed
from lib.jobs import Job
from lib.milvus.connection import Connection

T = TypeVar("T")
INTERVAL_S = 1.0
TICK_S = 0.05
# This is shorter than the time between two tries to connect.
RPC_TIMEOUT_S = 2.3
CONNECT_TIMEOUT_S = 1.0
# A busy server may be late once. A server that refuses the connection is dead at the first miss.
MISSES = 2


class Watchdog:
    """Asks the server for its version once a second, in a thread of its own; after a miss at once.

    The version is answered by the proxy alone, so a server that is busy with collections is not
    taken for a dead one. Milvus Lite is looked after by who started it, and has ended when it has
    had a mishap.
    """

    def __init__(self, connection: Connection, kept: str, *, asks: bool = True) -> None:
        """Begin to watch; one that does not ask only notices mishaps of Milvus Lite."""
        self._connection = connection
        self._kept = kept
        self.error: ConnectionFailed | None = None  # once a server was found dead
        self._mishap = connection.mishap
        self._ended = threading.Event()
        if asks and not connection.is_lite:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def check(self) -> None:
        """Raise ConnectionFailed once the server was found dead, or Milvus Lite was."""
        mishap = self._connection.mishap
        if mishap is not None and mishap is not self._mishap:
            raise ConnectionFailed(mishap.sentence, kept=self._kept)
        if self.error is not None:
            raise self.error

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()

    def _watch(self) -> None:
        misses = 0
        while not self._ended.wait(0.0 if misses else INTERVAL_S):
            asked = time.perf_counter()
            try:
                self._connection.client.get_server_version(timeout=RPC_TIMEOUT_S)
                misses = 0
            except Exception:  # noqa: BLE001  # whatever the reason, it did not answer
                misses += 1
                if self._ended.is_set():
                    return
                if misses >= MISSES or not self._listens():
                    self.error = ConnectionFailed(
                        f"{self._connection.label} at {self._connection.address} stopped answering "
                        f"{time.perf_counter() - asked:.1f} s ago.",
                        kept=self._kept,
                        next_step="Start the server again, then try again.",
                    )
                    return

    def _listens(self) -> bool:
        host, _, port = self._connection.address.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S):
                return True
        except OSError:
            return False


def watched(connection: Connection, work: Callable[[], T], job: Job | None = None) -> T:
    """Do work in another thread and return its result; wait no longer once the server is dead.

    A call that waits for a dead server cannot be ended. The thread that made it is left alone with
    it, and finds at its next look that the job has ended.
    """
    if connection.is_lite:
        return work()
    watchdog = Watchdog(connection, kept="What was already stored is kept.")
    try:
        return waited_for(work, watchdog.check)
    except ConnectionFailed as error:
        if job is not None:
            job.end_for(error)
        raise
    finally:
        watchdog.end()


def waited_for(work: Callable[[], T], check: Callable[[], None]) -> T:
    """Do work in another thread and return its result; what `check` raises ends the waiting."""
    answer: concurrent.futures.Future[T] = concurrent.futures.Future()

    def do() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            answer.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(do,), name="watched", daemon=True).start()
    while not concurrent.futures.wait([answer], TICK_S).done:
        check()
    return answer.result()
