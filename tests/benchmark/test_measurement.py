"""A measurement in a worker: the terminal's code, stopped at once, and whatever ends it is said."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from lib.benchmark import measurement
from lib.benchmark.access import Access
from lib.errors import ConnectionFailed, LabError
from lib.jobs import Job, Jobs, State
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel, open_model
from lib.milvus.territory import Quota, ReadOnly
from lib.results import run_file
from lib.results.analysis import analyse
from lib.results.plan import Plan
from lib.results.trials import Run
from lib.runs.store import RunStore
from lib.settings import Settings
from lib.workers import host
from lib.workers.following import wait_for_cleaning
from lib.workers.supervised import Supervised
from lib.workers.work import Ended, OutOfMemory
from scripts.milvus_server import MilvusServer
from tests.territories import new_territory
from tests.waiting import PATIENCE_S, wait_until

SMALL = Plan(
    operations=("add_documents", "similarity_search", "delete"),
    strategies=("sync_loop", "gather"),
    counts=(5,),
    repeats=2,
    warmup=0,
    rows=30,
)
# It has a trial in milliseconds, and does not end by itself while a test looks at it.
LONG = replace(SMALL, operations=("similarity_search",), strategies=("sync_loop",), repeats=100)
SECRET_TOKEN, SECRET_KEY = "root:hush-hush-token", "sk-hush-hush-key"


@pytest.fixture
def settings(milvus_lite_uri: str) -> Settings:
    return Settings(milvus_uri=milvus_lite_uri, milvus_token=SECRET_TOKEN)


@pytest.fixture
def opened(settings: Settings) -> Iterator[Connection]:
    """A Milvus Lite in which each test leaves nothing."""
    connection = open_connection(settings)
    yield connection
    wait_for_cleaning()
    assert connection.collection_names() == []
    wait_until(lambda: not workers())
    connection.close()


def workers() -> list[psutil.Process]:
    """Return the workers that the host has, without the one of Milvus Lite."""
    lites = {each.pid for each in _lites()}
    family = psutil.Process(host.shared().pid).children() if host.shared().pid else []
    return [each for each in family if each.pid not in lites]


def _lites() -> list[Any]:
    return list(Supervised._running.values())


Started = Callable[..., Job]


@pytest.fixture
def started(opened: Connection, model: EmbeddingModel, settings: Settings) -> Started:
    """Start a plan in a worker as the page does, and wait until it has finished three trials."""

    def start(plan: Plan, most_mb: int = 0) -> Job:
        access = Access.of(settings, opened, model)
        job = Jobs().submit(
            "test",
            lambda job: measurement.apart(plan, access, job, opened, most_mb),
            subject="test",
        )
        wait_until(lambda: job.finished.is_set() or finished_trials(job) >= 3)
        return job

    return start


def finished_trials(job: Job) -> int:
    return len(job.result.trials) if isinstance(job.result, Run) else 0


def kept(job: Job) -> Run:
    """Return the partial run of a job that was ended, and see that it can be kept."""
    assert job.finished.wait(PATIENCE_S)
    assert isinstance(job.result, Run)
    assert job.result.partial
    assert len(job.result.trials) >= 3
    assert all(trial.verified for trial in job.result.trials[:3])
    assert run_file.read(run_file.to_json(job.result).encode()).trials
    return job.result


def test_the_page_and_the_terminal_make_the_same_trials_of_a_plan(
    opened: Connection, model: EmbeddingModel, settings: Settings
) -> None:
    plan = replace(SMALL, warmup=1)
    runs = [
        way(plan, Access.of(settings, opened, model), Job("test", "test"), opened)
        for way in (measurement.here, measurement.apart)
    ]
    made = [
        [(trial.cell, trial.repeat, trial.order, len(trial.calls)) for trial in run.trials]
        for run in runs
    ]
    assert made[0] == made[1]
    assert len(made[0]) == 3 * 2 * 2
    assert all(trial.verified for run in runs for trial in run.trials)
    assert runs[0].settings == runs[1].settings
    changing = {"time", "other_programs"}
    records = [
        {name: value for name, value in run.environment.items() if name not in changing}
        for run in runs
    ]
    assert records[0] == records[1]
    assert not any(run.partial or run.note for run in runs)


@pytest.mark.slow
def test_it_is_measured_in_a_worker_that_is_told_no_secret_by_its_start(
    settings: Settings, openai_endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", SECRET_TOKEN)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET_KEY)
    host.shared().end()  # the next one begins with these variables
    settings = replace(
        settings,
        embedding_provider="openai",
        openai_api_key=SECRET_KEY,
        openai_base_url=openai_endpoint.base_url,
        openai_model="any",
        owner_token="an-owner-s-token-of-some-length",
    )
    remote = open_model(settings)
    reopened = open_connection(settings)
    asked = openai_endpoint.requests
    plan, access = replace(LONG, embedding="openai"), Access.of(settings, reopened, remote)
    assert SECRET_TOKEN not in repr(access)
    assert SECRET_KEY not in repr(access)
    assert access.settings["owner_token"] == ""
    job = Jobs().submit(
        "test", lambda job: measurement.apart(plan, access, job, reopened), subject="test"
    )
    wait_until(lambda: finished_trials(job) >= 3)
    assert openai_endpoint.requests > asked  # the key went with them
    [worker] = workers()
    assert worker.pid != os.getpid()
    for process in (worker, psutil.Process(host.shared().pid)):
        for name in ("cmdline", "environ"):
            told = Path(f"/proc/{process.pid}/{name}").read_bytes()
            assert b"hush-hush" not in told
            assert b"owner-s-token" not in told
    job.cancel()
    assert kept(job).environment["embedding_label"] == "OpenAI-compatible: any"
    wait_for_cleaning()
    reopened.close()


def test_a_bundled_model_is_measured_without_the_key(settings: Settings) -> None:
    with_key = replace(settings, openai_api_key=SECRET_KEY)
    assert with_key.for_a_worker()["openai_api_key"] == ""
    again = Settings(**replace(with_key, embedding_provider="openai").for_a_worker())
    assert str(again.openai_api_key) == SECRET_KEY
    assert again.openai_api_key.address == with_key.openai_api_key.address
    assert {each.name for each in fields(Settings)} == set(with_key.for_a_worker())


@pytest.mark.alone
def test_a_stop_is_obeyed_within_a_second_while_a_call_hangs(
    opened: Connection, started: Started
) -> None:
    job = started(LONG)
    assert opened.lite is not None
    os.kill(opened.lite.served.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: stands_still(job))
        asked = time.monotonic()
        job.cancel()
        assert job.finished.wait(5)
        assert time.monotonic() - asked < 1
    finally:
        os.kill(opened.lite.served.pid, signal.SIGCONT)
    assert job.state is State.STOPPED
    assert job.error is None
    assert kept(job).note == "Stopped."


def stands_still(job: Job) -> bool:
    before = finished_trials(job)
    threading.Event().wait(0.3)
    return finished_trials(job) == before


def test_a_stop_during_the_setup_ends_with_an_empty_partial_run(
    opened: Connection, model: EmbeddingModel, settings: Settings
) -> None:
    access, job = Access.of(settings, opened, model), Job("test", "test")
    job.cancel()
    run = measurement.apart(LONG, access, job, opened)
    assert (run.partial, run.trials, run.note) == (True, (), "Stopped during the setup.")


@pytest.mark.parametrize("victim", ["worker", "host"])
def test_a_process_that_is_killed_is_said_and_the_finished_trials_are_kept(
    victim: str, started: Started
) -> None:
    job = started(LONG)
    [worker] = workers()
    os.kill(worker.pid if victim == "worker" else host.shared().pid, signal.SIGKILL)
    note = kept(job).note
    assert job.state is State.FAILED
    assert isinstance(job.error, Ended)
    assert (
        str(job.error)
        == note
        == (
            "The benchmark could not be finished: the process that did it was ended (SIGKILL). "
            "The trials finished before are kept. Try it again."
        )
    )


def test_a_milvus_lite_that_is_killed_ends_the_run_and_the_finished_trials_are_kept(
    opened: Connection, started: Started
) -> None:
    job = started(LONG)
    assert opened.lite is not None
    os.kill(opened.lite.served.pid, signal.SIGKILL)
    kept(job)
    assert isinstance(job.error, ConnectionFailed)
    assert "Milvus Lite ended (SIGKILL) and was started again" in str(job.error)
    assert "The trials finished before are kept." in str(job.error)


def test_more_memory_than_it_may_have_is_said(opened: Connection, started: Started) -> None:
    job = started(LONG, most_mb=1)
    assert job.finished.wait(PATIENCE_S)
    assert isinstance(job.error, OutOfMemory)
    assert str(job.error).startswith("The benchmark needs more than 1 MB to be finished. ")


def test_a_run_over_its_time_is_said_and_the_finished_trials_are_kept(started: Started) -> None:
    job = started(LONG)
    job.end_for(LabError("Stopped: a job may run 7 s here."))  # as the alarm of the jobs does
    run = kept(job)
    assert job.state is State.STOPPED
    assert run.note == str(job.error) == "Stopped: a job may run 7 s here."


def test_what_ends_in_the_worker_is_raised_here(
    opened: Connection, model: EmbeddingModel, settings: Settings
) -> None:
    nowhere = replace(SMALL, collection="nowhere", operations=("similarity_search",))
    asked = replace(nowhere, questions=tuple(f"{i}?" for i in range(5)))
    access = Access.of(settings, opened, model)
    with pytest.raises(LabError, match="nowhere"):
        measurement.apart(asked, access, Job("test", "test"), opened)


def test_between_two_trials_the_worker_waits_for_what_its_job_lets_go_first(
    opened: Connection, model: EmbeddingModel, settings: Settings
) -> None:
    job = Job("test", "test")
    asked: list[int] = []

    def give_way() -> bool:
        asked.append(finished_trials(job))
        return len(asked) in (2, 3)

    job.give_way = give_way
    run = measurement.apart(SMALL, Access.of(settings, opened, model), job, opened)
    # Asked before each of twelve trials but the first, when those before it have arrived here.
    assert asked == list(range(1, 12))
    assert run.environment["gave_way"] == 2
    assert analyse(run).warnings["Others went between or beside trials"]


def test_a_visitor_s_benchmark_writes_to_its_own_collection_and_to_no_other(
    opened: Connection, model: EmbeddingModel, settings: Settings
) -> None:
    territory = new_territory(3_600, Quota(0, 0))
    with opened.lease(territory) as view:
        access = Access.of(settings, view, model)
        assert access.scratch.startswith(territory.prefix)
        run = measurement.apart(SMALL, access, Job("test", "test"), view)
        assert len(run.trials) == 12
        assert all(trial.verified for trial in run.trials)
        foreign = replace(access, scratch="somebody_s")
        with pytest.raises(ReadOnly):
            measurement.apart(SMALL, foreign, Job("test", "test"), view)


def test_a_run_that_was_killed_is_kept_by_the_store_of_runs(
    opened: Connection, model: EmbeddingModel, settings: Settings, tmp_path: Path
) -> None:
    store = RunStore(tmp_path / "runs")
    job = measurement.queue(LONG, opened, model, settings=settings, store=store)
    wait_until(lambda: finished_trials(job) >= 3)
    [worker] = workers()
    worker.kill()
    kept(job)
    entry = store.get(job.id)
    assert entry is not None
    kept_trials = [(trial.cell, trial.repeat) for trial in entry.load().trials]
    assert kept_trials == [(trial.cell, trial.repeat) for trial in job.result.trials]
    assert entry.load().note == str(job.error)


@pytest.mark.alone
@pytest.mark.slow
def test_a_server_that_dies_is_said_within_ten_seconds(
    milvus_server_class: type[MilvusServer], model: EmbeddingModel, tmp_path: Path
) -> None:
    server = milvus_server_class(tmp_path / "server").start()
    try:
        settings = Settings(milvus_uri=server.uri)
        connection = open_connection(settings)
        access = Access.of(settings, connection, model)
        job = Jobs().submit(
            "test", lambda job: measurement.apart(LONG, access, job, connection), subject="test"
        )
        wait_until(lambda: finished_trials(job) >= 3)
        server.kill()
        killed = time.monotonic()
        assert "stopped answering" in kept(job).note
        assert time.monotonic() - killed < 10
        assert isinstance(job.error, ConnectionFailed)
        wait_until(lambda: not workers())
        connection.close()
    finally:
        server.kill()
