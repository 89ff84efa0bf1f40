"""Metadata: what Milvus can store beside a text, and how other things are made to fit."""

import datetime as dt
import decimal
import json
import math
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from lib.errors import InvalidInput
from lib.milvus.fields import DYNAMIC_FIELD
from lib.milvus.filters import INT64
from lib.results.catalogue import PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD
from lib.words import plain

# All metadata of a row is one JSON value, which a Milvus server takes up to this size.
MAX_METADATA_BYTES = 65_536
RESERVED = {PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD, DYNAMIC_FIELD}
MAX_NAME_LENGTH = 128
MAX_NESTING = 50
# Shorter than this in characters, metadata cannot be too long in bytes, even as escaped JSON.
SURELY_SHORT = MAX_METADATA_BYTES // 12


def clean(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return metadata that Milvus stores and filters by, and a line for each thing changed.

    A key that is named like a field of the lab's is renamed; a value that JSON lacks becomes text,
    or is left out when it says nothing. Raises InvalidInput when the whole is longer than Milvus
    takes.
    """
    cleaned: dict[str, Any] = {}
    notes: list[str] = []
    length = 0
    for key, value in metadata.items():
        name = stored_name(str(key))
        if name != key:
            while name in cleaned or name in metadata:
                name += "_"
            notes.append(f"the metadata key {str(key)!r} is stored as {name!r}")
        kind = type(value)
        if kind is str and value.isascii():
            length += len(value)
        elif not (kind is bool or (kind is int and value in INT64)):
            value, note = _storable(value)
            if note:
                notes.append(f"the metadata key {name!r} {note}")
            if value is None:
                continue
            length += SURELY_SHORT if isinstance(value, dict | list) else len(str(value))
        cleaned[name] = value
    if length + 16 * len(cleaned) >= SURELY_SHORT:
        size = len(json.dumps(cleaned, ensure_ascii=False).encode("utf-8", "replace"))
        if size > MAX_METADATA_BYTES:
            raise InvalidInput(
                f"its metadata has {size:,} bytes, Milvus takes {MAX_METADATA_BYTES:,}",
                next_step="Choose fewer metadata columns.",
            )
    return cleaned, notes


@lru_cache(maxsize=4096)
def stored_name(key: str) -> str:
    """Return the name under which a metadata key is stored: its own wherever Milvus takes it."""
    key = plain(readable(key))
    if key in RESERVED or not key.strip():
        return f"field_{key.strip().removeprefix('$')}"
    return key[:MAX_NAME_LENGTH]


def readable(text: str) -> str:
    """Return a text that can be encoded: halves of characters become the replacement character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _storable(value: Any, depth: int = 0) -> tuple[Any, str]:
    """Return what is stored for a value (None: nothing) and what to say about the change."""
    if depth > MAX_NESTING:
        raise InvalidInput(f"its metadata is nested more than {MAX_NESTING} levels deep")
    if value is None:
        return None, ""
    if isinstance(value, str):
        return plain(readable(value)), ""
    if isinstance(value, float):
        return (value, "") if math.isfinite(value) else (None, "")
    if isinstance(value, int):
        if int(value) in INT64:  # a range is walked for a subclass of int
            return value, ""
        return str(value), "holds a number of more than 64 bits, stored as text"
    if isinstance(value, dict):
        return {plain(str(key)): _storable(part, depth + 1)[0] for key, part in value.items()}, ""
    if isinstance(value, list | tuple | set):
        return [_storable(part, depth + 1)[0] for part in value], ""
    if isinstance(value, dt.date | dt.time | uuid.UUID):
        return value.isoformat() if hasattr(value, "isoformat") else str(value), ""
    if isinstance(value, decimal.Decimal):
        return _storable(float(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return None, "holds binary data, which is left out"
    if hasattr(value, "item"):  # a NumPy scalar
        return _storable(value.item())
    return str(value), f"holds a {type(value).__name__}, stored as text"
