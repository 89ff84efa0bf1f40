"""Create, describe, count, browse, flush and drop collections."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pymilvus import DataType, Function, FunctionType
from pymilvus.exceptions import MilvusException

from lib.errors import (
    CollectionMismatch,
    InvalidInput,
    LabError,
    OperationFailed,
)
from lib.milvus.connection import Connection
from lib.milvus.failures import reported
from lib.milvus.fields import PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD, WORDS_FIELD
from lib.milvus.filters import check_unicode

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
MAX_VARCHAR_BYTES = 65_535
# A server lists every token that its grammar would have taken instead.
EXPECTED_TOKENS = re.compile(r" expecting \{.*")
NOT_LOADED = re.compile(r"not (fully )?loaded", re.IGNORECASE)
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
    fields: frozenset[str]

    @property
    def has_words(self) -> bool:
        """Say whether it can be searched by words, with BM25."""
        return WORDS_FIELD in self.fields

    @property
    def memory_bytes(self) -> int:
        """An estimate of what the loaded vectors and their index take; texts come on top."""
        index = INDEX_TYPES.get(self.index_type)
        per_number = index.bytes_per_number if index else 4.0
        return round(self.rows * self.dimension * per_number)


@dataclass(frozen=True)
class Parameter:
    """One number that an index is built with, and its bounds."""

    name: str
    low: int
    high: int
    default: int
    meaning: str


@dataclass(frozen=True)
class IndexType:
    """One kind of vector index: where it exists and what it is built with."""

    name: str
    summary: str
    kinds: frozenset[str]  # of backends that really have it
    parameters: tuple[Parameter, ...] = ()
    # Bytes in memory for each number of a vector. A plain vector takes four.
    bytes_per_number: float = 4.0


_EVERYWHERE = frozenset({"lite", "server"})
_NLIST = Parameter("nlist", 1, 65_536, 128, "Into how many lists the vectors are sorted.")
_GRAPH = (
    Parameter("M", 4, 64, 16, "How many neighbours each vector keeps."),
    Parameter("efConstruction", 8, 512, 200, "How many candidates are looked at for them."),
)

# Milvus Lite takes the names of other indexes too, and builds none of them.
INDEX_TYPES: dict[str, IndexType] = {
    index.name: index
    for index in (
        IndexType("AUTOINDEX", "Milvus chooses.", _EVERYWHERE | {"zilliz"}, bytes_per_number=4.5),
        IndexType("FLAT", "Exact: every row is compared.", _EVERYWHERE),
        IndexType("IVF_FLAT", "Compares the nearest lists only.", _EVERYWHERE, (_NLIST,)),
        IndexType(
            "IVF_SQ8",
            "The same with a byte a number: a quarter of the memory, a little less exact.",
            _EVERYWHERE,
            (_NLIST,),
            bytes_per_number=1.0,
        ),
        IndexType(
            "HNSW",
            "A graph of neighbours: fast at any size, slow to build.",
            _EVERYWHERE,
            _GRAPH,
            bytes_per_number=4.5,
        ),
        IndexType(
            "HNSW_SQ",
            "The graph with a byte a number.",
            frozenset({"lite"}),
            _GRAPH,
            bytes_per_number=1.5,
        ),
        IndexType(
            "SCANN",
            "Lists with products of quantised parts: fast and small.",
            frozenset({"server"}),
            (_NLIST,),
            bytes_per_number=4.5,
        ),
    )
}


@dataclass(frozen=True)
class Metric:
    """One way to compare vectors, and how to read its scores."""

    name: str
    meaning: str
    label: str  # of the score
    explanation: str


METRIC_TYPES: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "COSINE",
            "the angle between vectors",
            "cosine similarity",
            "higher is better: 1 is the same direction, 0 is unrelated, −1 is opposite",
        ),
        Metric(
            "IP",
            "their inner product",
            "inner product",
            "higher is better; for vectors of length 1 it is the cosine similarity",
        ),
        Metric(
            "L2",
            "their distance",
            "squared Euclidean distance",
            "lower is better: 0 is the same vector",
        ),
    )
}


def metric_of(name: str) -> Metric:
    """Return a collection's metric, which may be one that the lab does not create."""
    unknown = "see Milvus's documentation of this metric"
    return METRIC_TYPES.get(name, Metric(name, name, name, unknown))


def index_types(connection: Connection) -> list[IndexType]:
    """Return the index types that the backend really has."""
    return [index for index in INDEX_TYPES.values() if connection.kind in index.kinds]


@dataclass(frozen=True)
class Listed:
    """A collection in a list: its facts, or why they cannot be read, and whether it fits."""

    name: str
    facts: Collection | None
    note: str  # what a person must know before writing to it, "" when it fits


def overview(connection: Connection, dimension: int, *, embedding: str) -> list[Listed]:
    """Return all collections, with why one does not fit vectors of this dimension and model."""
    names = connection.collection_names()

    def look(name: str) -> Listed:
        facts, note = None, ""
        try:
            facts = describe(connection, name, loads=False)
            check_fits(facts, dimension, embedding=embedding)
        except LabError as error:
            note = error.what
        return Listed(name, facts, note)

    # Each exact count waits a fifth of a second for a server, so they run side by side.
    with ThreadPoolExecutor(max_workers=1 if connection.is_lite else 8) as pool:
        return list(pool.map(look, names))


def check_index(
    connection: Connection, index_type: str, metric_type: str, parameters: dict[str, Any]
) -> None:
    """Raise InvalidInput for an index that the backend does not have or cannot build."""
    index = INDEX_TYPES.get(index_type)
    if index is None or connection.kind not in index.kinds:
        names = ", ".join(each.name for each in index_types(connection))
        raise InvalidInput(
            f"{connection.label} has no index {index_type!r}.", next_step=f"It has {names}."
        )
    if metric_type not in METRIC_TYPES:
        raise InvalidInput(f"There is no metric {metric_type!r}.")
    for each in index.parameters:
        value = parameters.get(each.name, each.default)
        if not each.low <= value <= each.high:
            raise InvalidInput(f"{each.name} must be between {each.low:,} and {each.high:,}.")


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
    words: bool = False,
) -> None:
    """Create, index and load a collection with string keys, a text field and free metadata.

    Without an `index_type` the backend's default is used: AUTOINDEX on a server, and on Milvus Lite
    an exact index, whose building costs nothing. With `words`, Milvus keeps a BM25 vector of each
    text as well, which a server does from version 2.5.
    """
    check_name(name)
    if not index_type:
        index_type, index_params = LITE_INDEX if connection.is_lite else ("AUTOINDEX", {})
    check_index(connection, index_type, metric_type, index_params or {})
    connection.check_room()
    client = connection.client
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field(PRIMARY_FIELD, DataType.VARCHAR, is_primary=True, max_length=MAX_VARCHAR_BYTES)
    schema.add_field(
        TEXT_FIELD, DataType.VARCHAR, max_length=MAX_VARCHAR_BYTES, enable_analyzer=words
    )
    # Milvus Lite keeps properties but not descriptions; other versions may keep only one of them.
    schema.add_field(VECTOR_FIELD, DataType.FLOAT_VECTOR, dim=dimension, description=embedding)
    index = client.prepare_index_params()
    parameters = index_params or {}
    if connection.is_lite:
        # pymilvus sends parameters one by one; Milvus Lite reads only a JSON text named "params".
        parameters = {"params": json.dumps(parameters)}
    index.add_index(VECTOR_FIELD, index_type=index_type, metric_type=metric_type, params=parameters)
    if words:
        schema.add_field(WORDS_FIELD, DataType.SPARSE_FLOAT_VECTOR)
        bm25 = Function(WORDS_FIELD, FunctionType.BM25, [TEXT_FIELD], [WORDS_FIELD])
        schema.add_function(bm25)
        # Milvus Lite refuses the library's defaults for this index.
        index.add_index(
            WORDS_FIELD, index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params={}
        )
    with reported(f"Could not create the collection {name!r}."):
        client.create_collection(
            name,
            schema=schema,
            properties={EMBEDDING_PROPERTY: embedding} if embedding else None,
        )
        # An empty collection is ready at once, and pymilvus would wait half a second.
        client.create_index(name, index, sync=False)
        client.load_collection(name)
    connection.forget_stores(name)


def exists(connection: Connection, name: str) -> bool:
    """Say whether a collection exists."""
    with reported("Could not look the collection up."):
        return bool(connection.client.has_collection(name, timeout=connection.answer_s))


def describe(connection: Connection, name: str, *, loads: bool = True) -> Collection:
    """Return a collection's facts. Raises InvalidInput when it does not exist.

    With `loads`, a collection that is not loaded is loaded. A server needs a while to do so by
    itself after its start.
    """
    with reported(f"Could not read the collection {name!r}."):
        if not connection.client.has_collection(name, timeout=connection.answer_s):
            raise InvalidInput(f"There is no collection named {name!r}.")
        facts = connection.client.describe_collection(name, timeout=connection.answer_s)
        vectors = [field for field in facts["fields"] if "dim" in field.get("params", {})]
        if len(vectors) != 1:
            raise CollectionMismatch(
                f"The collection {name!r} has {len(vectors)} vector fields; the lab works with one."
            )
        vector = vectors[0]
        indexes = connection.client.list_indexes(
            name, field_name=vector["name"], timeout=connection.answer_s
        )
        index = (
            connection.client.describe_index(name, indexes[0], timeout=connection.answer_s)
            if indexes
            else {}
        )
        if connection.is_lite and indexes:
            # After a file was opened again no collection is loaded, and no filter can be checked.
            connection.client.load_collection(name)
        return Collection(
            name=name,
            rows=_count_loaded(connection, name) if loads else count(connection, name),
            dimension=int(vector["params"]["dim"]),
            index_type=str((index or {}).get("index_type", "none")),
            metric_type=str((index or {}).get("metric_type", "unknown")),
            embedding=facts.get("properties", {}).get(EMBEDDING_PROPERTY, "")
            or vector.get("description", ""),
            fields=frozenset(field["name"] for field in facts["fields"]),
        )


def _count_loaded(connection: Connection, name: str) -> int:
    try:
        return count(connection, name)
    except OperationFailed as error:
        if not NOT_LOADED.search(error.what):
            raise
        try:
            connection.client.load_collection(name, timeout=connection.answer_s)
        except MilvusException as still_loading:
            raise OperationFailed(
                f"Milvus is still loading the collection {name!r}.",
                kept="What was already stored is kept.",
                next_step="A server needs a while after its start: try again in a moment.",
            ) from still_loading
        return count(connection, name)


def count(connection: Connection, name: str, expr: str = "", *, consistency: str = "Strong") -> int:
    """Count the rows that match an expression (all rows by default), seeing every write.

    A server needs one or two of its ticks, of 200 ms each, to see every write. A caller that has
    counted before and has written nothing since can ask with the consistency "Session".
    """
    with reported(f"Could not count the rows of {name!r}."):
        answer = connection.client.query(
            name,
            filter=expr,
            output_fields=["count(*)"],
            consistency_level=consistency,
            timeout=connection.answer_s,
        )
    return int(answer[0]["count(*)"])


def ensure(connection: Connection, name: str, dimension: int, *, embedding: str) -> Collection:
    """Create the collection if it is missing, or check that these vectors belong into it.

    Raises CollectionMismatch when it holds vectors of another model, dimension or schema.
    """
    if not exists(connection, name):
        create(connection, name, dimension, embedding=embedding)
    collection = describe(connection, name)
    check_fits(collection, dimension, embedding=embedding)
    return collection


def check_fits(collection: Collection, dimension: int, *, embedding: str) -> None:
    """Raise CollectionMismatch unless vectors of this model and dimension belong there."""
    what, model = f"The collection {collection.name!r}", collection.embedding
    next_step = "Choose another collection name."
    if missing := {PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD} - collection.fields:
        what += f" was made by another program: it has no field {', '.join(sorted(missing))}."
    elif collection.dimension != dimension:
        what += (
            f" holds vectors of {collection.dimension} dimensions, the embedding in use makes "
            f"{dimension}."
        )
        made_with = f" ({model})." if model else "."
        next_step = f"Choose another collection name, or the embedding it was made with{made_with}"
    elif model not in ("", embedding):
        what += (
            f" was embedded with {model}, not with {embedding}; their vectors cannot be compared."
        )
        next_step = "Choose another collection name or the other embedding."
    else:
        return
    raise CollectionMismatch(what, kept="Nothing was written to it.", next_step=next_step)


def check_expression(connection: Connection, name: str, expr: str) -> None:
    """Raise InvalidInput with Milvus's own reason when a filter expression cannot be used.

    Several langchain-milvus calls answer an invalid expression with an empty list or with success,
    so every expression a person types passes through here first.
    """
    if reason := refusal(connection, name, expr):
        raise InvalidInput(
            f"Milvus cannot use this filter: {reason}",
            next_step='Write it like kind == "function" and length > 200.',
        )


def refusal(connection: Connection, name: str, expr: str) -> str:
    """Return Milvus's own reason for which it cannot use an expression, "" where it can.

    Raises InvalidInput for a text that is no Unicode, ConnectionFailed without an answer.
    """
    if not expr.strip():
        return ""
    check_unicode(expr)
    try:
        with reported("The filter could not be checked."):
            connection.client.query(name, filter=expr, limit=1, timeout=connection.answer_s)
    except OperationFailed as error:
        return _filter_reason(error.__cause__ or error)
    return ""


def _filter_reason(error: BaseException) -> str:
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
    try:
        with reported(f"Could not flush the collection {name!r}."):
            connection.client.flush(name)
            connection.wait_for_index(name)
    except LabError:
        connection.reread(name)
        raise


def drop(connection: Connection, name: str) -> None:
    """Drop a collection; dropping one that does not exist is harmless."""
    with reported(f"Could not drop the collection {name!r}."):
        if connection.client.has_collection(name, timeout=connection.answer_s):
            connection.client.drop_collection(name)
    connection.forget_stores(name)
