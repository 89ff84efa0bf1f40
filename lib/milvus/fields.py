"""What a collection is made of: one description of its fields, which readers and writers follow.

Other programs choose other names and types than the lab does. So which fields are the key, the text
and the vector follows from their types; names only choose among several of one type.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymilvus import DataType, FunctionType

from lib.errors import InvalidInput
from lib.results.catalogue import TEXT_FIELD, VECTOR_FIELD

# The BM25 vector of a row's words, in collections that were made with one; Milvus computes it.
WORDS_FIELD = "words"
# In a file of rows, the column that holds all metadata of a row as one JSON object.
METADATA_COLUMN = "metadata"
DYNAMIC_FIELD = "$meta"
EMBEDDING_PROPERTY = "lab.embedding"

# What a text and its vector are usually called, the surest first.
TEXT_NAMES = (TEXT_FIELD, "page_content", "content", "body", "document", "chunk", "passage")
NO_PLACE = len(TEXT_NAMES)
VECTOR_NAMES = (VECTOR_FIELD, "embedding", "embeddings", "dense", "text_vector", "dense_vector")
# How the lab names a model in a vector's description, which others use for words.
MODEL = re.compile(r"\S+/\S+")
# Vectors that Milvus returns as bytes.
AS_BYTES = (DataType.BINARY_VECTOR, DataType.FLOAT16_VECTOR, DataType.BFLOAT16_VECTOR)
VECTORS: tuple[Any, ...] = (
    DataType.FLOAT_VECTOR,
    DataType.SPARSE_FLOAT_VECTOR,
    DataType.INT8_VECTOR,
    *AS_BYTES,
)
INT64_KEYS = range(-(2**63), 2**63)


@dataclass(frozen=True)
class StoredField:
    """One field: what it holds, who fills it, and the index on it."""

    name: str
    type: DataType
    max_bytes: int | None = None
    dimension: int = 0
    is_key: bool = False
    is_partition_key: bool = False
    is_made: bool = False  # by Milvus, which takes no value for it: a function's, an automatic key
    may_be_empty: bool = False  # it may be null or has a default
    index_type: str = ""
    metric_type: str = ""

    @property
    def is_vector(self) -> bool:
        """Say whether it holds vectors of any kind."""
        return self.type in VECTORS


@dataclass(frozen=True)
class Schema:
    """A collection's fields, and which of them the lab works with."""

    collection: str  # its own name, also when it was asked for by an alias
    fields: tuple[StoredField, ...]
    is_dynamic: bool
    embedding: str  # the model that made the vectors, "" when the lab did not create it
    key: StoredField
    text: str  # the name of the text field, which may be a dynamic one; "" without one
    vector: StoredField | None  # the floats that are searched
    words: str  # the BM25 vector of the text, "" without one

    @property
    def key_is_text(self) -> bool:
        """Say whether keys are texts; otherwise they are whole numbers of 64 bits."""
        return self.key.type is DataType.VARCHAR

    @property
    def scalars(self) -> tuple[str, ...]:
        """The fields with one value a row, without the key."""
        return tuple(each.name for each in self.fields if not (each.is_key or each.is_vector))

    @property
    def readable(self) -> list[str]:
        """The fields to ask for: everything but vectors."""
        return [self.key.name, *self.scalars, *([DYNAMIC_FIELD] if self.is_dynamic else [])]

    @property
    def text_column(self) -> str:
        """The field to ask for a row's text; dynamic ones come together."""
        name = self.text or self.key.name
        return name if self.field(name) else DYNAMIC_FIELD

    @property
    def may_have_dynamic_text(self) -> bool:
        """Say whether the text may lie among the dynamic fields, so that rows must be looked at."""
        return self.is_dynamic and not self.words and _place(self.text, TEXT_NAMES) == NO_PLACE

    @property
    def whole(self) -> list[str]:
        """All that a row holds and can be written back with."""
        return [*self.readable, *(f.name for f in self.fields if f.is_vector and not f.is_made)]

    @property
    def required(self) -> list[StoredField]:
        """The fields beside key, text and vector that every new row must fill."""
        own = (self.key, self.vector)
        return [
            each
            for each in self.fields
            if not (each.is_made or each.may_be_empty or each in own or each.name == self.text)
        ]

    @property
    def unindexed(self) -> list[StoredField]:
        """The vectors without an index; a server loads no collection that has one."""
        return [each for each in self.fields if each.is_vector and not each.index_type]

    def field(self, name: str) -> StoredField | None:
        """Return the field of a name; None for metadata that the schema does not name."""
        return next((each for each in self.fields if each.name == name), None)

    def parse_key(self, typed: Any) -> Any:
        """Return a key in the type that it is stored in. Raises InvalidInput."""
        if self.key_is_text:
            return str(typed)
        try:
            number = int(str(typed).strip())
        except ValueError:
            number = INT64_KEYS.stop
        if not INT64_KEYS.start <= number < INT64_KEYS.stop:
            raise InvalidInput(
                f"There is no row with the key {str(typed)!r}.",
                next_step=f"The keys of {self.collection!r} are whole numbers.",
            )
        return number

    def metadata_of(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a row holds beside its key, its text and its vectors."""
        left_out = {self.key.name, self.text, DYNAMIC_FIELD}
        left_out |= {each.name for each in self.fields if each.is_vector}
        return {name: value for name, value in row.items() if name not in left_out}

    def text_of(self, row: Mapping[str, Any]) -> str:
        """Return a row's text, which may be missing."""
        return str(row.get(self.text) or "")


def dynamic_text(schema: Schema, rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the text field, which is a dynamic one where some rows have a text of a usual name."""
    texts = {name for row in rows for name, value in row.items() if isinstance(value, str)}
    usual = [name for name in sorted(texts) if _place(name, TEXT_NAMES) < NO_PLACE]
    return min(usual, key=lambda name: _place(name, TEXT_NAMES), default=schema.text)


def read_schema(facts: Mapping[str, Any], indexes: Sequence[Mapping[str, Any]]) -> Schema:
    """Make the description of what Milvus says of a collection and of its indexes."""
    by_field = {str(index.get("field_name")): index for index in indexes}
    functions = facts.get("functions") or []
    made = {name for each in functions for name in each.get("output_field_names", ())}
    fields = tuple(_field(each, made, by_field.get(each["name"], {})) for each in facts["fields"])
    key = next(each for each in fields if each.is_key)
    bm25 = {
        str(each["input_field_names"][0]): str(each["output_field_names"][0])
        for each in functions
        if each.get("type") == FunctionType.BM25
    }
    text = min(
        [f for f in fields if f.type == DataType.VARCHAR and not (f.is_key or f.is_made)],
        key=lambda each: (
            each.name not in bm25,
            _place(each.name, TEXT_NAMES),
            each.is_partition_key,
            -(each.max_bytes or 0),
        ),
        default=None,
    )
    vector = min(
        [f for f in fields if f.type == DataType.FLOAT_VECTOR and not f.is_made],
        key=lambda each: (not each.index_type, _place(each.name, VECTOR_NAMES)),
        default=None,
    )
    descriptions = {each["name"]: str(each.get("description") or "") for each in facts["fields"]}
    described = descriptions[vector.name] if vector else ""
    return Schema(
        collection=str(facts["collection_name"]),
        fields=fields,
        is_dynamic=bool(facts.get("enable_dynamic_field")),
        embedding=(facts.get("properties") or {}).get(EMBEDDING_PROPERTY, "")
        or (described if MODEL.fullmatch(described) else ""),
        key=key,
        text=text.name if text else "",
        vector=vector,
        words=bm25.get(text.name, "") if text else "",
    )


def _field(facts: Mapping[str, Any], made: set[str], index: Mapping[str, Any]) -> StoredField:
    params = facts.get("params") or {}
    return StoredField(
        name=facts["name"],
        type=DataType(facts["type"]),
        max_bytes=int(params["max_length"]) if "max_length" in params else None,
        dimension=int(params.get("dim", 0)),
        is_key=bool(facts.get("is_primary")),
        is_partition_key=bool(facts.get("is_partition_key")),
        is_made=bool(facts.get("auto_id") or facts.get("is_function_output"))
        or facts["name"] in made,
        may_be_empty=bool(facts.get("nullable")) or facts.get("default_value") is not None,
        index_type=str(index.get("index_type", "")),
        metric_type=str(index.get("metric_type", "")),
    )


def _place(name: str, known: Sequence[str]) -> int:
    return known.index(name.lower()) if name.lower() in known else len(known)
