"""Does a trial's work in another thread, so that Stop and a dead server end the wait at once."""

import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from lib import event_loop
from lib.benchmark.recorder import Recorder
from lib.errors import JobCancelled
from lib.jobs import Job
from lib.workers.watchdog import Watchdog, waited_for

TICK_S = 0.1
# A stopped trial's last call may take this long before cleaning goes on without this thread.
STOP_GRACE_S = 0.3

T = TypeVar("T")


class Guard:
    """Does work in another thread and looks after it: stop and a dead server end the wait at once.

    The thread itself cannot be ended. It finds `recorder.stopped` before its next call, or is
    abandoned in the one it waits for.
    """

    def __init__(self, job: Job, watch: Watchdog | None = None) -> None:
        self._job = job
        self._watch = watch
        self._coroutine: Any = None
        self.abandoned: threading.Thread | None = None

    def supervise(
        self,
        work: Callable[[], T],
        recorder: Recorder | None = None,
        on_tick: Callable[[], None] = lambda: None,
    ) -> T:
        """Do the work and return its result. Raises JobCancelled or what the watch raises."""

        def check() -> None:
            on_tick()
            self._check()

        def leave(thread: threading.Thread) -> None:
            if recorder is not None:
                recorder.stopped = True
            if self._coroutine is not None:
                self._coroutine.cancel()
            thread.join(STOP_GRACE_S)
            self.abandoned = thread if thread.is_alive() else None

        self._check()
        return waited_for(work, check, leave, tick_s=TICK_S, name="benchmark-trial")

    def run_on_loop(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the background loop; a stop cancels it."""
        self._coroutine = event_loop.submit(coroutine)
        try:
            self._coroutine.result()
        except CancelledError as error:
            raise JobCancelled("Stopped.") from error
        finally:
            self._coroutine = None

    def _check(self) -> None:
        self._job.check()
        if self._watch is not None:
            self._watch.check()
