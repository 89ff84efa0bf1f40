"""The experiment "service": known searches give known figures, and whatever ends it is said."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psutil
import pytest

from lib.benchmark import measurement
from lib.benchmark.access import Access
from lib.benchmark.answers import OTHER_ROWS, Checked
from lib.benchmark.processors import Others
from lib.benchmark.recorder import Recorder
from lib.benchmark.runner import run, run_in
from lib.benchmark.service.client import HOST
from lib.benchmark.service.neighbour import PING_EVERY_S
from lib.benchmark.service.served import Served, ServedWorkspace
from lib.benchmark.workspace import Workspace
from lib.errors import InvalidInput, LabError, OperationFailed
from lib.jobs import Job, Jobs
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.milvus.operations import Inputs
from lib.results.catalogue import SERVED_WAYS
from lib.results.plan import Plan
from lib.results.summaries import QUIET_SHARE, neighbour_s, summarise
from lib.results.trials import SERVICE, Run, Trial
from lib.settings import Settings
from lib.workers import host
from lib.workers.following import wait_for_cleaning
from lib.workers.work import Ended
from scripts.milvus_server import MilvusServer
from tests.benchmark.service_stubs import KEYS, SEARCH_S, open_stub
from tests.waiting import wait_until

USERS, AT_ONCE = 10, 4
PLAN = Plan(
    operations=("similarity_search",),
    strategies=SERVED_WAYS,
    concurrency=(USERS,),
    seconds=1.2,
    repeats=1,
    warmup=0,
    experiment=SERVICE,
)
AWAITED = replace(PLAN, strategies=("service_async",), seconds=0.4)
TRIES = 5


class Inside(Workspace):
    """Questions, and a check of the keys that come back."""

    inputs = Inputs(new=(), new_vectors=(), existing=(), queries=("a", "b"), query_vectors=())

    def check(self, recorder: Recorder) -> Checked:
        return Checked(
            {i: OTHER_ROWS for i, keys in enumerate(recorder.results) if keys not in (None, KEYS)}
        )


@contextlib.contextmanager
def served(kind: str, **options: Any) -> Iterator[Served]:
    service = Served(open_stub, kind, *options.values())
    yield service
    service.close()


@pytest.fixture(scope="module")
def asleep() -> Iterator[Served]:
    with served("Asleep", port=0, limit=AT_ONCE) as service:
        yield service


@pytest.fixture(scope="module")
def holding() -> Iterator[Served]:
    with served("Holding", port=0, limit=AT_ONCE) as service:
        yield service


def measured(plan: Plan, service: Served) -> Run:
    return run_in(plan, ServedWorkspace(Inside(), service, 7), job=Job("test", "test"))


def check(plan: Plan, service: Served, under_way: int, waits_s: float) -> Trial:
    """See that a plan's one trial gives what follows from users and time, and return it.

    A busy machine takes time from whoever is served. So no trial may give more than what follows,
    and one of those beside which other programs took little gives it within 5 and 10 %.
    """
    quiet = []
    for _ in range(TRIES):
        others = Others(*map(psutil.Process, service.pids))
        with others.watched():
            (trial,) = measured(plan, service).trials
        assert trial.verified or trial.is_void, trial.verification
        (cell,) = summarise([replace(trial, verified=True)])
        per_s, waited_s = cell.throughput_per_s or 0.0, neighbour_s(trial)
        # Little's law, whatever the machine does.
        mean_s = sum(call.duration_s for call in trial.calls) / len(trial.calls)
        assert per_s * mean_s == pytest.approx(USERS, rel=0.2)
        # No more searches are done than can be under way, and a request costs a processor something
        # beside its search, of the loop or of whoever asks.
        assert per_s <= 1.05 * under_way / SEARCH_S
        costs_s = trial.served_cpu_s + (trial.cpu_s if under_way > 1 else 0.0)
        share = per_s * (SEARCH_S + costs_s / (len(trial.calls) + len(trial.pings))) / under_way
        assert waited_s >= 0.9 * waits_s
        if others.share is not None and others.share < QUIET_SHARE and not trial.is_void:
            quiet.append((share, waited_s))
            if share >= 0.95 and waited_s <= (1.1 * waits_s or SEARCH_S / 2):
                return trial
    assert not quiet
    return trial


THREADS = min(32, (os.cpu_count() or 1) + 4)
# How many searches a service that sleeps has under way in each style, of 10 users.
UNDER_WAY = {
    "service_blocking": 1,
    "service_def": USERS,
    "service_to_thread": min(THREADS, USERS),
    "service_async": USERS,
    "service_limited": AT_ONCE,
}


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("style", SERVED_WAYS)
def test_a_search_that_sleeps_gives_what_follows_from_users_and_time(
    style: str, asleep: Served
) -> None:
    # Whoever holds the loop keeps all users before the neighbour, and nobody else keeps it.
    waits_s = USERS * SEARCH_S if style == "service_blocking" else 0.0
    trial = check(replace(PLAN, strategies=(style,)), asleep, UNDER_WAY[style], waits_s)
    assert len(trial.pings) == pytest.approx(PLAN.seconds / PING_EVERY_S, abs=1)
    makes_sync_calls = UNDER_WAY[style] if style not in ("service_async", "service_limited") else 0
    # The framework gives some threads up for new ones.
    most = 40 if style == "service_def" else makes_sync_calls
    assert makes_sync_calls <= trial.served_threads <= most
    assert 20 < trial.served_mb < 1_000
    assert 0 < trial.served_cpu_s < trial.wall_s


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("style", ["service_async", "service_limited"])
def test_an_async_search_that_holds_the_loop_lets_the_neighbour_wait(
    style: str, holding: Served
) -> None:
    check(replace(PLAN, strategies=(style,)), holding, 1, USERS * SEARCH_S)


def test_a_wrong_row_voids_the_trial() -> None:
    with served("Wrong") as service:
        (trial,) = measured(AWAITED, service).trials
    assert not trial.verified
    assert "1 of" in trial.verification
    assert OTHER_ROWS in trial.verification
    (cell,) = summarise([trial])
    assert (cell.failed_trials, cell.throughput_per_s, cell.neighbour_ms) == (1, None, None)


def test_a_search_that_fails_is_counted_by_its_kind_and_tells_no_address() -> None:
    with served("Failing") as service:
        (trial,) = measured(AWAITED, service).trials
    failed = [call for call in trial.calls if not call.ok]
    assert len(failed) == pytest.approx(len(trial.calls) / 2, abs=USERS)
    assert {call.error for call in failed} == {"ConnectionResetError: … hung up"}
    assert all(ping.ok for ping in trial.pings)


def test_a_port_that_is_taken_is_said_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"The port {port} for the search service is taken"):
            Served(open_stub, "Asleep", port)


def test_too_little_memory_is_said_before_anything_is_started() -> None:
    with pytest.raises(
        OperationFailed, match=r"needs about 1,000,000,000 MB of memory, and [0-9,]+ MB"
    ):
        Served(open_stub, "Asleep", needs_mb=10**9)


@pytest.fixture
def begun() -> Iterator[Any]:
    """Begin a trial of a kind in a thread; give its job, the thread and what was raised."""
    services: list[Served] = []

    def begin(kind: str, style: str) -> tuple[Served, Job, threading.Thread, list[LabError]]:
        service, job, raised = Served(open_stub, kind), Job("test", "test"), []
        services.append(service)
        plan = replace(PLAN, strategies=(style,), seconds=30.0)
        workspace = ServedWorkspace(Inside(), service, 7)

        def work() -> None:
            try:
                run_in(plan, workspace, job=job)
            except LabError as error:
                raised.append(error)
            finally:
                workspace.close()

        thread = threading.Thread(target=work)
        thread.start()
        wait_until(lambda: job.progress.message)
        time.sleep(0.4)  # the users have asked
        return service, job, thread, raised

    yield begin
    for service in services:
        service.close()


@pytest.mark.parametrize("who", ["The search service", "The service's neighbour"])
def test_a_process_that_dies_ends_the_run_with_one_sentence(who: str, begun: Any) -> None:
    service, job, thread, raised = begun("Asleep", "service_async")
    pids = dict(zip(["The search service", "The service's neighbour"], service.pids, strict=True))
    os.kill(pids[who], signal.SIGKILL)
    thread.join(5)
    assert not thread.is_alive()
    (error,) = raised
    assert isinstance(error, Ended)
    assert str(error) == (
        f"{who} ended (SIGKILL). The trials finished before are kept. Run it again."
    )
    assert job.result.partial


@pytest.mark.alone
def test_stop_ends_everything_within_a_second_while_the_loop_is_held(begun: Any) -> None:
    service, job, thread, raised = begun("Stuck", "service_blocking")
    stopped = time.perf_counter()
    job.cancel()
    thread.join(5)
    assert time.perf_counter() - stopped < 1
    assert not thread.is_alive()
    assert not raised
    assert job.result.partial
    wait_until(lambda: not any(map(psutil.pid_exists, service.pids)))


WAIT_S = 0.2
SMALL = replace(PLAN, seconds=2.0, concurrency=(5,), rows=50, embedding_latency_ms=20.0)


@pytest.mark.alone
@pytest.mark.slow
def test_on_a_server_the_sync_call_lets_the_neighbour_wait_and_the_awaited_does_not(
    milvus_server: MilvusServer,
) -> None:
    settings = Settings(milvus_uri=milvus_server.uri)
    connection, model = open_connection(settings), open_model(settings)
    # A wait that is long beside what a busy machine adds to each request.
    plan = replace(
        SMALL,
        strategies=("service_blocking", "service_async"),
        seconds=3.0,
        embedding_latency_ms=WAIT_S * 1000,
    )
    try:
        made = run(plan, connection, model, settings=settings)
        assert not connection.collection_names()
    finally:
        wait_for_cleaning()
        connection.close()
    trials = {trial.strategy: trial for trial in made.trials}
    wrong = [each for trial in made.trials for each in trial.calls if not each.ok]
    assert wrong == []
    blocking, awaited = (trials[name] for name in plan.strategies)
    # Five users, each holding the loop for the wait and a search.
    assert neighbour_s(blocking) > 4 * WAIT_S
    assert neighbour_s(awaited) < neighbour_s(blocking)
    assert awaited.throughput_per_s > 2 * blocking.throughput_per_s
    # The service tells what of a request was spent embedding.
    assert all(WAIT_S <= call.embed_s < call.duration_s for call in awaited.calls)
    assert "The service (Starlette and uvicorn" in str(made.environment["notes"])


@pytest.mark.alone
@pytest.mark.slow
def test_a_page_s_worker_measures_a_service_on_milvus_lite_and_leaves_no_process(
    milvus_lite_uri: str,
) -> None:
    settings = Settings(milvus_uri=milvus_lite_uri)
    connection, model = open_connection(settings), open_model(settings)
    plan = replace(SMALL, strategies=("service_def", "service_limited"))
    before = family()
    access = Access.of(settings, connection, model)
    job = Jobs().submit(
        "test", lambda job: measurement.apart(plan, access, job, connection), subject="test"
    )
    wait_until(lambda: job.finished.is_set() or (job.result and job.result.trials))
    assert job.error is None
    first = job.result.trials[0]
    assert all(call.ok for call in first.calls)
    assert first.pings
    stopped = time.perf_counter()
    job.cancel()
    assert job.finished.wait(5)
    assert time.perf_counter() - stopped < 1
    assert job.result.partial
    wait_until(lambda: family() <= before)
    wait_for_cleaning()
    assert connection.collection_names() == []
    connection.close()


def family() -> set[int]:
    """Return the processes below the host of the workers."""
    pid = host.shared().pid
    return {each.pid for each in psutil.Process(pid).children(recursive=True)} if pid else set()
