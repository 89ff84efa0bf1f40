"""Rows of a collection: browse, edit, delete with undo, export. They are read a page at a time."""

import contextlib
import json
import math
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from langchain_core.utils.iter import batch_iterate
from pymilvus import DataType

from lib import event_loop
from lib.errors import InvalidInput, OperationFailed
from lib.jobs import Job, Progress
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.failures import reported
from lib.milvus.fields import METADATA_COLUMN, Schema, StoredField
from lib.milvus.filters import Typed, equals_any
from lib.milvus.reading import Row, layout, rows_of, walk
from lib.milvus.typed import meant
from lib.results.catalogue import PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD
from lib.workers.watchdog import watched

if TYPE_CHECKING:
    from langchain_milvus import Milvus

# With its vector a row takes some 10 kB in Python. One page of an export is held at a time.
EXPORT_ROWS = 500
KEYS_PER_CALL = 1_000
# What an undo may keep in memory, and for how long.
UNDO_BYTES = 64 << 20
UNDO_S = 600.0
# Rows read to guess how much all of them take.
SAMPLE_ROWS = 20
# A server keeps several rows of one key and shows one of them. Up to so many rows are looked at to
# find out which are such twins.
MOST_COUNTED_KEYS = 50_000
# Where a row came from, as ingestion writes it. Up to so many rows are shown in this order, for
# which the keys of all are read: a twentieth of a second. More are in that of their keys.
SOURCE, POSITION = "source", "position"
MOST_ORDERED = 1_000
TWINS = "Milvus keeps several rows under one key and shows one of them"


@dataclass
class Browser:
    """Numbered pages of the rows that match a filter, counted when it is made.

    Rows of files come as they stood in their files, unless they are many, and others by their keys.
    A text is taken for an expression. `on_read` gets how many rows the app itself has read to find
    words, where it has to. `stored` is how many rows match, `total` how many of them Milvus shows:
    one of each key.
    """

    connection: Connection
    name: str
    typed: Typed | str
    page_rows: int
    on_read: Callable[[int], None] = lambda rows: None
    total: int = 0
    stored: int = 0
    # The last key before a page, for the pages whose beginning has been found.
    _before: dict[int, Any] = field(default_factory=lambda: {1: None})

    def __post_init__(self) -> None:
        self.layout = layout(self.connection, self.name)
        typed = self.typed if isinstance(self.typed, Typed) else Typed(self.typed, is_words=False)
        self.meant = meant(self.connection, self.name, typed, self.on_read)
        self.expr = self.meant.expr
        self._walk = partial(walk, self.connection, self.name, self.expr, shape=self.layout)
        self.stored = milvus_collections.count(self.connection, self.name, self.expr)
        self.total = _shown(self.connection, self.name, self.layout, self.expr, self.stored)
        self._ordered = self._keys_by_place()

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(-(-self.total // self.page_rows), 1)

    def page(self, number: int) -> list[Row]:
        """Return the rows of a page, counted from 1, without their vectors."""
        number = min(max(number, 1), self.pages)
        if self._ordered:
            return self._rows_of(self._ordered[(number - 1) * self.page_rows :][: self.page_rows])
        # A short page is not the end, so the walk asks until this one is full or nothing comes.
        before = self._key_before(number)
        parts = self._walk(fields=self.layout.readable, after=before, most=self.page_rows)
        found = [row for part in parts for row in part]
        if len(found) == self.page_rows:
            self._before[number + 1] = found[-1][self.layout.key.name]
        return found

    def _keys_by_place(self) -> list[Any]:
        """Return all keys in the order of the files they came from, none where it is unknown."""
        shape = self.layout
        fields = [shape.key.name, SOURCE, POSITION]
        is_possible = shape.is_dynamic or all(map(shape.field, fields))
        if not is_possible or not self.total or self.total > MOST_ORDERED:
            return []
        # Rows by the key that people gave them have no place, and one page of keys tells so.
        first = [row for part in self._walk(fields=fields, most=self.page_rows) for row in part]
        if not any(POSITION in row for row in first):
            return []
        found = [row for part in self._walk(fields=fields) for row in part]
        found.sort(key=_place)
        return list(dict.fromkeys(row[shape.key.name] for row in found))

    def _rows_of(self, keys: Sequence[Any]) -> list[Row]:
        with reported(f"Could not read the rows of {self.name!r}."):
            found = rows_of(self.connection, self.name, self.layout, keys, self.layout.readable)
        by_key = {row[self.layout.key.name]: row for row in found}
        return [by_key[key] for key in keys if key in by_key]

    def _key_before(self, number: int) -> Any:
        known = max(each for each in self._before if each <= number)
        after = self._before[known]
        for part in self._walk(after=after, most=(number - known) * self.page_rows):
            after = part[-1][self.layout.key.name]
        self._before[number] = after
        return after


def _place(row: Row) -> tuple[str, float]:
    """Return where a row stood, to sort by; without a place it comes last in its source."""
    position = row.get(POSITION)
    return str(row.get(SOURCE, "")), position if isinstance(position, int | float) else math.inf


def _shown(connection: Connection, name: str, shape: Schema, expr: str, stored: int) -> int:
    """Count the different keys of some rows; Milvus Lite keeps one row of each key."""
    if connection.is_lite or not 1 < stored <= MOST_COUNTED_KEYS:
        return stored
    return sum(map(len, walk(connection, name, expr, shape=shape)))


@dataclass(eq=False)
class Change:
    """What a delete or an update did. `rows` are as they were before, for as long as an undo."""

    kind: Literal["deleted", "changed"]
    collection: str
    count: int
    rows: tuple[Row, ...] = field(repr=False)
    schema: Schema = field(repr=False)
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.keep()

    def keep(self) -> None:
        """Keep the rows for as long as an undo from now on."""
        self.at = time.monotonic()
        # A weak reference does not keep the rows in memory when nobody else holds the change.
        change, loop = weakref.ref(self), event_loop.shared().loop
        loop.call_soon_threadsafe(loop.call_later, UNDO_S, _expire, change)

    def as_json_lines(self) -> bytes:
        """Return the rows that are still kept as the file of an export."""
        lines = (json.dumps(exported(row, self.schema), ensure_ascii=False) for row in self.rows)
        return "".join(f"{line}\n" for line in lines).encode()

    @property
    def can_be_undone(self) -> bool:
        """Say whether the rows are still kept."""
        return bool(self.rows) and self.left_s > 0

    @property
    def left_s(self) -> float:
        """Seconds until the rows are forgotten."""
        return max(UNDO_S - (time.monotonic() - self.at), 0.0)


def _expire(change: "weakref.ref[Change]") -> None:
    alive = change()
    if alive is not None and alive.left_s <= 0:
        alive.rows = ()  # their memory is given back


class _Rows:
    """Rows kept for an undo, their vectors as arrays, until they take more than allowed."""

    def __init__(self, shape: Schema, most_bytes: int) -> None:
        self.rows: list[Row] = []
        self.bytes = 0
        self._floats = [each.name for each in shape.fields if each.type == DataType.FLOAT_VECTOR]
        self._most = most_bytes

    def add(self, rows: Iterable[Row]) -> bool:
        """Keep some rows and say whether all still fit."""
        for row in rows:
            # A list of floats takes eight times as much.
            arrays = {n: np.asarray(row[n], dtype=np.float32) for n in self._floats if row.get(n)}
            self.rows.append(kept := row | arrays)
            self.bytes += sys.getsizeof(kept) + sum(map(sys.getsizeof, kept.values()))
        return self.bytes <= self._most


@dataclass(frozen=True)
class Matching:
    """The rows that a delete would take, and what their undo would take."""

    rows: int
    undo_bytes: int  # an estimate made from a few of them
    why_final: str = ""  # why they could not be put back, "" when they could
    new_keys: str = ""  # why they would come back under other keys, "" when they would not

    @property
    def row_bytes(self) -> int:
        """What an undo keeps of one row."""
        return -(-self.undo_bytes // max(self.rows, 1))


def matching(
    connection: Connection, name: str, *, keys: Sequence[Any] = (), expr: str = ""
) -> Matching:
    """Count the rows that a delete would take, and say what an undo of it would take.

    Raises InvalidInput for an unusable expression.
    """
    shape = layout(connection, name)
    total = total_bytes = shown = 0
    for each in _expressions(connection, name, shape, keys, expr):
        total += (count := milvus_collections.count(connection, name, each))
        shown += _shown(connection, name, shape, each, count)
        sample = _Rows(shape, 0)
        parts = walk(connection, name, each, fields=["*"], most=SAMPLE_ROWS, shape=shape)
        sample.add(next(parts, []))
        total_bytes += round(sample.bytes / max(len(sample.rows), 1) * count)
    return Matching(total, total_bytes, _twins(total, shown), why_fixed(connection, shape))


def why_fixed(connection: Connection, shape: Schema) -> str:
    """Return why no row can be written under the key that it has, "" when it can."""
    if shape.key.is_made and not connection.is_lite:
        return "Milvus makes the keys of this collection and takes no row with a key"
    return ""


def _twins(stored: int, shown: int) -> str:
    return f"{TWINS}: {stored:,} rows, {shown:,} keys" if shown < stored else ""


def _expressions(
    connection: Connection, name: str, shape: Schema, keys: Sequence[Any], expr: str
) -> list[str]:
    if not keys and not expr.strip():
        raise InvalidInput("Nothing is chosen to delete.", next_step="Choose rows or a filter.")
    milvus_collections.check_expression(connection, name, expr)
    parts = batch_iterate(KEYS_PER_CALL, dict.fromkeys(keys))
    return [equals_any(shape.key.name, part) for part in parts] or [expr]


def delete(
    connection: Connection,
    store: "Milvus",
    name: str,
    *,
    keys: Sequence[Any] = (),
    expr: str = "",
    keep: Callable[[Change], None] = lambda change: None,
    most_bytes: int = UNDO_BYTES,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Change:
    """Delete rows by key or by expression through `adelete`, keeping them for an undo.

    `keep` gets the deleted rows, even when others could not be deleted. `most_bytes` is what the
    undo may take; with 0 there is no undo. Raises InvalidInput for an expression that Milvus cannot
    use or that finds nothing, and for rows that the undo cannot hold or could not put back: nothing
    is deleted then. `on_progress` is told how many rows are kept.
    Raises OperationFailed when fewer rows are gone than should be: `adelete` always says True.
    """
    shape = layout(connection, name)
    expressions = _expressions(connection, name, shape, keys, expr)
    found = sum(milvus_collections.count(connection, name, each) for each in expressions)
    if not found:
        raise InvalidInput("No row matches, so there is nothing to delete.")
    kept = _Rows(shape, most_bytes)
    for each in expressions if most_bytes else ():
        parts = walk(connection, name, each, fields=["*"], page_rows=EXPORT_ROWS, shape=shape)
        for part in parts:
            on_progress(len(kept.rows) + len(part))
            if not kept.add(part):
                raise InvalidInput(
                    f"These rows take more than the {most_bytes / 2**20:,.0f} MB that an undo "
                    "holds.",
                    kept="Nothing was deleted.",
                    next_step="Delete fewer at once, or without an undo.",
                )
    if why := _twins(found, len(kept.rows)) if most_bytes else "":
        raise InvalidInput(
            f"These rows could not be put back: {why}.",
            kept="Nothing was deleted.",
            next_step="Download them, then delete them without an undo.",
        )
    with reported("The rows could not be deleted."):
        for each in expressions:
            watched(connection, partial(event_loop.run, store.adelete(expr=each)))
    left = sum(milvus_collections.count(connection, name, each) for each in expressions)
    change = Change("deleted", name, found - left, tuple(kept.rows), shape)
    if found > left:
        keep(change)
    if left:
        raise OperationFailed(
            f"{left:,} of {found:,} rows are still there.",
            kept=f"{change.count:,} rows were deleted.",
            next_step="Try again.",
        )
    return change


def undo(connection: Connection, change: Change) -> int:
    """Write rows back as they were, vectors and all, and return how many. Raises LabError.

    After a failure the rows are kept as long as at first.
    """
    if not change.can_be_undone:
        raise InvalidInput("These rows are no longer kept, so they cannot be put back.")
    change.keep()
    name, back = change.collection, 0
    shape = layout(connection, name)
    key = shape.key.name
    with reported("The rows could not be put back."):
        if why_fixed(connection, shape):
            return _added_again(connection, change, shape)
        for part in batch_iterate(EXPORT_ROWS, change.rows):
            # Over rows of the same keys: one that somebody added again does not become two.
            watched(connection, partial(connection.replace_rows, name, part))
        for part in batch_iterate(KEYS_PER_CALL, change.rows):
            keys, fields = [row[key] for row in part], [key, shape.text_column]
            found = rows_of(connection, name, shape, keys, fields)
            present = {(row[key], shape.text_of(row)) for row in found}
            back += sum((row[key], shape.text_of(row)) in present for row in part)
    if back != len(change.rows):
        raise OperationFailed(f"{back:,} of {len(change.rows):,} rows came back.")
    milvus_collections.prepare_for_search(connection, name)
    return back


def _added_again(connection: Connection, change: Change, shape: Schema) -> int:
    """Put rows back to which Milvus gives new keys. What is back is kept no longer."""
    back = 0
    while change.rows:
        part = [{n: v for n, v in row.items() if n != shape.key.name} for row in change.rows]
        part = part[:EXPORT_ROWS]
        watched(connection, partial(connection.client.insert, change.collection, part))
        change.rows, back = change.rows[len(part) :], back + len(part)
    return back


@dataclass(frozen=True)
class Edit:
    """New values of some fields of one row; None takes a metadata field away."""

    key: Any
    cells: Mapping[str, Any]


def update(
    connection: Connection,
    store: "Milvus",
    edits: Sequence[Edit],
    *,
    keep: Callable[[Change], None] = lambda change: None,
) -> Change:
    """Change cells and nothing else of their rows, and return what the rows were before.

    A row's text is embedded again when it is another one. `keep` gets the change as soon as it is
    written: what fails afterwards can still be undone. Raises InvalidInput for what Milvus could
    not store, and OperationFailed when a row reads otherwise.
    """
    name = store.collection_name
    shape = layout(connection, name)
    key, cells = shape.key.name, {edit.key: dict(edit.cells) for edit in edits}
    if why := why_fixed(connection, shape):
        raise InvalidInput(f"The rows cannot be changed: {why}.", kept="Nothing was changed.")
    connection.check_room()
    with reported("The rows could not be changed."):
        before = _Rows(shape, UNDO_BYTES)
        before.add(rows_of(connection, name, shape, list(cells), shape.whole))
        stored = milvus_collections.count(connection, name, equals_any(key, cells))
        if stored > len(before.rows):
            raise InvalidInput(f"{TWINS}: a change would remove the others.")
        changed = [_changed(row, cells[row[key]], shape) for row in before.rows]
        new = [
            row
            for row, old in zip(changed, before.rows, strict=True)
            if shape.text and row.get(shape.text) != old.get(shape.text)
        ]
        if new and shape.vector:
            vectors = _embedded(store, [row[shape.text] for row in new], shape.vector)
            for row, vector in zip(new, vectors, strict=True):
                row[shape.vector.name] = vector
        watched(connection, partial(connection.replace_rows, name, changed))
        change = Change("changed", name, len(changed), tuple(before.rows), shape)
        keep(change)
        found = {row[key]: row for row in rows_of(connection, name, shape, list(cells), ["*"])}
    wrong = sum(
        row[key] not in found or found[row[key]].get(each) != row.get(each)
        for row in changed
        for each in {shape.text, *cells[row[key]]} - {""}
        if not isinstance(row.get(each), float)  # which a field of 32 bits rounds
    )
    if wrong or len(changed) < len(cells):
        raise OperationFailed(
            f"{len(cells) - len(changed):,} rows are gone, {wrong:,} cells read otherwise."
        )
    return change


def _changed(row: Row, cells: Mapping[str, Any], shape: Schema) -> Row:
    changed = row | dict(cells)
    for name, value in cells.items():
        stored = shape.field(name)
        if stored is None and value is None:
            del changed[name]
        elif stored is not None and isinstance(value, str):
            size, most = len(value.encode("utf-8", "replace")), stored.max_bytes or sys.maxsize
            if size > most:
                raise InvalidInput(
                    f"The new value of {name} has {size:,} bytes, the field holds {most:,}.",
                    kept="Nothing was changed.",
                )
    return changed


def _embedded(store: "Milvus", texts: list[str], field: StoredField) -> list[list[float]]:
    """Embed changed texts. Raises InvalidInput when the model's vectors do not belong there."""
    model: Any = store.embedding_func
    vectors: list[list[float]] = event_loop.run(model.aembed_documents(texts))
    if any(len(vector) != field.dimension for vector in vectors):
        raise InvalidInput(
            f"The text cannot be changed: the embedding in use makes {len(vectors[0]):,} numbers, "
            f"and {field.name} holds {field.dimension:,}.",
            kept="Nothing was changed.",
        )
    return vectors


def export(
    connection: Connection, name: str, path: Path, *, expr: str = "", job: Job | None = None
) -> int:
    """Write rows with their vectors to a `.jsonl` or `.parquet` file and return how many.

    One page is in memory at a time. The columns are the key, the text, the vector, and the
    metadata as one JSON object, because rows need not have the same metadata.
    """
    job = job or Job("Export", "export")

    def write_all() -> int:
        shape = layout(connection, name)
        total = milvus_collections.count(connection, name, expr)
        job.progress = Progress(total=total, unit="rows")
        pages = walk(connection, name, expr, fields=["*"], page_rows=EXPORT_ROWS, shape=shape)
        with EXPORTS[path.suffix](path) as write:
            for part in pages:
                job.check()
                write([exported(row, shape) for row in part])
                job.progress.done += len(part)
        return job.progress.done

    return watched(connection, write_all, job)


Write = Callable[[list[Row]], None]


@contextlib.contextmanager
def _json_lines(path: Path) -> Iterator[Write]:
    """Open a file to which rows are written as a JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        yield lambda rows: file.writelines(
            json.dumps(row, ensure_ascii=False) + "\n" for row in rows
        )


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    """Open a file to which rows are written as a row group a page."""
    schema = pa.schema(
        [
            (PRIMARY_FIELD, pa.string()),
            (TEXT_FIELD, pa.string()),
            (VECTOR_FIELD, pa.list_(pa.float32())),
            (METADATA_COLUMN, pa.string()),
        ]
    )

    def write(rows: list[Row]) -> None:
        flat = [
            row | {METADATA_COLUMN: json.dumps(row[METADATA_COLUMN], ensure_ascii=False)}
            for row in rows
        ]
        writer.write_table(pa.Table.from_pylist(flat, schema=schema))

    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        yield write


EXPORTS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Write]]] = {
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}


def exported(row: Row, shape: Schema) -> Row:
    """Return a row as files hold it; vectors beside the one that is searched are metadata."""
    vector = shape.vector.name if shape.vector else ""
    others = [each.name for each in shape.fields if each.is_vector and each.name in row]
    return {
        PRIMARY_FIELD: str(row[shape.key.name]),
        TEXT_FIELD: shape.text_of(row),
        VECTOR_FIELD: [float(number) for number in row.get(vector, ())],
        METADATA_COLUMN: shape.metadata_of(row)
        | {name: _plain(row[name]) for name in others if name != vector},
    }


def _plain(vector: Any) -> Any:
    """Return a vector as JSON has it: its numbers, its bytes, or its weights by place."""
    if isinstance(vector, dict):
        return {str(place): float(weight) for place, weight in vector.items()}
    return [number if isinstance(number, int) else float(number) for number in vector]
