"""Rows on both backends: every page, every change and its undo, and the way out and back in."""

import tracemalloc
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from langchain_core.documents import Document
from pymilvus import DataType

from benchmarks._uploads import upload_of
from lib.documents.chunking import Chunking
from lib.documents.files import parsed
from lib.documents.sources import DEFAULT_MAX_BYTES, Reading
from lib.errors import InvalidInput, OperationFailed
from lib.ingestion.chosen import ingest_chosen, of_files
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus import milvus_collections, rows
from lib.milvus.connection import Connection
from lib.milvus.embeddings import BUNDLED_MODEL_NAME, EmbeddingModel
from lib.milvus.rows import Browser
from lib.results.catalogue import IndexType
from tests.waiting import wait_until

if TYPE_CHECKING:
    pass

COUNT = 137


def documents(count: int) -> Iterator[Document]:
    for i in range(count):
        kind = "even" if i % 2 == 0 else "odd"
        metadata = {"n": i, "kind": kind} | ({"tags": ["a", 'q"uote']} if i == 7 else {})
        yield Document(page_content=f"Text number {i}", metadata=metadata, id=f"k{i * 7919 % 997}")


def fill(backend: Connection, model: EmbeddingModel, name: str) -> None:
    """Write 137 rows whose keys come in no order, some on disk and some not."""
    everything = list(documents(COUNT))
    ingest(backend, model, everything[:100], IngestionPlan(name))
    backend.client.flush(name)
    ingest(backend, model, everything[100:], IngestionPlan(name))


@pytest.fixture(scope="module")
def name(backend: Connection, model: EmbeddingModel) -> Iterator[str]:
    """A filled collection that no test changes."""
    name = f"rows_{uuid.uuid4().hex[:8]}"
    fill(backend, model, name)
    yield name
    milvus_collections.drop(backend, name)


@pytest.fixture(scope="module")
def changing(backend: Connection) -> Iterator[str]:
    name = f"changing_{uuid.uuid4().hex[:8]}"
    yield name
    milvus_collections.drop(backend, name)


@pytest.fixture
def own(backend: Connection, model: EmbeddingModel, changing: str) -> str:
    """A filled collection to change. A server takes seconds to make one, so it is emptied."""
    if milvus_collections.exists(backend, changing):
        backend.client.delete(changing, filter='pk != ""')
    ingest(backend, model, documents(COUNT), IngestionPlan(changing))
    return changing


def stored(backend: Connection, name: str) -> dict[str, dict[str, object]]:
    """Return all rows by their key; counting first makes earlier writes visible."""
    milvus_collections.count(backend, name)
    return {row["pk"]: row for part in rows.walk(backend, name, fields=["*"]) for row in part}


def test_pages_show_every_row_once_in_the_order_of_keys(backend: Connection, name: str) -> None:
    browser = Browser(backend, name, "", page_rows=10)
    assert (browser.total, browser.pages) == (COUNT, 14)
    seen = [row["pk"] for number in range(1, 15) for row in browser.page(number)]
    assert seen == sorted(f"k{i * 7919 % 997}" for i in range(COUNT))


def test_rows_of_files_come_in_the_order_of_their_files(
    backend: Connection, model: EmbeddingModel
) -> None:
    name = f"files_{uuid.uuid4().hex[:8]}"
    placed = [
        Document(page_content=f"{file} {i}", metadata={"source": file, "position": i})
        for file in ("b.csv", "a.csv")
        for i in range(12)
    ]
    ingest(backend, model, placed, IngestionPlan(name))
    expected = [f"{file} {i}" for file in ("a.csv", "b.csv") for i in range(12)]
    browser = Browser(backend, name, "", page_rows=10)
    pages = [[row["text"] for row in browser.page(number)] for number in (1, 2, 3)]
    assert pages == [expected[:10], expected[10:20], expected[20:]]
    assert "vector" not in browser.page(1)[0]
    few = Browser(backend, name, "position > 9", page_rows=10).page(1)
    assert [row["text"] for row in few] == ["a.csv 10", "a.csv 11", "b.csv 10", "b.csv 11"]
    milvus_collections.drop(backend, name)


def test_any_page_can_be_jumped_to(backend: Connection, name: str) -> None:
    straight = Browser(backend, name, "", page_rows=10)
    expected = [[row["pk"] for row in straight.page(number)] for number in range(1, 15)]
    jumping = Browser(backend, name, "", page_rows=10)
    for number in (14, 3, 9, 1, 8):
        assert [row["pk"] for row in jumping.page(number)] == expected[number - 1]


def test_a_page_beyond_the_last_is_the_last(backend: Connection, name: str) -> None:
    browser = Browser(backend, name, "", page_rows=50)
    assert browser.page(99) == browser.page(3)


def test_a_filter_narrows_the_pages(backend: Connection, name: str) -> None:
    browser = Browser(backend, name, 'kind == "odd" and n > 50', page_rows=20)
    found = [row for number in range(1, browser.pages + 1) for row in browser.page(number)]
    assert len(found) == browser.total == 43
    assert all(row["kind"] == "odd" and row["n"] > 50 for row in found)


def test_pages_carry_metadata_and_no_vectors(backend: Connection, name: str) -> None:
    [row] = Browser(backend, name, "n == 7", page_rows=5).page(1)
    shape = rows.layout(backend, name)
    assert shape.metadata_of(row) == {"n": 7, "kind": "odd", "tags": ["a", 'q"uote']}
    assert "vector" not in row


@pytest.mark.parametrize("expr", ["kind ==", "nonsense ~ 3", 'kind == "odd'])
def test_a_filter_that_milvus_cannot_use_is_said_so(
    backend: Connection, name: str, expr: str
) -> None:
    with pytest.raises(InvalidInput, match="cannot use this filter"):
        Browser(backend, name, expr, page_rows=5)


def test_a_changed_row_is_embedded_again_and_keeps_its_place(
    backend: Connection, own: str, model: EmbeddingModel
) -> None:
    store = backend.store(own, model.embeddings)
    before = stored(backend, own)
    changed = rows.Edit("k826", {"text": "A walrus", "new": True, "kind": None})
    change = rows.update(backend, store, [changed])
    assert (change.kind, change.count, change.can_be_undone) == ("changed", 1, True)
    after = stored(backend, own)
    assert len(after) == COUNT
    assert after["k826"]["text"] == "A walrus"
    assert after["k826"]["new"] is True
    assert "kind" not in after["k826"]
    assert after["k826"]["vector"] != before["k826"]["vector"]
    assert {k: v for k, v in after.items() if k != "k826"} == {
        k: v for k, v in before.items() if k != "k826"
    }
    hit = store.similarity_search("walrus", k=1)[0]
    assert hit.page_content == "A walrus"
    assert rows.undo(backend, change) == 1
    assert stored(backend, own) == before


def test_rows_deleted_by_key_come_back_as_they_were(
    backend: Connection, own: str, model: EmbeddingModel
) -> None:
    before = stored(backend, own)
    keys = ["k826", "k7", "k7", "missing"]
    store = backend.store(own, model.embeddings)
    here = [key for key in dict.fromkeys(keys) if key in before]
    assert rows.matching(backend, own, keys=keys).rows == len(here)
    deletion = rows.delete(backend, store, own, keys=keys)
    assert deletion.count == len(here) > 0
    assert set(stored(backend, own)) == set(before) - set(here)
    assert rows.undo(backend, deletion) == len(here)
    assert stored(backend, own) == before


def test_rows_deleted_by_an_expression_come_back_as_they_were(
    backend: Connection, own: str, model: EmbeddingModel
) -> None:
    before = stored(backend, own)
    store = backend.store(own, model.embeddings)
    assert rows.matching(backend, own, expr='kind == "even"').rows == 69
    deletion = rows.delete(backend, store, own, expr='kind == "even"')
    assert deletion.count == 69
    assert milvus_collections.count(backend, own) == COUNT - 69
    rows.undo(backend, deletion)
    assert stored(backend, own) == before


def test_rows_with_quotes_in_their_keys_are_changed_deleted_and_put_back(
    backend: Connection, own: str, model: EmbeddingModel
) -> None:
    keys = ["it's", 'a "b"', "back\\slash", "naïve ☃"]
    added = [Document(page_content=f"Text of {key}", metadata={"n": 1}, id=key) for key in keys]
    for _ in range(2):
        ingest(backend, model, added, IngestionPlan(own))
    assert milvus_collections.count(backend, own) == COUNT + len(keys)
    before = stored(backend, own)
    store = backend.store(own, model.embeddings)
    changed = [rows.Edit(key, {"text": "Other"}) for key in keys]
    change = rows.update(backend, store, changed)
    assert {stored(backend, own)[key]["text"] for key in keys} == {"Other"}
    assert rows.undo(backend, change) == len(keys)
    deletion = rows.delete(backend, store, own, keys=keys)
    assert rows.undo(backend, deletion) == len(keys)
    assert stored(backend, own) == before


def test_what_was_changed_before_a_failure_is_kept_for_an_undo(
    backend: Connection, own: str, model: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = backend.store(own, model.embeddings)
    before = stored(backend, own)
    kept: list[rows.Change] = []
    changed = rows.Edit("k826", {"text": "A walrus", "kind": "x"})
    write = backend.replace_rows
    with monkeypatch.context() as patch:
        # The row reads otherwise than it was to be written.
        patch.setattr(
            backend, "replace_rows", lambda name, new: write(name, [new[0] | {"kind": "y"}])
        )
        with pytest.raises(OperationFailed, match="read otherwise"):
            rows.update(backend, store, [changed], keep=kept.append)
    assert [change.kind for change in kept] == ["changed"]
    rows.undo(backend, kept[0])
    assert stored(backend, own) == before


def test_an_undo_does_not_double_a_row_that_was_added_again(
    backend: Connection, own: str, model: EmbeddingModel
) -> None:
    store = backend.store(own, model.embeddings)
    deletion = rows.delete(backend, store, own, keys=["k826"])
    ingest(backend, model, [d for d in documents(COUNT) if d.id == "k826"], IngestionPlan(own))
    rows.undo(backend, deletion)
    assert milvus_collections.count(backend, own) == COUNT


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "Nothing is chosen"),
        ({"expr": "   "}, "Nothing is chosen"),
        ({"expr": "kind =="}, "cannot use this filter"),
        ({"expr": 'kind == "none"'}, "No row matches"),
        ({"keys": ["missing"]}, "No row matches"),
    ],
)
def test_a_delete_of_nothing_is_refused(
    backend: Connection, own: str, model: EmbeddingModel, chosen: dict[str, object], message: str
) -> None:
    store = backend.store(own, model.embeddings)
    with pytest.raises(InvalidInput, match=message):
        rows.delete(backend, store, own, **chosen)  # type: ignore[arg-type]
    assert milvus_collections.count(backend, own) == COUNT


def test_a_delete_without_effect_is_not_taken_for_one(
    backend: Connection, own: str, model: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = backend.store(own, model.embeddings)

    async def lie(**arguments: object) -> bool:
        return True

    monkeypatch.setattr(store, "adelete", lie)
    with pytest.raises(OperationFailed, match="69 of 69 rows are still there"):
        rows.delete(backend, store, own, expr='kind == "even"')


def test_rows_that_an_undo_cannot_hold_are_deleted_only_without_one(
    backend: Connection, own: str, model: EmbeddingModel
) -> None:
    store = backend.store(own, model.embeddings)
    needed = rows.matching(backend, own, expr="n < 50").undo_bytes
    with pytest.raises(InvalidInput, match="more than the 0 MB that an undo holds"):
        rows.delete(backend, store, own, expr="n < 50", most_bytes=needed // 2)
    assert milvus_collections.count(backend, own) == COUNT
    deletion = rows.delete(backend, store, own, expr="n < 50", most_bytes=0)
    assert (deletion.count, deletion.can_be_undone) == (50, False)
    with pytest.raises(InvalidInput, match="no longer kept"):
        rows.undo(backend, deletion)


def test_an_undo_takes_at_most_the_memory_that_was_estimated_and_little_more_than_its_vectors(
    backend: Connection, own: str, model: EmbeddingModel
) -> None:
    estimate = rows.matching(backend, own, expr="n < 50").undo_bytes
    tracemalloc.start()
    try:
        store = backend.store(own, model.embeddings)
        deletion = rows.delete(backend, store, own, expr="n < 50")
        before = tracemalloc.get_traced_memory()[0]
        deletion.rows = ()
        freed = before - tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 0.5 * estimate < freed < 1.5 * estimate
    assert estimate < 50 * (4 * model.dimension + 2_000)


def test_an_undo_that_expires_frees_its_rows(
    backend: Connection, own: str, model: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "UNDO_S", 2.0)
    deletion = rows.delete(backend, backend.store(own, model.embeddings), own, expr="n < 5")
    assert deletion.can_be_undone
    wait_until(lambda: deletion.rows == ())
    assert not deletion.can_be_undone


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_an_export_imported_into_a_new_collection_is_the_same_rows(
    backend: Connection, name: str, model: EmbeddingModel, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"export{ending}"
    assert rows.export(backend, name, path) == COUNT
    reading = Reading(take_vectors=True, dimension=model.dimension)
    copy = f"{name}_copy"
    try:
        plan = IngestionPlan(copy, 50, 2, method="add_embeddings")
        files = parsed([upload_of(path)], DEFAULT_MAX_BYTES)
        report = ingest_chosen(backend, model, of_files(files, reading, Chunking()), plan)
        assert report.problems == ()
        assert (report.rows, report.tally.added, report.tally.embed_s) == (COUNT, COUNT, 0)
        expected, got = stored(backend, name), stored(backend, copy)
        assert got.keys() == expected.keys()
        for key, row in expected.items():
            assert got[key]["vector"] == pytest.approx(row["vector"], abs=1e-6)
            assert {n: v for n, v in got[key].items() if n != "vector"} == {
                n: v for n, v in row.items() if n != "vector"
            }
    finally:
        milvus_collections.drop(backend, copy)


def test_an_export_imported_back_adds_nothing(
    backend: Connection, own: str, model: EmbeddingModel, tmp_path: Path
) -> None:
    path = tmp_path / "export.parquet"
    rows.export(backend, own, path, expr='kind == "odd"')
    reading = Reading(take_vectors=True, dimension=model.dimension)
    plan = IngestionPlan(own, 50, 2, method="add_embeddings")
    files = parsed([upload_of(path)], DEFAULT_MAX_BYTES)
    report = ingest_chosen(backend, model, of_files(files, reading, Chunking()), plan)
    assert (report.rows, report.tally.unchanged, report.tally.added) == (COUNT, 68, 0)


def test_a_collection_with_whole_numbers_as_keys_can_be_browsed(backend: Connection) -> None:
    name = f"numbers_{uuid.uuid4().hex[:8]}"
    client = backend.client
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=4)
    index = client.prepare_index_params()
    index.add_index("v", index_type="AUTOINDEX", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=index)
    try:
        client.insert(name, [{"id": i, "v": [0.1] * 4, "n": i} for i in range(30)])
        browser = Browser(backend, name, "n >= 5", page_rows=10)
        assert [row["id"] for row in browser.page(3)] == [25, 26, 27, 28, 29]
    finally:
        milvus_collections.drop(backend, name)


# What a collection is, as the list shows it.


def test_only_index_types_that_the_backend_has_are_offered_and_each_finds_its_rows(
    backend: Connection,
) -> None:
    names = {index.name for index in milvus_collections.index_types(backend)}
    assert ("HNSW_SQ" in names, "SCANN" in names) == (backend.is_lite, not backend.is_lite)

    def find_a_row(index: IndexType) -> None:
        name = f"index_{uuid.uuid4().hex[:8]}"
        parameters = {each.name: each.default for each in index.parameters}
        try:
            milvus_collections.create(
                backend, name, 4, index_type=index.name, metric_type="L2", index_params=parameters
            )
            backend.client.insert(
                name, [{"pk": str(i), "text": "t", "vector": [float(i)] * 4} for i in range(20)]
            )
            milvus_collections.prepare_for_search(backend, name)
            [[hit]] = backend.client.search(
                name, [[7.0] * 4], limit=1, output_fields=["pk"], consistency_level="Strong"
            )
            # A key is called "id" by one backend and by its own name by the other.
            assert "7" in (hit.get("id"), hit.get("pk"))
            assert milvus_collections.describe(backend, name).index_type == index.name
        finally:
            milvus_collections.drop(backend, name)

    # A server takes three seconds to load a collection, whether it loads one or five.
    with ThreadPoolExecutor(1 if backend.is_lite else 5) as threads:
        list(threads.map(find_a_row, milvus_collections.index_types(backend)))


@pytest.mark.parametrize(
    ("index", "metric", "parameters"),
    [("NONSENSE", "L2", {}), ("HNSW", "NONSENSE", {}), ("HNSW", "L2", {"M": 1_000})],
)
def test_an_index_that_cannot_be_built_is_refused_before_anything_is_made(
    backend: Connection, index: str, metric: str, parameters: dict[str, int]
) -> None:
    name = f"index_{uuid.uuid4().hex[:8]}"
    with pytest.raises(InvalidInput):
        milvus_collections.create(
            backend, name, 4, index_type=index, metric_type=metric, index_params=parameters
        )
    assert not milvus_collections.exists(backend, name)


def test_the_list_explains_what_does_not_fit(
    backend: Connection, name: str, model: EmbeddingModel
) -> None:
    other = f"other_{uuid.uuid4().hex[:8]}"
    milvus_collections.create(backend, other, 4, embedding="test/other")
    try:
        listed = {
            each.name: each
            for each in milvus_collections.overview(
                backend, model.dimension, embedding=BUNDLED_MODEL_NAME
            )
        }
        assert listed[name].note == ""
        facts = listed[name].facts
        assert facts is not None
        assert facts.rows == COUNT
        assert listed[name].facts.memory_bytes >= COUNT * model.dimension
        assert "holds vectors of 4 dimensions" in listed[other].note
    finally:
        milvus_collections.drop(backend, other)
