"""The one background event loop: a thread that owns it, and three ways to reach it.

A langchain-milvus store's async client binds to the first loop that awaits it, so every coroutine
of the process runs here. A notebook is the exception: there a loop already runs in the caller's
thread, and `nest_asyncio` lets a cell wait on that loop, as the tutorial does.
"""

import asyncio
import atexit
import concurrent.futures
import gc
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

from lib.errors import LabError

T = TypeVar("T")
LOOK_EVERY_S = 0.02
HELD_S = 0.05


@dataclass(frozen=True)
class Held:
    """The loop woke `late_s` too late. Its own thread computed for `own_s` of that, both in s.

    For `collected_s` the interpreter stood still and collected garbage, in whichever thread.
    `doing` names the function on the loop that was running then; it is empty where none was, and
    the loop's thread waited for the processor or the interpreter.
    """

    late_s: float
    own_s: float = 0.0
    doing: str = ""
    collected_s: float = 0.0

    @property
    def is_by_a_call(self) -> bool:
        """Say whether a call on the loop held it, by computing or by waiting."""
        held_s = self.late_s if self.doing else self.own_s
        return held_s - self.collected_s > HELD_S


class EventLoop:
    """An asyncio loop in a thread of its own, safe to call from any other thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()  # for code that schedules on it
        self._thread = threading.Thread(target=self._serve, name="lab-event-loop", daemon=True)
        self._thread.start()
        self._notebook_allowed = True
        self.longest_held_s = 0.0
        self._is_watched = False
        self._due = float("inf")
        self._doing = ""
        self._collecting_since = self._collected_s = 0.0

    @property
    def is_closed(self) -> bool:
        """Say whether `close` has been called."""
        return self.loop.is_closed() or not self._thread.is_alive()

    def forbid_nesting(self) -> None:
        """Refuse the notebook path for good: a web process must never patch asyncio."""
        self._notebook_allowed = False

    def watch(self, on_held: Callable[[Held], None], every_s: float = 10.0) -> None:
        """Measure from now on how late the loop is; tell the worst of each `every_s`, in seconds.

        Only a delay above `HELD_S` is told. A delay by a call on the loop is told before a longer
        one, which a busy processor can cause as well. A second thread looks what the loop does when
        it is late.
        """
        if not self._is_watched:
            self._is_watched = True
            gc.callbacks.append(self._note_collection)
            asyncio.run_coroutine_threadsafe(self._look(on_held, every_s), self.loop)
            threading.Thread(target=self._look_inside, name="lab-loop-watch", daemon=True).start()

    async def _look(self, on_held: Callable[[Held], None], every_s: float) -> None:
        while True:
            worst, ends = Held(0.0), self.loop.time() + every_s
            while self.loop.time() < ends:
                self._doing, began_s, collected_s = "", time.thread_time(), self._collected_s
                self._due = self.loop.time() + LOOK_EVERY_S
                await asyncio.sleep(LOOK_EVERY_S)
                now = Held(
                    self.loop.time() - self._due,
                    time.thread_time() - began_s,
                    self._doing,
                    self._collected_s - collected_s,
                )
                # A call on the loop is told before a longer wait that nobody caused.
                worst = max(worst, now, key=lambda held: (held.is_by_a_call, held.late_s))
                self.longest_held_s = max(self.longest_held_s, now.late_s)
            if worst.late_s > HELD_S:
                on_held(worst)

    def _note_collection(self, phase: str, _about: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        else:
            self._collected_s += time.perf_counter() - self._collecting_since

    def _look_inside(self) -> None:
        while not self.is_closed:
            time.sleep(LOOK_EVERY_S)
            if self.loop.time() - self._due > HELD_S and not self._doing:
                frame = sys._current_frames().get(self._thread.ident or 0)
                self._doing = _callback(frame)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Schedule a coroutine on the loop and return at once; `future.cancel()` cancels it."""
        if self.is_closed:
            coroutine.close()
            raise LabError("The event loop is closed.", next_step="Restart the app.")
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine to its end and return its result.

        `timeout` is in seconds; when it passes, the coroutine is cancelled and TimeoutError raised.
        A TimeoutError of the coroutine itself arrives as it is.
        """
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self.loop:
            coroutine.close()
            raise LabError("run() was called on the event loop itself; use await there.")
        if running is not None:
            return self._run_nested(coroutine, running, timeout)
        future = self.submit(coroutine)
        try:
            # result(timeout) raises the same error for a wait that is over and for a call's own.
            is_over = concurrent.futures.wait([future], timeout).not_done
        except BaseException:
            future.cancel()
            raise
        if is_over:
            future.cancel()
            raise TimeoutError(f"Not finished within {timeout:g} s.")
        return future.result()

    def close(self) -> None:
        """Cancel what still runs, stop the loop and join its thread. Calling twice is harmless."""
        if self.loop.is_closed():
            return
        if self._note_collection in gc.callbacks:
            gc.callbacks.remove(self._note_collection)
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(_cancel_all_tasks(), self.loop).result(timeout=5)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(timeout=5)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def _run_nested(
        self,
        coroutine: Coroutine[Any, Any, T],
        running: asyncio.AbstractEventLoop,
        timeout: float | None,
    ) -> T:
        if not self._notebook_allowed:
            coroutine.close()
            raise LabError("A loop already runs in this thread; await the coroutine instead.")
        # Imported here because applying it changes asyncio for the whole process: notebooks only.
        import nest_asyncio

        nest_asyncio.apply(running)
        return running.run_until_complete(asyncio.wait_for(coroutine, timeout))


def _callback(frame: FrameType | None) -> str:
    """Return the innermost function of the callback that a loop's thread runs; empty for none."""
    innermost, inside = "", frame
    while inside is not None:
        code = inside.f_code
        if code is asyncio.Handle._run.__code__:
            return innermost
        if code is EventLoop._look.__code__:
            return ""
        innermost = innermost or f"{inside.f_globals.get('__name__')}.{code.co_name}"
        inside = inside.f_back
    return ""


async def _cancel_all_tasks() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


_shared: list[EventLoop] = []
_shared_lock = threading.Lock()


def shared() -> EventLoop:
    """Return the process's one event loop, started at the first call."""
    with _shared_lock:
        if not _shared or _shared[0].is_closed:
            _shared[:] = [EventLoop()]
            atexit.register(_shared[0].close)
        return _shared[0]


def run(coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
    """Run a coroutine on the shared loop and return its result; `timeout` in seconds."""
    return shared().run(coroutine, timeout)


def submit(coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Schedule a coroutine on the shared loop; cancel through the future."""
    return shared().submit(coroutine)
