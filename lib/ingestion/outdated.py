"""Remove the rows of the given sources that are no longer theirs.

When the text at a place in a source has changed, the new row is in already and the old one is
removed. Rows beyond a source's new end are removed when the plan says so. This runs after
everything was inserted and needs no memory of an earlier run, so an ingestion that was killed and
repeated gives the same rows. Sources with unread parts are left alone.
"""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from langchain_core.utils.iter import batch_iterate

from lib.documents.problems import Problems
from lib.ingestion.known_rows import KnownRows, mark
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.report import Tally
from lib.milvus import milvus_collections, rows
from lib.milvus.connection import Connection
from lib.milvus.failures import reported
from lib.milvus.filters import equals, equals_any
from lib.milvus.reading import walk

# Sources whose rows are counted in one query.
SOURCES_PER_QUERY = 500


def remove_outdated(
    connection: Connection, plan: IngestionPlan, known: KnownRows, problems: Problems, tally: Tally
) -> None:
    """Remove them from the sources that were given whole, and count in the tally what went."""
    sources = {name: marks for name, marks in known.sources.items() if not problems.spoiled(name)}
    if sources and sum(map(len, sources.values())) != count(connection, plan, tally):
        for part in batch_iterate(SOURCES_PER_QUERY, sources):
            given = sum(len(sources[name]) for name in part)
            if count(connection, plan, tally, equals_any("source", part)) > given:
                for name in part:
                    _remove_of_source(connection, plan, known, name, sources[name], tally)


def count(connection: Connection, plan: IngestionPlan, tally: Tally, expr: str = "") -> int:
    """Count rows, seeing all that was there at the beginning and all that was written."""
    consistency = "Strong" if tally.written or tally.removed else "Session"
    return milvus_collections.count(connection, plan.collection, expr, consistency=consistency)


def _remove_of_source(
    connection: Connection,
    plan: IngestionPlan,
    known: KnownRows,
    source: str,
    marks: "array[int]",
    tally: Tally,
) -> None:
    own = np.sort(np.frombuffer(marks, dtype=np.uint64))
    stale: list[Any] = []
    gone: list[Any] = []
    expr, fields = equals("source", source), [known.key, *known.identifying, "position"]
    for part in walk(connection, plan.collection, expr, fields=fields):
        found = np.array([mark(known.identity(row)) for row in part], dtype=np.uint64)
        for row, is_own in zip(part, np.isin(found, own), strict=True):
            position = row.get("position")
            if is_own or not isinstance(position, int):
                continue
            (stale if position < len(own) else gone).append(row[known.key])
    if not plan.remove_gone:
        tally.gone += len(gone)
        gone = []
    _remove(connection, plan.collection, [*stale, *gone])
    # A row that replaces another was counted as added when it was written.
    replaced = min(len(stale), tally.source(source).added)
    for each in (tally, tally.source(source)):
        each.updated += replaced
        each.added -= replaced
        each.removed += len(gone) + len(stale) - replaced


def _remove(connection: Connection, collection: str, keys: Sequence[Any]) -> None:
    with reported("Rows that are no longer in their source could not be removed."):
        for part in batch_iterate(rows.KEYS_PER_CALL, keys):
            connection.client.delete(collection, ids=part)
