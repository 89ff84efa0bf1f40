"""Known rows: which rows of a batch the collection has already, and which sources were given."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from lib.ingestion.batches import Batch
from lib.milvus.fields import PRIMARY_FIELD, TEXT_FIELD, Schema
from lib.milvus.filters import equals_any


class KnownRows:
    """What one ingestion knows of the rows of a collection that held `before` rows."""

    def __init__(self, collection: str, before: int, schema: Schema | None = None) -> None:
        self.before = before
        self.key, self.text = PRIMARY_FIELD, TEXT_FIELD
        self._has_sources = True
        if schema is not None:
            self.key, self.text = schema.key.name, schema.text
            self._has_sources = schema.is_dynamic or {"source", "position"} <= {*schema.scalars}
        # By source, eight bytes for each row that it holds now.
        self.sources: dict[str, array[int]] = {}
        self._collection = collection
        self._seen: set[int] = set()

    def question(self, batch: Batch) -> dict[str, Any] | None:
        """Return the query that finds a batch's rows, None where there can be none."""
        if not self.before or not len(batch):
            return None
        return {
            "collection_name": self._collection,
            # `get` would put the keys into its expression without quoting them.
            "filter": equals_any(self.key, batch.keys),
            # A content key stands for its text. Under other keys the text may have changed.
            "output_fields": [self.key] if batch.content_keyed else [self.text],
            "consistency_level": "Session",
        }

    def sort_out(
        self, batch: Batch, found: Iterable[dict[str, Any]]
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Return the places of the new rows and of those that are there with another text."""
        present = {row[self.key]: row.get(self.text) for row in found}
        if batch.content_keyed:
            # A place in a source comes once, so a key does too.
            if not self.before:
                return range(len(batch)), ()
            for key, metadata in zip(batch.keys, batch.metadatas, strict=True):
                if "source" in metadata and self._has_sources:
                    self.sources.setdefault(metadata["source"], array("Q")).append(mark(key))
            return [i for i, key in enumerate(batch.keys) if key not in present], ()
        fresh: list[int] = []
        changed: list[int] = []
        for i, key in enumerate(batch.keys):
            if mark(key) in self._seen:
                continue
            self._seen.add(mark(key))
            if key not in present:
                fresh.append(i)
            elif present[key] != batch.texts[i]:
                changed.append(i)
        return fresh, changed


def mark(key: str) -> int:
    """Return 64 bits that tell a key from the others of one ingestion, in this process only."""
    return hash(key) & 0xFFFF_FFFF_FFFF_FFFF
