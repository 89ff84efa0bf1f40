"""A service that is looked after: one that ended, or does not answer, is started again."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from signal import Signals
from typing import Any

from lib.errors import ConnectionFailed, LabError
from lib.workers.service import Service
from lib.workers.work import Ended

# How often it is looked after, and for how long it may not answer even that.
LOOK_EVERY_S, HELD_S = 1.0, 30.0
# A call that takes longer than a client waits for, and this, is ended with the process.
SPARE_S = 5.0
# A process that ends again and again is not started for ever.
RESTARTS, RESTARTS_IN_S = 5, 60.0
CALL_S = 330.0

OnEnd = Callable[[int], None]


@dataclass(frozen=True)
class Mishap:
    """What happened to a service, in a sentence, and when by the monotonic clock."""

    sentence: str
    at: float


class Supervised:
    """A service in a worker, shared by its users, and the next one in its place when it ended.

    `start` starts it and tells it whom to call at its end. Its method `busy_s` says for how many
    seconds it has been at one call; when that is longer than `patience_s` it is ended.
    """

    _running: dict[Hashable, "Supervised"] = {}  # noqa: RUF012  # one registry for the process
    _opening = threading.Lock()

    @classmethod
    def acquire(
        cls, key: Hashable, start: Callable[[OnEnd], Service], what: str, patience_s: float
    ) -> "Supervised":
        """Return the one of a key, started for its first user; each calls `release` once.

        `what` begins the sentences about it. Raises what `start` raises.
        """
        with cls._opening:
            if key not in cls._running:
                cls._running[key] = cls(key, start, what, patience_s)
            served = cls._running[key]
            served._users += 1
            return served

    def __init__(
        self, key: Hashable, start: Callable[[OnEnd], Service], what: str, patience_s: float
    ) -> None:
        self._key = key
        self.mishap: Mishap | None = None  # the last time that it ended
        self._users = 0
        self._start = start
        self._what = what
        self._patience_s = patience_s + SPARE_S
        self._restarts: list[float] = []
        self._released = threading.Event()
        self._ready = threading.Event()  # cleared while it is started again
        self._why = ""
        self._service = start(self._start_again)
        self._ready.set()
        threading.Thread(target=self._look_after, name="supervisor", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process in which it runs."""
        return self._service.pid

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of it; when it ends meanwhile, that of the next one.

        Raises ConnectionFailed when that ended too.
        """
        for _ in range(2):
            self._ready.wait(HELD_S)
            try:
                return self._service.call(method, *arguments, timeout=CALL_S)
            except Ended as error:
                ended = error
                time.sleep(LOOK_EVERY_S / 10)  # until its end was noticed here
        raise ConnectionFailed(
            ended.what, kept="What was already stored is kept.", next_step="Restart the app."
        ) from ended

    def release(self) -> None:
        """Give it back; its last user ends it for good."""
        with self._opening:
            self._users -= 1
            if self._users > 0:
                return
            del self._running[self._key]
            self._released.set()
            self._ready.wait(HELD_S)
            self._service.close()

    def _start_again(self, number: int) -> None:
        """Start the process that ended, and keep what happened for those who use it."""
        self._ready.clear()
        began = time.monotonic()
        why = self._why or f"ended ({Signals(number).name if number > 0 else 'by itself'})"
        self._why = ""
        self._restarts = [each for each in self._restarts if each > began - RESTARTS_IN_S]
        self._restarts.append(began)
        try:
            if self._released.is_set():
                return
            if len(self._restarts) > RESTARTS:
                raise ConnectionFailed(f"it ended {RESTARTS} times within a minute.")
            self._service = self._start(self._start_again)
        except LabError as error:
            sentence = f"{self._what} {why} and could not be started again: {error}"
        else:
            took_s = time.monotonic() - began
            sentence = (
                f"{self._what} {why} and was started again in {took_s:.1f} s. "
                "What was stored is there; what was under way may have to be done again."
            )
        finally:
            self._ready.set()
        self.mishap = Mishap(sentence, time.monotonic())

    def _look_after(self) -> None:
        """End the process when a call in it takes longer than anybody waits."""
        held_since: float | None = None
        while not self._released.wait(LOOK_EVERY_S):
            service, now = self._service, time.monotonic()
            try:
                busy_s = service.call("busy_s", timeout=LOOK_EVERY_S)
                held_since = None
            except TimeoutError:  # something holds its interpreter
                held_since = held_since or now
                busy_s = 0.0
            except Ended:
                held_since = None
                continue
            held_s = now - held_since if held_since is not None else 0.0
            if busy_s > self._patience_s or held_s > HELD_S:
                self._why = f"did not answer for {max(busy_s, held_s):.0f} s, was ended"
                held_since = None
                service.interrupt()
                service.ended.wait(HELD_S)
