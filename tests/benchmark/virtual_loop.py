"""An event loop whose time passes at once: seconds of waiting take no time, and none is late."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

from lib.benchmark.guard import Guard
from lib.jobs import Job


class _Jumping:
    """A selector that does not wait: it moves the loop's clock forward instead."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout > 0:
            self._loop.now += timeout
        return self._real.select(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is a number that jumps to the next timer."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jumping(self))  # type: ignore[arg-type]  # it has a selector's methods

    def time(self) -> float:
        return self.now


class VirtualGuard(Guard):
    """Runs a trial's coroutine on a virtual loop of its own."""

    def __init__(self) -> None:
        super().__init__(Job("test", "test"))
        self.loop = VirtualLoop()

    def run_on_loop(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(coroutine)
        finally:
            asyncio.set_event_loop(None)

    def clock(self) -> float:
        return self.loop.time()
