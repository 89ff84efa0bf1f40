"""Memory that was freed goes back to the system, however many threads have allocated."""

import mmap
import sys
import time
from collections import deque
from pathlib import Path

import pytest

from lib.settings import load
from lib.ui.visitor import memory
from lib.ui.visitor.memory import MEGABYTE, NoRoom, check_room
from tests.fresh_process import printed_by
from tests.waiting import at_once

PROGRAM = """
import threading
from lib.ui.visitor import memory
memory.use_few_heaps()
kept = []
def allocate():
    mine = [bytes(2_000) for _ in range(10_000)]
    kept.append(mine[-1])  # what stays holds the top of the heap
threads = [threading.Thread(target=allocate) for _ in range(8)]
before = memory.used_mb()
for each in threads: each.start()
for each in threads: each.join()
memory.give_back()
print(memory.used_mb() - before)
"""


# Batches of a table as Milvus Lite makes them; what is kept of each lies between what is freed.
ARROW_PROGRAM = """
import threading
from lib.ui.visitor import memory
memory.use_few_heaps()
import pyarrow as pa
kept = []
def make():
    for _ in range(40):
        table = pa.table({"vector": [float(i) for i in range(60_000)]})
        kept.append(table.slice(0, 1).combine_chunks().to_pylist())
pa.table({"a": [1]})
before = memory.used_mb()
threads = [threading.Thread(target=make) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
memory.give_back()
print(memory.used_mb() - before, pa.default_memory_pool().backend_name)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is meant")
def test_what_threads_have_freed_is_given_back() -> None:
    assert float(printed_by(PROGRAM)) < 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is meant")
def test_what_tables_have_freed_is_given_back() -> None:
    grown_mb, allocator = printed_by(ARROW_PROGRAM).split()
    assert allocator == "system"
    assert float(grown_mb) < 10


def test_many_pages_that_show_the_memory_look_at_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def look() -> float:
        looks.append(431.0)
        time.sleep(0.05)
        return looks[-1]

    monkeypatch.setattr(memory, "used_mb", look)
    monkeypatch.setattr(memory, "_lately", deque([(-memory.KNOWN_FOR_S, 0.0)], maxlen=1))
    assert at_once(7, lambda _: memory.lately_used_mb()) == [431.0] * 7
    assert at_once(7, lambda _: memory.lately_used_mb()) == [431.0] * 7
    assert len(looks) == 1


FORKS = """
import os, time
from lib.ui.visitor import memory
held = bytearray(100_000_000)
for i in range(0, len(held), 4096): held[i] = 1
alone, (read, write) = memory._written_mb(), os.pipe()
for _ in range(4):
    if os.fork() == 0:
        os.close(write)
        os.read(read, 1)  # until the parent ends
        os._exit(0)
print(memory._written_mb() - alone)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not tell")
def test_what_forks_share_counts_once() -> None:
    assert float(printed_by(FORKS)) < 50  # each for itself: 400


def make_cgroup(folder: Path, version: int, *, limit: str, used_mb: int, inactive_mb: int) -> Path:
    """Write what the kernel says of a container."""
    names = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")}
    limit_file, used_file, inactive = names.get(
        version, ("memory.max", "memory.current", "inactive_file")
    )
    folder.mkdir(exist_ok=True)
    (folder / limit_file).write_text(f"{limit}\n")
    (folder / used_file).write_text(f"{used_mb * MEGABYTE}\n")
    stat = f"anon 1\ninactive_anon 7\n{inactive} {inactive_mb * MEGABYTE}\nactive_file 11\n"
    (folder / "memory.stat").write_text(stat)
    return folder


@pytest.mark.parametrize("version", [1, 2])
def test_file_pages_that_the_kernel_gives_back_refuse_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    place = tmp_path / "memory" if version == 1 else tmp_path
    limits = load({"LAB_PUBLIC": "1", "LAB_MAX_MEMORY_MB": "690", "LAB_DATA_DIR": str(tmp_path)})
    limit = str(690 * MEGABYTE)
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    make_cgroup(place, version, limit=limit, used_mb=683, inactive_mb=251)
    assert memory.used_mb() == 432
    check_room(limits)
    make_cgroup(place, version, limit=limit, used_mb=683, inactive_mb=31)
    assert memory.used_mb() == 652
    with pytest.raises(NoRoom):
        check_room(limits)


@pytest.mark.parametrize("limit", ["max", str((1 << 63) - 4096)])
def test_without_a_limit_of_its_own_the_processes_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    make_cgroup(tmp_path, 2, limit=limit, used_mb=100_003, inactive_mb=1)
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    assert 10 < memory.used_mb() < 20_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux counts file pages apart")
def test_a_file_that_was_read_is_not_memory_that_was_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "none")
    path = tmp_path / "large"
    path.write_bytes(bytes(97 * MEGABYTE))
    before = memory.used_mb()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) == 0  # every page was looked at
        assert memory.used_mb() - before < 20
