"""The memory and the disk of this process, and what is refused before they run out."""

import ctypes
import gc
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import psutil

from lib import jobs
from lib.errors import LabError
from lib.settings import Settings

MEGABYTE = 1 << 20
# Heavy work is refused at this share of the limit, because it needs memory itself.
HEAVY_SHARE = 0.9
LOOK_AGAIN_S = 10.0
# Adding up what the processes have written takes the kernel 20 ms, as long as drawing a page.
KNOWN_FOR_S = 2.0
# Where the kernel says what a container may use and uses.
CGROUPS = Path("/sys/fs/cgroup")
CGROUP_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
_looking = threading.Lock()
_lately = deque([(-KNOWN_FOR_S, 0.0)], maxlen=1)  # when it was looked at, and what was found
NO_LIMIT = 1 << 60  # version 1 writes its largest number where there is none
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
    """Return the memory in MB that the kernel cannot take back by itself.

    In a container with a limit it is the container's working set, by which the kernel ends
    processes. Elsewhere it is what this process and its children have written. Pages of files that
    were read are in neither: the kernel drops them when it needs room.
    """
    folders = (CGROUPS / _own_cgroup(), CGROUPS, CGROUPS / "memory")
    found = (working_set_mb(folder) for folder in folders)
    limited = next((each for each in found if each is not None), None)
    return _written_mb() if limited is None else limited


def lately_used_mb() -> float:
    """Return `used_mb` as it was lately: one of many who ask at once looks, the others do not."""

    def is_known() -> bool:
        return time.monotonic() - _lately[-1][0] < KNOWN_FOR_S

    # At first there is nothing to show meanwhile.
    if not is_known() and _looking.acquire(blocking=_lately[-1][1] == 0):
        try:
            if not is_known():
                _lately.append((time.monotonic(), used_mb()))
        finally:
            _looking.release()
    return _lately[-1][1]


def working_set_mb(cgroup: Path) -> float | None:
    """Return what a control group uses less its inactive file pages, in MB; None without a limit.

    The files are those of version 2 of control groups, or of version 1.
    """
    for limit, current, inactive in CGROUP_FILES:
        with suppress(OSError, ValueError, KeyError):
            if int((cgroup / limit).read_text()) >= NO_LIMIT:
                return None
            used = int((cgroup / current).read_text())
            facts = (line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
            return max(used - int(dict(facts)[inactive]), 0) / MEGABYTE
    return None


def _own_cgroup() -> str:
    """Return this process's control group as a path below the root, empty where there is none."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::/"):
                return line.removeprefix("0::/")
    return ""


def _written_mb() -> float:
    this = psutil.Process()
    total = 0
    for each in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # ended meanwhile
            total += _written_by(each)
    return total / MEGABYTE


def _written_by(process: psutil.Process) -> int:
    """Return the bytes that a process has written and holds; of what forks share, its part.

    A worker is a fork of its host and shares nearly all with it: summed up by process it would
    count many times.
    """
    with suppress(OSError, KeyError, ValueError):
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:]
        facts = (line.split() for line in rollup)
        return int({name: number for name, number, *_ in facts}["Pss_Anon:"]) * 1024
    memory = process.memory_info()
    # Linux counts pages of files and pages shared with others apart.
    return int(memory.rss - getattr(memory, "shared", 0))


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
    """Return freed memory to the system, at most once in ten seconds and only with glibc.

    Not while “Find the best” measures in this process: this stops every thread that allocates.
    """
    if jobs.shared().running("tuning") is None:
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
