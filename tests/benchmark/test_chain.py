"""A RAG chain over HTTP: what async saves is predicted from the loop, and what it found checked."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lib.benchmark import measurement
from lib.benchmark.access import Access
from lib.benchmark.answers import OTHER_ROWS
from lib.benchmark.chain import ChainWorkspace
from lib.benchmark.command import main
from lib.benchmark.runner import run_in
from lib.benchmark.workspace import MilvusWorkspace
from lib.errors import InvalidInput
from lib.jobs import Job, Jobs
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import open_model
from lib.results import run_file
from lib.results.analysis import analyse
from lib.results.plan import PRESETS, Plan
from lib.results.trials import Run
from lib.settings import Settings
from lib.workers import host
from lib.workers.following import wait_for_cleaning
from tests.waiting import PATIENCE_S, wait_until

PLAN = replace(PRESETS["chain"].plan, rows=20, warmup=0, repeats=1, counts=(1, 10))
TRY_FOR_S = 120


@pytest.fixture
def connection(milvus_lite_uri: str) -> Iterator[Connection]:
    """Milvus Lite."""
    opened = open_connection(Settings(milvus_uri=milvus_lite_uri))
    yield opened
    opened.close()


def measured(plan: Plan, connection: Connection, first_token_s: float, answer_s: float) -> Run:
    model = open_model(Settings(milvus_uri="unused.db"))
    workspace = ChainWorkspace(MilvusWorkspace(plan, connection, model), first_token_s, answer_s)
    try:
        made = run_in(plan, workspace, job=Job("chain", "chain"))
        # As a run that is kept says it.
        facts = workspace.facts() | {"simulated_latency_ms": plan.embedding_latency_ms}
        return replace(made, environment=made.environment | facts)
    finally:
        workspace.close()


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(
    ("embedding_ms", "first_token_s", "answer_s"),
    [(100, 0.05, 0.2), (0, 0.1, 0.4), (250, 0.01, 0.02)],
)
def test_what_async_saves_of_a_chain_is_what_the_loop_alone_predicts(
    connection: Connection, embedding_ms: float, first_token_s: float, answer_s: float
) -> None:
    plan = replace(
        PLAN,
        strategies=("sync_loop", "gather"),
        counts=(10,),
        warmup=1,  # what the first chain of a process loads is no part of it
        embedding_latency_ms=embedding_ms,
    )
    deadline = time.monotonic() + TRY_FOR_S
    while True:
        verdict = analyse(measured(plan, connection, first_token_s, answer_s)).chain
        assert verdict is not None
        [ten] = verdict.levels
        # Nobody waits less for a first token than the chat model and the embedding take.
        least_s = first_token_s + embedding_ms / 1000
        assert all(way.first_token_s >= least_s for way in ten.ways)
        # In the loop half of them wait for four answers before.
        assert ten.waited("sync_loop").first_token_s >= 4 * (answer_s + embedding_ms / 1000)
        if abs(ten.saved - ten.predicted) <= 0.05 or time.monotonic() > deadline:
            break
    assert ten.saved == pytest.approx(ten.predicted, abs=0.05)


@pytest.mark.slow
def test_the_preset_runs_from_the_terminal_and_its_file_holds_the_first_tokens(
    milvus_lite_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run.json"
    words = ["--preset", "chain", "--counts", "1,3", "--repeats", "1", "--warmup", "0"]
    words += ["--rows", "20", "--embedding-latency-ms", "0", "--uri", milvus_lite_uri]
    assert main([*words, "--output", str(output)]) == 0
    run = run_file.read(output)
    verdict = analyse(run).chain
    assert verdict is not None
    assert [level.askers for level in verdict.levels] == [1, 3]
    assert verdict.sentence in capsys.readouterr().err
    assert run.environment["chat_first_ms"] == 200
    for trial in run.trials:
        assert len(trial.first_token_s) == trial.count == trial.rows
        assert all(0.2 <= each < trial.wall_s for each in trial.first_token_s)
    assert run.settings["experiment"] == "chain"


@pytest.mark.slow
def test_in_a_page_s_worker_the_chat_ends_with_the_measurement(connection: Connection) -> None:
    settings = Settings(milvus_uri=str(connection.lite.path if connection.lite else ""))
    model = open_model(settings)
    plan = replace(PLAN, counts=(2,), repeats=50, embedding_latency_ms=0.0)
    access = Access.of(settings, connection, model)
    before = set(processes())

    def work(job: Job) -> Run:
        return measurement.apart(plan, access, job, connection)

    job = Jobs().submit("test", work, subject="test")
    wait_until(lambda: isinstance(job.result, Run) and len(job.result.trials) >= 3)
    assert len(set(processes()) - before) >= 2  # who measures, and the chat
    job.cancel()
    assert job.finished.wait(PATIENCE_S)
    assert all(trial.verified for trial in job.result.trials)
    wait_for_cleaning()
    wait_until(lambda: set(processes()) <= before)


def processes() -> list[psutil.Process]:
    """Return the processes that the host of the workers began, and those that they began."""
    pid = host.shared().pid
    return psutil.Process(pid).children(recursive=True) if pid else []


def test_other_rows_than_asked_for_void_a_chain_s_trial(connection: Connection) -> None:
    plan = replace(PLAN, strategies=("sync_loop",), counts=(2,), embedding_latency_ms=0.0)
    model = open_model(Settings(milvus_uri="unused.db"))
    workspace = ChainWorkspace(MilvusWorkspace(plan, connection, model), 0.0, 0.0)
    ask = workspace.store.similarity_search
    workspace.store.similarity_search = lambda query, k: ask(query, k)[1:]  # type: ignore[method-assign]
    try:
        [trial] = run_in(plan, workspace, job=Job("chain", "chain")).trials
    finally:
        workspace.close()
    assert not trial.verified
    assert {call.error for call in trial.calls} == {OTHER_ROWS}


@pytest.mark.parametrize(
    "changes",
    [
        {"operations": ("add_texts",)},
        {"strategies": ("one_batch",)},
        {"seconds": 2.0},
        {"strategies": ("sync_loop", "chain_abatch"), "experiment": "compare"},
    ],
)
def test_what_no_chain_can_be_asked_is_one_sentence(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=r"chain"):
        replace(PLAN, **changes).check()  # type: ignore[arg-type]
