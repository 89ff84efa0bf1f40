"""Python's garbage collector stands still while a trial is timed, and works between trials."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# What a trial left behind is young: the old objects of a large process need not be looked at.
YOUNG = 1


@dataclass
class _Trials:
    """The trials that are being timed, and whether garbage was collected before the first."""

    under_way: int = 0
    collector_was_on: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


_trials = _Trials()


@contextmanager
def held() -> Iterator[None]:
    """Time a trial inside: garbage is collected before it, and not again until it has ended."""
    with _trials.lock:
        if not _trials.under_way:
            gc.collect(YOUNG)
            _trials.collector_was_on = gc.isenabled()
            gc.disable()
        _trials.under_way += 1
    try:
        yield
    finally:
        with _trials.lock:
            _trials.under_way -= 1
            if not _trials.under_way and _trials.collector_was_on:
                gc.enable()
