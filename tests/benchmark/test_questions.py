"""Questions to a collection that exists: it stays as it is, and a retriever is measured."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lib.benchmark import workspace
from lib.benchmark.command import main
from lib.benchmark.runner import run
from lib.documents.corpora import CORPORA
from lib.errors import InvalidInput, LabError
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.jobs import Jobs, State
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel
from lib.results.plan import Plan
from lib.results.run_file import read
from lib.results.trials import Trial
from lib.settings import load

COLLECTION = "questions_under_test"
QUESTIONS = tuple(f"test document {i}" for i in range(12))
RETRIEVER = ("retriever_invoke", "retriever_batch", "retriever_ainvoke", "retriever_abatch")
PLAN = Plan(
    operations=("similarity_search",),
    strategies=("sync_loop", *RETRIEVER),
    counts=(len(QUESTIONS),),
    concurrency=(4,),
    repeats=1,
    warmup=0,
    collection=COLLECTION,
    questions=QUESTIONS,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, model: EmbeddingModel) -> Path:
    """An embedded store with sixty rows."""
    path = tmp_path_factory.mktemp("questions") / "lab.db"
    connection = open_connection(load({"MILVUS_URI": str(path)}))
    documents = CORPORA["tutorial"].documents(60, 0)
    ingest(connection, model, documents, IngestionPlan(collection=COLLECTION))
    connection.close()
    return path


@pytest.fixture
def lab(path: Path) -> Iterator[Connection]:
    connection = open_connection(load({"MILVUS_URI": str(path)}))
    yield connection
    connection.close()


@pytest.mark.parametrize("operation", ["similarity_search", "max_marginal_relevance_search"])
def test_every_way_of_a_retriever_finds_the_right_rows_and_tells_embedding_from_milvus(
    lab: Connection, model: EmbeddingModel, operation: str
) -> None:
    plan = replace(PLAN, operations=(operation,), embedding_latency_ms=20.0)
    trials = run(plan, lab, model).trials
    assert {trial.strategy for trial in trials} == set(PLAN.strategies)
    said = "12 of 12 answered; recall 1.000, 0.5 asked for"
    assert {trial.verification for trial in trials} == {said}
    assert {trial.recall for trial in trials} == {1.0}
    for trial in trials:
        for call in trial.calls:
            assert 0.02 <= call.embed_s < call.duration_s
    flying = {trial.strategy: most_in_flight(trial) for trial in trials}
    assert flying == dict.fromkeys(("sync_loop", "retriever_invoke"), 1) | dict.fromkeys(
        RETRIEVER[1:], 4
    )


def test_a_collection_that_is_too_large_to_read_is_judged_by_its_own_first_answers(
    lab: Connection, model: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "MOST_VECTOR_BYTES", 59 * 4 * 256)
    operations = ("similarity_search_by_vector", "max_marginal_relevance_search")
    finished = run(replace(PLAN, operations=operations, strategies=("sync_loop",)), lab, model)
    assert {trial.verification for trial in finished.trials} == {
        "12 of 12 answered; recall 1.000, 0.5 asked for"
    }
    assert finished.environment["answers"] == (
        "by recall, at least 0.5, of Milvus's own first answers: 60 rows of 256 dimensions are too "
        "many"
    )


def test_rows_that_are_read_in_many_pages_are_all_there(
    lab: Connection, model: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "PAGE_BYTES", 7 * 4 * 256)  # 7 rows a page, and 4 in the last
    finished = run(replace(PLAN, strategies=("sync_loop",), least_recall=1.0), lab, model)
    assert [trial.recall for trial in finished.trials] == [1.0]
    assert finished.environment["answers"] == "by recall, at least 1, of the exact rows"


@pytest.mark.parametrize("strategy", [*RETRIEVER, "sync_loop", "thread_pool", "gather_limited"])
def test_each_way_can_be_timed_and_keeps_its_calls_in_flight(
    lab: Connection, model: EmbeddingModel, strategy: str
) -> None:
    plan = replace(
        PLAN, strategies=(strategy,), seconds=2.0, concurrency=(3,), embedding_latency_ms=50.0
    )
    (trial,) = run(plan, lab, model).trials
    assert trial.verified
    assert trial.recall == 1.0
    assert trial.rows == len(trial.calls) > 5
    assert max(call.start_s for call in trial.calls) < 2.0 <= trial.wall_s
    limit = trial.concurrency or 1
    assert most_in_flight(trial) == limit
    assert trial.in_flight > 0.8 * limit


def most_in_flight(trial: Trial) -> int:
    return max(
        sum(other.start_s <= call.start_s < other.end_s for other in trial.calls)
        for call in trial.calls
    )


def test_the_collection_is_as_before_and_stays(lab: Connection, model: EmbeddingModel) -> None:
    plan = replace(
        PLAN,
        operations=("similarity_search_with_score",),
        strategies=("sync_loop", "gather_limited", "one_batch"),
    )
    finished = run(plan, lab, model)
    assert all(trial.verified for trial in finished.trials)
    assert len(finished.trials) == 3
    assert finished.environment["rows"] == 60
    assert lab.client.list_collections() == [COLLECTION]
    assert milvus_collections.count(lab, COLLECTION) == 60


@pytest.mark.alone
@pytest.mark.parametrize("strategy", RETRIEVER)
def test_stop_ends_each_way_of_a_retriever_within_a_second_as_a_stop(
    lab: Connection, model: EmbeddingModel, strategy: str
) -> None:
    plan = replace(
        PLAN,
        strategies=(strategy,),
        questions=QUESTIONS * 5,
        counts=(60,),
        concurrency=(1,),
        embedding_latency_ms=300.0,
    )
    job = Jobs().submit("questions", lambda job: run(plan, lab, model, job=job), subject="test")
    while not job.progress.done:  # 60 calls of 300 ms take 18 s
        assert not job.finished.wait(0.02)
    job.cancel()
    assert job.finished.wait(1.5)
    assert (job.state, job.error) == (State.STOPPED, None)
    assert job.result.partial


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"questions": ()}, "go together"),
        ({"collection": ""}, "go together"),
        ({"operations": ("add_texts",)}, "add_texts is no search"),
        ({"operations": ("get_pks",), "strategies": ("gather",)}, "get_pks is no search"),
        ({"questions": ("x", " ")}, "1 to 10,000 characters"),
        ({"questions": ("x" * 10_001,)}, "1 to 10,000 characters"),
        (
            {"operations": ("similarity_search_by_vector",), "strategies": RETRIEVER},
            "cannot issue similarity_search_by_vector",
        ),
    ],
)
def test_questions_that_cannot_be_asked_are_refused_in_one_line(
    change: dict[str, tuple[str, ...]], reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        replace(PLAN, **change).check()


def test_a_collection_that_does_not_exist_is_named(lab: Connection, model: EmbeddingModel) -> None:
    with pytest.raises(LabError, match="nowhere"):
        run(replace(PLAN, collection="nowhere"), lab, model)


def test_the_terminal_asks_the_questions_of_a_file(path: Path, tmp_path: Path) -> None:
    questions, output = tmp_path / "questions.txt", tmp_path / "run.json"
    questions.write_text("\n\n".join(QUESTIONS), encoding="utf-8")
    command = (
        f"--uri {path} --operations similarity_search --strategies sync_loop,retriever_abatch "
        f"--repeats 1 --collection {COLLECTION} --questions {questions} --output {output}"
    )
    assert main(command.split()) == 0
    kept = read(output)
    assert kept.settings["questions"] == list(QUESTIONS)
    assert {trial.count for trial in kept.trials} == {12}
    assert f"--collection {COLLECTION} --questions questions.txt" in kept.settings["command"]
