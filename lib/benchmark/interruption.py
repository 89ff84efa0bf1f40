"""What Ctrl-C or a termination does to the command. Imports nothing that takes time.

Nothing is raised: an exception in the middle of an import, a callback or a destructor ends in a
traceback or is lost. While nothing was measured the process ends at once; later the signal is only
noted, and the command stops at the next moment at which that costs nothing.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """The first signal that asked the command to stop. A second one changes nothing."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._ends_at_once = True

    @property
    def code(self) -> int:
        """The exit code: 128 and the signal's number."""
        return 128 + (self.number or signal.SIGINT)

    def install(self) -> None:
        """Take the signals over until the process ends."""
        for number in SIGNALS:
            signal.signal(number, self._receive)

    def defer(self) -> None:
        """From now on only note a signal: something has begun that must be finished."""
        self._ends_at_once = False

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Finish a block that must leave nothing behind, then end if a signal came meanwhile."""
        before, self._ends_at_once = self._ends_at_once, False
        try:
            yield
        finally:
            self._ends_at_once = before
            if before and self.number is not None:
                self._end()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if self._ends_at_once:
            self._end()

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            # Written past `sys.stderr`, which may be in the middle of a line of its own.
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _SAID)
        os._exit(self.code)


_SAID = b"\nStopped before anything was measured.\n"
