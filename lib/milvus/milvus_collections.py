"""Create, describe, count, browse, flush and drop collections."""

import contextlib
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pymilvus import DataType, Function, FunctionType
from pymilvus.exceptions import MilvusException

from lib.errors import CollectionMismatch, InvalidInput, LabError, OperationFailed
from lib.milvus.connection import Connection, no_index
from lib.milvus.failures import explain, reported
from lib.milvus.fields import EMBEDDING_PROPERTY, WORDS_FIELD, Schema
from lib.milvus.filters import RESERVED, check_unicode
from lib.milvus.territory import is_scratch
from lib.results.catalogue import INDEX_TYPES, PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD, IndexType

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
MAX_VARCHAR_BYTES = 65_535
# A server lists every token that its grammar would have taken instead.
EXPECTED_TOKENS = re.compile(r" expecting \{.*")
NOT_LOADED = re.compile(r"not (fully )?loaded", re.IGNORECASE)
TOOK_TOO_LONG = re.compile(r"deadline|timed? ?out|still|progress", re.IGNORECASE)
# The fewest bytes of a key that ingestion makes of a text: 64 bits, written as hex digits.
KEY_BYTES = 16
# What each document has, so that a collection may require it.
SOURCE = ("source", DataType.VARCHAR)
# One list means that every row is compared, in native code: exact answers, no graph to build.
# FLAT would compare in Python, HNSW takes as long to build as the rows take to insert.
LITE_INDEX = ("IVF_FLAT", {"nlist": 1})
# The index and metric of vectors that are not floats.
INDEX_OF: dict[DataType, tuple[str, str, dict[str, Any]]] = {
    DataType.BINARY_VECTOR: ("BIN_FLAT", "HAMMING", {}),
    DataType.SPARSE_FLOAT_VECTOR: ("SPARSE_INVERTED_INDEX", "IP", {}),
}


@dataclass(frozen=True)
class Collection:
    """What a collection is and holds. `rows` is an exact count, not the server's estimate."""

    name: str
    rows: int
    schema: Schema
    problem: LabError | None = None  # why its rows cannot be read now; `rows` is then an estimate

    @property
    def dimension(self) -> int:
        """How many numbers a vector has, 0 without vectors of floats."""
        return self.schema.vector.dimension if self.schema.vector else 0

    @property
    def index_type(self) -> str:
        """The vector's index."""
        return (self.schema.vector and self.schema.vector.index_type) or "none"

    @property
    def metric_type(self) -> str:
        """How vectors are compared."""
        return (self.schema.vector and self.schema.vector.metric_type) or "unknown"

    @property
    def memory_bytes(self) -> int:
        """An estimate of what the loaded vectors and their index take; texts come on top."""
        index = INDEX_TYPES.get(self.index_type)
        per_number = index.bytes_per_number if index else 4.0
        return round(self.rows * self.dimension * per_number)


@dataclass(frozen=True)
class Metric:
    """One way to compare vectors, and how to read its scores."""

    meaning: str
    label: str  # of the score
    explanation: str


METRIC_TYPES: dict[str, Metric] = {
    "COSINE": Metric(
        "the angle between vectors",
        "cosine similarity",
        "higher is better: 1 is the same direction, 0 is unrelated, −1 is opposite",
    ),
    "IP": Metric(
        "their inner product",
        "inner product",
        "higher is better; for vectors of length 1 it is the cosine similarity",
    ),
    "L2": Metric(
        "their distance",
        "squared Euclidean distance",
        "lower is better: 0 is the same vector",
    ),
}


def metric_of(name: str) -> Metric:
    """Return a collection's metric, which may be one that the lab does not create."""
    return METRIC_TYPES.get(name, Metric(name, name, "see Milvus's documentation of this metric"))


def index_types(connection: Connection) -> list[IndexType]:
    """Return the index types that the backend really has."""
    return [index for index in INDEX_TYPES.values() if connection.kind in index.kinds]


@dataclass(frozen=True)
class Listed:
    """A collection in a list: its facts, or why they cannot be read, and what it does not take."""

    name: str
    facts: Collection | None
    note: str  # what a person must know before working on it, "" when everything works


def overview(connection: Connection, dimension: int, *, embedding: str) -> list[Listed]:
    """Return all collections, each with what cannot be done to it with this embedding, and why."""
    names = connection.collection_names()

    def look(name: str) -> Listed:
        try:
            facts = describe(connection, name, loads=False)
        except LabError as error:
            return Listed(name, None, error.what)
        notes = [f"{use}: no, {why}." for use, why in refusals(facts, dimension, embedding)]
        if facts.problem and not facts.schema.unindexed:  # which the refusals tell
            notes.insert(0, facts.problem.what)
        return Listed(name, facts, " ".join(notes))

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
        schema.add_function(Function(WORDS_FIELD, FunctionType.BM25, [TEXT_FIELD], [WORDS_FIELD]))
        # Milvus Lite refuses the library's defaults for this index.
        index.add_index(
            WORDS_FIELD, index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params={}
        )
    with reported(f"Could not create the collection {name!r}."):
        client.create_collection(
            name, schema=schema, properties={EMBEDDING_PROPERTY: embedding} if embedding else None
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
        schema = connection.schema(name, fresh=True)
        problem: LabError | None = no_index(schema) if schema.unindexed else None
        if connection.is_lite:
            # After a file was opened again no collection is loaded, and no filter can be checked.
            connection.client.load_collection(name)
        if connection.is_lite or not problem:
            try:
                return Collection(name, count(connection, name), schema, problem)
            except OperationFailed as error:
                if not NOT_LOADED.search(error.what):
                    raise
            if loads:
                load(connection, name)
                # Which dynamic field is the text is seen in its rows.
                schema = connection.schema(name, fresh=schema.may_have_dynamic_text)
                return Collection(name, count(connection, name), schema)
            problem = OperationFailed(f"The collection {name!r} is not loaded.")
        return Collection(name, _reported_rows(connection, name), schema, problem)


def load(connection: Connection, name: str) -> None:
    """Load a collection, which changes none of its rows. Raises LabError when it takes long."""
    try:
        connection.client.load_collection(name, timeout=connection.answer_s)
    except MilvusException as error:
        if not TOOK_TOO_LONG.search(str(error)):
            raise explain(error, f"Could not load the collection {name!r}.") from error
        raise OperationFailed(
            f"Milvus is still loading the collection {name!r}.",
            kept="What was already stored is kept.",
            next_step="A server needs a while after its start: try again in a moment.",
        ) from error


def _reported_rows(connection: Connection, name: str) -> int:
    """Return how many rows Milvus believes to hold: it counts only what is loaded."""
    stats = connection.client.get_collection_stats(name, timeout=connection.answer_s)
    return int(stats["row_count"])


def build_indexes(connection: Connection, name: str) -> None:
    """Give the vectors without an index one, by their angle or their bits, and load them."""
    schema, client = connection.schema(name, fresh=True), connection.client
    index = client.prepare_index_params()
    for each in schema.unindexed:
        kind, metric, parameters = INDEX_OF.get(each.type, ("AUTOINDEX", "COSINE", {}))
        if connection.is_lite and each.type == DataType.FLOAT_VECTOR:
            kind, parameters = LITE_INDEX[0], {"params": json.dumps(LITE_INDEX[1])}
        index.add_index(each.name, index_type=kind, metric_type=metric, params=parameters)
    with reported(f"Could not build the index of {name!r}."):
        client.create_index(name, index)
        client.load_collection(name)
    connection.forget_stores(name)


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


def count_own(connection: Connection) -> dict[str, int]:
    """Return the rows in each collection of the visitor whose view this is, as Milvus reports them.

    Collections made to measure are left out. One that cannot be read counts as empty.
    """
    found = {}
    for name in connection.collection_names():
        if connection.may_write(name) and not is_scratch(name):
            found[name] = 0
            with contextlib.suppress(MilvusException):
                found[name] = _reported_rows(connection, name)
    return found


def ensure(connection: Connection, name: str, dimension: int, *, embedding: str) -> Collection:
    """Create the collection if it is missing, or check that documents can be written into it.

    Raises CollectionMismatch when it holds vectors of another model, dimension or schema.
    """
    if not exists(connection, name):
        create(connection, name, dimension, embedding=embedding)
    collection = describe(connection, name)
    check_fits(collection, dimension, embedding=embedding, use=INGESTION)
    return collection


SEARCH, INGESTION = "Search", "Ingestion"


def _search(schema: Schema, dimension: int, embedding: str) -> str:
    """Return why vectors of this model cannot be searched for, "" when they can."""
    made, vector = schema.embedding, schema.vector
    if schema.key.name.lower() in RESERVED:
        return f"its keys are called `{schema.key.name}`, which no expression of Milvus can name"
    if schema.unindexed:
        return f"it has no index on {', '.join(each.name for each in schema.unindexed)}"
    if vector is None or not schema.text:
        return (
            "it was made by another program: it has no "
            f"{'text field' if vector else 'field with vectors of floats'}"
        )
    if vector.dimension != dimension:
        return (
            f"it holds vectors of {vector.dimension} dimensions, the embedding in use makes "
            f"{dimension}, and Milvus compares those of one length only"
        )
    if made not in ("", embedding):
        return (
            f"it was embedded with {made}, not with {embedding}; their vectors cannot be compared"
        )
    return ""


def _ingestion(schema: Schema, dimension: int, embedding: str) -> str:
    """Return why documents cannot be written into it, "" when they can."""
    if why := _search(schema, dimension, embedding):
        return why
    room = schema.key.max_bytes or 0
    if schema.key_is_text and not schema.key.is_made and room < KEY_BYTES:
        return (
            f"its keys hold {room} bytes, Milvus takes no longer ones, and a key made of a text "
            f"has {KEY_BYTES} at least"
        )
    given = [each for each in schema.required if (each.name, each.type) == SOURCE]
    if names := [f"`{each.name}`" for each in schema.required if each not in given]:
        many = "s" * (len(names) > 1)
        return f"Milvus takes no row in which the field{many} {', '.join(names)} is missing"
    return ""


# What can be done with a collection → why not, in a part of a sentence, "" when it can be done.
USES: dict[str, Callable[[Schema, int, str], str]] = {SEARCH: _search, INGESTION: _ingestion}


def refusals(collection: Collection, dimension: int, embedding: str) -> list[tuple[str, str]]:
    """Return what cannot be done with a collection and this embedding, each with its reason."""
    found = {use: why(collection.schema, dimension, embedding) for use, why in USES.items()}
    if found[INGESTION] == found[SEARCH] != "":
        found = {f"{SEARCH} and {INGESTION.lower()}": found[SEARCH]}
    return [(use, why) for use, why in found.items() if why]


def check_fits(
    collection: Collection, dimension: int, *, embedding: str, use: str = SEARCH
) -> None:
    """Raise CollectionMismatch unless a collection can be used so with this embedding."""
    why = USES[use](collection.schema, dimension, embedding)
    if not why:
        return
    next_step = "Choose another collection."
    if collection.schema.unindexed:
        next_step = "Build the index on the page Collections."
    elif collection.dimension and "embed" in why:
        made = f" ({collection.schema.embedding})" if collection.schema.embedding else ""
        next_step = f"Choose another collection, or the embedding it was made with{made}."
    raise CollectionMismatch(
        f"{use} is not possible in the collection {collection.name!r}: {why}.",
        kept="Nothing was written to it.",
        next_step=next_step,
    )


def check_expression(connection: Connection, name: str, expr: str) -> None:
    """Raise InvalidInput with Milvus's own reason when a filter expression cannot be used.

    Several langchain-milvus calls answer an invalid expression with an empty list or with success,
    so every expression a person types passes through here first.
    """
    if reason := refusal(connection, name, expr):
        raise unusable(reason)


def unusable(reason: str) -> InvalidInput:
    """Return the error for an expression that Milvus refused for this reason."""
    return InvalidInput(
        f"Milvus cannot use this filter: {reason}",
        next_step='Write it like field == "text" and number > 200.',
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
    if connection.lite is None:
        return
    try:
        with reported(f"Could not flush the collection {name!r}."):
            connection.client.flush(name)
            connection.lite.call("wait_for_index", name)
    except LabError:
        connection.lite.call("reread", name)
        with contextlib.suppress(MilvusException):  # the next who asks is told why
            connection.client.load_collection(name)
        raise


def drop(connection: Connection, name: str) -> None:
    """Drop a collection, or the alias of one; dropping what does not exist is harmless."""
    client = connection.client
    with reported(f"Could not drop the collection {name!r}."):
        if client.has_collection(name, timeout=connection.answer_s):
            # Milvus Lite would drop the collection behind an alias.
            own = client.describe_collection(name, timeout=connection.answer_s)["collection_name"]
            client.drop_collection(name) if own == name else client.drop_alias(name)
    connection.forget_stores(name)
