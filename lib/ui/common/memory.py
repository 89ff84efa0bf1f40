"""The memory and the disk of this process, and what is refused before they run out."""

import ctypes
import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import psutil

from lib.errors import LabError
from lib.settings import Settings

MEGABYTE = 1 << 20
# Heavy work is refused at this share of the limit, because it needs memory itself.
HEAVY_SHARE = 0.9
LOOK_AGAIN_S = 10.0
# glibc gives every thread that allocates a heap of its own, and keeps what was freed in each.
HEAPS = 2
M_ARENA_MAX = -8
# What is larger lies outside the heaps and goes back when it is freed. glibc raises this size by
# itself, up to 32 MB, and then arrays and tables leave holes in the heaps.
OWN_MAPPING_BYTES = 128 << 10
M_MMAP_THRESHOLD = -3
# pyarrow's own allocator kept 55 MB of what an ingestion had freed; read when pyarrow is loaded.
ARROW_POOL = "ARROW_DEFAULT_MEMORY_POOL"


class NoRoom(LabError):
    """Heavy work would not fit into the memory or the disk of a public app."""


def used_mb() -> float:
    """Return the resident memory of this process in MB."""
    return psutil.Process().memory_info().rss / MEGABYTE


def use_few_heaps() -> None:
    """Let all threads and pyarrow share a few heaps; call it before they allocate.

    Where there is no glibc, only pyarrow is told.
    """
    os.environ.setdefault(ARROW_POOL, "system")
    with suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, HEAPS)
        libc.mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES)


@contextmanager
def loading() -> Iterator[None]:
    """Collect no garbage while modules are loaded: there is none, and loading is a fifth faster."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@lru_cache(maxsize=1)
def _give_back_once(moment: int) -> None:
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def give_back() -> None:
    """Return freed memory to the system, at most once in ten seconds and only with glibc."""
    _give_back_once(int(time.monotonic() / LOOK_AGAIN_S))


def check_room(limits: Settings) -> None:
    """Raise NoRoom when a public app has too little memory or disk left for heavy work."""
    if not limits.public:
        return
    if used_mb() > HEAVY_SHARE * limits.max_memory_mb:
        raise NoRoom(
            "The app has too little memory left for this now.",
            kept="Nothing was changed.",
            next_step="Try again in a few minutes, when other visitors have left.",
        )
    if _folder_mb(limits.data_dir, int(time.monotonic() / LOOK_AGAIN_S)) > limits.max_disk_mb:
        raise NoRoom(
            "The app's disk is as full as it may be.",
            kept="Nothing was changed.",
            next_step="Drop a collection of yours, or try again in an hour.",
        )


@lru_cache(maxsize=1)
def _folder_mb(folder: Path, moment: int) -> float:
    sizes = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # gone meanwhile
            sizes += path.stat().st_size
    return sizes / MEGABYTE
