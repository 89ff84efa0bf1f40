"""The host: a program of ours that has imported what workers need, and forks one for each request.

It opens nothing, so that gRPC works after the fork, and no page's script is in it:
`multiprocessing` started from a Streamlit page runs that page again in every child. Its standard
input is one end of a socket pair. A request is one end of a further pair, sent along it; the worker
answers on that end. When the process that started the host ends, however it ends, the host reads
the end of its input, gives services a moment to close what they hold, and ends with its workers.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import multiprocessing
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener, Pipe
from pathlib import Path
from typing import Any

from lib import settings
from lib.errors import LabError
from lib.workers import worker

CAN_FORK = hasattr(os, "fork") and hasattr(socket, "send_fds")
# A module that a worker needs is imported at its first use, which takes seconds.
START_S = 60.0
# For services to close what they hold, after the process that used them ended.
GRACE_S = 2.0
ATTEMPTS, PAUSE_S = 3, 0.1
# How often a caller is asked whether the work is still wanted.
TICK_S = 0.05
PR_SET_PDEATHSIG = 1
OOM_FIRST = "500"  # of 1,000: before all that has no such number
# What native libraries print when memory is refused, before they abort: Rust's, C++'s and C's.
REFUSED = re.compile(
    rb"memory allocation of \d+ bytes failed|bad_alloc|cannot allocate memory|out of memory",
    re.IGNORECASE,
)
LAST_WORDS = 4096  # bytes


class NotStarted(LabError):
    """No worker could be started."""


@dataclass(frozen=True)
class Request:
    """What the host must know to fork a worker: the modules to import first, and its kind.

    Behind a module's name and a colon stands a function of it that the host calls as well, to load
    once what each worker would load anew. It opens nothing and starts no thread.
    """

    modules: tuple[str, ...]
    is_service: bool


class Host:
    """The host of this process, started at its first use and again when it was found dead."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._owner = os.getpid()

    @property
    def pid(self) -> int:
        """The host's process, 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    def open(
        self, request: Request, check: Callable[[], None] = lambda: None
    ) -> tuple[Connection, int]:
        """Start a worker; return the connection to it and its process.

        What `check` raises ends the waiting. Raises NotStarted.
        """
        for attempt in range(ATTEMPTS):  # a host that was killed is started again
            time.sleep(attempt * PAUSE_S)
            with contextlib.suppress(EOFError, OSError):
                connection = self._asked(request) if CAN_FORK else _started_afresh()
                try:
                    return connection, _started(connection, check)
                except BaseException:
                    connection.close()
                    raise
        raise NotStarted(
            "A process of its own could not be started for this.",
            kept="Nothing was changed.",
            next_step="Try again; if it stays so, the computer has no room for a process.",
        )

    def warm(self, *modules: str) -> None:
        """Start the host and let it import modules, so that the first worker comes at once."""
        if CAN_FORK:
            with contextlib.suppress(NotStarted):
                connection, _ = self.open(Request(modules, is_service=False))
                connection.close()

    def end(self) -> None:
        """End the host and its workers."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None and self._owner == os.getpid():
            try:
                self._process.wait(GRACE_S + 1)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._control = self._process = None

    def _asked(self, request: Request) -> Connection:
        ours, theirs = Pipe()
        ours.send(request)
        with self._lock, theirs:
            try:
                socket.send_fds(self._way(), [b"w"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return ours

    def _way(self) -> socket.socket:
        """Return the way to a host that lives; a fork of this process gets a host of its own."""
        is_ours = self._owner == os.getpid()
        if self._process is None or self._process.poll() is not None or not is_ours:
            self._control = self._start()
        assert self._control is not None
        return self._control

    def _start(self) -> socket.socket:
        self._end()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lib.workers"],
                stdin=theirs.fileno(),
                cwd=settings.PROJECT_ROOT,
                env=_environment(),
                # Ctrl-C in a terminal reaches the app alone, which ends its workers in order.
                start_new_session=True,
            )
        self._owner = os.getpid()
        atexit.register(self.end)
        return ours


_shared = Host()


def shared() -> Host:
    """Return this process's one host."""
    return _shared


def _started(connection: Connection, check: Callable[[], None]) -> int:
    """Wait for a worker's first word and return its process. Raises EOFError for another one."""
    deadline = time.monotonic() + START_S
    while not connection.poll(TICK_S) and time.monotonic() < deadline:
        check()
    kind, pid = connection.recv() if connection.poll() else ("late", 0)
    if kind != "started":
        raise EOFError
    return int(pid)


def _environment() -> dict[str, str]:
    """Return the environment without what the app was told: a worker reads strangers' bytes."""
    return {name: text for name, text in os.environ.items() if name not in settings.VARIABLES}


def _started_afresh() -> Connection:
    """Start a worker as a program of its own, where `fork` is missing."""
    key = secrets.token_bytes(32)
    with Listener(authkey=key) as listener:
        process = subprocess.Popen(
            [sys.executable, "-m", "lib.workers", str(listener.address)],
            stdin=subprocess.PIPE,
            cwd=settings.PROJECT_ROOT,
            env=_environment(),
        )
        assert process.stdin is not None
        process.stdin.write(key)
        process.stdin.flush()  # it stays open: its end tells the worker that this process ended
        threading.Thread(
            target=_accompany, args=(process, listener.address, key), daemon=True
        ).start()
        return listener.accept()


def _accompany(process: subprocess.Popen[bytes], address: Any, key: bytes) -> None:
    """Wait for a worker's end, so that it stays no zombie and nobody waits for its beginning."""
    process.wait()
    assert process.stdin is not None
    process.stdin.close()
    with contextlib.suppress(OSError, EOFError, multiprocessing.AuthenticationError):
        Client(address, authkey=key).close()


@dataclass
class _Forked:
    """A worker as the host knows it; `errors` is where its standard error comes out, if known."""

    connection: Connection
    is_service: bool
    errors: int | None
    last_words: bytes = b""

    def listen(self) -> None:
        """Pass on what it printed, and keep the end of that."""
        while self.errors is not None:
            try:
                said = os.read(self.errors, LAST_WORDS)
            except BlockingIOError:
                return
            if not said:
                self.close()
                return
            with contextlib.suppress(OSError):
                os.write(2, said)
            self.last_words = (self.last_words + said)[-LAST_WORDS:]

    def close(self) -> None:
        """Hear nothing more of it."""
        if self.errors is not None:
            os.close(self.errors)
            self.errors = None

    def end(self, status: int) -> tuple[str, Any]:
        """Return how it ended: with a signal or a code, or because memory was refused."""
        self.listen()
        self.close()
        number = -os.waitstatus_to_exitcode(status)
        if number == signal.SIGABRT and REFUSED.search(self.last_words):
            return "memory", None
        return "ended", number


def serve() -> None:
    """Be the host: fork a worker for each request until the process that asks has ended."""
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    workers: dict[int, _Forked] = {}
    while True:
        errors = [each.errors for each in workers.values() if each.errors is not None]
        select.select([control.fileno(), woken, *errors], [], [])
        for each in workers.values():
            each.listen()
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)
        _reap(workers)
        if not select.select([control], [], [], 0)[0]:
            continue
        said, ends, _, _ = socket.recv_fds(control, 1, 1)
        if not said:
            break
        connection = Connection(ends[0])
        with contextlib.suppress(EOFError, OSError):
            request: Request = connection.recv()
            if _fork(connection, request, workers, [control.fileno(), woken, wake]):
                with contextlib.suppress(OSError):  # who asked has left already
                    worker.begin(connection)
                os._exit(0)
    _end_all(workers)


def _fork(
    connection: Connection,
    request: Request,
    workers: dict[int, _Forked],
    own: list[int],
) -> bool:
    """Fork a worker; return True in the worker and False in the host."""
    for module in request.modules:
        # The worker that needs it says why it cannot be imported.
        with contextlib.suppress(Exception):
            name, _, function = module.partition(":")
            imported = importlib.import_module(name)
            if function:
                getattr(imported, function)()
    gc.collect()
    gc.freeze()  # a collection in a worker would copy all that it shares with the host
    host = os.getpid()
    # A service outlives much that it prints, and nothing limits its memory.
    errors, printed = (None, None) if request.is_service else os.pipe()
    pid = os.fork()
    if pid:
        if errors is not None and printed is not None:
            os.close(printed)
            os.set_blocking(errors, False)
        workers[pid] = _Forked(connection, request.is_service, errors)
        return False
    if errors is not None and printed is not None:
        os.dup2(printed, 2)
        os.close(printed)
        os.close(errors)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if not request.is_service:
            # Where the computer has no memory left, the kernel ends work before it ends the app.
            with contextlib.suppress(OSError):
                Path("/proc/self/oom_score_adj").write_text(OOM_FIRST)
    if os.getppid() != host:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for end in own:
        os.close(end)
    for other in workers.values():
        other.connection.close()
        other.close()
    return True


def _reap(workers: dict[int, _Forked]) -> None:
    """Say of each worker that ended how it ended, behind the last that it said itself."""
    while workers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        ended = workers.pop(pid)
        how = ended.end(status)
        with contextlib.suppress(OSError):
            os.set_blocking(ended.connection.fileno(), False)
            ended.connection.send(how)
        ended.connection.close()


def _end_all(workers: dict[int, _Forked]) -> None:
    """End the workers: those that compute at once, services when they have closed or are late."""
    for pid, each in workers.items():
        if not each.is_service:
            os.kill(pid, signal.SIGKILL)
    for each in workers.values():
        each.connection.close()  # the worker has the other copy of this end
    deadline = time.monotonic() + GRACE_S
    left = set(workers)
    while left and time.monotonic() < deadline:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        left.discard(pid)
        if not pid:
            time.sleep(0.01)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
