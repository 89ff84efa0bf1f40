"""What happens inside a worker: take the limits, run what was asked, say how it ended.

A worker says pairs of a kind and a value: `items`, `progress`, `question`, `done`, `raised`,
`memory`, `output`; a service `answer`s. The host adds `ended` with the signal that ended it.
"""

import contextlib
import importlib
import inspect
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from typing import Any

import psutil

from lib.errors import LabError

MEGABYTE = 1 << 20
# Items go in parcels: a row of a table alone costs more to send than to read.
PARCEL_BYTES, PARCEL_S = 1 << 18, 0.1
# A single message is read whole by the process that asked.
MAX_MESSAGE_BYTES = 128 * MEGABYTE
KEY_BYTES = 32
SERVICE_THREADS = 4


# Set in a worker: what it asks of a worker it does itself, for it is apart already.
_here: list[int] = []


def is_one() -> bool:
    """Say whether this process is a worker."""
    return _here == [os.getpid()]


@dataclass(frozen=True)
class Task:
    """A function by its name, and what it may take: bytes of memory above the start, of output."""

    module: str
    name: str
    is_service: bool = False
    tells: bool = False  # whether it takes `tell`, a function for its progress
    asks: bool = False  # whether it takes `ask`, a function for its questions
    memory: int = 0
    output: int = 0

    def function(self) -> Callable[..., Any]:
        """Return the function itself."""
        found: Any = importlib.import_module(self.module)
        for part in self.name.split("."):
            found = getattr(found, part)
        made: Callable[..., Any] = found
        return made


class _TooMuchOutput(Exception):
    """The worker said more than it may."""


class _Sender:
    """Sends what a worker says, from any thread, and counts it."""

    def __init__(self, connection: Connection, output: int) -> None:
        self._connection = connection
        self._left = output or sys.maxsize
        self._sending, self._asking = threading.Lock(), threading.Lock()

    def send(self, kind: str, value: Any) -> None:
        """Send one message. Raises _TooMuchOutput."""
        message = pickle.dumps((kind, value), protocol=pickle.HIGHEST_PROTOCOL)
        with self._sending:
            self._left -= len(message)
            if self._left < 0 or len(message) > MAX_MESSAGE_BYTES:
                raise _TooMuchOutput
            self._connection.send_bytes(message)

    def ask(self, question: Any) -> Any:
        """Send a question and wait for its answer."""
        with self._asking:
            self.send("question", question)
            return self._connection.recv()


def begin_afresh(address: str) -> None:
    """Be a worker that was started as a program, not forked."""
    key = sys.stdin.buffer.read(KEY_BYTES)

    def end_with_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    begin(Client(address, authkey=key))
    os._exit(0)


def begin(connection: Connection) -> None:
    """Do the work that comes on this connection."""
    _here[:] = [os.getpid()]
    taken = getattr(psutil.Process().memory_info(), "data", 0)
    connection.send(("started", os.getpid()))
    goes_on = True
    with contextlib.suppress(EOFError, OSError):
        while goes_on:  # a worker that is kept gets the next task
            task: Task = connection.recv()
            # Bytes come apart from the rest, so that an upload is not copied on its way.
            buffers = [connection.recv_bytes() for _ in range(connection.recv())]
            arguments = pickle.loads(connection.recv_bytes(), buffers=buffers)
            if task.is_service:
                _answer(connection, task, arguments)
                goes_on = False
            else:
                release = _limit_memory(taken + sum(map(len, buffers)), task.memory)
                goes_on = _work(_Sender(connection, task.output), task, arguments, release)
                del arguments, buffers
    connection.close()


def _work(
    sender: _Sender, task: Task, arguments: tuple[Any, ...], release: Callable[[], None]
) -> bool:
    """Do one piece of work; return whether it ended with its result."""
    try:
        ways: dict[str, Callable[[Any], Any]] = {}
        if task.tells:
            ways["tell"] = lambda said: sender.send("progress", said)
        if task.asks:
            ways["ask"] = sender.ask
        result = task.function()(*arguments, **ways)
        if inspect.isgenerator(result):
            for parcel in _parcels(result):
                sender.send("items", parcel)
            result = None
        sender.send("done", result)
        release()
        return True
    except MemoryError:
        release()
        sender.send("memory", None)
    except _TooMuchOutput:
        _Sender(sender._connection, 0).send("output", None)
    except Exception as error:  # noqa: BLE001  # raised again where the work was asked for
        release()
        _Sender(sender._connection, 0).send("raised", _portable(error))
    return False


def _parcels(items: Iterator[Any]) -> Iterator[list[bytes]]:
    """Gather pickled items for as long as they are small and come quickly."""
    parcel: list[bytes] = []
    size, sent = 0, time.monotonic()
    for item in items:
        parcel.append(pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL))
        size += len(parcel[-1])
        if size >= PARCEL_BYTES or time.monotonic() - sent > PARCEL_S:
            yield parcel
            parcel, size, sent = [], 0, time.monotonic()
    if parcel:
        yield parcel


def _limit_memory(taken: int, above: int) -> Callable[[], None]:
    """Let this process take so many bytes more than it took; return what lifts the limit again."""
    if not above or sys.platform != "linux":
        return lambda: None
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (taken + above, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _portable(error: Exception) -> Exception:
    """Return an exception that can be sent: itself, or its words where it cannot."""
    where = "".join(traceback.format_tb(error.__traceback__))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  # an exception may do anything when it is made again
        error = LabError(f"{type(error).__name__}: {error}")
    error.add_note(f"In a worker:\n{where}")
    return error


def _answer(connection: Connection, task: Task, arguments: tuple[Any, ...]) -> None:
    """Make the object that the task names, and answer calls of its methods until nobody asks."""
    # An app that is stopped in order closes what the service holds.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    lock = threading.Lock()

    def send(number: int, is_right: bool, value: Any) -> None:
        with lock, contextlib.suppress(OSError):
            connection.send(("answer", (number, is_right, value)))

    try:
        service = task.function()(*arguments)
    except Exception as error:  # noqa: BLE001  # raised again where the service was asked for
        send(0, False, _portable(error))
        return
    send(0, True, None)

    def call(number: int, method: str, values: tuple[Any, ...]) -> None:
        try:
            send(number, True, getattr(service, method)(*values))
        except Exception as error:  # noqa: BLE001  # raised again where the call was made
            send(number, False, _portable(error))

    threads = ThreadPoolExecutor(SERVICE_THREADS)
    with contextlib.suppress(EOFError, OSError):
        while True:
            threads.submit(call, *connection.recv())
    # Nobody waits for what still runs.
    threads.shutdown(wait=False, cancel_futures=True)
    service.close()
