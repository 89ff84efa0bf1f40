"""Rows of a collection: browse, edit, delete with undo, export. They are read a page at a time.

Milvus takes a query's offset only up to 16,384, so each page begins after the last key of the page
before. On Milvus Lite only an iterator's query gives rows in the order of their keys. On a server a
page may be shorter than asked for although more rows follow.
"""

import contextlib
import json
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from langchain_core.documents import Document
from langchain_core.utils.iter import batch_iterate
from pymilvus import DataType

from lib import event_loop
from lib.errors import InvalidInput, OperationFailed
from lib.jobs import Job
from lib.milvus import collections as milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.failures import reported
from lib.milvus.fields import METADATA_COLUMN, PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD, WORDS_FIELD
from lib.milvus.filters import Typed, combine, equals_any, quote
from lib.milvus.operations import OPERATIONS
from lib.milvus.typed import meant
from lib.milvus.watchdog import watched

if TYPE_CHECKING:
    from langchain_milvus import Milvus

WALK_ROWS = 5_000
# With its vector a row takes some 10 kB in Python. One page of an export is held at a time.
EXPORT_ROWS = 500
KEYS_PER_CALL = 1_000
# What an undo may keep in memory, and for how long.
UNDO_BYTES = 64 << 20
UNDO_S = 600.0
# Rows read to guess how much all of them take.
SAMPLE_ROWS = 20
DYNAMIC_FIELD = "$meta"

Row = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """A collection's fields, as far as reading its rows needs them."""

    key: str
    key_is_text: bool
    vector: str
    scalars: tuple[str, ...]  # without the key
    is_dynamic: bool

    @property
    def readable(self) -> list[str]:
        """The fields to ask for: everything but the vector."""
        return [self.key, *self.scalars, *([DYNAMIC_FIELD] if self.is_dynamic else [])]


def layout(connection: Connection, name: str) -> Layout:
    """Read a collection's fields and see that its rows can be queried.

    Raises InvalidInput when it does not exist.
    """
    with reported(f"Could not read the fields of {name!r}."):
        if not connection.client.has_collection(name, timeout=connection.answer_s):
            raise InvalidInput(f"There is no collection named {name!r}.")
        facts = connection.client.describe_collection(name, timeout=connection.answer_s)
        # Milvus Lite forgets at the end of its process that a collection was loaded.
        connection.client.load_collection(name)
    key = next(each for each in facts["fields"] if each.get("is_primary"))
    vectors = [each["name"] for each in facts["fields"] if "dim" in each.get("params", {})]
    return Layout(
        key=key["name"],
        key_is_text=key["type"] == DataType.VARCHAR,
        vector=vectors[0] if vectors else "",
        scalars=tuple(
            each["name"]
            for each in facts["fields"]
            if each["name"] not in {key["name"], *vectors, WORDS_FIELD}
            and not each.get("is_dynamic")
        ),
        is_dynamic=bool(facts.get("enable_dynamic_field")),
    )


def walk(
    connection: Connection,
    name: str,
    expr: str = "",
    *,
    fields: Sequence[str] = (),
    after: Any = None,
    page_rows: int = WALK_ROWS,
    most: int = sys.maxsize,
    shape: Layout | None = None,
) -> Iterator[list[Row]]:
    """Yield the rows that match, in key order, some at a time, from the one after a key.

    `fields` are the ones to read, by default the key alone; "*" reads all, the vector too. It ends
    after `most` rows. Whoever has read the collection's layout gives it as the `shape`.
    What was written before the walk began is seen when the caller counted the rows first.
    """
    shape = shape or layout(connection, name)
    while most > 0:
        beyond = "" if after is None else f"{shape.key} > {quote(after)}"
        limit = min(page_rows, most)
        with reported(f"Could not read the rows of {name!r}."):
            found = connection.client.query(
                name,
                filter=combine([expr, beyond]),
                output_fields=list(fields or [shape.key]),
                limit=limit,
                iterator="True",
                reduce_stop_for_best="True",
                timeout=connection.answer_s,
            )
        # A server may send more than it was asked for, as much as its segments had in common.
        page = sorted((dict(row) for row in found), key=lambda row: row[shape.key])[:limit]
        if not page:
            return
        yield page
        after = page[-1][shape.key]
        most -= len(page)


@dataclass
class Browser:
    """Numbered pages of the rows that match a filter, counted when it is made.

    A text is taken for an expression. `on_read` gets how many rows the app itself has read to find
    words, where it has to.
    """

    connection: Connection
    name: str
    typed: Typed | str
    page_rows: int
    on_read: Callable[[int], None] = lambda rows: None
    total: int = 0
    # The last key before a page, for the pages whose beginning has been found.
    _before: dict[int, Any] = field(default_factory=lambda: {1: None})

    def __post_init__(self) -> None:
        self.layout = layout(self.connection, self.name)
        typed = self.typed if isinstance(self.typed, Typed) else Typed(self.typed, is_words=False)
        self.meant = meant(self.connection, self.name, typed, self.on_read)
        self.expr = self.meant.expr
        self.total = milvus_collections.count(self.connection, self.name, self.expr)

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(-(-self.total // self.page_rows), 1)

    def page(self, number: int) -> list[Row]:
        """Return the rows of a page, counted from 1, without their vectors."""
        number = min(max(number, 1), self.pages)
        # A short page is not the end, so the walk asks until this one is full or nothing comes.
        parts = self._walk(self.layout.readable, self._key_before(number), self.page_rows)
        found = [row for part in parts for row in part]
        if len(found) == self.page_rows:
            self._before[number + 1] = found[-1][self.layout.key]
        return found

    def _key_before(self, number: int) -> Any:
        known = max(each for each in self._before if each <= number)
        after = self._before[known]
        for part in self._walk((), after, (number - known) * self.page_rows):
            after = part[-1][self.layout.key]
        self._before[number] = after
        return after

    def _walk(self, fields: Sequence[str], after: Any, most: int) -> Iterator[list[Row]]:
        return walk(
            self.connection,
            self.name,
            self.expr,
            fields=fields,
            after=after,
            most=most,
            shape=self.layout,
        )


@dataclass(eq=False)
class Change:
    """What a delete or an update did. `rows` are as they were before, for as long as an undo."""

    kind: Literal["deleted", "changed"]
    collection: str
    count: int
    rows: tuple[Row, ...] = field(repr=False)
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        # A weak reference does not keep the rows in memory when nobody else holds the change.
        forget = weakref.WeakMethod(self.forget)
        loop = event_loop.shared().loop
        loop.call_soon_threadsafe(loop.call_later, UNDO_S, _call, forget)

    def forget(self) -> None:
        """Give back the memory of the rows; they can no longer be put back."""
        self.rows = ()

    @property
    def can_be_undone(self) -> bool:
        """Say whether the rows are still kept."""
        return bool(self.rows) and self.left_s > 0

    @property
    def left_s(self) -> float:
        """Seconds until the rows are forgotten."""
        return max(UNDO_S - (time.monotonic() - self.at), 0.0)


def _call(method: "weakref.WeakMethod[Callable[[], None]]") -> None:
    alive = method()
    if alive is not None:
        alive()


class _Kept:
    """Rows kept for an undo, their vectors as arrays, until they take more than allowed."""

    def __init__(self, shape: Layout, most_bytes: int) -> None:
        self.rows: list[Row] = []
        self.bytes = 0
        self._vector = shape.vector
        self._most = most_bytes

    def add(self, rows: Iterable[Row]) -> bool:
        """Keep some rows and say whether all still fit."""
        for row in rows:
            kept = {name: value for name, value in row.items() if name != DYNAMIC_FIELD}
            if isinstance(kept.get(self._vector), list):
                # A list of floats takes eight times as much.
                kept[self._vector] = np.asarray(kept[self._vector], dtype=np.float32)
            self.rows.append(kept)
            self.bytes += sys.getsizeof(kept) + sum(map(sys.getsizeof, kept.values()))
        return self.bytes <= self._most


def matching(
    connection: Connection, name: str, *, keys: Sequence[Any] = (), expr: str = ""
) -> tuple[int, int]:
    """Count the rows that a delete would take, and estimate the bytes that its undo would take.

    The estimate is made from a few rows. Raises InvalidInput for an unusable expression.
    """
    shape = layout(connection, name)
    total = total_bytes = 0
    for each in _expressions(connection, name, shape, keys, expr):
        total += (count := milvus_collections.count(connection, name, each))
        sample = _Kept(shape, 0)
        parts = walk(connection, name, each, fields=["*"], most=SAMPLE_ROWS, shape=shape)
        sample.add(next(parts, []))
        total_bytes += round(sample.bytes / max(len(sample.rows), 1) * count)
    return total, total_bytes


def _expressions(
    connection: Connection, name: str, shape: Layout, keys: Sequence[Any], expr: str
) -> list[str]:
    if not keys and not expr.strip():
        raise InvalidInput("Nothing is chosen to delete.", next_step="Choose rows or a filter.")
    milvus_collections.check_expression(connection, name, expr)
    distinct = list(dict.fromkeys(keys))
    return [equals_any(shape.key, part) for part in batch_iterate(KEYS_PER_CALL, distinct)] or [
        expr
    ]


def delete(
    connection: Connection,
    store: "Milvus",
    name: str,
    *,
    keys: Sequence[Any] = (),
    expr: str = "",
    keep: Callable[[Change], None] = lambda change: None,
    most_bytes: int = UNDO_BYTES,
) -> Change:
    """Delete rows by key or by expression through `adelete`, keeping them for an undo.

    `keep` gets the deleted rows, even when others could not be deleted. `most_bytes` is what the
    undo may take; with 0 there is no undo. Raises InvalidInput for an expression that Milvus cannot
    use or that finds nothing, and for rows that the undo cannot hold: nothing is deleted then.
    Raises OperationFailed when fewer rows are gone than should be: `adelete` always says True.
    """
    shape = layout(connection, name)
    expressions = _expressions(connection, name, shape, keys, expr)
    before = milvus_collections.count(connection, name)
    found = sum(milvus_collections.count(connection, name, each) for each in expressions)
    if not found:
        raise InvalidInput("No row matches, so there is nothing to delete.")
    kept = _Kept(shape, most_bytes)
    for each in expressions if most_bytes else ():
        parts = walk(connection, name, each, fields=["*"], page_rows=EXPORT_ROWS, shape=shape)
        for part in parts:
            if not kept.add(part):
                raise InvalidInput(
                    f"These rows take more than the {most_bytes / 2**20:,.0f} MB that an undo "
                    "holds.",
                    kept="Nothing was deleted.",
                    next_step="Delete fewer at once, or without an undo.",
                )
    with reported("The rows could not be deleted."):
        for each in expressions:
            watched(connection, partial(event_loop.run, store.adelete(expr=each)))
    left = sum(milvus_collections.count(connection, name, each) for each in expressions)
    change = Change("deleted", name, found - left, tuple(kept.rows))
    if found > left:
        keep(change)
    if left:
        raise OperationFailed(
            f"{left:,} of {found:,} rows are still there.",
            kept=f"{before - milvus_collections.count(connection, name):,} rows were deleted.",
            next_step="Try again.",
        )
    return change


def undo(connection: Connection, change: Change) -> int:
    """Write rows back as they were, vectors and all, and return how many. Raises LabError."""
    if not change.can_be_undone:
        raise InvalidInput("These rows are no longer kept, so they cannot be put back.")
    name, back = change.collection, 0
    shape = layout(connection, name)
    fields = [shape.key, *(each for each in shape.scalars if each == TEXT_FIELD)]
    with reported("The rows could not be put back."):
        for part in batch_iterate(EXPORT_ROWS, change.rows):
            # Over rows of the same keys: one that somebody added again does not become two.
            watched(connection, partial(connection.replace_rows, name, part))
        for part in batch_iterate(KEYS_PER_CALL, change.rows):
            found = _present(connection, name, shape, [row[shape.key] for row in part], fields)
            present = {tuple(row[each] for each in fields) for row in found}
            back += sum(tuple(row[each] for each in fields) in present for row in part)
    if back != len(change.rows):
        raise OperationFailed(f"{back:,} of {len(change.rows):,} rows came back.")
    milvus_collections.prepare_for_search(connection, name)
    return back


def update(
    connection: Connection,
    store: "Milvus",
    documents: Sequence[Document],
    *,
    keep: Callable[[Change], None] = lambda change: None,
) -> Change:
    """Write changed rows, which embeds their texts again, and return what they were before.

    Each document's `id` is the key of its row. `keep` gets the change as soon as it is written:
    what fails afterwards can still be undone. Raises OperationFailed when a row reads otherwise.
    """
    name = store.collection_name
    shape = layout(connection, name)
    keys = [str(document.id) for document in documents]
    arguments = {"documents": list(documents), "ids": keys}
    connection.check_room()
    with reported("The rows could not be changed."):
        before = _Kept(shape, UNDO_BYTES)
        before.add(_present(connection, name, shape, keys, ["*"]))
        call = OPERATIONS[connection.replaces_by].acall(store, arguments)
        watched(connection, lambda: event_loop.run(call))
        change = Change("changed", name, len(documents), tuple(before.rows))
        keep(change)
        found = _present(connection, name, shape, keys, [shape.key, TEXT_FIELD])
    stored = {row[shape.key]: row[TEXT_FIELD] for row in found}
    wrong = [each for each in documents if stored.get(str(each.id)) != each.page_content]
    if wrong:
        raise OperationFailed(f"{len(wrong):,} of {len(documents):,} rows read otherwise.")
    return change


def _present(
    connection: Connection, name: str, shape: Layout, keys: Sequence[Any], fields: Sequence[str]
) -> list[Row]:
    """Return the rows of some keys as they are after every write so far."""
    found = connection.client.query(
        name,
        # Not `get`, which puts keys into its expression without quoting them.
        filter=equals_any(shape.key, keys),
        output_fields=list(fields),
        consistency_level="Strong",
        timeout=connection.answer_s,
    )
    return [dict(row) for row in found]


def export(
    connection: Connection,
    name: str,
    path: Path,
    *,
    expr: str = "",
    job: Job | None = None,
) -> int:
    """Write rows with their vectors to a `.jsonl` or `.parquet` file and return how many.

    One page is in memory at a time. The columns are the key, the text, the vector, and the
    metadata as one JSON object, because rows need not have the same metadata.
    """
    job = job or Job("Export", "export")

    def write_all() -> int:
        shape = layout(connection, name)
        written = 0
        job.progress.unit = "rows"
        job.progress.total = milvus_collections.count(connection, name, expr)
        pages = walk(connection, name, expr, fields=["*"], page_rows=EXPORT_ROWS, shape=shape)
        with EXPORTS[path.suffix](path) as write:
            for part in pages:
                job.check()
                write([_exported(row, shape) for row in part])
                written += len(part)
                job.progress.done = written
        return written

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


def metadata_of(row: Row, shape: Layout) -> dict[str, Any]:
    """Return what a row holds beside its key, its text and its vector."""
    own = {shape.key, shape.vector, TEXT_FIELD, DYNAMIC_FIELD}
    return {name: value for name, value in row.items() if name not in own}


def _exported(row: Row, shape: Layout) -> Row:
    return {
        PRIMARY_FIELD: str(row[shape.key]),
        TEXT_FIELD: str(row.get(TEXT_FIELD, "")),
        VECTOR_FIELD: [float(number) for number in row.get(shape.vector, ())],
        METADATA_COLUMN: metadata_of(row, shape),
    }
