"""A measurement: the one way in which a plan is run, in this process or in a worker.

The terminal's command measures in its own process, which does nothing else, a page in a worker.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from lib import jobs
from lib.benchmark import runner
from lib.benchmark.access import Access, run_with_access
from lib.benchmark.runner import BetweenTrials, OnTrial
from lib.errors import JobCancelled, LabError
from lib.jobs import WHOLE, Job, Progress, Share
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.lite import Lite
from lib.results.plan import Plan
from lib.results.trials import OVERLOAD, Run, Trial
from lib.settings import Settings
from lib.workers import following
from lib.workers.work import Limits

# How often a worker tells how far it is.
TELL_EVERY_S = 0.2


class Keeps(Protocol):
    """Where runs are kept, as `lib.runs.store.RunStore` keeps them."""

    def check_room(self) -> None:
        """Raise InvalidInput when there is no room for another run."""

    def save(self, run: Run, *, name: str, run_id: str) -> object:
        """Keep a run under an id."""


def execute(
    plan: Plan,
    access: Access,
    job: Job,
    *,
    lite: Lite | None,
    on_trial: OnTrial | None = None,
    on_progress: Callable[[], None] = lambda: None,
    between_trials: BetweenTrials = runner.nobody_waits,
) -> Run:
    """Open what the access names, measure, and close it again. `lite` is the one named there.

    Otherwise like `lib.benchmark.runner.run`.
    """
    # A provider's own client would retry what the experiment counts.
    retries = plan.experiment != OVERLOAD
    with access.opened(lite, retries=retries) as (connection, model, settings):
        return runner.run(
            plan,
            connection,
            model,
            job=job,
            on_trial=on_trial,
            on_progress=on_progress,
            between_trials=between_trials,
            settings=settings,
            name=access.scratch,
        )


def here(
    plan: Plan,
    access: Access,
    job: Job,
    connection: Connection,
    on_trial: OnTrial | None = None,
) -> Run:
    """Measure in this process; `connection` gave the access."""
    lite = connection.lite
    guest = Lite(lite.path, lite.port, lite.served) if lite else None  # who gives nothing back
    return execute(plan, access, job, lite=guest, on_trial=on_trial)


def apart(plan: Plan, access: Access, job: Job, connection: Connection, most_mb: int = 0) -> Run:
    """Measure in a worker, which may take so many MB, 0 is no limit; `connection` gave the access.

    `job.progress` and `job.result` follow the worker. Stopped, the finished trials come back as a
    partial run at once; where it ends otherwise, they stay in `job.result`. Between two trials it
    waits for `job.give_way`. Raises what `runner.run` raises, and Ended for a worker that was
    ended.
    """
    followed = _Followed(plan, job, connection)

    def give_way() -> bool:
        return job.give_way()  # which is set when the job begins, or later

    try:
        environment = run_with_access(
            _in_worker,
            access,
            plan,
            job=job,
            connection=connection,
            limits=Limits(resident_mb=most_mb, what="The benchmark", done="finished"),
            kept=followed.kept,
            on_told=followed.hear,
            answers={"give_way": give_way},
        )
    except JobCancelled:
        why = "Stopped." if followed.trials else "Stopped during the setup."
        return followed.so_far(str(job.error or why))
    except LabError as error:
        followed.so_far(str(error))
        raise
    return followed.finished(environment)


def _in_worker(
    access: Access, plan: Plan, tell: Callable[[Any], None], ask: Callable[[Any], Any]
) -> dict[str, Any]:
    """Measure; tell progress and trials, ask before the next one, return the environment."""
    job, told = Job("Benchmark", runner.SUBJECT), 0.0

    def tell_progress() -> None:
        nonlocal told
        if time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            tell(job.progress)

    def tell_trial(trial: Trial) -> None:
        tell(job.progress)
        tell((trial, job.result.environment))

    run = execute(
        plan,
        access,
        job,
        lite=access.guest(ask),
        on_trial=tell_trial,
        on_progress=tell_progress,
        between_trials=lambda: bool(ask(("give_way",))),
    )
    following.wait_for_cleaning()
    tell(job.progress)
    return run.environment


def queue(
    plan: Plan,
    connection: Connection,
    model: EmbeddingModel,
    *,
    settings: Settings,
    store: Keeps,
    share: Share = WHOLE,
) -> Job:
    """Queue a benchmark and return its job at once; what it measured is kept under the job's id.

    It is measured in a worker. `connection` and `model` were opened by `settings`. Raises
    InvalidInput for a plan that cannot be run.
    """
    plan.check(settings)
    store.check_room()
    name = plan.label

    def work(job: Job) -> Run:
        access = Access.of(settings, connection, model)
        try:
            run = apart(plan, access, job, connection, settings.max_run_mb)
        except LabError:
            # It ended half way: what was finished is kept like any partial run.
            if isinstance(job.result, Run) and job.result.trials:
                store.save(job.result, name=name, run_id=job.id)
            raise
        if run.trials:
            store.save(run, name=name, run_id=job.id)
        return run

    held = connection.lease()
    job = jobs.shared().submit(
        name,
        work,
        subject=runner.SUBJECT,
        held=held,
        share=share,
        not_beside=f"ingest:{plan.collection}" if plan.collection else "",
    )
    job.expected_s = plan.estimate_s(embedded=connection.is_lite)
    return job


class _Followed:
    """A measurement in a worker, as the process that started it follows it."""

    def __init__(self, plan: Plan, job: Job, connection: Connection) -> None:
        self._plan = plan
        self._job = job
        self._connection = connection
        self._before = connection.uses()
        self._environment: dict[str, Any] = {}
        self.trials: list[Trial] = []
        job.progress = Progress(detail={"phase": "setting up"})

    def hear(self, said: tuple[Trial, dict[str, Any]]) -> None:
        """Take in a trial with what it was made on."""
        trial, self._environment = said
        self.trials.append(trial)
        self.so_far("")

    def kept(self) -> str:
        """Say what is kept when it ends now."""
        return "The trials finished before are kept." if self.trials else "Nothing was measured."

    def so_far(self, note: str) -> Run:
        """Keep and return the run as it is now; the note says why it ended."""
        return self._keep(partial=True, note=note)

    def finished(self, environment: dict[str, Any]) -> Run:
        """Keep and return the whole run."""
        self._environment = environment
        return self._keep(partial=False, note="")

    def _keep(self, *, partial: bool, note: str) -> Run:
        uses = self._connection.uses() - self._before
        self._job.result = run = Run(
            environment=self._environment | _other_sessions(uses, self._job.session),
            settings=runner.plan_settings(self._plan),
            trials=tuple(self.trials),
            partial=partial,
            note=note,
        )
        return run


def _other_sessions(uses: Counter[str], own: str) -> dict[str, Any]:
    """Return what a run records of others who used the store meanwhile; nothing where none did."""
    others = {session: times for session, times in uses.items() if session != own}
    if not others:
        return {}
    return {"other_sessions": len(others), "uses_by_others": sum(others.values())}
