"""Wait for a condition instead of for a while."""

import threading
import time
from collections.abc import Callable

# Generous: a busy machine is slow, and a condition that comes true ends the wait at once.
PATIENCE_S = 60.0


def wait_until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Return once the condition is true; fail when it never is."""
    deadline = time.monotonic() + patience_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        pause.wait(0.01)
