"""OPERATIONS: the fourteen sync and async method pairs of langchain-milvus, as data.

The mirror is a naming rule: the sync method of an operation is `getattr(store, name)`, its async
twin `getattr(store, "a" + name)`. The selectors, the runner, the snippets, the overview table and
the tests all read this registry; a fifteenth pair is one more entry.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from lib.milvus.fields import PRIMARY_FIELD, TEXT_FIELD
from lib.milvus.filters import equals
from lib.milvus.ranking import DEFAULT_FETCH_K, DEFAULT_LAMBDA

if TYPE_CHECKING:
    from langchain_milvus import Milvus

Vector = Sequence[float]


class Effect(Enum):
    """What a call does to the rows of a collection."""

    READS = "reads"
    ADDS = "adds"
    REMOVES = "removes"
    CHANGES = "changes"
    CREATES = "creates"


@dataclass(frozen=True)
class Inputs:
    """What the calls of one trial work on. The i-th call takes the i-th of each, cyclically.

    `new` are documents to add (their `id` is the primary key); `existing` are rows that are already
    in the collection; vectors stand in the same order as their documents or queries.
    """

    new: Sequence[Document]
    new_vectors: Sequence[Vector]
    existing: Sequence[Document]
    queries: Sequence[str]
    query_vectors: Sequence[Vector]
    k: int = 4
    fetch_k: int = DEFAULT_FETCH_K
    lambda_mult: float = DEFAULT_LAMBDA
    key_field: str = PRIMARY_FIELD  # of a collection that is only searched
    # Which field a delete's expression names: the primary key, or (the tutorial's way) a metadata
    # field, for which the server must first find the rows.
    delete_field: str = PRIMARY_FIELD
    # A consistency level that deletes are asked for with; empty to leave it to the library.
    delete_consistency: str = ""
    # For from_texts, which makes a collection of its own at every call:
    collection_prefix: str = "lab_from_texts"
    connection_args: dict[str, Any] = field(default_factory=dict, repr=False)
    embeddings: Embeddings | None = None

    def row(self, i: int) -> Document:
        """Return the i-th existing row."""
        return self.existing[i % len(self.existing)]

    def key_of(self, i: int) -> str:
        """Return the primary key of the i-th existing row."""
        return str(self.row(i).id)


@dataclass(frozen=True)
class Operation:
    """One row of the API: a sync method and its async twin."""

    name: str  # the sync method's name, also the id in files and URLs
    label: str
    effect: Effect
    embeds: bool  # whether a call spends time in the embedding provider
    summary: str
    arguments: Callable[[Inputs, int], dict[str, Any]]  # the i-th call's keyword arguments
    # The same arguments, one by one, as Python text for the code that a reader copies. Braces are
    # doubled where the text has one; single ones name a run's numbers. `lib/runs/measured_code.py`
    # lists the variables that the text may use.
    code: tuple[str, ...]
    # One call with all rows, for operations that accept many at once; searches have no such method
    # in langchain-milvus, so their batched form is a multi-vector request (see strategies).
    batch_arguments: Callable[[Inputs, int], dict[str, Any]] | None = None
    batch_code: tuple[str, ...] = ()
    # For the estimate of a run: seconds of one call alone, and seconds that a call adds when many
    # are in flight. Typical of a small machine.
    typical_s: tuple[float, float] = (0.005, 0.002)

    @property
    def async_name(self) -> str:
        """The async twin's name."""
        return f"a{self.name}"

    @property
    def writes(self) -> bool:
        """Say whether a call changes rows."""
        return self.effect is not Effect.READS

    @property
    def searches(self) -> bool:
        """Say whether a call is a vector search."""
        return "search" in self.name and self.name != "search_by_metadata"

    @property
    def batchable(self) -> bool:
        """Say whether many calls can be asked as one."""
        return self.batch_arguments is not None or (self.searches and not self.is_mmr)

    @property
    def is_mmr(self) -> bool:
        """Say whether the search re-ranks by maximal marginal relevance."""
        return self.name.startswith("max_marginal_relevance")

    def call(self, store: "Milvus", arguments: dict[str, Any]) -> Any:
        """Call the sync method."""
        return getattr(store, self.name)(**arguments)

    async def acall(self, store: "Milvus", arguments: dict[str, Any]) -> Any:
        """Call the async method."""
        return await getattr(store, self.async_name)(**arguments)


def result_keys(result: Any, key: str = PRIMARY_FIELD) -> tuple[str, ...]:
    """Return the primary keys in a search's or a lookup's result, in its order, as texts.

    `key` is the name of the key's field.
    """
    if not isinstance(result, list):
        return ()
    keys = []
    for item in result:
        document = item[0] if isinstance(item, tuple) else item
        keys.append(str(document.metadata[key]) if isinstance(document, Document) else str(item))
    return tuple(keys)


def _new(inputs: Inputs, i: int) -> Document:
    return inputs.new[i % len(inputs.new)]


def _ids(documents: Sequence[Document]) -> list[str]:
    return [str(document.id) for document in documents]


def _add_texts(documents: Sequence[Document]) -> dict[str, Any]:
    return {
        "texts": [document.page_content for document in documents],
        "metadatas": [dict(document.metadata) for document in documents],
        "ids": _ids(documents),
    }


def _add_documents(documents: Sequence[Document]) -> dict[str, Any]:
    # langchain-milvus ignores Document.id, so the keys go beside the documents.
    return {"documents": list(documents), "ids": _ids(documents)}


def _add_embeddings(documents: Sequence[Document], vectors: Sequence[Vector]) -> dict[str, Any]:
    return _add_texts(documents) | {"embeddings": [list(vector) for vector in vectors]}


def _changed(documents: Sequence[Document]) -> list[Document]:
    """Return existing rows with a new text: what an upsert of them would write."""
    return [
        Document(
            page_content=f"{document.page_content} (revised)",
            metadata=dict(document.metadata) | {"revised": True},
            id=document.id,
        )
        for document in documents
    ]


def _upsert(documents: Sequence[Document]) -> dict[str, Any]:
    return {"ids": _ids(documents), "documents": _changed(documents)}


def _from_texts(inputs: Inputs, documents: Sequence[Document], suffix: str) -> dict[str, Any]:
    return _add_texts(documents) | {
        "embedding": inputs.embeddings,
        "collection_name": f"{inputs.collection_prefix}_{suffix}",
        "connection_args": inputs.connection_args,
        "index_params": {"index_type": "AUTOINDEX", "metric_type": "COSINE", "params": {}},
        "enable_dynamic_field": True,
    }


def _by_query(inputs: Inputs, i: int) -> dict[str, Any]:
    return {"query": inputs.queries[i % len(inputs.queries)], "k": inputs.k}


def _by_vector(inputs: Inputs, i: int) -> dict[str, Any]:
    return {"embedding": list(inputs.query_vectors[i % len(inputs.query_vectors)]), "k": inputs.k}


def _mmr(inputs: Inputs) -> dict[str, Any]:
    return {"fetch_k": inputs.fetch_k, "lambda_mult": inputs.lambda_mult}


def _key_equals(inputs: Inputs, i: int) -> str:
    return equals(PRIMARY_FIELD, inputs.key_of(i))


def _delete_expression(inputs: Inputs, i: int) -> str:
    if inputs.delete_field == PRIMARY_FIELD:
        return _key_equals(inputs, i)
    return equals(inputs.delete_field, str(inputs.row(i).metadata[inputs.delete_field]))


def _delete_consistency(inputs: Inputs) -> dict[str, str]:
    return {"consistency_level": inputs.delete_consistency} if inputs.delete_consistency else {}


_NEW_ROW = ("metadatas=[new[i].metadata]", "ids=[new[i].id]")
_TEXTS = ("[new[i].page_content]", *_NEW_ROW)
_IDS = "ids=[document.id for document in new]"
_ALL_TEXTS = "[document.page_content for document in new]"
_ALL_ROWS = ("metadatas=[document.metadata for document in new]", _IDS)
_QUERY = ("query=queries[i]", "k={k}")
_VECTOR = ("embedding=vectors[i]", "k={k}")
_MMR = ("fetch_k={fetch_k}", "lambda_mult={lambda_mult:g}")
_KEY = "expr=f\"pk == '{{documents[i].id}}'\""


_ALL = (
    Operation(
        name="add_texts",
        label="Add texts",
        effect=Effect.ADDS,
        embeds=True,
        summary="Embeds texts and inserts them with metadata and keys.",
        code=_TEXTS,
        batch_code=(_ALL_TEXTS, *_ALL_ROWS),
        arguments=lambda inputs, i: _add_texts([_new(inputs, i)]),
        batch_arguments=lambda inputs, n: _add_texts(inputs.new[:n]),
    ),
    Operation(
        name="add_documents",
        label="Add documents",
        effect=Effect.ADDS,
        embeds=True,
        summary="The same for LangChain documents.",
        code=("[new[i]]", "ids=[new[i].id]"),
        batch_code=("new", _IDS),
        arguments=lambda inputs, i: _add_documents([_new(inputs, i)]),
        batch_arguments=lambda inputs, n: _add_documents(inputs.new[:n]),
    ),
    Operation(
        name="add_embeddings",
        label="Add embeddings",
        effect=Effect.ADDS,
        embeds=False,
        summary="Inserts texts whose vectors are already computed.",
        code=("[new[i].page_content]", "[new_vectors[i]]", *_NEW_ROW),
        batch_code=(_ALL_TEXTS, "new_vectors", *_ALL_ROWS),
        arguments=lambda inputs, i: _add_embeddings(
            [_new(inputs, i)], [inputs.new_vectors[i % len(inputs.new_vectors)]]
        ),
        batch_arguments=lambda inputs, n: _add_embeddings(inputs.new[:n], inputs.new_vectors[:n]),
    ),
    Operation(
        name="similarity_search",
        label="Similarity search",
        effect=Effect.READS,
        embeds=True,
        summary="Embeds a question and returns the k nearest documents.",
        code=_QUERY,
        arguments=_by_query,
    ),
    Operation(
        name="similarity_search_by_vector",
        label="Similarity search by vector",
        effect=Effect.READS,
        embeds=False,
        summary="Returns the k nearest documents of a vector.",
        code=_VECTOR,
        arguments=_by_vector,
    ),
    Operation(
        name="similarity_search_with_score",
        label="Similarity search with score",
        effect=Effect.READS,
        embeds=True,
        summary="The k nearest documents of a question, each with its score.",
        code=_QUERY,
        arguments=_by_query,
    ),
    Operation(
        name="similarity_search_with_score_by_vector",
        label="Similarity search with score, by vector",
        effect=Effect.READS,
        embeds=False,
        summary="The k nearest documents of a vector, each with its score.",
        code=_VECTOR,
        arguments=_by_vector,
    ),
    Operation(
        name="max_marginal_relevance_search",
        typical_s=(0.01, 0.005),
        label="MMR search",
        effect=Effect.READS,
        embeds=True,
        summary="Fetches fetch_k candidates and picks k that are relevant and unlike each other.",
        code=_QUERY + _MMR,
        arguments=lambda inputs, i: _by_query(inputs, i) | _mmr(inputs),
    ),
    Operation(
        name="max_marginal_relevance_search_by_vector",
        typical_s=(0.01, 0.005),
        label="MMR search by vector",
        effect=Effect.READS,
        embeds=False,
        summary="The same for a vector.",
        code=_VECTOR + _MMR,
        arguments=lambda inputs, i: _by_vector(inputs, i) | _mmr(inputs),
    ),
    Operation(
        name="delete",
        label="Delete",
        effect=Effect.REMOVES,
        embeds=False,
        summary="Deletes rows by key or expression.",
        code=("expr=f\"{delete_by} == '{{documents[i].id}}'\"", "{delete_consistency}"),
        batch_code=(
            "ids=[document.id for document in documents[:{count}]]",
            "{delete_consistency}",
        ),
        arguments=lambda inputs, i: (
            {"expr": _delete_expression(inputs, i)} | _delete_consistency(inputs)
        ),
        batch_arguments=lambda inputs, n: (
            {"ids": [inputs.key_of(i) for i in range(n)]} | _delete_consistency(inputs)
        ),
    ),
    Operation(
        name="upsert",
        label="Upsert",
        effect=Effect.CHANGES,
        embeds=True,
        summary="Embeds documents and replaces the rows that have their keys.",
        code=("ids=[revised[i].id]", "documents=[revised[i]]"),
        batch_code=("ids=[document.id for document in revised]", "documents=revised"),
        arguments=lambda inputs, i: _upsert([inputs.row(i)]),
        batch_arguments=lambda inputs, n: _upsert([inputs.row(i) for i in range(n)]),
    ),
    Operation(
        name="search_by_metadata",
        label="Search by metadata",
        effect=Effect.READS,
        embeds=False,
        summary="Returns documents that match an expression; no vectors involved.",
        code=(_KEY, 'fields=["pk", "text"]', "limit={k}"),
        # A fresh list each time: the method appends to the list it is given.
        arguments=lambda inputs, i: {
            "expr": _key_equals(inputs, i),
            "fields": [PRIMARY_FIELD, TEXT_FIELD],
            "limit": inputs.k,
        },
    ),
    Operation(
        name="get_pks",
        label="Get primary keys",
        effect=Effect.READS,
        embeds=False,
        summary="Returns the keys of the rows that match an expression.",
        code=(_KEY,),
        arguments=lambda inputs, i: {"expr": _key_equals(inputs, i)},
    ),
    Operation(
        name="from_texts",
        label="Create from texts",
        effect=Effect.CREATES,
        embeds=True,
        summary="Creates a collection, indexes it and adds texts.",
        code=(*_TEXTS, "embedding=model", "collection_name=made[i]", "**at"),
        typical_s=(3.2, 3.0),
        arguments=lambda inputs, i: _from_texts(inputs, [_new(inputs, i)], str(i)),
        # No batched form: one call makes one collection, which is another effect than n of them.
    ),
)

OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _ALL}
