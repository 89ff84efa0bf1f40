"""Reading ahead: a blocking iterator drained in a thread of its own for coroutines that wait."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """Items made ahead in a thread of their own, so that making overlaps with using them.

    `ahead` is how many wait at most. Several coroutines may `get`; each item goes to one.
    """

    def __init__(self, items: Iterator[T], ahead: int) -> None:
        self._items = items
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[T | BaseException | None] = asyncio.Queue(ahead)
        self._closed = False
        self._thread = threading.Thread(target=self._read, name="read-ahead", daemon=True)
        self._thread.start()

    async def get(self) -> T | None:
        """Return the next item, or None at the end. Raises what reading raised."""
        if self._closed:
            return None
        item = await self._queue.get()
        if item is None:
            self._closed = True
            self._wake()
        if isinstance(item, BaseException):
            raise item
        return item

    async def close(self) -> None:
        """Stop reading after the item that is being made, and forget those made ahead."""
        self._closed = True
        while self._thread.is_alive():
            while not self._queue.empty():
                self._queue.get_nowait()
            await asyncio.sleep(0.005)
        self._wake()

    def _wake(self) -> None:
        # Those that wait for an item get an end each; a full queue wakes them by itself.
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(None)

    def _read(self) -> None:
        item: T | BaseException | None = None
        try:
            for made in self._items:
                if self._closed:
                    return
                self._put(made)
        except Exception as error:  # noqa: BLE001 - raised again by the worker that gets it
            item = error
        self._put(item)

    def _put(self, item: T | BaseException | None) -> None:
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._queue.put(item), self._loop).result()
