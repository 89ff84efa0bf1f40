"""Runs a plan: set up, warm up, interleave, measure, check by effect, restore, clean up."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lib.benchmark import environment, garbage
from lib.benchmark.access import Access
from lib.benchmark.answers import Checked, Wrong
from lib.benchmark.experiments import EXPERIMENTS
from lib.benchmark.guard import Guard
from lib.benchmark.processors import NOT_KNOWN, Others
from lib.benchmark.recorder import Recorder
from lib.benchmark.service.served import serve
from lib.benchmark.strategies import STRATEGIES, Strategy, keeper, trial_arguments
from lib.benchmark.workspace import MilvusWorkspace, SearchWorkspace, Workspace
from lib.errors import JobCancelled, LabError
from lib.jobs import Job
from lib.milvus.connection import Connection, Lease
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.operations import OPERATIONS
from lib.results import summaries
from lib.results.effects import command
from lib.results.plan import Cell, Plan
from lib.results.trials import CHAIN, SERVICE, Run, Trial
from lib.settings import Settings
from lib.workers.following import clean_beside
from lib.workers.watchdog import Watchdog

SUBJECT = "benchmark"  # by which pages find the job of a run
# So late, the loop was held: other tasks on it would notice.
HELD_S = 0.02
LAG_INTERVAL_S = 0.01

OnTrial = Callable[[Trial], None]
# Asked before each trial but the first. It may wait while short work of others goes first, and says
# whether any did.
BetweenTrials = Callable[[], bool]


def nobody_waits() -> bool:
    """Let no work of others go first: there is none."""
    return False


def run(
    plan: Plan,
    connection: Connection,
    model: EmbeddingModel,
    *,
    job: Job | None = None,
    on_trial: OnTrial | None = None,
    on_progress: Callable[[], None] = lambda: None,
    between_trials: BetweenTrials = nobody_waits,
    settings: Settings | None = None,
    name: str = "",
) -> Run:
    """Run a plan, in a collection of its own unless it names one, and return the run.

    That collection gets the given `name`. Blocks; call it from a worker thread. `on_progress` is
    called whenever `job.progress` changed. `job.progress` counts calls, `job.result` is the run so
    far. When the job is stopped, the finished trials come back as a partial run. Raises
    InvalidInput for a plan that cannot be run, ConnectionFailed within ten seconds when the server
    dies (the finished trials stay in `job.result`), EmbeddingFailed when the setup cannot embed.
    """
    plan.check(settings)
    job = job or Job("Benchmark", SUBJECT)
    # Until everything is dropped, which may be after the job's end.
    held = connection.lease()
    watchdog = Watchdog(connection, kept="The trials finished before are kept.")
    job.progress.detail = {"phase": "setting up"}
    opened: list[Workspace] = []

    def set_up() -> tuple[Workspace, dict[str, Any], Others]:
        searched = (
            SearchWorkspace(plan, connection, model)
            if plan.collection
            else MilvusWorkspace(plan, connection, model, name)
        )
        workspace: Workspace = searched
        opened.append(workspace)
        if plan.experiment == SERVICE and settings is not None:
            workspace = serve(searched, plan, Access.of(settings, connection, model))
            opened[:] = [workspace]
        if plan.experiment == CHAIN:
            # Who measures a chain loads what it is made of.
            from lib.benchmark.chain import ChainWorkspace

            workspace = ChainWorkspace(searched)
            opened[:] = [workspace]
        facts = environment.describe(plan, connection, model, workspace.facts())
        return workspace, facts, Others.beside(connection, *workspace.processes)

    guard = Guard(job, watchdog)
    record: dict[str, Any] = {}
    try:
        workspace, record, others = guard.supervise(set_up)
        return run_in(
            plan,
            workspace,
            job=job,
            on_trial=on_trial,
            on_progress=on_progress,
            between_trials=between_trials,
            guard=guard,
            others=others,
            environment=record,
        )
    except JobCancelled:
        return _partial(job, plan, record, "Stopped during the setup.")
    finally:
        watchdog.end()
        _clean_up(guard, watchdog, opened, held)


def run_in(
    plan: Plan,
    workspace: Workspace,
    *,
    job: Job,
    on_trial: OnTrial | None = None,
    on_progress: Callable[[], None] = lambda: None,
    between_trials: BetweenTrials = nobody_waits,
    guard: Guard | None = None,
    others: Others = NOT_KNOWN,
    environment: dict[str, Any] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Run:
    """Run a plan in a workspace that is ready: the part that needs no Milvus.

    The strategies of one operation and count alternate within each repeat, in an order shuffled
    by the plan's seed, so that a slow minute of the server meets all of them.
    """
    guard = guard or Guard(job)
    record = {} if environment is None else environment
    session = _Session(
        plan, workspace, job, guard, others, on_trial, on_progress, between_trials, record, clock
    )
    try:
        session.run_all()
    except JobCancelled:
        return _partial(job, plan, record, "Stopped.")
    except LabError as error:
        job.result = _partial(job, plan, record, str(error))
        raise
    job.result = finished = session.result(partial=False)
    return finished


def plan_settings(plan: Plan) -> dict[str, Any]:
    """Return a plan as the settings that a run records, with the command that repeats it."""
    settings = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(plan).items()
    }
    return settings | {"command": command(plan)}


@dataclass
class _Session:
    """The run so far."""

    plan: Plan
    workspace: Workspace
    job: Job
    guard: Guard
    others: Others
    on_trial: OnTrial | None
    on_progress: Callable[[], None]
    between_trials: BetweenTrials
    environment: dict[str, Any]
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._trials: list[Trial] = []
        self._calls_before = 0
        self._has_begun = False
        self._settings = plan_settings(self.plan)
        self._remaining = dict.fromkeys(self.plan.cells(), self.plan.repeats)
        by_trials = self.plan.counts_trials
        progress = self.job.progress
        progress.total = self.plan.total_trials() if by_trials else self.plan.total_calls()
        progress.unit = "trials" if by_trials else "calls"
        self.job.result = self.result(partial=True)

    def run_all(self) -> None:
        """Make the trials that the plan's experiment asks for, each chosen after the last one."""
        steps = EXPERIMENTS[self.plan.experiment](self.plan)
        trial: Trial | None = None
        while True:
            try:
                cell, repeat = steps.send(trial)
            except StopIteration:
                return
            self._give_way(cell, repeat)
            trial = self.run_trial(cell, repeat)

    def _give_way(self, cell: Cell, repeat: int | None) -> None:
        """Let others go first, and warm again what their work has cooled."""
        if self._has_begun and self.between_trials():
            self.environment["gave_way"] = self.environment.get("gave_way", 0) + 1
            if repeat is not None:
                if not self.plan.counts_trials:
                    self.job.progress.total += cell.warmup_calls
                self.run_trial(cell, None)
        self._has_begun = True

    def run_trial(self, cell: Cell, repeat: int | None) -> Trial | None:
        """Make one trial: prepare, measure, check and restore, and keep it unless it warms up."""
        strategy, operation = STRATEGIES[cell.strategy], OPERATIONS[cell.operation]
        calls = cell.warmup_calls if repeat is None else cell.calls
        recorder = Recorder(
            operation,
            self.workspace.store,
            calls,
            trial_arguments(strategy, operation, self.workspace.inputs, cell.count, cell.batch),
            count=cell.count if strategy.is_batch else min(calls * cell.batch, cell.count or calls),
            rows_a_call=cell.count if strategy.is_batch else cell.batch,
            in_one_call=strategy.is_batch,
            concurrency=cell.concurrency,
            seconds=cell.warmup_seconds if repeat is None else cell.seconds,
            rate_per_s=cell.rate_per_s,
            retries=cell.retries,
            seed=self.plan.seed + (repeat or 0),
            keep=keeper(strategy, operation, self.workspace.inputs.key_field),
            clock=self.clock,
        )
        self._show(cell, repeat)
        trial = self.guard.supervise(
            lambda: self._measure(recorder, strategy, cell, repeat),
            recorder,
            lambda: self._count(len(recorder.finished), of=calls),
        )
        self._calls_before += calls
        if repeat is None:
            self._count()
            return None
        self._trials.append(trial)
        if self.others.share is not None:
            self.environment["other_programs"] = self.others.share
        self._count()
        if cell in self._remaining:
            self._remaining[cell] -= 1
        self.job.result = self.result(partial=True)
        self._show(cell, repeat)
        if self.on_trial is not None:
            self.on_trial(trial)
        return trial

    def _measure(
        self, recorder: Recorder, strategy: Strategy, cell: Cell, repeat: int | None
    ) -> Trial:
        try:
            self.workspace.prepare(recorder.operation, cell.count)
            self.workspace.begin_repeat(-1 if repeat is None else repeat)
            with garbage.held(), self.others.watched():
                cpu_before = time.process_time()
                if strategy.on_loop:
                    calls_made = strategy.execute(recorder)
                    self.guard.run_on_loop(_with_lag(calls_made, recorder))
                else:
                    strategy.execute(recorder)
                cpu_s = time.process_time() - cpu_before
            if recorder.stopped:
                raise JobCancelled("Stopped.")
            if recorder.seconds:
                recorder.trim()
            checked = self.workspace.check(recorder)
            self.workspace.restore(recorder)
            wrong = checked.wrong
            calls = recorder.finish({recorder.call_of(row): what for row, what in wrong.items()})
            pings = recorder.heartbeat()
            lags_ms = [1000 * lag for lag in recorder.loop_lags_s]
            trial = Trial(
                **cell.key._asdict(),
                repeat=-1 if repeat is None else repeat,
                order=len(self._trials),
                warmup=repeat is None,
                wall_s=recorder.wall_s,
                verified=all(call.ok for call in (*calls, *pings)),
                verification=_in_words(recorder, checked),
                loop_lag_ms_max=max(lags_ms) if lags_ms else None,
                loop_lag_ms_p99=summaries.percentile(lags_ms, 99) if lags_ms else None,
                cpu_s=cpu_s,
                calls=calls,
                seconds=recorder.seconds,
                refused=dict(recorder.refused),
                **recorder.provider(),
                rows_counted=_counted(recorder, wrong),
                recall=checked.recall,
                pings=pings,
                held_s=recorder.held_s(),
                **self.workspace.observed(),
            )
            if not trial.is_void:
                return trial
            late = f"not valid: client too slow, {trial.late_starts:,} of {len(calls):,} calls late"
            if trial.late_pings:
                late += f", and {trial.late_pings:,} of the neighbour's {len(pings):,} requests"
            return replace(trial, verified=False, verification=f"{late}; {trial.verification}")
        finally:
            self.workspace.release(recorder)

    def result(self, *, partial: bool) -> Run:
        """Return the run so far."""
        return Run(
            environment=self.environment,
            settings=self._settings,
            trials=tuple(self._trials),
            partial=partial,
        )

    def _count(self, made: int = 0, of: int = 0) -> None:
        """Note how far the run is, in trials or in calls; `made` are those of a trial under way."""
        progress = self.job.progress
        progress.detail["part"] = made / of if of else 0.0
        if self.plan.counts_trials:
            # A search does not know beforehand how many trials it takes.
            progress.done = len(self._trials)
            progress.total = max(progress.total, progress.done)
        else:
            progress.done = self._calls_before + made
        self.on_progress()

    def _show(self, cell: Cell, repeat: int | None) -> None:
        cells_left = sum(left > 0 for left in self._remaining.values())
        phase = "warming up" if repeat is None else f"repeat {repeat + 1} of {self.plan.repeats}"
        progress = self.job.progress
        progress.message = f"{cell.label}: {phase}"
        progress.detail = {
            "phase": phase,
            "cell": cell.label,
            "key": cell.key,
            "cells_done": len(self._remaining) - cells_left,
            "cells_total": len(self._remaining),
            "trials": len(self._trials),
        }
        self.on_progress()


async def _with_lag(coroutine: Any, recorder: Recorder) -> None:
    """Await the coroutine, and note how late the loop wakes a task that sleeps ten milliseconds."""
    due = 0.0

    def note() -> None:
        lag_s = max(time.perf_counter() - due, 0.0)
        recorder.loop_lags_s.append(lag_s)
        if lag_s >= HELD_S:
            recorder.holds.append((due, due + lag_s))

    async def sample() -> None:
        nonlocal due
        while True:
            due = time.perf_counter() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            note()

    task = asyncio.create_task(sample())
    await asyncio.sleep(0)  # the sampler sleeps before the first call starts
    try:
        await coroutine
        # A loop that was blocked until now has not woken the sampler yet.
        note()
    finally:
        task.cancel()


def _counted(recorder: Recorder, wrong: Wrong) -> int:
    """Count the rows or questions that came out as asked.

    A write counts by what is in the collection afterwards, even where its call reported a failure.
    """
    if recorder.operation.writes:
        return recorder.count - len(wrong)
    return sum(
        row not in wrong and recorder.call_of(row) not in recorder.raised
        for row in range(recorder.count)
    )


def _in_words(recorder: Recorder, checked: Checked) -> str:
    failed, count, wrong = len(recorder.raised), recorder.count, checked.wrong
    silent = [what for row, what in wrong.items() if recorder.call_of(row) not in recorder.raised]
    parts = []
    if failed:
        parts.append(f"{failed:,} of {recorder.calls:,} calls failed")
    if silent:
        parts.append(f"{len(silent):,} of {count:,}: {silent[0]}")
    right = "as expected" if checked.recall is None else "answered"
    parts = parts or [f"{count:,} of {count:,} {right}"]
    return "; ".join([*parts, checked.note] if checked.note else parts)


def _partial(job: Job, plan: Plan, record: dict[str, Any], note: str) -> Run:
    trials = job.result.trials if isinstance(job.result, Run) else ()
    job.result = finished = Run(record, plan_settings(plan), trials, partial=True, note=note)
    return finished


def _clean_up(guard: Guard, watchdog: Watchdog, opened: list[Workspace], held: Lease) -> None:
    """Drop what the run made; behind the scenes when a call is still on its way."""
    if watchdog.error:
        held.release()
        return
    abandoned = guard.abandoned

    def wait_and_clean() -> None:
        if abandoned is not None:
            abandoned.join()
        with held:
            for workspace in opened:
                workspace.close()

    if abandoned is None:
        wait_and_clean()
    else:
        clean_beside(wait_and_clean)
