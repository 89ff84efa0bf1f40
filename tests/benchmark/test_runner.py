"""The runner on real backends: every operation verified, stop, failures, nothing left behind."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings

from lib import event_loop
from lib.benchmark import environment
from lib.benchmark.runner import Guard, plan_settings, run, run_in
from lib.benchmark.strategies import STRATEGIES
from lib.errors import ConnectionFailed, InvalidInput, JobCancelled, OperationFailed
from lib.jobs import Job, Jobs, State
from lib.milvus import embeddings
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import ByDocuments, EmbeddingModel, TimedEmbeddings, open_model
from lib.milvus.operations import OPERATIONS
from lib.results import run_file
from lib.results.analysis import analyse
from lib.results.catalogue import OWN_WAYS
from lib.results.plan import Plan
from lib.results.summaries import summarise
from lib.results.trials import Run, Trial
from lib.settings import Settings
from lib.workers.following import wait_for_cleaning
from tests.benchmark.stubs import StubStore, StubWorkspace
from tests.waiting import wait_until

SMALL = Plan(
    operations=("add_documents",), counts=(4,), repeats=1, warmup=0, rows=30, concurrency=(2,)
)


@pytest.fixture(params=["lite", "server"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Open each backend in turn, and see that the test leaves no collection in it."""
    fixture = {"lite": "milvus_lite_uri", "server": "milvus_server"}[request.param]
    target = request.getfixturevalue(fixture)
    opened = open_connection(Settings(milvus_uri=getattr(target, "uri", target)))
    yield opened
    wait_for_cleaning()
    assert benchmark_collections(opened) == []
    opened.close()


@pytest.fixture
def lite(milvus_lite_uri: str) -> Iterator[Connection]:
    """Milvus Lite alone, where the backend makes no difference."""
    opened = open_connection(Settings(milvus_uri=milvus_lite_uri))
    yield opened
    wait_for_cleaning()
    assert benchmark_collections(opened) == []
    opened.close()


def benchmark_collections(connection: Connection) -> list[str]:
    return [name for name in connection.client.list_collections() if name.startswith("lab_bench")]


def test_every_operation_is_verified_under_every_strategy_that_applies(
    connection: Connection, model: EmbeddingModel
) -> None:
    names = [name for name in OPERATIONS if name != "from_texts"]
    # A rate is void where this machine is late; the open loop's own tests verify its calls.
    strategies = tuple(name for name in OWN_WAYS if not STRATEGIES[name].uses_rate)
    side_by_side = 1 if connection.is_lite else 4  # a trial on a server mostly waits for its clock
    plans = [
        replace(SMALL, operations=tuple(names[i::side_by_side]), strategies=strategies)
        for i in range(side_by_side)
    ]
    with ThreadPoolExecutor(side_by_side) as threads:
        finished = list(threads.map(lambda plan: run(plan, connection, model), plans))
    trials = [trial for each in finished for trial in each.trials]
    told = {(t.operation, t.strategy): t.verification for t in trials if not t.verified}
    assert told == {}
    assert len(trials) == sum(len(plan.cells()) for plan in plans) == 13 * 7 - 4 + 2 * 4
    for trial in trials:
        one_batch = trial.strategy == "one_batch"
        assert len(trial.calls) == (1 if one_batch else 4)
        assert 0 < trial.wall_s == max(call.end_s for call in trial.calls)
        assert min(call.start_s for call in trial.calls) == 0
        assert any(call.embed_s for call in trial.calls) is OPERATIONS[trial.operation].embeds
        assert (trial.loop_lag_ms_max is None) is not STRATEGIES[trial.strategy].on_loop
    for each in finished:
        assert each.partial is False
        _check_environment(each.environment, connection)


def test_collections_created_from_texts_are_verified_and_dropped(
    connection: Connection, model: EmbeddingModel
) -> None:
    plan = replace(SMALL, operations=("from_texts",), strategies=("gather",), counts=(2,))
    (trial,) = run(plan, connection, model).trials
    assert trial.verification == "2 of 2 as expected"


def test_a_sync_loop_overlaps_nothing_and_a_limited_gather_at_most_its_limit(
    lite: Connection, model: EmbeddingModel
) -> None:
    plan = replace(
        SMALL,
        strategies=("sync_loop", "gather", "gather_limited", "thread_pool"),
        concurrency=(3,),
        counts=(12,),
        embedding_latency_ms=20.0,
    )
    most = {t.strategy: _most_in_flight(t) for t in run(plan, lite, model).trials}
    assert most == {"sync_loop": 1, "gather": 12, "gather_limited": 3, "thread_pool": 3}


def _most_in_flight(trial: Trial) -> int:
    moments = [(call.start_s, 1) for call in trial.calls]
    moments += [(call.end_s, -1) for call in trial.calls]
    flying, most = 0, 0
    for _, change in sorted(moments):
        flying += change
        most = max(most, flying)
    return most


def test_strategies_alternate_within_each_repeat_in_an_order_the_seed_decides(
    lite: Connection, model: EmbeddingModel
) -> None:
    plan = replace(SMALL, strategies=("sync_loop", "gather", "one_batch"), repeats=4, warmup=1)
    first, again = run(plan, lite, model), run(plan, lite, model)
    order = [(trial.repeat, trial.strategy) for trial in first.trials]
    assert order == [(trial.repeat, trial.strategy) for trial in again.trials]
    assert [repeat for repeat, _ in order] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    rounds = [tuple(name for repeat, name in order if repeat == r) for r in range(4)]
    assert all(set(names) == set(plan.strategies) for names in rounds)
    assert len(set(rounds)) > 1
    other = run(replace(plan, seed=8), lite, model)
    assert [trial.strategy for trial in other.trials] != [name for _, name in order]


@pytest.mark.alone
def test_simulated_waits_are_the_same_for_every_strategy_of_a_repeat_and_said_to_be_simulated(
    lite: Connection, model: EmbeddingModel
) -> None:
    plan = replace(
        SMALL,
        strategies=("sync_loop", "gather"),
        counts=(6,),
        repeats=2,
        embedding_latency_ms=100.0,
        embedding_jitter_ms=50.0,
    )
    finished = run(plan, lite, model)
    waits = {(t.strategy, t.repeat): sum(call.embed_s for call in t.calls) for t in finished.trials}
    for repeat in range(2):
        assert waits["sync_loop", repeat] == pytest.approx(waits["gather", repeat], rel=0.1)
    assert waits["sync_loop", 0] != pytest.approx(waits["sync_loop", 1], rel=0.01)
    assert finished.environment["simulated_latency_ms"] == 100.0
    assert "--embedding-latency-ms 100" in finished.settings["command"]


def _check_environment(recorded: dict[str, Any], connection: Connection) -> None:
    """It says what a reader must know, and nothing private."""
    assert recorded["backend"] == connection.kind
    assert recorded["milvus_version"]
    assert recorded["packages"]["langchain-milvus"]
    assert recorded["packages"]["pymilvus"]
    assert recorded["cpu_count"] >= 1
    assert recorded["index_type"] == ("IVF_FLAT" if connection.is_lite else "FLAT")
    assert (recorded["rows"], recorded["dimension"]) == (30, 256)
    assert recorded["python"].startswith("3.")
    assert recorded["time"].endswith("+00:00")
    assert connection.address not in str(recorded)


def test_a_run_of_deletes_by_metadata_on_a_server_says_that_it_speaks_for_one_start(
    connection: Connection, model: EmbeddingModel
) -> None:
    def warned(**changes: Any) -> bool:
        plan = replace(SMALL, **{"operations": ("delete",), **changes})
        return environment.ONE_START in environment.describe(plan, connection, model, {})["notes"]

    assert warned(delete_by="id") is not connection.is_lite
    assert not warned(delete_by="pk")
    assert not warned(delete_by="id", delete_consistency="Bounded")
    assert not warned(delete_by="id", operations=("similarity_search",))


def test_progress_counts_calls_and_cells_and_results_arrive_trial_by_trial(
    lite: Connection, model: EmbeddingModel
) -> None:
    job = Job("test", "test")
    seen: list[tuple[int, int, int]] = []

    def on_trial(trial: Trial) -> None:
        assert isinstance(job.result, Run)
        assert job.result.partial
        assert job.result.trials[-1] is trial
        detail = job.progress.detail
        seen.append((job.progress.done, detail["cells_done"], len(job.result.trials)))

    plan = replace(SMALL, strategies=("sync_loop", "gather"), warmup=1, repeats=2)
    finished = run(plan, lite, model, job=job, on_trial=on_trial)
    assert job.progress.total == plan.total_calls() == 24
    assert job.progress.done == 24
    assert seen == [(12, 0, 1), (16, 0, 2), (20, 1, 3), (24, 2, 4)]
    assert job.progress.detail["cells_total"] == 2
    assert job.result is finished
    assert not finished.partial


class WatchedEmbeddings(ByDocuments):
    """Knows how many calls are under way."""

    def __init__(self, inner: Embeddings) -> None:
        self.inner = inner
        self.under_way = 0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        with self.watched():
            return self.inner.embed_documents(texts)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        with self.watched():
            return await self.inner.aembed_documents(texts)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("strategy", ["sync_loop", "thread_pool", "gather", "gather_limited"])
def test_a_stop_in_mid_trial_is_obeyed_within_a_second_and_keeps_the_finished_trials(
    strategy: str, lite: Connection, model: EmbeddingModel
) -> None:
    plan = replace(SMALL, strategies=(strategy,), counts=(4, 400), rows=500)
    slow = model.slowed(40) if strategy != "gather" else model.slowed(3_000)
    watched = WatchedEmbeddings(slow.embeddings)
    slow = replace(slow, embeddings=TimedEmbeddings(watched))
    jobs = Jobs()
    job = jobs.submit("test", lambda job: run(plan, lite, slow, job=job), subject="test")
    wait_until(lambda: "× 400" in job.progress.message and job.progress.detail["trials"] == 1)
    wait_until(lambda: watched.under_way)
    asked = time.perf_counter()
    jobs.cancel(job)
    assert job.finished.wait(5)
    assert time.perf_counter() - asked < 1
    assert job.state is State.STOPPED
    assert job.error is None
    assert job.result.partial
    assert [trial.count for trial in job.result.trials] == [4]


def test_a_call_that_never_answers_does_not_hold_a_stop_up() -> None:
    job, answers = Job("test", "test"), threading.Event()

    def stop_and_hang() -> None:
        job.cancel()
        answers.wait(60)

    store = StubStore(wait=stop_and_hang)
    plan = replace(SMALL, operations=("delete",), strategies=("sync_loop",))
    finished = run_in(plan, StubWorkspace(store), job=job)
    # The run has ended while its call still waits.
    assert [thread.name for thread in threading.enumerate()].count("benchmark-trial") == 1
    assert (finished.partial, finished.trials, finished.note) == (True, (), "Stopped.")
    answers.set()
    wait_until(lambda: "benchmark-trial" not in [thread.name for thread in threading.enumerate()])
    assert store.calls == 1


def test_a_stop_cancels_the_coroutines_that_are_still_waiting() -> None:
    waiting: list[str] = []
    cancelled: list[str] = []
    job = Job("test", "test")

    class Noting(StubStore):
        async def adelete(self, expr: str) -> bool:
            waiting.append(expr)
            if len(waiting) == 4:
                job.cancel()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(expr)
                raise
            return True

    plan = replace(SMALL, operations=("delete",), strategies=("gather",))
    assert run_in(plan, StubWorkspace(Noting()), job=job).partial
    wait_until(lambda: len(cancelled) == 4)


def test_a_stop_during_the_setup_ends_with_an_empty_partial_run(
    lite: Connection, model: EmbeddingModel
) -> None:
    job = Job("test", "test")
    job.cancel()
    finished = run(SMALL, lite, model, job=job)
    assert (finished.partial, finished.trials) == (True, ())


def test_a_trial_before_which_others_went_first_is_warmed_again_and_the_run_says_so() -> None:
    plan = replace(
        SMALL, operations=("delete",), strategies=("sync_loop",), counts=(2, 3), repeats=2
    )
    answers = iter([False, True, False])  # nobody is asked before the first trial
    store, job = StubStore(), Job("test", "test")
    finished = run_in(plan, StubWorkspace(store), job=job, between_trials=lambda: next(answers))
    warmed = plan.cells()[1].warmup_calls
    assert store.calls == job.progress.done == job.progress.total == 2 * 2 + 2 * 3 + warmed
    assert [trial.count for trial in finished.trials] == [2, 2, 3, 3]
    assert finished.environment["gave_way"] == 1
    said = analyse(finished).warnings["Others went between or beside trials"]
    assert said == [
        "Short work of others went between trials 1 time: the trial after was warmed up again"
    ]


def test_a_watch_that_gives_up_ends_the_run_and_the_finished_trials_are_kept() -> None:
    hangs, answers = threading.Event(), threading.Event()

    def hang_after_three() -> None:
        if store.calls > 3:
            hangs.set()
            answers.wait(60)

    class Watch:
        def check(self) -> None:
            if hangs.is_set():
                raise ConnectionFailed("Gone.")

    store = StubStore(wait=hang_after_three)
    job = Job("test", "test")
    plan = replace(SMALL, operations=("delete",), strategies=("sync_loop",), counts=(1, 20))
    with pytest.raises(ConnectionFailed, match="Gone"):
        run_in(plan, StubWorkspace(store), job=job, guard=Guard(job, Watch()))
    answers.set()
    assert [trial.count for trial in job.result.trials] == [1]
    assert job.result.partial
    assert job.result.note == "Gone."


def test_a_bug_in_the_workspace_reaches_the_caller_and_does_not_hang() -> None:
    class Broken(StubWorkspace):
        def check(self, recorder: Any) -> dict[int, str]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_in(replace(SMALL, operations=("delete",)), Broken(StubStore()), job=Job("test", "test"))


def test_rows_that_somebody_else_changed_end_the_run_in_words(
    lite: Connection, model: EmbeddingModel
) -> None:
    def interfere(trial: Trial) -> None:
        (name,) = benchmark_collections(lite)
        lite.client.delete(name, ids=["doc_0"])

    job = Job("test", "test")
    with pytest.raises(OperationFailed, match="29 rows before a trial, not 30"):
        run(SMALL, lite, model, job=job, on_trial=interfere)
    assert len(job.result.trials) == 1


def test_a_plan_that_cannot_be_run_is_refused_before_anything_is_made(
    lite: Connection, model: EmbeddingModel
) -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'delete'"):
        run(replace(SMALL, operations=("delet",)), lite, model)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ("401", "refused the key"),
        ("429", "limiting the rate"),
        ("500", "HTTP 500"),
        ("garbage", "could not be read"),
        ("hang", "did not answer"),
    ],
)
def test_an_embedding_service_that_fails_in_mid_run_is_counted_by_kind_and_never_as_speed(
    failure: str,
    said: str,
    lite: Connection,
    openai_endpoint: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embeddings, "OPENAI_TIMEOUT_S", 0.5)
    settings = Settings(
        milvus_uri="unused.db",
        embedding_provider="openai",
        openai_api_key="sk-test",
        openai_base_url=openai_endpoint.base_url,
        openai_model="any",
    )
    remote = open_model(settings, retries=False)

    def fail_from_now_on(trial: Trial) -> None:
        openai_endpoint.failure = failure

    plan = replace(
        SMALL,
        operations=("similarity_search",),
        strategies=("sync_loop", "gather"),
        counts=(3,),
        embedding="openai",
    )
    try:
        finished = run(plan, lite, remote, on_trial=fail_from_now_on)
    finally:
        openai_endpoint.failure = None
    good, bad = finished.trials
    assert (good.verified, bad.verified) == (True, False)
    cells = {cell.strategy: cell for cell in summarise(finished.trials)}
    (kind,) = cells[bad.strategy].errors
    assert said in kind
    assert cells[bad.strategy].errors[kind] == 3
    assert cells[bad.strategy].samples == 0
    assert cells["gather"].speedup is None


def test_a_strategy_s_coroutines_run_on_the_background_loop_and_its_sync_calls_in_threads() -> None:
    where: dict[str, str] = {}

    class Noting(StubStore):
        def delete(self, expr: str) -> bool:
            where["sync"] = threading.current_thread().name
            return super().delete(expr)

        async def adelete(self, expr: str) -> bool:
            where["async"] = threading.current_thread().name
            return await super().adelete(expr)

    event_loop.shared()
    run_in(
        replace(SMALL, operations=("delete",), strategies=("sync_loop", "gather")),
        StubWorkspace(Noting()),
        job=Job("test", "test"),
    )
    assert where == {"sync": "benchmark-trial", "async": "lab-event-loop"}


def test_a_blocked_event_loop_is_noticed() -> None:
    class Blocking(StubStore):
        async def adelete(self, expr: str) -> bool:
            time.sleep(0.15)  # noqa: ASYNC251  # what a careless library does
            return self._delete(expr.split('"')[1])

    plan = replace(SMALL, operations=("delete",), strategies=("gather",), counts=(2,))
    (trial,) = run_in(plan, StubWorkspace(Blocking()), job=Job("test", "test")).trials
    assert trial.loop_lag_ms_max is not None
    assert trial.loop_lag_ms_max >= 140
    # When it was held is kept, and comes back from a file: two calls of 0.15 s, one after another.
    assert sum(end - start for start, end in trial.held_s) >= 0.28
    assert max(end for _, end in trial.held_s) <= trial.wall_s + 0.1
    text = run_file.to_json(Run({}, plan_settings(plan), (trial,)))
    (again,) = run_file.read(text.encode()).trials
    assert [*map(list, again.held_s)] == [
        pytest.approx(list(each), abs=1e-5) for each in trial.held_s
    ]


def test_a_guard_whose_job_was_stopped_starts_nothing() -> None:
    job = Job("test", "test")
    job.cancel()
    started: list[bool] = []
    with pytest.raises(JobCancelled):
        Guard(job).supervise(lambda: started.append(True))
    assert started == []
