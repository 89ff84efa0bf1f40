"""The fourteen pairs: sync and async do the same, on Milvus Lite and on a real server."""

from collections.abc import Iterator

import pytest
from langchain_core.documents import Document
from langchain_milvus import Milvus

from lib import event_loop
from lib.milvus import milvus_collections, operations
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.operations import OPERATIONS, Inputs, Operation
from lib.results.catalogue import Effect
from lib.settings import Settings

NAMES_IN_THE_PRODUCT = [
    "add_texts",
    "add_documents",
    "add_embeddings",
    "similarity_search",
    "similarity_search_by_vector",
    "similarity_search_with_score",
    "similarity_search_with_score_by_vector",
    "max_marginal_relevance_search",
    "max_marginal_relevance_search_by_vector",
    "delete",
    "upsert",
    "search_by_metadata",
    "get_pks",
    "from_texts",
]


def documents(prefix: str, count: int) -> list[Document]:
    """Return small distinct documents."""
    return [
        Document(
            page_content=f"{prefix} document about {word} number {i}",
            metadata={"id": f"{prefix}_{i}", "category": f"cat_{i % 5}"},
            id=f"{prefix}_{i}",
        )
        for i, word in enumerate(["rivers", "engines", "cheese", "violins", "glaciers"] * count)
    ][:count]


@pytest.fixture(params=["lite", "server"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Open each backend in turn."""
    fixture = {"lite": "milvus_lite_uri", "server": "milvus_server"}[request.param]
    target = request.getfixturevalue(fixture)
    opened = open_connection(Settings(milvus_uri=getattr(target, "uri", target)))
    yield opened
    opened.close()


def restore(connection: Connection, name: str, store: Milvus, rows: list[Document]) -> None:
    """Leave exactly these rows in the collection: a new one takes a server seconds."""
    wanted = {row.id: (row.page_content, row.metadata["category"]) for row in rows}
    present = state(connection, name)
    other = [key for key, row in present.items() if wanted.get(key) != row]
    if other:
        connection.client.delete(name, ids=other)
    missing = [row for row in rows if row.id not in present or row.id in other]
    if missing:
        store.add_documents(missing, ids=[row.id for row in missing])
    assert state(connection, name) == wanted
    milvus_collections.prepare_for_search(connection, name)


def state(connection: Connection, name: str) -> dict[str, tuple[str, str]]:
    """Return key → (text, category) of all rows."""
    rows = connection.client.query(
        name,
        filter="",
        output_fields=["pk", "text", "category"],
        limit=1000,
        consistency_level="Strong",
    )
    return {row["pk"]: (row["text"], row["category"]) for row in rows}


def test_the_registry_names_every_pair_of_the_product() -> None:
    assert list(OPERATIONS)[: len(NAMES_IN_THE_PRODUCT)] == NAMES_IN_THE_PRODUCT


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda o: o.name)
def test_both_methods_of_a_pair_exist_on_the_library(operation: Operation) -> None:
    assert callable(getattr(Milvus, operation.name))
    assert callable(getattr(Milvus, operation.async_name))


def test_sync_and_async_agree_for_every_operation(
    connection: Connection, model: EmbeddingModel
) -> None:
    """Reads: the same keys in the same order. Writes: the same rows afterwards."""
    existing, new = documents("old", 30), documents("new", 6)
    queries = ["old rivers", "a violin", "ice and snow"]
    inputs = Inputs(
        new=new,
        new_vectors=model.embeddings.embed_documents([d.page_content for d in new]),
        existing=existing,
        queries=queries,
        query_vectors=[model.embeddings.embed_query(query) for query in queries],
        connection_args=connection.arguments,
        embeddings=model.embeddings,
        delete_field="id",
    )
    name = "parity"
    checked = []
    milvus_collections.drop(connection, name)
    milvus_collections.create(connection, name, model.dimension, embedding=model.model)
    store = connection.new_store(name, model.embeddings)
    restore(connection, name, store, existing)
    for operation in OPERATIONS.values():
        outcomes = []
        for how in ("sync", "async"):
            if operation.writes and operation.effect is not Effect.CREATES:
                restore(connection, name, store, existing)
            results = []
            # A server takes three seconds to make a collection, and one of each way is enough.
            for i in range(1 if operation.effect is Effect.CREATES else 3):
                arguments = operation.arguments(inputs, i)
                created = arguments.get("collection_name")
                if created:
                    milvus_collections.drop(connection, created)
                result = (
                    operation.call(store, arguments)
                    if how == "sync"
                    else event_loop.run(operation.acall(store, arguments), timeout=60)
                )
                results.append(
                    tuple(state(connection, created).items())
                    if created
                    else operations.result_keys(result)
                )
            if operation.name in {"search_by_metadata", "get_pks"}:  # their order means nothing
                results = [tuple(sorted(keys)) for keys in results]
            outcomes.append((results, state(connection, name)))
        (sync_results, sync_rows), (async_results, async_rows) = outcomes
        assert async_results == sync_results, operation.name
        assert async_rows == sync_rows, operation.name
        expected_rows = {Effect.ADDS: 33, Effect.REMOVES: 27, Effect.CHANGES: 30}
        if operation.effect in expected_rows:
            assert len(sync_rows) == expected_rows[operation.effect], operation.name
        if operation.effect is Effect.READS:
            assert all(sync_results), f"{operation.name} found nothing"
        if operation.effect is Effect.CHANGES:
            revised = [text for text, _ in sync_rows.values() if text.endswith("(revised)")]
            assert len(revised) == 3
        checked.append(operation.name)
    assert checked == list(OPERATIONS)
