"""KINDS: collections as other programs make them, from one table that the tests walk."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pymilvus import DataType, Function, FunctionType

from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel

ROWS = 12
INT, TEXT = DataType.INT64, DataType.VARCHAR
Row = dict[str, Any]
NOTHING: dict[str, Any] = {}
BUILT_WITH = {"HNSW": {"M": 8, "efConstruction": 64}, "IVF_FLAT": {"nlist": 4}}


@dataclass(frozen=True)
class Kind:
    """One kind of collection: how it is made, and what is refused with which words."""

    name: str
    key: DataType = TEXT
    key_name: str = "pk"
    auto: bool = False
    text: str = "text"
    vector: str = "vector"
    dimension: int = 256
    dynamic: bool = True
    metric: str = "COSINE"
    index: str = "FLAT"
    text_max: int = 65_535
    key_max: int = 100
    in_meta: bool = False  # whether the text lies among the dynamic fields
    bm25: str = ""
    fields: tuple[tuple[str, DataType, dict[str, Any]], ...] = ()  # further ones
    values: Callable[[int], Row] = lambda i: {"n": i}  # what a row holds beside key, text, vector
    key_of: Callable[[int], Any] = lambda i: f"k{i:02}"
    where: str = "lite server"
    refused: dict[str, str] = field(default_factory=dict)  # use → a part of its reason
    indexed: bool = True

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def number(i: int) -> int:
    """Return the number that is a row's key."""
    return 7 * i - 20


KINDS = (
    Kind("the lab's own layout"),
    Kind("static, as langchain-milvus makes it", dynamic=False, values=lambda i: {}),
    Kind("numbers as keys", key=INT, key_of=number),
    Kind("numbers as keys, static", key=INT, key_of=number, dynamic=False, values=lambda i: {}),
    Kind("automatic numbers", key=INT, auto=True),
    Kind("automatic numbers, static", key=INT, auto=True, dynamic=False, values=lambda i: {}),
    Kind("automatic texts", auto=True, where="server"),
    Kind("as pymilvus's own first example", key=INT, key_name="id", key_of=number, in_meta=True,
         values=lambda i: {"subject": "history"}),
    Kind("automatic numbers, text in the dynamic field", key=INT, auto=True, in_meta=True),
    Kind("a dynamic text beside others", text="passage", in_meta=True,
         values=lambda i: {"n": i, "tag": "new", "Größe, in Worten": "z" * 99}),
    Kind("required: the source, which each document has", dynamic=False,
         fields=(("source", TEXT, {"max_length": 99}),), values=lambda i: {"source": "s"}),
    Kind("nulls of every type", where="lite",
         fields=tuple((name, type_, {"nullable": True} | more) for name, type_, more in (
             ("js", DataType.JSON, {}), ("f", DataType.FLOAT, {}), ("b", DataType.BOOL, {}),
             ("arr", DataType.ARRAY, {"element_type": INT, "max_capacity": 9}))),
         values=lambda i: {} if i % 2 else {"js": {"x": 1}, "arr": [i], "f": 0.5, "b": True}),
    Kind("a field of the name of an operator", fields=(("exists", INT, {}), ("null", INT, {})),
         values=lambda i: {"exists": i, "null": i},
         refused={"Ingestion": "`exists`, `null`"}, where="lite"),
    Kind("a dynamic text beside a short field", text="content", in_meta=True,
         fields=(("lang", TEXT, {"max_length": 9}),), values=lambda i: {"lang": "de"},
         refused={"Ingestion": "`lang`"}),
    Kind("key id, text content, vector embedding", key_name="id", text="content",
         vector="embedding"),
    Kind("names nobody has heard of", key_name="doc_key", text="prose", vector="numbers"),
    Kind("text page_content, static", text="page_content", dynamic=False, values=lambda i: {}),
    Kind("two texts", text="body", fields=(("title", TEXT, {"max_length": 65_535}),),
         values=lambda i: {"title": f"t{i}"},
         refused={"Ingestion": "no row in which the field `title`"}),
    Kind("a required field", fields=(("author", TEXT, {"max_length": 50}),),
         values=lambda i: {"author": "ß", "n": i}, refused={"Ingestion": "`author`"}),
    Kind("a partition key", fields=(("lang", TEXT, {"max_length": 9, "is_partition_key": True}),),
         values=lambda i: {"lang": "de" if i % 2 else "en"}, refused={"Ingestion": "`lang`"}),
    Kind("a nullable field and a default", where="lite",
         fields=(("maybe", TEXT, {"max_length": 9, "nullable": True}),
                 ("level", INT, {"default_value": 3})),
         values=lambda i: {"maybe": None} if i % 2 else {"maybe": "x", "level": i}),
    Kind("all scalars", fields=(("b", DataType.BOOL, {}), ("i", DataType.INT8, {}),
         ("f", DataType.FLOAT, {}), ("d", DataType.DOUBLE, {}), ("js", DataType.JSON, {}),
         ("arr", DataType.ARRAY, {"element_type": INT, "max_capacity": 9})),
         values=lambda i: {"b": i % 2 == 0, "i": i, "f": i / 3, "d": i / 3, "js": {"a": [i, None]},
                           "arr": [i, 2]},
         refused={"Ingestion": "`b`, `i`, `f`, `d`, `js`, `arr`"}),
    Kind("a short text", text_max=80),
    Kind("keys of 20 bytes", key_max=20),
    Kind("short keys", key_max=9, refused={"Ingestion": "its keys hold 9 bytes"}),
    Kind("metric L2", metric="L2"),
    Kind("metric IP", metric="IP"),
    Kind("HNSW", index="HNSW"),
    Kind("IVF_FLAT", index="IVF_FLAT"),
    Kind("HNSW_SQ", index="HNSW_SQ", where="lite"),
    Kind("names of metadata as they are", values=lambda i: {"ünï": "ß", "a b": i, "a.b": 1.5,
         'q"q': [1], "1st": {"x": None}, "and": True}),
    Kind("keys with quotes", key_of=lambda i: f'it\'s "{i}" \\ ☃'),
    Kind("a BM25 field named sparse", bm25="sparse", where="lite"),
    Kind("a BM25 field of any name", text="body", bm25="lexical", where="lite"),
    Kind("two vectors", fields=(("image", DataType.FLOAT_VECTOR, {"dim": 8}),), where="lite",
         values=lambda i: {"image": [0.5 + i] * 8}, refused={"Ingestion": "`image`"}),
    Kind("sparse vectors of its own", where="lite",
         fields=(("weights", DataType.SPARSE_FLOAT_VECTOR, {}),),
         values=lambda i: {"weights": {i: 0.5, 99: 1.0}}, refused={"Ingestion": "`weights`"}),
    Kind("no text field", text="", values=lambda i: {"note": "z" * 99},
         refused={"Search and ingestion": "it has no text field"}),
    Kind("another dimension", dimension=64, refused={"Search and ingestion": "64 dimensions"}),
    Kind("no index", indexed=False, refused={"Search and ingestion": "has no index on vector"}),
)  # fmt: skip


def texts() -> list[str]:
    """Return the texts of the rows."""
    return [f"note {i}: {'the red boat' if i % 2 else 'a green roof'} in week {i}"
            for i in range(ROWS)]  # fmt: skip


def make(connection: Connection, model: EmbeddingModel, kind: Kind, name: str) -> None:
    """Make and fill a collection of a kind with plain pymilvus."""
    client = connection.client
    schema = client.create_schema(auto_id=kind.auto, enable_dynamic_field=kind.dynamic)
    more: Row = {"max_length": kind.key_max} if kind.key == TEXT else {}
    schema.add_field(kind.key_name, kind.key, is_primary=True, auto_id=kind.auto, **more)
    if kind.text and not kind.in_meta:
        schema.add_field(kind.text, TEXT, max_length=kind.text_max, enable_analyzer=bool(kind.bm25))
    schema.add_field(kind.vector, DataType.FLOAT_VECTOR, dim=kind.dimension)
    index = client.prepare_index_params()
    index.add_index(
        kind.vector,
        index_type=kind.index,
        metric_type=kind.metric,
        params=BUILT_WITH.get(kind.index, NOTHING),
    )
    for field_name, type_, options in kind.fields:
        schema.add_field(field_name, type_, **options)
        if type_ == DataType.FLOAT_VECTOR:
            index.add_index(field_name, index_type="FLAT", metric_type="L2", params=NOTHING)
        if type_ == DataType.SPARSE_FLOAT_VECTOR:
            index.add_index(
                field_name, index_type="SPARSE_INVERTED_INDEX", metric_type="IP", params=NOTHING
            )
    if kind.bm25:
        schema.add_field(kind.bm25, DataType.SPARSE_FLOAT_VECTOR)
        schema.add_function(Function("f", FunctionType.BM25, [kind.text], [kind.bm25]))
        index.add_index(
            kind.bm25, index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params=NOTHING
        )
    client.create_collection(name, schema=schema, index_params=index if kind.indexed else None)
    vectors = model.embeddings.embed_documents(texts())
    rows = []
    for i, (text, vector) in enumerate(zip(texts(), vectors, strict=True)):
        row = {kind.vector: [float(x) for x in vector[: kind.dimension]], **kind.values(i)}
        row |= {} if kind.auto else {kind.key_name: kind.key_of(i)}
        rows.append(row | ({kind.text: text} if kind.text else {}))
    client.insert(name, rows)
    if kind.indexed:
        client.load_collection(name)
