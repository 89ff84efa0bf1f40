"""Rows as they are read: some at a time, in the order of their keys.

Milvus takes a query's offset only up to 16,384, so each page begins after the last key of the page
before. On Milvus Lite only an iterator's query gives rows in the order of their keys. On a server a
page may be shorter than asked for although more rows follow.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.failures import reported
from lib.milvus.fields import AS_BYTES, DYNAMIC_FIELD, Schema
from lib.milvus.filters import combine, equals_any, quote

WALK_ROWS = 5_000

Row = dict[str, Any]


def layout(connection: Connection, name: str) -> Schema:
    """Read a collection's description and see that its rows can be queried.

    Raises InvalidInput when it does not exist.
    """
    schema = connection.schema(name, fresh=True)
    if connection.is_lite or not schema.unindexed:
        # Milvus Lite forgets at the end of its process that a collection was loaded.
        milvus_collections.load(connection, name)
    return schema


def walk(
    connection: Connection,
    name: str,
    expr: str = "",
    *,
    fields: Sequence[str] = (),
    after: Any = None,
    page_rows: int = WALK_ROWS,
    most: int = sys.maxsize,
    shape: Schema | None = None,
) -> Iterator[list[Row]]:
    """Yield the rows that match, in key order, some at a time, from the one after a key.

    `fields` are the ones to read, by default the key alone; "*" reads all that can be written back,
    vectors too. It ends after `most` rows. Whoever has read the collection's layout gives it as the
    `shape`.
    What was written before the walk began is seen when the caller counted the rows first.
    """
    shape = shape or layout(connection, name)
    key, wanted = shape.key.name, _wanted(shape, fields)
    while most > 0:
        beyond = "" if after is None else f"{key} > {quote(after)}"
        limit = min(page_rows, most)
        with reported(f"Could not read the rows of {name!r}."):
            found = connection.client.query(
                name,
                filter=combine([expr, beyond]),
                output_fields=wanted,
                limit=limit,
                iterator="True",
                reduce_stop_for_best="True",
                timeout=connection.answer_s,
            )
        # A server may send more than it was asked for, as much as its segments had in common.
        page = sorted((_as_read(row, shape) for row in found), key=lambda row: row[key])[:limit]
        if not page:
            return
        yield page
        after = page[-1][key]
        most -= len(page)


def _wanted(shape: Schema, fields: Sequence[str]) -> list[str]:
    return shape.whole if list(fields) == ["*"] else list(fields or [shape.key.name])


def _as_read(row: Mapping[str, Any], shape: Schema) -> Row:
    """Return a row so that it can be written back."""
    read = {name: value for name, value in row.items() if name != DYNAMIC_FIELD}
    for each in shape.fields:
        # pymilvus returns the bytes of a vector in a list and takes them without one.
        if each.type in AS_BYTES and isinstance(read.get(each.name), list):
            read[each.name] = b"".join(read[each.name])
    return read


def rows_of(
    connection: Connection, name: str, shape: Schema, keys: Sequence[Any], fields: Sequence[str]
) -> list[Row]:
    """Return the rows of some keys as they are after every write so far."""
    found = connection.client.query(
        name,
        # Not `get`, which puts keys into its expression without quoting them.
        filter=equals_any(shape.key.name, keys),
        output_fields=_wanted(shape, fields),
        consistency_level="Strong",
        timeout=connection.answer_s,
    )
    return [_as_read(row, shape) for row in found]
