"""The workspace: starting rows, checks by effect, and what a remote provider's noise may change."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings

from lib.benchmark import workspace as workspace_module
from lib.benchmark.answers import OTHER_ROWS
from lib.benchmark.recorder import NO_EFFECT, Recorder
from lib.benchmark.runner import run
from lib.benchmark.strategies import STRATEGIES, keeper, trial_arguments
from lib.benchmark.workspace import MilvusWorkspace
from lib.errors import InvalidInput, OperationFailed
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import ByDocuments, EmbeddingModel, TimedEmbeddings
from lib.milvus.operations import OPERATIONS
from lib.results.catalogue import Effect
from lib.results.plan import Plan
from lib.settings import Settings
from scripts.milvus_server import MilvusServer

PLAN = Plan(operations=tuple(OPERATIONS), counts=(3,), rows=20, warmup=0, repeats=1)


@pytest.fixture
def lite(milvus_lite_uri: str) -> Iterator[Connection]:
    """Milvus Lite."""
    opened = open_connection(Settings(milvus_uri=milvus_lite_uri))
    yield opened
    opened.close()


@pytest.fixture(params=["lite", "server"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Each backend in turn."""
    fixture = {"lite": "milvus_lite_uri", "server": "milvus_server"}[request.param]
    target = request.getfixturevalue(fixture)
    opened = open_connection(Settings(milvus_uri=getattr(target, "uri", target)))
    yield opened
    opened.close()


@pytest.fixture
def workspace(lite: Connection, model: EmbeddingModel) -> Iterator[MilvusWorkspace]:
    """A workspace of twenty rows."""
    opened = MilvusWorkspace(PLAN, lite, model)
    yield opened
    opened.close()
    assert lite.client.list_collections() == []


def recorder(workspace: MilvusWorkspace, name: str, strategy: str = "sync_loop") -> Recorder:
    operation, how = OPERATIONS[name], STRATEGIES[strategy]
    return Recorder(
        operation,
        workspace.store,
        1 if how.is_batch else 3,
        trial_arguments(how, operation, workspace.inputs, 3),
        count=3,
        rows_a_call=3 if how.is_batch else 1,
        in_one_call=how.is_batch,
        concurrency=1,
        keep=keeper(how, operation),
    )


@pytest.mark.parametrize("name", [n for n, o in OPERATIONS.items() if o.effect is not Effect.READS])
def test_a_write_that_was_not_made_is_found_missing_row_by_row(
    name: str, workspace: MilvusWorkspace
) -> None:
    trial = recorder(workspace, name)
    workspace.prepare(trial.operation, 3)
    trial.call(1)
    assert workspace.check(trial).wrong == {0: NO_EFFECT, 2: NO_EFFECT}
    workspace.restore(trial)
    workspace.release(trial)
    workspace.prepare(trial.operation, 3)  # raises unless the starting rows are back
    assert set(workspace.check(recorder(workspace, name)).wrong) == {0, 1, 2}


def test_rows_come_back_exactly_as_they_were(workspace: MilvusWorkspace, lite: Connection) -> None:
    def rows() -> list[dict[str, Any]]:
        found = lite.client.query(workspace.name, filter="", output_fields=["*"], limit=100)
        return sorted(found, key=lambda row: str(row["pk"]))

    before = rows()
    for name in ("delete", "upsert", "add_documents"):
        trial = recorder(workspace, name)
        for i in range(3):
            trial.call(i)
        assert workspace.check(trial).wrong == {}
        assert rows() != before
        workspace.restore(trial)
        after = rows()
        assert [row["text"] for row in after] == [row["text"] for row in before]
        assert [row["vector"] for row in after] == [row["vector"] for row in before]
        assert [row["score"] for row in after] == [row["score"] for row in before]


@pytest.mark.parametrize("name", [n for n, o in OPERATIONS.items() if o.effect is Effect.READS])
def test_a_read_that_returns_other_rows_is_found(name: str, workspace: MilvusWorkspace) -> None:
    trial = recorder(workspace, name)
    workspace.prepare(trial.operation, 3)
    for i in range(3):
        trial.call(i)
    assert workspace.check(trial).wrong == {}
    trial.results[1] = ("doc_19", *trial.results[1][1:])
    trial.results[2] = ()
    assert workspace.check(trial).wrong == {1: OTHER_ROWS, 2: OTHER_ROWS}


def test_a_batch_that_answers_one_question_wrong_is_found(workspace: MilvusWorkspace) -> None:
    trial = recorder(workspace, "similarity_search", "one_batch")
    workspace.prepare(trial.operation, 3)
    STRATEGIES["one_batch"].execute(trial)
    assert workspace.check(trial).wrong == {}
    trial.results[0][2] = tuple(reversed(trial.results[0][2]))
    assert workspace.check(trial).wrong == {2: OTHER_ROWS}
    trial.results[0] = trial.results[0][:2]
    assert workspace.check(trial).wrong == dict.fromkeys(range(3), OTHER_ROWS)


@pytest.mark.parametrize(
    "name", [name for name, operation in OPERATIONS.items() if operation.searches]
)
def test_what_is_right_is_computed_and_not_asked_of_the_store(
    name: str, workspace: MilvusWorkspace
) -> None:
    """A store that answers wrongly from the first question on is found out."""
    vectors = list(workspace._vectors.values())
    for i, document in enumerate(workspace.inputs.existing):
        workspace._vectors[str(document.id)] = vectors[(7 * i + 1) % len(vectors)]
    workspace._upsert(workspace.inputs.existing)
    trial = recorder(workspace, name)
    workspace.prepare(trial.operation, 3)
    for i in range(3):
        trial.call(i)
    assert workspace.check(trial).wrong == dict.fromkeys(range(3), OTHER_ROWS)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_question_and_many_can_be_asked_in_one_batch(
    count: int, lite: Connection, model: EmbeddingModel
) -> None:
    searches = tuple(name for name, one in OPERATIONS.items() if one.searches and not one.is_mmr)
    plan = replace(PLAN, operations=searches, strategies=("one_batch",), counts=(count,))
    for trial in run(plan, lite, model).trials:
        assert trial.verification == f"{count} of {count} as expected"
        assert trial.rows == count


BY_VECTOR = ("similarity_search_by_vector", "max_marginal_relevance_search_by_vector")


@pytest.mark.parametrize("least", [0.0, 1.0])
def test_an_index_that_is_not_exact_is_judged_by_recall(
    least: float, lite: Connection, model: EmbeddingModel
) -> None:
    # Of 128 lists with few rows in each, ten are looked at.
    plan = replace(PLAN, operations=BY_VECTOR, strategies=("sync_loop",), counts=(50,), rows=500)
    finished = run(replace(plan, index="IVF_FLAT", least_recall=least), lite, model)
    assert finished.environment["index_type"] == "IVF_FLAT"
    assert finished.environment["answers"] == f"by recall, at least {least:g}, of the exact rows"
    assert finished.settings["index"] == "IVF_FLAT"
    assert f"--index IVF_FLAT --least-recall {least:g}" in finished.settings["command"]
    for trial in finished.trials:
        assert trial.recall is not None
        assert 0.2 < trial.recall < 1
        if least:
            assert not trial.verified
            assert OTHER_ROWS in trial.verification
            assert f"recall {trial.recall:.3f}, below the 1 asked for" in trial.verification
            assert 0 < trial.rows < 50
        else:
            said = f"50 of 50 answered; recall {trial.recall:.3f}, 0 asked for"
            assert (trial.verified, trial.verification, trial.rows) == (True, said, 50)


def test_a_benchmark_s_own_index_is_exact_and_its_answers_are_compared_row_by_row(
    connection: Connection, model: EmbeddingModel
) -> None:
    plan = replace(PLAN, operations=BY_VECTOR, strategies=("sync_loop",), counts=(50,), rows=300)
    finished = run(plan, connection, model)
    assert finished.environment["index_type"] == ("IVF_FLAT" if connection.is_lite else "FLAT")
    assert finished.environment["answers"].startswith("each compared with the exact rows")
    for trial in finished.trials:
        assert (trial.verification, trial.recall) == ("50 of 50 as expected", None)


def test_an_index_that_the_backend_does_not_have_is_refused(
    lite: Connection, model: EmbeddingModel
) -> None:
    with pytest.raises(InvalidInput, match="has no index 'SCANN'"):
        run(replace(PLAN, index="SCANN", operations=BY_VECTOR), lite, model)
    assert lite.client.list_collections() == []


def test_an_index_that_a_server_does_not_build_in_time_is_not_measured(
    milvus_server: MilvusServer, model: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace_module, "INDEX_TIMEOUT_S", 0.0)
    connection = open_connection(Settings(milvus_uri=milvus_server.uri))
    plan = replace(PLAN, operations=BY_VECTOR, index="HNSW", rows=9_973)
    try:
        with pytest.raises(OperationFailed, match=r"not built within 0 s: [\d,]+ rows wait for it"):
            run(plan, connection, model)
    finally:
        connection.close()


class Noisy(ByDocuments):
    """Another provider's vectors, a little different each time, as remote services give them."""

    def __init__(self, inner: Embeddings, noise: float) -> None:
        self._inner = inner
        self._noise = noise
        self._dice = random.Random(1)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed and add noise."""
        return [
            [value + self._dice.gauss(0, self._noise) for value in vector]
            for vector in self._inner.embed_documents(texts)
        ]


def test_the_noise_of_a_remote_provider_is_no_failure_but_a_wrong_answer_is(
    lite: Connection, model: EmbeddingModel
) -> None:
    searches = ("similarity_search", "max_marginal_relevance_search")
    plan = replace(PLAN, operations=searches, counts=(30,), rows=300, embedding="openai")

    def verified(noise: float) -> list[bool]:
        noisy = replace(model, embeddings=TimedEmbeddings(Noisy(model.embeddings, noise)))
        trials = run(plan, lite, noisy).trials
        return [trial.verified for trial in trials if trial.operation == "similarity_search"]

    assert verified(0.0005) == [True, True]
    assert verified(0.3) == [False, False]


def test_the_bundled_model_gets_no_such_allowance(lite: Connection, model: EmbeddingModel) -> None:
    plan = replace(PLAN, operations=("similarity_search",), counts=(50,), rows=300)
    noisy = replace(model, embeddings=TimedEmbeddings(Noisy(model.embeddings, 0.01)))
    assert [trial.verified for trial in run(plan, lite, noisy).trials] == [False, False]


def test_a_workspace_that_cannot_be_filled_leaves_no_collection(
    lite: Connection, model: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(MilvusWorkspace, "_insert", fail)
    with pytest.raises(RuntimeError, match="no"):
        MilvusWorkspace(PLAN, lite, model)
    assert lite.client.list_collections() == []
    assert not milvus_collections.exists(lite, "lab_bench")
