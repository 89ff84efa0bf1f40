"""What a dead process or a gone visitor left behind is found, listed and dropped."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from lib.milvus import leftovers, milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.territory import Quota, is_scratch
from lib.settings import Settings
from tests.territories import new_territory

MEASURE_AND_WAIT = """
import sys, time
from lib.milvus import milvus_collections
from lib.milvus.connection import open_connection
from lib.settings import Settings
from tests.territories import new_territory
opened = open_connection(Settings(milvus_uri=sys.argv[1]))
milvus_collections.create(opened, opened.scratch_name(), 4)
print("made", flush=True)
time.sleep(60)
"""


@pytest.fixture
def store(milvus_lite_uri: str) -> Iterator[Connection]:
    """An open embedded store."""
    opened = open_connection(Settings(milvus_uri=milvus_lite_uri))
    yield opened
    opened.close()


def leave_behind(uri: str, *, kill: bool) -> "subprocess.Popen[str]":
    """Make a scratch collection in another process, which is killed or still runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURE_AND_WAIT, uri], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "made"
    if kill:
        process.kill()
        process.wait()
    return process


def test_what_a_killed_process_left_in_a_file_is_listed_and_dropped(milvus_lite_uri: str) -> None:
    process = leave_behind(milvus_lite_uri, kill=True)
    opened = open_connection(Settings(milvus_uri=milvus_lite_uri))
    try:
        milvus_collections.create(opened, "of_the_host", 4)
        (found,) = leftovers.find(opened)
        assert found.is_dead
        assert found.owner == f"process {process.pid}, ended"
        assert found.age_s is not None
        assert 0 <= found.age_s < 60
        assert leftovers.clean(opened) == [found.name]
        assert opened.client.list_collections() == ["of_the_host"]
    finally:
        opened.close()


def test_what_a_live_process_uses_is_never_dropped(store: Connection) -> None:
    name = store.scratch_name()
    assert is_scratch(name)
    milvus_collections.create(store, name, 4)
    assert [each.is_dead for each in leftovers.find(store)] == [False]
    assert leftovers.clean(store) == []


def test_on_a_server_the_dead_processes_are_told_from_live_and_foreign_ones(
    milvus_server: object,
) -> None:
    uri = milvus_server.uri  # type: ignore[attr-defined]
    dead = leave_behind(uri, kill=True)
    alive = leave_behind(uri, kill=False)
    opened = open_connection(Settings(milvus_uri=uri))
    own, foreign = opened.scratch_name(), "lab_bench_00000000_1_1_1_ab"
    try:
        for name in (own, foreign):
            milvus_collections.create(opened, name, 4)
        found = {each.owner: each for each in leftovers.find(opened)}
        assert found[f"process {dead.pid}, ended"].is_dead
        for owner in (f"process {alive.pid}", "this process", "process 1 of another machine"):
            assert not found[owner].is_dead
        assert leftovers.clean(opened) == [found[f"process {dead.pid}, ended"].name]
    finally:
        alive.kill()
        alive.wait()
        for name in (own, foreign):
            milvus_collections.drop(opened, name)
        leftovers.clean(opened)
        opened.close()


def test_visitors_collections_are_dropped_after_their_time_also_by_the_next_process(
    store: Connection,
) -> None:
    fresh = store.limited_to(new_territory(600, Quota(1, 10)))
    past = new_territory(-1, Quota(1, 10))
    assert fresh.territory is not None
    kept = fresh.territory.full_name("kept")
    for name in ("of_the_host", kept, past.full_name("old"), past.scratch_name()):
        milvus_collections.create(store, name, 4)
    assert len(leftovers.clean(store)) == 2
    assert sorted(store.client.list_collections()) == sorted(["of_the_host", kept])
