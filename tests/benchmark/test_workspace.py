"""The workspace: starting rows, checks by effect, and what a remote provider's noise may change."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings

from lib.benchmark.recorder import NO_EFFECT, OTHER_ROWS, Recorder
from lib.benchmark.runner import run
from lib.benchmark.strategies import STRATEGIES, keeper, trial_arguments
from lib.benchmark.workload import Plan
from lib.benchmark.workspace import MilvusWorkspace
from lib.milvus import collections as milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import ByDocuments, EmbeddingModel, TimedEmbeddings, open_model
from lib.milvus.operations import OPERATIONS, Effect
from lib.settings import Settings

PLAN = Plan(operations=tuple(OPERATIONS), counts=(3,), rows=20, warmup=0, repeats=1)


@pytest.fixture
def lite(milvus_lite_uri: str) -> Iterator[Connection]:
    """Milvus Lite."""
    opened = open_connection(Settings(milvus_uri=milvus_lite_uri))
    yield opened
    opened.close()


@pytest.fixture
def model() -> EmbeddingModel:
    """The bundled model."""
    return open_model(Settings(milvus_uri="unused.db"))


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
    assert workspace.check(trial) == {0: NO_EFFECT, 2: NO_EFFECT}
    workspace.restore(trial)
    workspace.release(trial)
    workspace.prepare(trial.operation, 3)  # raises unless the starting rows are back
    assert set(workspace.check(recorder(workspace, name))) == {0, 1, 2}


def test_rows_come_back_exactly_as_they_were(workspace: MilvusWorkspace, lite: Connection) -> None:
    def rows() -> list[dict[str, Any]]:
        found = lite.client.query(workspace.name, filter="", output_fields=["*"], limit=100)
        return sorted(found, key=lambda row: str(row["pk"]))

    before = rows()
    for name in ("delete", "upsert", "add_documents"):
        trial = recorder(workspace, name)
        for i in range(3):
            trial.call(i)
        assert workspace.check(trial) == {}
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
    assert workspace.check(trial) == {}
    trial.results[1] = ("doc_19", *trial.results[1][1:])
    trial.results[2] = ()
    assert workspace.check(trial) == {1: OTHER_ROWS, 2: OTHER_ROWS}


def test_a_batch_that_answers_one_question_wrong_is_found(workspace: MilvusWorkspace) -> None:
    trial = recorder(workspace, "similarity_search", "one_batch")
    workspace.prepare(trial.operation, 3)
    STRATEGIES["one_batch"].execute(trial)
    assert workspace.check(trial) == {}
    trial.results[0][2] = tuple(reversed(trial.results[0][2]))
    assert workspace.check(trial) == {2: OTHER_ROWS}
    trial.results[0] = trial.results[0][:2]
    assert workspace.check(trial) == dict.fromkeys(range(3), OTHER_ROWS)


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
