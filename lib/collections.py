"""Create, describe, count, browse, flush and drop collections."""

import json
import re
from dataclasses import dataclass
from typing import Any

from pymilvus import DataType

from lib.connection import (
    PRIMARY_FIELD,
    TEXT_FIELD,
    VECTOR_FIELD,
    Connection,
    explain,
    reported,
)
from lib.errors import CollectionMismatch, ConnectionFailed, InvalidInput

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
MAX_VARCHAR_BYTES = 65_535
# A server lists every token that its grammar would have taken instead.
EXPECTED_TOKENS = re.compile(r" expecting \{.*")
EMBEDDING_PROPERTY = "lab.embedding"
# One list means that every row is compared, in native code: exact answers, no graph to build.
# FLAT would compare in Python, HNSW takes as long to build as the rows take to insert.
LITE_INDEX = ("IVF_FLAT", {"nlist": 1})


@dataclass(frozen=True)
class Collection:
    """What a collection is and holds. `rows` is an exact count, not the server's estimate."""

    name: str
    rows: int
    dimension: int
    index_type: str
    metric_type: str
    embedding: str  # the model that made the vectors, "" when the lab did not create it


def check_name(name: str) -> str:
    """Return the name if Milvus accepts it. Raises InvalidInput."""
    name = name.strip()
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot be a collection's name.",
            next_step="Use letters, digits and underscores, beginning with a letter.",
        )
    return name


def create(
    connection: Connection,
    name: str,
    dimension: int,
    *,
    embedding: str = "",
    index_type: str = "",
    metric_type: str = "COSINE",
    index_params: dict[str, Any] | None = None,
) -> None:
    """Create, index and load a collection with string keys, a text field and free metadata.

    Without an `index_type` the backend's default is used: AUTOINDEX on a server, and on Milvus Lite
    an exact index, whose building costs nothing.
    """
    check_name(name)
    if not index_type:
        index_type, index_params = LITE_INDEX if connection.is_lite else ("AUTOINDEX", {})
    client = connection.client
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field(PRIMARY_FIELD, DataType.VARCHAR, is_primary=True, max_length=MAX_VARCHAR_BYTES)
    schema.add_field(TEXT_FIELD, DataType.VARCHAR, max_length=MAX_VARCHAR_BYTES)
    # Milvus Lite keeps properties but not descriptions; other versions may keep only one of them.
    schema.add_field(VECTOR_FIELD, DataType.FLOAT_VECTOR, dim=dimension, description=embedding)
    index = client.prepare_index_params()
    parameters = index_params or {}
    if connection.is_lite:
        # pymilvus sends parameters one by one; Milvus Lite reads only a JSON text named "params".
        parameters = {"params": json.dumps(parameters)}
    index.add_index(VECTOR_FIELD, index_type=index_type, metric_type=metric_type, params=parameters)
    with reported(f"Could not create the collection {name!r}."):
        client.create_collection(
            name,
            schema=schema,
            index_params=index,
            properties={EMBEDDING_PROPERTY: embedding} if embedding else None,
        )
    connection.forget_stores(name)


def exists(connection: Connection, name: str) -> bool:
    """Say whether a collection exists."""
    with reported("Could not look the collection up."):
        return bool(connection.client.has_collection(name))


def describe(connection: Connection, name: str) -> Collection:
    """Return a collection's facts. Raises InvalidInput when it does not exist."""
    with reported(f"Could not read the collection {name!r}."):
        if not connection.client.has_collection(name):
            raise InvalidInput(f"There is no collection named {name!r}.")
        facts = connection.client.describe_collection(name)
        vectors = [field for field in facts["fields"] if "dim" in field.get("params", {})]
        if len(vectors) != 1:
            raise CollectionMismatch(
                f"The collection {name!r} has {len(vectors)} vector fields; the lab works with one."
            )
        vector = vectors[0]
        indexes = connection.client.list_indexes(name, field_name=vector["name"])
        index = connection.client.describe_index(name, indexes[0]) if indexes else {}
        if connection.is_lite and indexes:
            # A file opened anew holds its collections released; a filter could not even be checked.
            connection.client.load_collection(name)
        return Collection(
            name=name,
            rows=count(connection, name),
            dimension=int(vector["params"]["dim"]),
            index_type=str((index or {}).get("index_type", "none")),
            metric_type=str((index or {}).get("metric_type", "unknown")),
            embedding=facts.get("properties", {}).get(EMBEDDING_PROPERTY, "")
            or vector.get("description", ""),
        )


def count(connection: Connection, name: str, expr: str = "") -> int:
    """Count the rows that match an expression (all rows by default), seeing every write."""
    with reported(f"Could not count the rows of {name!r}."):
        answer = connection.client.query(
            name, filter=expr, output_fields=["count(*)"], consistency_level="Strong"
        )
    return int(answer[0]["count(*)"])


def ensure(connection: Connection, name: str, dimension: int, *, embedding: str) -> Collection:
    """Create the collection if it is missing, or check that these vectors belong into it.

    Raises CollectionMismatch when it holds vectors of another model, dimension or schema.
    """
    if not exists(connection, name):
        create(connection, name, dimension, embedding=embedding)
    collection = describe(connection, name)
    check_fits(connection, collection, dimension, embedding=embedding)
    return collection


def check_fits(
    connection: Connection, collection: Collection, dimension: int, *, embedding: str
) -> None:
    """Raise CollectionMismatch unless vectors of this model and dimension belong there."""
    fields = {
        field["name"] for field in connection.client.describe_collection(collection.name)["fields"]
    }
    missing = {PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD} - fields
    if missing:
        raise CollectionMismatch(
            f"The collection {collection.name!r} was made by another program: it has no field "
            f"{', '.join(sorted(missing))}.",
            kept="Nothing was written to it.",
            next_step="Choose another collection name.",
        )
    if collection.dimension != dimension:
        raise CollectionMismatch(
            f"The collection {collection.name!r} holds vectors of {collection.dimension} "
            f"dimensions, the embedding in use makes {dimension}.",
            kept="Nothing was written to it.",
            next_step="Choose another collection name, or the embedding it was made with"
            + (f" ({collection.embedding})." if collection.embedding else "."),
        )
    if collection.embedding and collection.embedding != embedding:
        raise CollectionMismatch(
            f"The collection {collection.name!r} was embedded with {collection.embedding}, "
            f"not with {embedding}; their vectors cannot be compared.",
            kept="Nothing was written to it.",
            next_step="Choose another collection name or the other embedding.",
        )


def check_expression(connection: Connection, name: str, expr: str) -> None:
    """Raise InvalidInput with Milvus's own reason when a filter expression cannot be used.

    Several langchain-milvus calls answer an invalid expression with an empty list or with success,
    so every expression a person types passes through here first.
    """
    if not expr.strip():
        return
    if len(expr.encode()) > MAX_VARCHAR_BYTES:
        raise InvalidInput("The filter is longer than 65,535 bytes.", next_step="Shorten it.")
    try:
        connection.client.query(name, filter=expr, output_fields=[PRIMARY_FIELD], limit=1)
    except Exception as error:
        problem = explain(error, "The filter could not be checked.")
        if isinstance(problem, ConnectionFailed):
            raise problem from error
        reason = _filter_reason(error)
        raise InvalidInput(
            f"Milvus cannot use this filter: {reason}",
            next_step='Write it like kind == "function" and length > 200.',
        ) from error


def _filter_reason(error: Exception) -> str:
    """Return why a filter was refused, without the copy of the filter that Milvus adds.

    Milvus Lite draws the place: the reason, the filter, a line of ^, a hint. A server writes
    "cannot parse expression: FILTER, error: REASON".
    """
    message = str(getattr(error, "message", "") or error)
    lines = [line.strip() for line in message.splitlines()]
    if len(lines) > 2 and set(lines[2]) == {"^"}:
        message = "; ".join([lines[0], *lines[3:]])
    if message.startswith("cannot parse"):
        message = message.rpartition(", error: ")[2]
    reason = EXPECTED_TOKENS.sub("", " ".join(message.split()))
    return reason if len(reason) <= 400 else reason[:399] + "…"


def prepare_for_search(connection: Connection, name: str) -> None:
    """Make searches fast after writing: Milvus Lite scans unflushed rows one by one in Python."""
    if not connection.is_lite:
        return
    with reported(f"Could not flush the collection {name!r}."):
        connection.client.flush(name)
        connection.wait_for_index(name)


def drop(connection: Connection, name: str) -> None:
    """Drop a collection; dropping one that does not exist is harmless."""
    with reported(f"Could not drop the collection {name!r}."):
        if connection.client.has_collection(name):
            connection.client.drop_collection(name)
    connection.forget_stores(name)
