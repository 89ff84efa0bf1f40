"""Search: what `fetch` brings, that MMR on it is the library's own, and every method by hand."""

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import DataType

from lib import event_loop
from lib.documents.corpora import CORPORA
from lib.errors import InvalidInput, LabError
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.fields import read_schema
from lib.search import ask as search
from lib.search import mmr
from lib.search.ask import METHODS, Question, Request
from lib.settings import load
from tests.stores import COLLECTION, fill

LAMBDAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def random_queries(count: int) -> list[str]:
    """Make queries of words drawn from the corpus."""
    chance = random.Random(11)
    texts = [document.page_content for document in CORPORA["standard_library"].documents(None, 0)]
    words = sorted({word for text in texts for word in text.split() if word.isalpha()})
    return [" ".join(chance.sample(words, chance.randrange(2, 9))) for _ in range(count)]


def test_mmr_on_the_fetched_candidates_is_the_library_s_own_order(
    lab: Connection, model: EmbeddingModel
) -> None:
    store = lab.store(COLLECTION, model.embeddings)
    queries = random_queries(60)

    async def library(query: str, lambda_mult: float) -> list[str]:
        found = await store.amax_marginal_relevance_search(
            query, k=5, fetch_k=20, lambda_mult=lambda_mult
        )
        return [document.metadata["pk"] for document in found]

    async def library_at_all(query: str) -> list[list[str]]:
        return await asyncio.gather(*(library(query, lambda_mult) for lambda_mult in LAMBDAS))

    wrong = []
    for query in queries:
        expected = event_loop.run(library_at_all(query), timeout=60)
        found = search.fetch(lab, model, COLLECTION, Question(query, k=5, fetch_k=20))
        for lambda_mult, keys in zip(LAMBDAS, expected, strict=True):
            order = mmr.order(found.space, 5, lambda_mult)
            if [found.hits[index].key for index in order] != keys:
                wrong.append((query, lambda_mult))
    assert wrong == []


def test_the_candidates_are_those_of_similarity_search_with_their_scores(
    lab: Connection, model: EmbeddingModel
) -> None:
    query = "split a string at a separator"
    found = search.fetch(lab, model, COLLECTION, Question(query, k=5, fetch_k=12))
    store = lab.store(COLLECTION, model.embeddings)
    expected = store.similarity_search_with_score(query, k=12)
    assert [hit.key for hit in found.hits] == [document.metadata["pk"] for document, _ in expected]
    assert [hit.score for hit in found.hits] == pytest.approx([score for _, score in expected])
    assert [hit.rank for hit in found.hits] == list(range(1, 13))
    assert found.vectors.shape == (12, model.dimension)
    # The collection's metric is the cosine similarity, which is what relevance is.
    assert found.space.relevance == pytest.approx([score for _, score in expected], abs=1e-4)
    assert "vector" not in found.hits[0].metadata
    assert found.hits[0].metadata["module"]


@pytest.fixture
def again(tmp_path: Path, model: EmbeddingModel) -> Iterator[Connection]:
    """A store with a collection of fifty documents, opened anew."""
    path = fill(tmp_path / "again.db", CORPORA["tutorial"].documents(50, 0))
    opened = open_connection(load({"MILVUS_URI": str(path)}))
    yield opened
    opened.close()


def test_a_collection_opened_anew_can_be_searched_and_filtered_at_once(
    again: Connection, model: EmbeddingModel
) -> None:
    question = Question("document", k=3, expr='category == "cat_1"')
    found = search.fetch(again, model, COLLECTION, question)
    assert {hit.metadata["category"] for hit in found.hits} == {"cat_1"}
    assert found.matching_rows == 10


def test_a_filter_narrows_the_candidates_and_says_how_many_rows_it_leaves(
    lab: Connection, model: EmbeddingModel
) -> None:
    question = Question("open a file", expr='kind == "class" and length > 100')
    found = search.fetch(lab, model, COLLECTION, question)
    assert found.hits
    assert all(hit.metadata["kind"] == "class" for hit in found.hits)
    assert all(hit.metadata["length"] > 100 for hit in found.hits)
    assert found.matching_rows == milvus_collections.count(lab, COLLECTION, question.expr)


def test_rows_like_a_row_are_its_neighbours_without_the_row(
    lab: Connection, model: EmbeddingModel
) -> None:
    found = search.fetch(lab, model, COLLECTION, Question(like="str.split", k=3, fetch_k=10))
    keys = [hit.key for hit in found.hits]
    assert "str.split" not in keys
    assert len(keys) == 10
    assert {"str.rsplit", "bytes.split", "bytearray.split"} & set(keys)
    filtered = Question(like="str.split", expr='kind == "class" or kind == "module"')
    kinds = {hit.metadata["kind"] for hit in search.fetch(lab, model, COLLECTION, filtered).hits}
    assert kinds == {"class", "module"}


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (Question("  "), "question is empty"),
        (Question("x" * 20_001), "longer than 20,000"),
        (Question("x", k=0), "k must be between"),
        (Question("x", k=10, fetch_k=5), "fetch_k"),
        (Question("x", fetch_k=1_001), "fetch_k"),
        (Question("x", expr="kind ="), "cannot use this filter"),
        (Question("x", expr="("), "cannot use this filter"),
        (Question("x", expr="(" * 300), "levels deep"),
        (Question(like="no such row"), "no row with the key"),
        (Question(like='" or pk != "'), "no row with the key"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line(
    lab: Connection, model: EmbeddingModel, question: Question, reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        search.fetch(lab, model, COLLECTION, question)


def test_no_match_is_an_empty_answer_and_no_failure(lab: Connection, model: EmbeddingModel) -> None:
    found = search.fetch(lab, model, COLLECTION, Question("x", expr='kind == "nothing"'))
    assert (found.hits, found.matching_rows, found.space.size) == ((), 0, 0)
    assert mmr.order(found.space, 5, 0.5) == ()
    assert mmr.curve(found.space, 5)


def test_the_parts_of_the_time_add_up(lab: Connection, model: EmbeddingModel) -> None:
    slow = model.slowed(80)
    timing = search.fetch(lab, slow, COLLECTION, Question("open a file")).timing
    assert timing.embed_ms >= 80
    assert timing.milvus_ms > 0
    assert timing.embed_ms + timing.milvus_ms + timing.app_ms == pytest.approx(timing.total_ms)


def request_for(operation: str, *, asynchronous: bool, lab: Connection) -> Request:
    return Request(
        operation=operation,
        asynchronous=asynchronous,
        query="open a file",
        vector=search.row_vector(lab, COLLECTION, "str.split"),
        expr='kind == "class"',
        fields=("pk", "kind"),
    )


@pytest.mark.parametrize("operation", METHODS)
def test_every_method_returns_the_same_rows_sync_and_async(
    lab: Connection, model: EmbeddingModel, operation: str
) -> None:
    answers = [
        search.call_method(
            lab, model, COLLECTION, request_for(operation, asynchronous=way, lab=lab)
        )
        for way in (False, True)
    ]
    assert answers[0].keys
    assert answers[0].keys == answers[1].keys
    assert [answer.request.method for answer in answers] == [operation, f"a{operation}"]


def test_a_lookup_by_metadata_brings_the_named_dynamic_fields_and_no_vector(
    lab: Connection, model: EmbeddingModel
) -> None:
    for asynchronous in (False, True):
        request = request_for("search_by_metadata", asynchronous=asynchronous, lab=lab)
        hits = search.call_method(lab, model, COLLECTION, request).hits
        assert len(hits) == 10
        assert all(hit.metadata == {"kind": "class"} and hit.text for hit in hits)
        assert request.fields == ("pk", "kind")


@pytest.mark.parametrize("operation", METHODS)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_method_answers_an_invalid_filter_with_an_empty_list(
    lab: Connection, model: EmbeddingModel, operation: str, asynchronous: bool
) -> None:
    request = Request(
        operation=operation,
        asynchronous=asynchronous,
        query="x",
        vector=(0.5,) * model.dimension,
        expr="kind == ",
    )
    with pytest.raises(InvalidInput, match="cannot use this filter"):
        search.call_method(lab, model, COLLECTION, request)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request("delete", expr="pk != ''"), "not a method of search"),
        (Request("get_pks"), "needs a filter"),
        (Request("search_by_metadata"), "needs a filter"),
        (Request("similarity_search"), "question is empty"),
        (Request("similarity_search_by_vector", vector=(1.0, 2.0)), "has 2 numbers"),
        (Request("max_marginal_relevance_search", query="x", lambda_mult=1.5), "λ"),
        (Request("search_by_metadata", expr="a == 1", limit=0), "limit"),
    ],
)
def test_a_call_that_cannot_be_made_is_one_clear_line(
    lab: Connection, model: EmbeddingModel, request_: Request, reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        search.call_method(lab, model, COLLECTION, request_)


@pytest.mark.parametrize(
    "text", ["[0.5, -1, 2e-3]", "0.5 -1 2e-3", "0.5,-1,\n2e-3", "0.5; -1; 2e-3"]
)
def test_a_pasted_vector_is_read_in_the_ways_people_write_it(text: str) -> None:
    assert search.parse_vector(text) == (0.5, -1.0, 0.002)


@pytest.mark.parametrize("text", ["hello", "[1, 2", "[1, [2]]", "1 2 nan", "[1, null]", "[1e999]"])
def test_what_is_no_vector_is_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidInput, match="vector"):
        search.parse_vector(text)


def test_a_pasted_vector_finds_the_row_it_was_taken_from(
    lab: Connection, model: EmbeddingModel
) -> None:
    pasted = json.dumps(search.row_vector(lab, COLLECTION, "shutil.rmtree"))
    request = Request("similarity_search_by_vector", vector=search.parse_vector(pasted), k=1)
    assert search.call_method(lab, model, COLLECTION, request).keys == ("shutil.rmtree",)


def test_every_metric_says_which_way_is_better() -> None:
    for name, better in {"COSINE": "higher", "IP": "higher", "L2": "lower"}.items():
        assert milvus_collections.metric_of(name).explanation.startswith(f"{better} is better")
    assert milvus_collections.metric_of("JACCARD").label == "JACCARD"


def test_made_queries_are_the_same_for_the_same_seed(
    lab: Connection, model: EmbeddingModel
) -> None:
    first, again, other = (
        search.sample_queries(lab, model, COLLECTION, 20, seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert len(set(first)) > 15


def test_a_row_deleted_between_search_and_vectors_is_said() -> None:
    class Store:
        """A store whose search brings no vectors and whose lookup misses a row."""

        collection_name = "x"

        class client:  # noqa: N801  # stands for the attribute
            @staticmethod
            def query(*_: Any, **__: Any) -> list[dict[str, Any]]:
                return [{"pk": "a", "vector": [1.0]}]

    described = [
        {"name": "pk", "type": DataType.VARCHAR, "is_primary": True},
        {"name": "vector", "type": DataType.FLOAT_VECTOR, "params": {"dim": 1}},
    ]
    schema = read_schema({"collection_name": "x", "fields": described}, [])
    rows = [{"pk": key, "entity": {}} for key in ("a", "b")]
    with pytest.raises(LabError, match="deleted"):
        search.vectors_of(Store(), schema, rows)  # type: ignore[arg-type]
    assert search.vectors_of(Store(), schema, rows[:1]) == [[1.0]]  # type: ignore[arg-type]


def test_a_vector_of_numpy_and_one_of_python_are_the_same_space() -> None:
    query, rows = [1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]]
    from_lists = mmr.space(query, rows)
    from_arrays = mmr.space(np.asarray(query), np.asarray(rows))
    assert np.array_equal(from_lists.similarity, from_arrays.similarity)


def test_a_filter_can_be_checked_right_after_a_store_was_opened_anew(
    again: Connection, model: EmbeddingModel
) -> None:
    assert milvus_collections.describe(again, COLLECTION).rows == 50
    milvus_collections.check_expression(again, COLLECTION, 'category == "cat_1"')
    assert milvus_collections.count(again, COLLECTION, 'category == "cat_1"') == 10
    assert len(search.row_vector(again, COLLECTION, "doc_3")) == model.dimension
