"""Service: an object kept in a worker of its own, which answers calls of its methods."""

import concurrent.futures
import contextlib
import itertools
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from lib.workers.host import NotStarted, Request, shared
from lib.workers.work import Ended, close_handle, give, handle_of, signal_end
from lib.workers.worker import Task

CLOSE_S = 5.0


class Service:
    """What `factory` returned in a worker; it lives until `close`, `kill` or the app's end.

    `factory` is a module's function or class; what it returns has a method `close` that may be
    called twice. Methods are called from any thread, and several at once.
    """

    def __init__(
        self,
        factory: Callable[..., Any],
        *arguments: Any,
        what: str,
        modules: tuple[str, ...] = (),
        on_end: Callable[[int], None] = lambda number: None,
    ) -> None:
        """Start it. Raises what the factory raises, Ended and NotStarted.

        `what` begins the sentence about its end. `on_end` is called, in a thread of its own, with
        the number of the signal that ended it, unless it was closed.
        """
        self._what = what
        self._on_end = on_end
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        made: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._calls: dict[int, concurrent.futures.Future[Any]] = {0: made}
        self._is_closing = False
        self.ended = threading.Event()
        connection, self.pid = shared().open(
            Request((factory.__module__, *modules), is_service=True)
        )
        self._connection = connection
        self._handle = handle_of(self.pid)
        threading.Thread(
            target=self._listen, args=(connection,), name="service", daemon=True
        ).start()
        task = Task(factory.__module__, factory.__qualname__, is_service=True)
        with contextlib.suppress(OSError):  # the listener hears of its end
            give(connection, task, arguments)
        try:
            made.result()
        except BaseException:
            self.kill()
            raise

    def call(self, method: str, *arguments: Any, timeout: float | None = None) -> Any:
        """Call a method. Raises what it raises, TimeoutError after so many seconds, and Ended."""
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        with self._lock:
            if self.ended.is_set():
                raise self._end_of(0)
            number = next(self._numbers)
            self._calls[number] = answer
            try:
                self._connection.send((number, method, arguments))
            except OSError as error:
                self._calls.pop(number)
                raise self._end_of(0) from error
        # result(timeout) raises the same error for a wait that is over and for a method's own.
        if concurrent.futures.wait([answer], timeout).not_done:
            raise TimeoutError(f"{self._what} did not answer within {timeout:g} s.")
        return answer.result()

    def close(self) -> None:
        """Let it close what it holds, then end it."""
        self._is_closing = True
        with contextlib.suppress(Ended, TimeoutError):
            self.call("close", timeout=CLOSE_S)
        self.kill()

    def kill(self) -> None:
        """End it at once, and return when it has ended."""
        self._is_closing = True
        self.interrupt()
        self.ended.wait(CLOSE_S)

    def interrupt(self) -> None:
        """End it at once as a crash would: `on_end` is called."""
        with self._lock:
            if not self.ended.is_set():
                signal_end(self._handle, self.pid)

    def _listen(self, connection: Connection) -> None:
        number = int(getattr(signal, "SIGKILL", signal.SIGTERM))  # if nobody says how it ended
        with connection, contextlib.suppress(EOFError, OSError):
            while True:
                kind, value = connection.recv()
                if kind == "ended":
                    number = value
                    break
                call, is_right, result = value
                with self._lock:
                    asked = self._calls.pop(call)
                if is_right:
                    asked.set_result(result)
                else:
                    asked.set_exception(result)
        with self._lock:
            self.ended.set()
            left = list(self._calls.values())
            self._calls.clear()
            close_handle(self._handle)
        for asked in left:
            asked.set_exception(self._end_of(number))
        if not self._is_closing:
            self._on_end(number)

    def _end_of(self, number: int) -> Ended | NotStarted:
        how = f" ({signal.Signals(number).name})" if number > 0 else ""
        return Ended(f"{self._what} ended{how}.", next_step="Try again.")
