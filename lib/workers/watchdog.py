"""Notices that a service died, long before the deadline of a call of it passes."""

import concurrent.futures
import contextvars
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from lib.errors import ConnectionFailed
from lib.jobs import Job
from lib.workers.supervised import Mishap

T = TypeVar("T")
INTERVAL_S = 1.0
TICK_S = 0.05
# This is shorter than the time between two tries to connect.
ASK_TIMEOUT_S = 2.3
CONNECT_TIMEOUT_S = 1.0
# A busy server may be late once. A server that refuses the connection is dead at the first miss.
MISSES = 2


class Watched(Protocol):
    """A service as a watchdog sees it: far away at an address, or ours in a process of its own."""

    @property
    def label(self) -> str:
        """Its name for people."""

    @property
    def address(self) -> str:
        """Host and port."""

    @property
    def is_lite(self) -> bool:
        """Say whether it is ours: whoever started it looks after it, and notes its mishaps."""

    @property
    def mishap(self) -> Mishap | None:
        """The last time that it ended."""

    def ask(self, timeout: float) -> object:
        """Make the smallest call of it. Raises anything where no answer comes in time."""


class Watchdog:
    """Asks a service once a second whether it is alive, in a thread of its own."""

    def __init__(self, service: Watched, kept: str, *, asks: bool = True) -> None:
        """Begin to watch; one that does not ask only notices mishaps."""
        self._service = service
        self._kept = kept
        self.error: ConnectionFailed | None = None  # once a server was found dead
        self._mishap = service.mishap
        self._ended = threading.Event()
        if asks and not service.is_lite:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def check(self) -> None:
        """Raise ConnectionFailed once the service was found dead."""
        mishap = self._service.mishap
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
                self._service.ask(ASK_TIMEOUT_S)
                misses = 0
            except Exception:  # noqa: BLE001  # whatever the reason, it did not answer
                misses += 1
                if self._ended.is_set():
                    return
                if misses >= MISSES or not self._listens():
                    self.error = ConnectionFailed(
                        f"{self._service.label} at {self._service.address} stopped answering "
                        f"{time.perf_counter() - asked:.1f} s ago.",
                        kept=self._kept,
                        next_step="Start the server again, then try again.",
                    )
                    return

    def _listens(self) -> bool:
        host, _, port = self._service.address.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S):
                return True
        except OSError:
            return False


def watched(service: Watched, work: Callable[[], T], job: Job | None = None) -> T:
    """Do work in another thread and return its result; wait no longer once the service is dead.

    A call that waits for a dead server cannot be ended. The thread that made it is left alone with
    it, and finds at its next look that the job has ended.
    """
    if service.is_lite:
        return work()
    watchdog = Watchdog(service, kept="What was already stored is kept.")
    try:
        return waited_for(work, watchdog.check)
    except ConnectionFailed as error:
        if job is not None:
            job.end_for(error)
        raise
    finally:
        watchdog.end()


def waited_for(
    work: Callable[[], T],
    check: Callable[[], None],
    on_left: Callable[[threading.Thread], None] = lambda thread: None,
    *,
    tick_s: float = TICK_S,
    name: str = "watched",
) -> T:
    """Do work in another thread and return its result; what `check` raises ends the waiting.

    `check` is called every `tick_s`, `on_left` gets the thread that is left alone. The thread has
    the `name`.
    """
    answer: concurrent.futures.Future[T] = concurrent.futures.Future()

    def do() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            answer.set_exception(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(do,), name=name, daemon=True)
    thread.start()
    try:
        while not concurrent.futures.wait([answer], tick_s).done:
            check()
    except BaseException:
        on_left(thread)
        raise
    return answer.result()
