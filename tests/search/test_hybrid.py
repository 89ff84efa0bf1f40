"""Words beside vectors on Milvus Lite: k rows, the same sync and async, and what brought each."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lib.documents.corpora import CORPORA
from lib.errors import InvalidInput
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.jobs import Jobs, State
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.milvus_collections import Collection
from lib.search import ask as search
from lib.search.ask import Question
from lib.search.hybrid import WAYS, ask_hybrid, copy_with_words
from lib.settings import load
from tests.waiting import PATIENCE_S

COLLECTION = "hybrid_under_test"
QUESTION = Question("remove whitespace", k=10, fetch_k=30)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, model: EmbeddingModel) -> Iterator[Connection]:
    """Milvus Lite with 800 docstrings."""
    path = tmp_path_factory.mktemp("hybrid") / "lab.db"
    connection = open_connection(load({"MILVUS_URI": str(path)}))
    documents = CORPORA["standard_library"].documents(None, 0)[:800]
    ingest(connection, model, documents, IngestionPlan(collection=COLLECTION))
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def copy(lab: Connection, model: EmbeddingModel) -> Collection:
    """The same rows with words."""
    plain = milvus_collections.describe(lab, COLLECTION)
    return milvus_collections.describe(lab, copy_with_words(lab, model, plain))


def keys_of(
    lab: Connection, model: EmbeddingModel, copy: Collection, way: str, *, asynchronous: bool
) -> list[str]:
    answer = ask_hybrid(lab, model, copy, QUESTION, way, asynchronous=asynchronous)
    return [row.hit.key for row in answer.rows]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_returns_k_rows_and_the_same_sync_and_async(
    lab: Connection, model: EmbeddingModel, copy: Collection, way: str
) -> None:
    found = keys_of(lab, model, copy, way, asynchronous=True)
    assert len(set(found)) == QUESTION.k
    assert found == keys_of(lab, model, copy, way, asynchronous=False)


def test_each_row_names_the_legs_that_brought_it(
    lab: Connection, model: EmbeddingModel, copy: Collection
) -> None:
    ranks = {
        way: [(row.vector_rank, row.words_rank) for row in ask.rows]
        for way in WAYS
        for ask in [ask_hybrid(lab, model, copy, QUESTION, way)]
    }
    assert [vector for vector, _ in ranks["dense"]] == list(range(1, 11))
    assert [words for _, words in ranks["bm25"]] == list(range(1, 11))
    for way in ("rrf", "weighted"):
        assert all(vector or words for vector, words in ranks[way])
    # Reciprocal rank fusion puts rows that both legs bring first.
    assert all(ranks["rrf"][0])


def test_the_copy_has_the_rows_and_answers_the_other_methods_as_before(
    lab: Connection, model: EmbeddingModel, copy: Collection
) -> None:
    assert (copy.name, copy.rows, copy.schema.words) == (f"{COLLECTION}_words", 800, "words")
    plain = milvus_collections.describe(lab, COLLECTION)
    assert not plain.schema.words
    hits = [search.fetch(lab, model, name, QUESTION).hits for name in (COLLECTION, copy.name)]
    assert hits[0] == hits[1]
    for operation, method in search.METHODS.items():
        request = search.Request(
            operation, query="x", vector=(0.1,) * model.dimension, expr='kind == "class"'
        )
        answers = [
            search.call_method(lab, model, name, request).keys for name in (COLLECTION, copy.name)
        ]
        assert sorted(answers[0]) == sorted(answers[1]), method.label


def test_a_filter_holds_for_both_legs(
    lab: Connection, model: EmbeddingModel, copy: Collection
) -> None:
    question = replace(QUESTION, expr='kind == "class"')
    rows = ask_hybrid(lab, model, copy, question, "rrf").rows
    assert {row.hit.metadata["kind"] for row in rows} == {"class"}


def test_a_collection_without_words_and_a_second_copy_are_refused(
    lab: Connection, model: EmbeddingModel, copy: Collection
) -> None:
    plain = milvus_collections.describe(lab, COLLECTION)
    with pytest.raises(InvalidInput, match="cannot be searched by words"):
        ask_hybrid(lab, model, plain, QUESTION, "rrf")
    with pytest.raises(InvalidInput, match="already"):
        copy_with_words(lab, model, plain)


def test_a_stopped_copy_leaves_nothing(lab: Connection, model: EmbeddingModel) -> None:
    plain = replace(milvus_collections.describe(lab, COLLECTION), name=COLLECTION)
    name = "other_rows"
    ingest(lab, model, CORPORA["tutorial"].documents(20, 0), IngestionPlan(collection=name))
    other = replace(plain, name=name, rows=20)

    def work(job: object) -> str:
        job.cancel()  # type: ignore[attr-defined]
        return copy_with_words(lab, model, other, job)  # type: ignore[arg-type]

    job = Jobs().submit("copy", work, subject="test")
    assert job.finished.wait(PATIENCE_S)
    assert job.state is State.STOPPED
    assert not milvus_collections.exists(lab, f"{name}_words")
