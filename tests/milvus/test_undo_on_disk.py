"""What can be put back lies on the disk for as long as an undo, and is found by its owner alone."""

import os
import stat
import time
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pymilvus import DataType

from lib.milvus.fields import Schema, StoredField
from lib.milvus.rows import UNDO_S, Change
from lib.milvus.undo import OWNERS, Undoable, UndoFolder, _coded, _decoded

KEY = StoredField("pk", DataType.VARCHAR, max_bytes=65, is_key=True)
VECTOR = StoredField("vector", DataType.FLOAT_VECTOR, dimension=3, index_type="FLAT")
SCHEMA = Schema("mine", (KEY, VECTOR), True, "a/model", KEY, "", VECTOR, "")
ROW: dict[str, Any] = {
    "pk": "a\u2028ü\ud800",
    "vector": np.asarray([0.1, -0.0, 3e38], dtype=np.float32),
    "half": b"\x00\xff\n",
    "sparse": {7: 0.25, 2_000_000_000: 1.5},
    "tags": ["x", None, True, 2**62],
    "about": {"deep": [{"array": [1]}], "": None},
    "score": np.float32(0.1),
}


def done(*rows: dict[str, Any], milvus: str = "here") -> Undoable:
    """Return one delete of some rows."""
    return Undoable(milvus, (Change("deleted", "mine", len(rows), rows, SCHEMA),))


def test_rows_of_all_kinds_are_read_as_they_were(tmp_path: Path) -> None:
    kept = UndoFolder(tmp_path / "undo", 1 << 20)
    kept.keep("me", done(ROW, {"pk": "b"}))
    found = kept.find("me")
    assert found is not None
    (change,) = found.changes
    assert (found.milvus, change.kind, change.collection) == ("here", "deleted", "mine")
    assert change.schema == SCHEMA
    assert change.count == 2
    row, other = change.rows
    vector, score = row.pop("vector"), row.pop("score")
    assert vector.dtype == np.float32
    assert vector.tobytes() == ROW["vector"].tobytes()
    assert (type(score), score) == (np.float32, ROW["score"])
    assert row == {name: ROW[name] for name in row}
    assert set(row) == set(ROW) - {"vector", "score"}
    assert other == {"pk": "b"}
    (path,) = (tmp_path / "undo").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "me" not in path.name


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    plain | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(values)
def test_a_value_comes_back_from_its_code(value: Any) -> None:
    assert _decoded(_coded(value)) == value


def test_nobody_else_finds_it_and_only_the_last_change_is_kept(tmp_path: Path) -> None:
    kept = UndoFolder(tmp_path, 1 << 20)
    kept.keep("me", done({"pk": "first"}))
    kept.keep("me", done({"pk": "last"}))
    found = kept.find("me")
    assert found is not None
    assert found.changes[0].rows == ({"pk": "last"},)
    for other in ("", "you", "me2"):
        assert not kept.has(other)
        assert kept.find(other) is None
    kept.forget("me")
    assert not kept.has("me")
    assert not list(tmp_path.iterdir())


def test_its_time_goes_on_while_nobody_looks_and_then_it_is_gone(tmp_path: Path) -> None:
    kept = UndoFolder(tmp_path, 1 << 20)
    change = done({"pk": "a"})
    change.changes[0].at -= UNDO_S - 5
    kept.keep("me", change)
    found = kept.find("me")
    assert found is not None
    assert 0 < found.changes[0].left_s <= 5
    change.changes[0].at -= 5
    kept.keep("me", change)
    assert kept.find("me") is None
    (path,) = tmp_path.iterdir()
    then = time.time() - UNDO_S - 1
    os.utime(path, (then, then))
    assert not kept.has("me")
    kept.drop_old()
    assert not list(tmp_path.iterdir())


def test_all_together_take_a_bounded_room_and_the_oldest_go_first(tmp_path: Path) -> None:
    kept = UndoFolder(tmp_path, 3_000)
    now = time.time()
    for number in range(9):
        kept.keep(str(number), done({"pk": "a", "text": "x" * 2_000}))
        os.utime(kept._path(str(number)), (now - 100 + number, now - 100 + number))
    kept.drop_old()
    left = [number for number in range(9) if kept.has(str(number))]
    sizes = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert left == list(range(9 - len(left), 9))
    assert 3 <= len(left) < 9
    assert sizes <= OWNERS * 3_000


def test_a_damaged_or_half_written_file_is_no_undo(tmp_path: Path) -> None:
    kept = UndoFolder(tmp_path, 1 << 20)
    kept.keep("me", done(ROW, ROW))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        assert kept.find("me") is None
    path.write_bytes(b"\xff\x00")
    assert kept.find("me") is None
    path.write_text("[1, 2]\n")
    assert kept.find("me") is None


def test_where_nothing_can_be_written_nothing_is_kept_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = UndoFolder(tmp_path / "file" / "undo", 1 << 20)
    kept.keep("me", done(ROW))
    kept.drop_old()
    assert kept.find("me") is None
