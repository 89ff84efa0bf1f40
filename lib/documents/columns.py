"""Columns: which column of a table is its text, and parts of files → documents."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray

from lib.documents.problems import Problems
from lib.documents.sources import Columns, Part, Reading, VectorDocument
from lib.errors import InvalidInput
from lib.milvus.fields import METADATA_COLUMN
from lib.results.catalogue import PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD
from lib.words import plain

# Names that a table's text goes by, the surest first.
TEXT_COLUMNS = (
    "text", "page_content", "content", "body", "document", "chunk", "passage", "abstract",
    "description", "summary", "comment", "review", "message", "question", "answer", "title",
)  # fmt: skip
VECTOR_COLUMNS = (VECTOR_FIELD, "embedding", "embeddings", "emb")
# Metadata that names where a row came from.
ORIGIN = {"source", "position"}


def guess_columns(available: Sequence[str]) -> Columns:
    """Take the column whose name sounds most like text, the others as metadata.

    The lab's own exports are recognised by their key, text and vector.
    """
    if not available:
        raise InvalidInput("it has no columns")
    by_name = {name.strip().lower(): name for name in reversed(available)}
    text = next((by_name[name] for name in TEXT_COLUMNS if name in by_name), available[0])
    vector = next((by_name[name] for name in VECTOR_COLUMNS if name in by_name), "")
    is_export = {PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD} <= set(available)
    key = PRIMARY_FIELD if is_export else ""
    return Columns(
        text=text,
        metadata=tuple(name for name in available if name not in {text, vector, key}),
        vector=vector,
        key=key,
    )


def documents(parts: Iterable[Part], reading: Reading, problems: Problems) -> Iterator[Document]:
    """Make a document of each part of a file; one without a usable text is reported by its place.

    A file inside an archive is a source of its own. Raises InvalidInput for a chosen column that a
    table lacks.
    """
    for source, own in itertools.groupby(parts, lambda part: part.source):
        first = next(own)
        names = list(first.values)
        columns = reading.columns.get(source) or guess_columns(names)
        if columns.text not in names:
            raise InvalidInput(
                f"it has no column {columns.text!r}; its columns are {', '.join(names)}"
            )
        # Rows of JSON may differ in their keys. What nobody left out is taken from each.
        left_out = set(names) - {columns.text, columns.vector, columns.key, *columns.metadata}
        for part in itertools.chain([first], own):
            try:
                yield _document(part, columns, left_out, reading, problems)
            except InvalidInput as problem:
                problems.add(source, part.place, problem.what)


def _document(
    part: Part, columns: Columns, left_out: set[str], reading: Reading, problems: Problems
) -> Document:
    text = part.values.get(columns.text)
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = str(text)
    text = plain(text) if isinstance(text, str) else ""
    if not text.strip():
        raise InvalidInput(f"it has no text in {columns.text!r}")
    metadata = _metadata(part.values, columns, left_out)
    key = part.values.get(columns.key) if columns.key else None
    if key in (None, ""):
        key = None
        for name in ORIGIN & metadata.keys():
            metadata[f"{name}_column"] = metadata.pop(name)
            problems.note_once(
                part.source, f"its column {name!r} is stored as {name + '_column'!r}"
            )
        metadata["source"] = part.source
    key = None if key is None else str(key)
    if not (reading.take_vectors and columns.vector):
        return Document(page_content=text, metadata=metadata, id=key)
    vector = as_vector(part.values.get(columns.vector))
    if vector is None or len(vector) != reading.dimension:
        found = "no vector" if vector is None else f"a vector of {len(vector):,} numbers"
        raise InvalidInput(f"it has {found} where one of {reading.dimension:,} belongs")
    return VectorDocument(page_content=text, metadata=metadata, id=key, vector=vector)


def _metadata(values: dict[str, Any], columns: Columns, left_out: set[str]) -> dict[str, Any]:
    own = {columns.text, columns.vector, columns.key} | left_out
    metadata = {name: value for name, value in values.items() if name not in own}
    inner = metadata.get(METADATA_COLUMN)
    if isinstance(inner, str) and inner.startswith("{"):  # as the lab's Parquet export has it
        try:
            inner = json.loads(inner)
        except (ValueError, RecursionError):
            return metadata
    if isinstance(inner, dict):
        del metadata[METADATA_COLUMN]
        metadata |= inner
    return {
        name: value.tolist()
        if isinstance(value, np.ndarray)
        else plain(value)
        if isinstance(value, str)
        else value
        for name, value in metadata.items()
        if value is not None and not (isinstance(value, str) and not value)
    }


def as_vector(value: Any) -> NDArray[np.float32] | None:
    """Return a list of numbers, or its JSON, as an array; None for anything else."""
    if isinstance(value, str):  # as a CSV has it
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    try:
        vector = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        return None
    return vector if vector.ndim == 1 and len(vector) and np.isfinite(vector).all() else None
