"""OPERATIONS: the fourteen sync and async method pairs of langchain-milvus, with their arguments.

The mirror is a naming rule: the sync method of an operation is `getattr(store, name)`, its async
twin `getattr(store, "a" + name)`. What the pairs are called and do stands in the catalogue.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from lib.milvus.filters import equals
from lib.results import catalogue
from lib.results.catalogue import PRIMARY_FIELD, TEXT_FIELD
from lib.results.ranking import DEFAULT_FETCH_K, DEFAULT_LAMBDA

if TYPE_CHECKING:
    from langchain_milvus import Milvus

Vector = Sequence[float]


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


@dataclass(frozen=True, kw_only=True)
class Operation(catalogue.Operation):
    """An operation of the catalogue with the arguments of its calls."""

    arguments: Callable[[Inputs, int], dict[str, Any]]  # the i-th call's keyword arguments
    # Those of one call with the first n rows, for operations that accept many at once.
    batch_arguments: Callable[[Inputs, int], dict[str, Any]] | None = None

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


def _upsert(documents: Sequence[Document]) -> dict[str, Any]:
    """Give existing rows a new text."""
    changed = [
        Document(
            page_content=f"{document.page_content} (revised)",
            metadata=dict(document.metadata) | {"revised": True},
            id=document.id,
        )
        for document in documents
    ]
    return {"ids": _ids(documents), "documents": changed}


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


def _delete(inputs: Inputs, i: int) -> dict[str, Any]:
    name = inputs.delete_field
    value = inputs.key_of(i) if name == PRIMARY_FIELD else str(inputs.row(i).metadata[name])
    return {"expr": equals(name, value)} | _delete_consistency(inputs)


def _delete_consistency(inputs: Inputs) -> dict[str, str]:
    return {"consistency_level": inputs.delete_consistency} if inputs.delete_consistency else {}


# The arguments of the i-th call.
_ARGUMENTS: dict[str, Callable[[Inputs, int], dict[str, Any]]] = {
    "add_texts": lambda inputs, i: _add_texts([_new(inputs, i)]),
    "add_documents": lambda inputs, i: _add_documents([_new(inputs, i)]),
    "add_embeddings": lambda inputs, i: _add_embeddings(
        [_new(inputs, i)], [inputs.new_vectors[i % len(inputs.new_vectors)]]
    ),
    "similarity_search": _by_query,
    "similarity_search_by_vector": _by_vector,
    "similarity_search_with_score": _by_query,
    "similarity_search_with_score_by_vector": _by_vector,
    "max_marginal_relevance_search": lambda inputs, i: _by_query(inputs, i) | _mmr(inputs),
    "max_marginal_relevance_search_by_vector": lambda inputs, i: (
        _by_vector(inputs, i) | _mmr(inputs)
    ),
    "delete": _delete,
    "upsert": lambda inputs, i: _upsert([inputs.row(i)]),
    # A fresh list each time: the method appends to the list it is given.
    "search_by_metadata": lambda inputs, i: {
        "expr": _key_equals(inputs, i),
        "fields": [PRIMARY_FIELD, TEXT_FIELD],
        "limit": inputs.k,
    },
    "get_pks": lambda inputs, i: {"expr": _key_equals(inputs, i)},
    "from_texts": lambda inputs, i: _from_texts(inputs, [_new(inputs, i)], str(i)),
}
# The arguments of one call with the first n rows.
_BATCH_ARGUMENTS: dict[str, Callable[[Inputs, int], dict[str, Any]]] = {
    "add_texts": lambda inputs, n: _add_texts(inputs.new[:n]),
    "add_documents": lambda inputs, n: _add_documents(inputs.new[:n]),
    "add_embeddings": lambda inputs, n: _add_embeddings(inputs.new[:n], inputs.new_vectors[:n]),
    "delete": lambda inputs, n: (
        {"ids": [inputs.key_of(i) for i in range(n)]} | _delete_consistency(inputs)
    ),
    "upsert": lambda inputs, n: _upsert([inputs.row(i) for i in range(n)]),
}

OPERATIONS: dict[str, Operation] = {
    name: Operation(
        **vars(entry),
        arguments=_ARGUMENTS[name],
        batch_arguments=_BATCH_ARGUMENTS[name] if entry.takes_batches else None,
    )
    for name, entry in catalogue.OPERATIONS.items()
}
