"""The one background event loop: a thread that owns it, and three ways to reach it.

A langchain-milvus store's async client binds to the first loop that awaits it, so every coroutine
of the process runs here. A notebook is the exception: there a loop already runs in the caller's
thread, and `nest_asyncio` lets a cell wait on that loop, as the tutorial does.
"""

import asyncio
import atexit
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from lib.errors import LabError

T = TypeVar("T")


class EventLoop:
    """An asyncio loop in a thread of its own, safe to call from any other thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()  # for code that schedules on it
        self.thread = threading.Thread(target=self._serve, name="lab-event-loop", daemon=True)
        self.thread.start()
        self._notebook_allowed = True

    @property
    def is_closed(self) -> bool:
        """Say whether `close` has been called."""
        return self.loop.is_closed() or not self.thread.is_alive()

    def forbid_nesting(self) -> None:
        """Refuse the notebook path for good: a web process must never patch asyncio."""
        self._notebook_allowed = False

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
        if self.thread.is_alive():
            asyncio.run_coroutine_threadsafe(_cancel_all_tasks(), self.loop).result(timeout=5)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(timeout=5)

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
