"""Work: a function run in a worker of its own, with limits, progress and stop."""

import contextlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import psutil

from lib.errors import LabError
from lib.workers.host import TICK_S, NotStarted, Request, shared
from lib.workers.worker import MAX_MESSAGE_BYTES, MEGABYTE, Task, is_one

__all__ = ["Ended", "Limits", "NotStarted", "OutOfMemory", "OutOfTime", "Reused", "TooMuchOutput"]

# How long a worker is kept for the next caller.
KEPT_S = 60.0


class Ended(LabError):
    """A worker ended before its work did."""


class OutOfMemory(Ended):
    """It needed more memory than it may take."""


class OutOfTime(Ended):
    """It needed more time than it may take."""


class TooMuchOutput(Ended):
    """It gave more than it may."""


@dataclass(frozen=True)
class Limits:
    """What work may take, 0 is no limit, and how a sentence about it begins and ends.

    `seconds` count while the caller waits for the worker. `memory_mb` and `resident_mb` are above
    the worker's start: the first is refused to it, also what it only reserves, such as the stacks
    of threads; of the second the worker is looked at now and then and ended. `output_mb` is all
    that it says.
    """

    seconds: float = 0.0
    memory_mb: int = 0
    resident_mb: int = 0
    output_mb: int = 0
    what: str = "This work"
    done: str = "done"


NO_LIMITS = Limits()
# How often it is looked at how much a worker has in memory.
LOOK_EVERY_S = 0.25


def _never_stops() -> None:
    pass


def run(
    function: Callable[..., Any],
    *arguments: Any,
    limits: Limits = NO_LIMITS,
    modules: tuple[str, ...] = (),
    check: Callable[[], None] = _never_stops,
    on_progress: Callable[[Any], None] | None = None,
    on_question: Callable[[Any], Any] | None = None,
) -> Any:
    """Run a module's function in a worker and return what it returns, or raise what it raises.

    `modules` are imported by the host, once, beside the function's own. `check` is called many
    times a second; what it raises ends the worker. With `on_progress` the function gets `tell`, and
    what it tells arrives there. With `on_question` it gets `ask`, which returns what `on_question`
    answers; that time does not count. Raises OutOfMemory, OutOfTime, TooMuchOutput, Ended and
    NotStarted.

    In a worker the function runs where it is called: the worker's own limits hold.
    """
    if is_one():
        ways = {"tell": on_progress, "ask": on_question}
        return function(*arguments, **{name: way for name, way in ways.items() if way})
    said = _said(
        function,
        arguments,
        limits,
        modules,
        check,
        tells=on_progress is not None,
        on_question=on_question,
    )
    with contextlib.closing(said):
        for kind, value in said:
            if kind == "progress" and on_progress is not None:
                on_progress(value)
            elif kind == "done":
                return value
    raise AssertionError("the work's last message is `done`")


def stream(
    function: Callable[..., Iterator[Any]],
    *arguments: Any,
    limits: Limits = NO_LIMITS,
    modules: tuple[str, ...] = (),
    check: Callable[[], None] = _never_stops,
) -> Iterator[Any]:
    """Run a module's generator function in a worker and yield what it yields.

    The worker ends when nobody iterates any more. Otherwise like `run`.
    """
    if is_one():
        yield from function(*arguments)
        return
    said = _said(function, arguments, limits, modules, check)
    with contextlib.closing(said):
        for kind, value in said:
            if kind == "items":
                yield from map(pickle.loads, value)


class Reused:
    """One worker that is kept from one piece of work to the next, for callers who take turns.

    What starts an engine in its worker is quick from the second time on. A worker in which work
    ended in another way than with its result is not kept. Memory counts from its start.
    """

    def __init__(self, idle_s: float = KEPT_S) -> None:
        self._idle_s = idle_s
        self._turn = threading.Lock()
        self._worker: _Worker | None = None
        self._alarm: threading.Timer | None = None

    def run(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        limits: Limits = NO_LIMITS,
        modules: tuple[str, ...] = (),
        check: Callable[[], None] = _never_stops,
    ) -> Any:
        """Do what `run` does, in the kept worker. Waiting for one's turn is not limited."""
        if is_one():
            return function(*arguments)
        task = _task(function, limits)
        while not self._turn.acquire(timeout=TICK_S):
            check()
        try:
            if self._alarm is not None:
                self._alarm.cancel()
            worker, self._worker = self._worker, None
            if worker is not None:
                try:
                    return self._done(worker, task, arguments, limits, check)
                except OutOfTime:
                    raise
                except Ended:
                    pass  # perhaps for what it did before: the work is tried in a new one
            request = Request((function.__module__, *modules), is_service=False)
            return self._done(_Worker.started(request, check), task, arguments, limits, check)
        finally:
            self._turn.release()

    def _done(
        self,
        worker: "_Worker",
        task: Task,
        arguments: tuple[Any, ...],
        limits: Limits,
        check: Callable[[], None],
    ) -> Any:
        with worker.ends_unless_kept():
            for kind, value in worker.said(task, arguments, limits, check):
                if kind == "done":
                    self._worker, worker.is_kept = worker, True
                    self._alarm = threading.Timer(self._idle_s, self.end)
                    self._alarm.daemon = True
                    self._alarm.start()
                    return value
        raise AssertionError("the work's last message is `done`")

    def end(self) -> None:
        """End the worker, unless it works."""
        if self._turn.acquire(blocking=False):
            try:
                worker, self._worker = self._worker, None
                if worker is not None:
                    worker.end()
            finally:
                self._turn.release()


@dataclass
class _Worker:
    """A worker that was started: the way to it and its process."""

    connection: Connection
    pid: int
    handle: int | None
    bytes_at_start: int
    is_kept: bool = False
    looked: float = 0.0  # when its memory was looked at last

    @classmethod
    def started(cls, request: Request, check: Callable[[], None]) -> "_Worker":
        connection, pid = shared().open(request, check)
        return cls(connection, pid, handle_of(pid), _own_bytes(pid))

    def end(self) -> None:
        signal_end(self.handle, self.pid)
        close_handle(self.handle)
        self.connection.close()

    @contextlib.contextmanager
    def ends_unless_kept(self) -> Iterator[None]:
        self.is_kept = False
        try:
            yield
        finally:
            if not self.is_kept:
                self.end()

    def said(
        self,
        task: Task,
        arguments: tuple[Any, ...],
        limits: Limits,
        check: Callable[[], None],
        on_question: Callable[[Any], Any] | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Give it a task and yield what it says, `done` last."""
        with contextlib.suppress(OSError):  # the worker is gone: the host said how
            give(self.connection, task, arguments)
        left = limits.seconds
        while True:
            asked = time.monotonic()
            while not self.connection.poll(TICK_S):
                check()
                self._check_memory(limits)
                if limits.seconds and time.monotonic() - asked > left:
                    raise _too_long(limits)
            left -= time.monotonic() - asked
            if limits.seconds and left < 0:  # within the last tick
                raise _too_long(limits)
            kind, value = _received(self.connection)
            if kind in _ENDS:
                raise _ENDS[kind](limits)
            if kind == "raised":
                raise value
            if kind == "ended":
                raise _gone(limits, value)
            if kind != "done":  # one that always has something to say is looked at as well
                self._check_memory(limits)
            if kind == "question" and on_question is not None:
                with contextlib.suppress(OSError):  # it ended meanwhile: the host says how
                    self.connection.send(on_question(value))
                continue
            yield kind, value
            check()
            if kind == "done":
                return

    def _check_memory(self, limits: Limits) -> None:
        now = time.monotonic()
        if not limits.resident_mb or now - self.looked < LOOK_EVERY_S:
            return
        self.looked = now
        if _own_bytes(self.pid) > self.bytes_at_start + limits.resident_mb * MEGABYTE:
            raise _too_much(limits)


def _own_bytes(pid: int) -> int:
    """Return what a process has in memory, without pages of files where they are told apart.

    Of one that has ended it is 0: the host says how.
    """
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0
    return int(memory.rss - getattr(memory, "shared", 0))


def _task(
    function: Callable[..., Any], limits: Limits, *, tells: bool = False, asks: bool = False
) -> Task:
    return Task(
        function.__module__,
        function.__qualname__,
        tells=tells,
        asks=asks,
        memory=limits.memory_mb * MEGABYTE,
        output=limits.output_mb * MEGABYTE,
    )


def _said(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    limits: Limits,
    modules: tuple[str, ...],
    check: Callable[[], None],
    *,
    tells: bool = False,
    on_question: Callable[[Any], Any] | None = None,
) -> Generator[tuple[str, Any], None, None]:
    """Yield what a worker says, `done` last. However this ends, the worker is gone."""
    task = _task(function, limits, tells=tells, asks=on_question is not None)
    worker = _Worker.started(Request((function.__module__, *modules), is_service=False), check)
    with worker.ends_unless_kept():
        yield from worker.said(task, arguments, limits, check, on_question)


def give(connection: Connection, task: Task, arguments: tuple[Any, ...]) -> None:
    """Send a worker its task; large bytes among the arguments are sent as they are."""
    buffers: list[pickle.PickleBuffer] = []
    wrapped = tuple(
        pickle.PickleBuffer(each) if isinstance(each, bytes) else each for each in arguments
    )
    pickled = pickle.dumps(wrapped, protocol=5, buffer_callback=buffers.append)
    connection.send(task)
    connection.send(len(buffers))
    for buffer in buffers:
        # Flat: of a table of truth values with two dimensions its first length would be told.
        connection.send_bytes(buffer.raw())
    connection.send_bytes(pickled)


def handle_of(pid: int) -> int | None:
    """Return a handle that means this process even when another one gets its number later."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # it has ended, or the kernel is too old
        return None


def signal_end(handle: int | None, pid: int) -> None:
    """End a process at once."""
    with contextlib.suppress(OSError):
        if handle is not None:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        elif not hasattr(os, "pidfd_open"):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def close_handle(handle: int | None) -> None:
    """Close the handle of a process."""
    if handle is not None:
        os.close(handle)


def _received(connection: Connection) -> tuple[str, Any]:
    try:
        message: tuple[str, Any] = pickle.loads(connection.recv_bytes(MAX_MESSAGE_BYTES))
    except (EOFError, OSError):
        # The host was ended, and its workers with it.
        return "ended", getattr(signal, "SIGKILL", signal.SIGTERM)
    return message


def _too_much(limits: Limits) -> Ended:
    most = limits.memory_mb or limits.resident_mb
    than = f"than {most:,} MB" if most else "memory than there is"
    return OutOfMemory(f"{limits.what} needs more {than} to be {limits.done}")


def _too_long(limits: Limits) -> Ended:
    return OutOfTime(f"{limits.what} needs more than {limits.seconds:g} s to be {limits.done}")


def _too_large(limits: Limits) -> Ended:
    return TooMuchOutput(
        f"{limits.what} gives more than {limits.output_mb or MAX_MESSAGE_BYTES // MEGABYTE:,} MB "
        f"when it is {limits.done}"
    )


def _gone(limits: Limits, number: int) -> Ended:
    name = signal.Signals(number).name if number > 0 else f"code {-number}"
    return Ended(
        f"{limits.what} could not be {limits.done}: the process that did it was ended ({name})"
    )


# What a worker says of its own end → what the reader is told.
_ENDS = {"memory": _too_much, "output": _too_large}
