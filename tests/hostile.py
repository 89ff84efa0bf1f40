"""Hostile input, and what it may cost: seconds and memory, measured around one input."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis import strategies as st

MOST_S, MOST_MB = 5.0, 200.0
PEAK = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")

# Texts with what has a meaning somewhere: markup, quotes, escapes, brackets, odd characters.
PIECES = st.sampled_from(
    (
        *("'", '"', "\\", '\\"', "`", "$", "{", "}", "[", "]", "(", ")", "<", ">", "&", "%", "_"),
        *("\0", "\n", "\r", "\t", "\x1b", "\u202e", "\ud800", "\u2028", "\ufeff", "℀", "／", "😀"),
        *("and", "or", "not", "in", "like", "exists", "null", "true", "NaN", "Infinity", "1e999"),
        *("=cmd|' /C calc'!A0", "<script>alert(1)</script>", "![x](http://x)", "../", "{{7*7}}"),
        *("text", "pk", "$meta", " == ", " > ", "http://", "https://", "[::", "@", ":", "/", "#"),
        *("-", "--", ";", "9" * 30, "0x", "..", "%00", "\\u0000", "[" * 200, "(" * 200, "! " * 99),
    )
)
TEXTS = st.one_of(st.lists(PIECES | st.text(max_size=6), max_size=12).map("".join), st.text())
NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([0, -1, 2**31, 2**63, 10**400, math.nan, math.inf])
)


@contextlib.contextmanager
def bounded(clock: Callable[[], float] = time.thread_time) -> Iterator[None]:
    """Fail when the block takes more than 5 s of processor, or 200 MB of memory at its peak."""
    RESET.write_text("5")  # from here on the peak counts anew
    before, started = _megabytes("VmRSS"), clock()
    yield
    took, grew = clock() - started, _megabytes("VmHWM") - before
    assert took <= MOST_S, f"took {took:.1f} s"
    assert grew <= MOST_MB, f"took {grew:.0f} MB"


def _megabytes(name: str) -> float:
    line = next(each for each in PEAK.read_text().splitlines() if each.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024
