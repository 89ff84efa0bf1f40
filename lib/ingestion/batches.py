"""Batches: documents, keyed, checked and cut into what one call takes."""

import contextlib
import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray

from lib.documents.metadata import clean, readable
from lib.documents.problems import Problems
from lib.documents.sources import VectorDocument
from lib.errors import InvalidInput
from lib.milvus.fields import INT64_KEYS, Schema
from lib.milvus.filters import kind_of
from lib.milvus.milvus_collections import MAX_VARCHAR_BYTES

# A gRPC message of a Milvus server ends at 64 MB, and memory is batches times what one holds.
MAX_BATCH_CHARACTERS = 4_000_000
MAX_KEY_CHARACTERS = 512
# 128 bits: among a billion rows the chance that any two differ in text and share a key is 1e-21.
CONTENT_KEY_BYTES = 16


@dataclass
class Batch:
    """Rows for one call, column by column.

    `vectors` has one row per text, or is None when the texts still have to be embedded.
    `content_keyed` says that a key stands for its text, so that a known key is an unchanged row.
    `number_field` is the name of the key where keys are numbers, otherwise empty.
    """

    keys: list[Any]
    texts: list[str]
    metadatas: list[dict[str, Any]]
    vectors: NDArray[np.float32] | None = None
    content_keyed: bool = False
    number_field: str = ""
    # Rows given so far that are not in this batch or an earlier one, because of a problem.
    refused: int = 0

    def __len__(self) -> int:
        return len(self.keys)

    def only(self, indexes: Sequence[int]) -> "Batch":
        """Return the rows at these places."""
        if len(indexes) == len(self.keys):
            return self
        return replace(
            self,
            keys=[self.keys[i] for i in indexes],
            texts=[self.texts[i] for i in indexes],
            metadatas=[self.metadatas[i] for i in indexes],
            vectors=None if self.vectors is None else self.vectors[list(indexes)],
            refused=0,
        )

    @property
    def ids(self) -> list[str]:
        """The keys as langchain-milvus takes them: as texts."""
        return [str(key) for key in self.keys]

    @property
    def written(self) -> list[dict[str, Any]]:
        """The metadata to write; a number among them takes the place of a key that is a text."""
        if not self.number_field:
            return self.metadatas
        pairs = zip(self.metadatas, self.keys, strict=True)
        return [metadata | {self.number_field: key} for metadata, key in pairs]

    def documents(self) -> list[Document]:
        """Return the rows as LangChain documents."""
        return [
            Document(page_content=text, metadata=metadata, id=key)
            for key, text, metadata in zip(self.ids, self.texts, self.written, strict=True)
        ]


@dataclass
class ValueKinds:
    """Which kinds of value each metadata key has held, to warn when a filter would miss some."""

    _first: dict[str, str] = field(default_factory=dict)
    _types: dict[str, type] = field(default_factory=dict)

    def look_at(self, metadata: dict[str, Any], source: str, problems: Problems) -> None:
        """Note, once a key, that it holds values of more than one kind."""
        for key, value in metadata.items():
            if self._types.get(key) is type(value):
                continue
            kind, first = kind_of(value).value, self._first.get(key)
            if first is None:
                self._first[key], self._types[key] = kind, type(value)
            elif kind != first:
                problems.note_once(
                    "",
                    f"the metadata key {key!r} holds {first} and {kind} (first in "
                    f"{source or 'one document'}): a filter on it only finds the rows of the kind "
                    "it names",
                )


def from_documents(documents: Iterable[Document], size: int, problems: Problems) -> Iterator[Batch]:
    """Cut a stream of documents into batches, giving a content key to those without an id.

    A document that Milvus cannot take is reported and left out; the rest goes in.
    """
    kinds = ValueKinds()
    position = 0
    refused = 0
    for part in _parts(documents, size):
        batch = Batch([], [], [], content_keyed=True)
        vectors: list[Any] = []
        for document in part:
            source = str(document.metadata.get("source", ""))
            place = str(document.metadata.get("position", position))
            position += 1
            try:
                metadata, notes = clean(document.metadata)
                text = checked_text(document.page_content)
                key = checked_key(document.id) if document.id else None
            except InvalidInput as problem:
                problems.add(source, f"document {place}", problem.what)
                refused += 1
                continue
            for note in notes:
                problems.note_once(source, note)
            kinds.look_at(metadata, source, problems)
            if key is None:
                key = content_key(text, source, int(place) if place.isdigit() else position)
            else:
                batch.content_keyed = False
            batch.keys.append(key)
            batch.texts.append(text)
            batch.metadatas.append(metadata)
            if isinstance(document, VectorDocument):
                vectors.append(document.vector)
        batch.vectors = np.asarray(vectors, dtype=np.float32) if vectors else None
        batch.refused, refused = refused, 0
        if len(batch) or batch.refused:
            yield batch


def fitting(batches: Iterator[Batch], schema: Schema, problems: Problems) -> Iterator[Batch]:
    """Yield the rows that a collection can hold, and report the others and what is left out.

    Metadata of the names of a collection's own fields get another name. Keys become what the
    collection's keys are.
    """
    stored = schema.field(schema.text)
    rooms = {
        "text": (stored and stored.max_bytes) or MAX_VARCHAR_BYTES,
        "key": (not schema.key.is_made and schema.key.max_bytes) or MAX_VARCHAR_BYTES,
    }
    required = [each.name for each in schema.required]
    taken = {schema.key.name, schema.text}
    taken |= {each.name for each in schema.fields if each.is_vector or each.is_made}
    with (
        contextlib.closing(batches) if isinstance(batches, Generator) else contextlib.nullcontext()
    ):
        for batch in batches:
            _fit_keys(batch, schema, problems)
            keep = []
            for i, (key, text) in enumerate(zip(batch.keys, batch.texts, strict=True)):
                metadata = batch.metadatas[i]
                source, place = str(metadata.get("source", "")), metadata.get("position", key)
                if missing := [name for name in required if name not in metadata]:
                    what = f"Milvus takes no row without {', '.join(missing)}"
                    problems.add(source, f"document {place}", what)
                    continue
                for what, value in (("text", text), ("key", str(key))):
                    room = rooms[what]
                    if 4 * len(value) > room and (size := len(value.encode())) > room:
                        problem = f"its {what} has {size:,} bytes, the field holds {room:,}"
                        problems.add(source, f"document {place}", problem)
                        break
                else:
                    keep.append(i)
                for name in taken & metadata.keys():
                    metadata[f"field_{name}"] = metadata.pop(name)
                    problems.note_once("", f"the metadata key {name!r} is stored as 'field_{name}'")
                if not schema.is_dynamic:
                    for name in sorted(metadata.keys() - {*schema.scalars}):
                        problems.note_once("", f"the collection has no field for {name!r}")
            fits = batch.only(keep)
            fits.refused = batch.refused + len(batch) - len(keep)
            yield fits


def _fit_keys(batch: Batch, schema: Schema, problems: Problems) -> None:
    if schema.key.is_made:
        if not batch.content_keyed:
            problems.note_once("", "Milvus makes the keys here, so the given keys are not stored")
        batch.content_keyed = True
    elif not schema.key_is_text:
        batch.number_field = schema.key.name
        batch.keys, given = [number_key(key) for key in batch.keys], batch.keys
        if not batch.content_keyed and batch.ids != given:
            what = "the keys here are whole numbers: a key that is none is stored as one made of it"
            problems.note_once("", what)
    elif batch.content_keyed:
        batch.keys = [key[: schema.key.max_bytes] for key in batch.keys]


def number_key(key: str) -> int:
    """Return the whole number that a key is, or one of 63 bits that is made of its letters.

    Among a million rows the chance that any two share one is 5e-8.
    """
    with contextlib.suppress(ValueError):
        if int(key) in INT64_KEYS:
            return int(key)
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) >> 1


def content_key(text: str, source: str, position: int) -> str:
    """Return 32 hex digits made of a text, its source and its place in that source.

    So ingesting twice adds nothing. The source's length stands in front, so that no two different
    triples read alike.
    """
    head = f"{position}:{len(source)}:{source}"
    return hashlib.blake2b(
        (head + text).encode("utf-8", "replace"), digest_size=CONTENT_KEY_BYTES
    ).hexdigest()


def checked_text(text: str) -> str:
    """Return a text that Milvus can store. Raises InvalidInput for an empty or too long one."""
    text = readable(text)
    if not text.strip():
        raise InvalidInput("it has no text")
    if len(text) * 4 > MAX_VARCHAR_BYTES:
        size = len(text.encode())
        if size > MAX_VARCHAR_BYTES:
            raise InvalidInput(
                f"its text has {size:,} bytes, a Milvus field holds {MAX_VARCHAR_BYTES:,}; "
                "split it into chunks"
            )
    return text


def checked_key(key: object) -> str:
    """Return a primary key that Milvus can store. Raises InvalidInput."""
    text = readable(str(key))
    if len(text) > MAX_KEY_CHARACTERS:
        raise InvalidInput(f"its key is longer than {MAX_KEY_CHARACTERS} characters")
    return text


def _parts(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    """Cut by number and by length, so that long texts make smaller batches.

    Documents with vectors and documents without never share a batch.
    """
    part: list[Document] = []
    characters = 0
    for document in documents:
        if part and isinstance(document, VectorDocument) != isinstance(part[-1], VectorDocument):
            yield part
            part, characters = [], 0
        part.append(document)
        characters += len(document.page_content)
        if len(part) >= size or characters >= MAX_BATCH_CHARACTERS:
            yield part
            part, characters = [], 0
    if part:
        yield part
