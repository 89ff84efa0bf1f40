"""Batches: documents or precomputed vectors, keyed, checked and cut into what one call takes."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray

from lib.documents.chunking import Chunking, chunks
from lib.documents.content_keys import content_key
from lib.documents.loaders import read_all
from lib.documents.metadata import clean, kind_of, readable
from lib.documents.problems import Problems
from lib.documents.sources import Reading, Upload, VectorDocument, with_distinct_names
from lib.documents.tables import vector_rows
from lib.errors import InvalidInput
from lib.milvus.collections import MAX_VARCHAR_BYTES

# A gRPC message of a Milvus server ends at 64 MB, and memory is batches times what one holds.
MAX_BATCH_CHARACTERS = 4_000_000
MAX_KEY_BYTES = 512


@dataclass
class Batch:
    """Rows for one call, column by column.

    `vectors` has one row per text, or is None when the texts still have to be embedded.
    `content_keyed` says that a key stands for its text, so that a known key is an unchanged row.
    """

    keys: list[str]
    texts: list[str]
    metadatas: list[dict[str, Any]]
    vectors: NDArray[np.float32] | None = None
    content_keyed: bool = False
    # Rows given so far that are not in this batch or an earlier one, because of a problem.
    refused: int = 0

    def __len__(self) -> int:
        return len(self.keys)

    def only(self, indexes: Sequence[int]) -> "Batch":
        """Return the rows at these places."""
        if len(indexes) == len(self.keys):
            return self
        return Batch(
            keys=[self.keys[i] for i in indexes],
            texts=[self.texts[i] for i in indexes],
            metadatas=[self.metadatas[i] for i in indexes],
            vectors=None if self.vectors is None else self.vectors[list(indexes)],
            content_keyed=self.content_keyed,
        )

    def documents(self) -> list[Document]:
        """Return the rows as LangChain documents."""
        return [
            Document(page_content=text, metadata=metadata, id=key)
            for key, text, metadata in zip(self.keys, self.texts, self.metadatas, strict=True)
        ]


@dataclass
class Kinds:
    """Which kinds of value each metadata key has held, to warn when a filter would miss some."""

    _first: dict[str, str] = field(default_factory=dict)
    _types: dict[str, type] = field(default_factory=dict)

    def look_at(self, metadata: dict[str, Any], source: str, problems: Problems) -> None:
        """Note, once a key, that it holds values of more than one kind."""
        for key, value in metadata.items():
            if self._types.get(key) is type(value):
                continue
            kind, first = kind_of(value), self._first.get(key)
            if first is None:
                self._first[key], self._types[key] = kind, type(value)
            elif kind != first:
                problems.note_once(
                    "",
                    f"the metadata key {key!r} holds {first} and {kind} (first in "
                    f"{source or 'one document'}): a filter on it only finds the rows of the kind "
                    "it names",
                )


def from_uploads(
    uploads: Sequence[Upload], reading: Reading, chunking: Chunking, size: int
) -> Iterator[Batch]:
    """Read, cut and batch files, up to the number of rows that `reading` allows.

    Vectors that came in a Parquet file stay one array throughout.
    """
    room = reading.max_rows
    for batch in _from_uploads(uploads, reading, chunking, size):
        if reading.max_rows and len(batch) > room:
            for source in dict.fromkeys(str(each.get("source", "")) for each in batch.metadatas):
                reading.problems.add(
                    source,
                    "",
                    f"more than {reading.max_rows:,} rows are not taken here at once; "
                    "the rest was left out",
                )
            if room:
                yield batch.only(range(room))
            return
        room -= len(batch)
        yield batch


def _from_uploads(
    uploads: Sequence[Upload], reading: Reading, chunking: Chunking, size: int
) -> Iterator[Batch]:
    uploads = with_distinct_names(uploads)
    reading.bytes_total = sum(upload.size for upload in uploads)
    for has_vectors, group in itertools.groupby(
        uploads, lambda upload: reading.take_vectors and upload.ending == ".parquet"
    ):
        if has_vectors:
            for upload in group:
                yield from _from_vectors(upload, reading, size)
                reading.bytes_done += upload.size
        else:
            documents = chunks(read_all(list(group), reading), chunking)
            yield from from_documents(documents, size, reading.problems)


def _from_vectors(upload: Upload, reading: Reading, size: int) -> Iterator[Batch]:
    position = 0
    try:
        with upload.open() as file:
            for part in vector_rows(file, upload.name, reading, size):
                batch = Batch([], [], [], content_keyed=part.keys is None)
                good = []
                for i, (text, metadata) in enumerate(zip(part.texts, part.metadatas, strict=True)):
                    try:
                        text = checked_text(text or "")
                        metadata, notes = clean(metadata)
                    except InvalidInput as problem:
                        reading.problems.add(
                            upload.name, f"row {part.first_row + i:,}", problem.what
                        )
                        batch.refused += 1
                        position += 1
                        continue
                    for note in notes:
                        reading.problems.note_once(upload.name, note)
                    if part.keys is None:
                        metadata["source"], metadata["position"] = upload.name, position
                        key = content_key(text, upload.name, position)
                    else:
                        key = checked_key(part.keys[i])
                    position += 1
                    good.append(i)
                    batch.keys.append(key)
                    batch.texts.append(text)
                    batch.metadatas.append(metadata)
                batch.vectors = part.vectors if not batch.refused else part.vectors[good]
                yield batch
    except InvalidInput as problem:
        reading.problems.add(upload.name, "", problem.what)


def from_documents(documents: Iterable[Document], size: int, problems: Problems) -> Iterator[Batch]:
    """Cut a stream of documents into batches, giving a content key to those without an id.

    A document that Milvus cannot take is reported and left out; the rest goes in.
    """
    kinds = Kinds()
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


def checked_text(text: str) -> str:
    """Return a text that Milvus can store. Raises InvalidInput for one that is empty or too long.

    Nothing is ever cut: what is too long is for a splitter to split.
    """
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
    if len(text) > MAX_KEY_BYTES:
        raise InvalidInput(f"its key is longer than {MAX_KEY_BYTES} characters")
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
