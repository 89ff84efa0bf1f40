"""What hostile input may cost: seconds and memory, measured around one input."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

MOST_S, MOST_MB = 5.0, 200.0
PEAK = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Fail when the block takes more than 5 s of processor, or 200 MB of memory at its peak."""
    RESET.write_text("5")  # from here on the peak counts anew
    before, started = _megabytes("VmRSS"), time.thread_time()
    yield
    took, grew = time.thread_time() - started, _megabytes("VmHWM") - before
    assert took <= MOST_S, f"took {took:.1f} s"
    assert grew <= MOST_MB, f"took {grew:.0f} MB"


def _megabytes(name: str) -> float:
    line = next(each for each in PEAK.read_text().splitlines() if each.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024
