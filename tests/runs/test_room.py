"""Runs from elsewhere are read apart, and kept and deleted ones count together."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lib.errors import InvalidInput, LabError
from lib.results import run_file
from lib.runs import front
from lib.runs.store import MEGABYTE, READING, Entry, Room, RunStore
from lib.workers.work import OutOfMemory, OutOfTime
from tests.run_builder import make_run

SIZE = 300_000  # bytes, of which three fit into a megabyte
GOOD = run_file.to_json(make_run()).encode()
NO_RUN = (
    b'{"kind":"milvus-async-lab/run","schema":2,"environment":{},"settings":{},"partial":false,'
    b'"trials":[%b]}'
)


def keep(store: RunStore, number: int) -> Entry:
    """Keep a run whose file is as large as a long one's."""
    entry = store.save(make_run(), name=f"Run {number}")
    with entry.path.open("ab") as file:
        file.write(b" " * (SIZE - entry.path.stat().st_size))
    os.utime(entry.path, (number, number))
    return entry


def test_deleted_runs_count_until_their_room_is_needed(tmp_path: Path) -> None:
    store = RunStore(tmp_path, tmp_path / "none", Room(most_mb=1))
    entries = [keep(store, number) for number in range(3)]
    for number, entry in enumerate(entries[:2]):
        store.delete(entry)
        os.utime(tmp_path / "deleted" / f"{entry.id}.json", (number, number))
    store.check_room(100)  # fits beside all of them
    assert len(list((tmp_path / "deleted").glob("*.json"))) == 2
    store.check_room(SIZE)  # the oldest goes for it
    assert store.restore(entries[0].id) is None
    assert not list((tmp_path / "deleted").glob(f"{entries[0].id}.*"))
    assert store.restore(entries[1].id) is not None
    with pytest.raises(InvalidInput, match=r"Your runs may take 1 MB here.*Delete a run first"):
        store.check_room(SIZE + 200_000)
    with pytest.raises(InvalidInput, match="1 MB"):
        store.import_(GOOD + b" " * 2 * SIZE, "large.json")
    assert len(store.entries()) == 2


def test_nothing_deleted_is_lost_for_what_does_not_fit_anyway(tmp_path: Path) -> None:
    store = RunStore(tmp_path, tmp_path / "none", Room(most_mb=1))
    kept, deleted = keep(store, 1), keep(store, 2)
    store.delete(deleted)
    with pytest.raises(InvalidInput):
        store.check_room(MEGABYTE)
    assert store.restore(deleted.id) is not None
    assert store.get(kept.id) is not None


def test_the_runs_of_all_visitors_are_bounded_together(tmp_path: Path) -> None:
    room = Room(everybody=tmp_path, everybodys_mb=1)
    one, other = (RunStore(tmp_path / name, tmp_path / "none", room) for name in ("a", "b"))
    deleted = keep(one, 1)
    one.delete(deleted)
    keep(one, 2)
    keep(other, 3)
    other.check_room(SIZE)  # what another visitor deleted goes for it
    assert one.restore(deleted.id) is None
    keep(other, 4)
    with pytest.raises(InvalidInput, match="runs of all visitors take the 1 MB"):
        other.check_room(SIZE)


def test_an_imported_run_is_listed_from_its_summary(tmp_path: Path) -> None:
    store = RunStore(tmp_path, tmp_path / "none")
    entry = store.import_(GOOD, "a\x1bb.json")
    assert entry.card.name == "ab"
    assert front.summary_of(entry.path)
    assert store.entries() == (entry,)
    # One of another version of the app is made anew.
    summary = entry.path.with_suffix(".summary")
    size = entry.path.stat().st_size
    summary.write_text(f'{{"bytes": {size}, "digest": {{"operations": []}}, "about": {{}}}}')
    os.utime(entry.path)
    assert store.entries()[0].digest == entry.digest


@pytest.mark.parametrize(
    ("limits", "error", "said"),
    [
        (replace(READING, seconds=0.001), OutOfTime, "bad needs more than 0.001 s to be read."),
        (replace(READING, memory_mb=1), OutOfMemory, "bad needs more than 1 MB to be read."),
    ],
)
def test_an_import_over_its_limits_leaves_nothing(
    tmp_path: Path, limits: object, error: type[LabError], said: str
) -> None:
    store = RunStore(tmp_path, tmp_path / "none")
    data = NO_RUN % b",".join([b"1"] * 2_000_000)
    with pytest.raises(error) as refused:
        store.import_(data, "bad.json", limits)  # type: ignore[arg-type]
    assert refused.value.what == said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("items", [b"{}", b"[]", b"1", b"null", b'"\\u001b"'])
def test_many_wrong_trials_are_refused_in_one_short_sentence(tmp_path: Path, items: bytes) -> None:
    store = RunStore(tmp_path, tmp_path / "none")
    limits = replace(READING, seconds=20, memory_mb=128)
    with pytest.raises(InvalidInput) as refused:
        store.import_(NO_RUN % b",".join([items] * 200_000), "bad.json", limits)
    assert len(str(refused.value)) < 200
    assert "trials" in str(refused.value)
    assert list(tmp_path.iterdir()) == []
