"""Known rows: which rows of a batch the collection has already, and which sources were given."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lib.ingestion.batches import Batch, content_key
from lib.milvus.fields import Schema
from lib.milvus.filters import equals_any
from lib.results.catalogue import PRIMARY_FIELD, TEXT_FIELD

PLACE = ("source", "position")


class KnownRows:
    """What one ingestion knows of the rows of a collection that held `before` rows.

    A row is known by its key; where Milvus makes the keys, by its text and its place in its source.
    """

    def __init__(self, collection: str, before: int, schema: Schema | None = None) -> None:
        self.before = before
        self.key, self.text = PRIMARY_FIELD, TEXT_FIELD
        # By source, eight bytes for each row that it holds now.
        self.sources: dict[str, array[int]] = {}
        self._collection = collection
        self._seen: set[int] = set()
        self._place: tuple[str, ...] = PLACE
        self._makes_keys, self._text_column = False, TEXT_FIELD
        if schema is not None:
            self.key, self.text = schema.key.name, schema.text
            self._makes_keys, self._text_column = schema.key.is_made, schema.text_column
            self._place = tuple(
                each for each in PLACE if schema.is_dynamic or each in schema.scalars
            )

    @property
    def identifying(self) -> list[str]:
        """The fields that say which row of a source a row is."""
        return [self._text_column, *self._place] if self._makes_keys else [self.key]

    def identity(self, row: Mapping[str, Any]) -> Any:
        """Return what tells a row of the collection from the others."""
        return self._identity(row.get(self.text), row) if self._makes_keys else row[self.key]

    def _identity(self, text: Any, place: Mapping[str, Any]) -> str:
        source, position = (place.get(each) if each in self._place else None for each in PLACE)
        return content_key(str(text or ""), str(source or ""), position or 0)

    def question(self, batch: Batch) -> dict[str, Any] | None:
        """Return the query that finds a batch's rows, None where there can be none."""
        if not self.before or not len(batch):
            return None
        return {
            "collection_name": self._collection,
            # `get` would put the keys into its expression without quoting them.
            "filter": equals_any(self.text, dict.fromkeys(batch.texts))
            if self._makes_keys
            else equals_any(self.key, batch.keys),
            # A content key stands for its text. Under other keys the text may have changed.
            "output_fields": self.identifying if batch.content_keyed else [self._text_column],
            "consistency_level": "Session",
        }

    def sort_out(
        self, batch: Batch, found: Iterable[dict[str, Any]]
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Return the places of the new rows and of those that are there with another text."""
        present = {self.identity(row): row.get(self.text) for row in found}
        if batch.content_keyed:
            # A place in a source comes once, so a key does too.
            if not self.before:
                return range(len(batch)), ()
            keys = batch.keys
            if self._makes_keys:
                keys = list(map(self._identity, batch.texts, batch.metadatas))
            for key, metadata in zip(keys, batch.metadatas, strict=True):
                if "source" in metadata and self._place == PLACE:
                    self.sources.setdefault(metadata["source"], array("Q")).append(mark(key))
            return [i for i, key in enumerate(keys) if key not in present], ()
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


def mark(key: str | int) -> int:
    """Return 64 bits that tell a key from the others of one ingestion, in this process only."""
    return hash(key) & 0xFFFF_FFFF_FFFF_FFFF
