"""Jobs: long work with progress, a stop button and a result, which outlive a page refresh.

A job is plain data plus a cancel. Its worker thread writes to it, a page's fragment reads it; the
page keeps only the id. All jobs wait for one lane and run one at a time, because a measurement is
wrong while another job loads or measures. A benchmark holds the lane for a trial and not for the
run: between two trials it gives way to short work. Short work that waited for seconds goes beside
what holds the lane, which is told. What nobody asked for, the loading of sample data, gives way to
everything. Places take turns, whoever queued how much.
"""

import contextlib
import logging
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from typing import Any, Protocol

from lib.errors import InvalidInput, JobCancelled, LabError

TIME_TO_LIVE_S = 3600.0
MAX_FINISHED = 50
# A job gives way to short work for as long as it has run itself, and for these seconds. So it takes
# at most twice its time, these seconds and one short job more.
GRACE_S = 5.0
# How long a person's own short work waits for the lane, and may hold it, in seconds. A page that
# waits is felt, and a job in the queue is watched.
TURN_S, HOLD_S = 0.5, 60.0
# How long a short job waits for the lane until it goes beside what holds it, in seconds.
BESIDE_S = 2.0
LOOK_S = 0.05  # how often a job that gave way looks whether it was stopped


class State(Enum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


FINISHED = {State.DONE, State.STOPPED, State.FAILED}


@dataclass
class Progress:
    """How far a job is. `done` and `total` count whatever `unit` names."""

    done: int = 0
    total: int = 0
    unit: str = "calls"
    message: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        """Between 0 and 1; 0 while the total is unknown."""
        return min(self.done / self.total, 1.0) if self.total else 0.0


class Job:
    """One piece of work. Its `result` may be partial when the state is STOPPED or FAILED."""

    def __init__(
        self,
        label: str,
        subject: str,
        owner: str = "",
        session: str = "",
        *,
        is_short: bool = False,
        is_unasked: bool = False,
    ) -> None:
        self.id = secrets.token_hex(16)  # nobody can guess it
        self.label = label
        self.subject = subject  # "benchmark", "ingest:NAME": what other pages look for
        self.owner = owner
        self.session = session  # who started it
        self.is_short = is_short
        self.is_unasked = is_unasked  # begun by the app itself: it can wait
        self.not_beside = ""  # the subject of work that would change what this one measures
        self.state = State.QUEUED
        self.progress = Progress()
        self.expected_s: float | None = None  # what it should take, where that was estimated
        self.result: Any = None
        self.error: LabError | None = None
        self.created = time.monotonic()
        self.started: float | None = None
        self.ended: float | None = None
        # Called by work that measures, between two measurements: what is short may go first
        # meanwhile. It says whether anything did. `Jobs` puts its own in this place.
        self.give_way: Callable[[], bool] = lambda: False
        self.had_beside = False  # short work went beside it since it last gave way
        self._gave_s = 0.0
        self._gives_since: float | None = None
        self._cancelled = threading.Event()
        self.finished = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        """Say whether somebody asked the job to stop."""
        return self._cancelled.is_set()

    @property
    def elapsed_s(self) -> float:
        """Seconds of running, until now or until the end, without those given to short work."""
        if self.started is None:
            return 0.0
        return (self.ended or time.monotonic()) - self.started - self.gave_s

    @property
    def gave_s(self) -> float:
        """Seconds in which the job waited for short work that went between its steps."""
        since = self._gives_since
        return self._gave_s + (time.monotonic() - since if since is not None else 0.0)

    @property
    def time_left_s(self) -> float | None:
        """Seconds left at the pace so far, before that those expected; None while unknown.

        The first calls of a benchmark are its slowest ways, so the pace of a few says nothing.
        """
        fraction = self.progress.fraction
        if self.state is not State.RUNNING:
            return None
        if fraction < 0.1 or self.elapsed_s < 0.5:
            left_s = (self.expected_s or 0.0) - self.elapsed_s
            return left_s if left_s > 0 else None
        return self.elapsed_s * (1 - fraction) / fraction

    def check(self) -> None:
        """Raise JobCancelled if the job was asked to stop; workers call this between steps."""
        if self.is_cancelled:
            raise JobCancelled("Stopped.", kept="What was finished is kept.")

    def end_for(self, reason: LabError) -> None:
        """Ask the job to stop for a reason that the person who started it must know."""
        self.error = reason
        self.cancel()

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._cancelled.set()


Work = Callable[[Job], Any]


class Releasable(Protocol):
    """Something a job needs until it ends, such as an open connection."""

    def release(self) -> None:
        """Let go of it."""


@dataclass(frozen=True)
class Share:
    """Whose a job is, and how much of the jobs its owner may take; 0 is no limit.

    `place` is what takes turns with other places: the owner's own, unless several owners share one.
    `unfinished` counts jobs that wait or run, `run_s` is the longest a job may run, in seconds.
    """

    owner: str = ""
    session: str = ""
    place: str = ""
    unfinished: int = 0
    run_s: float = 0.0


WHOLE = Share()


@dataclass(frozen=True)
class _Queued:
    job: Job
    work: Work
    let_go: Callable[[], None]
    run_s: float
    # What takes turns: the place, and within it the owner.
    turns: tuple[tuple[str, str], tuple[str, str]]


class Jobs:
    """The jobs of one process, found by id."""

    def __init__(self, time_to_live_s: float = TIME_TO_LIVE_S) -> None:
        self._jobs: dict[str, Job] = {}
        self._waiting: list[_Queued] = []
        self._running: Job | None = None
        # Who gave way, each to the next one, the last to what runs: it goes on when that has ended.
        self._gave_way: list[Job] = []
        self._beside: Job | None = None  # a short one that waited long enough, outside the lane
        # When places and owners with waiting jobs came or had their last turn.
        self._turns: dict[tuple[str, str], int] = {}
        self._last_turn = 0
        self._turn_came: dict[str, float] = {}  # by job: since when only short work goes first
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._time_to_live_s = time_to_live_s
        # Called with each job that ended.
        self.on_end: Callable[[Job], None] = lambda job: None

    def submit(
        self,
        label: str,
        work: Work,
        *,
        subject: str,
        held: Releasable | None = None,
        share: Share = WHOLE,
        is_short: bool = False,
        is_unasked: bool = False,
        not_beside: str = "",
    ) -> Job:
        """Queue work and return its job at once.

        `work(job)` returns the result; it may set `job.result` earlier, so that a stop keeps it.
        `held` is released when the job has ended. What `is_short`, some seconds at most, goes
        before other work, between the trials of a benchmark, and beside one after BESIDE_S; not
        what is on the benchmark's subject `not_beside`. What `is_unasked` lets everything go first,
        also between its steps. Raises InvalidInput when the owner has as many unfinished jobs as
        the share allows.
        """
        job = Job(
            label,
            subject,
            share.owner,
            share.session,
            is_short=is_short,
            is_unasked=is_unasked,
        )
        job.not_beside = not_beside
        turns = ("place", share.place or share.owner), ("owner", share.owner)
        let_go = held.release if held is not None else lambda: None
        try:
            with self._lock:
                self._drop_old()
                self._check(share)
                self._jobs[job.id] = job
                for each in turns:
                    if each not in self._turns:
                        self._take_turn(each)
                self._waiting.append(_Queued(job, work, let_go, share.run_s, turns))
                self._start_next()
                if is_short and job.state is State.QUEUED:
                    looking = threading.Timer(BESIDE_S, self._start_beside)
                    looking.daemon = True
                    looking.start()
        except InvalidInput:
            let_go()
            raise
        return job

    def _check(self, share: Share) -> None:
        own = [each for each in self._jobs.values() if each.owner == share.owner]
        unfinished = sum(each.state not in FINISHED for each in own)
        if share.unfinished and unfinished >= share.unfinished:
            raise InvalidInput(
                f"{unfinished} of your jobs wait or run, and a visitor may have "
                f"{share.unfinished} at a time here.",
                next_step="Wait for one to end, or stop one.",
            )

    def get(self, job_id: str | None, owner: str = "") -> Job | None:
        """Return an owner's job with this id, or None when it is unknown or was dropped."""
        with self._lock:
            self._drop_old()
            job = self._jobs.get(job_id or "")
            return job if job is not None and job.owner == owner else None

    def all(self) -> list[Job]:
        """Return all jobs that are known, the oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def ahead(self, job: Job) -> tuple[Job, ...]:
        """Return the jobs that a waiting one waits for: the one that runs, then those before it."""
        with self._lock:
            entry = next((each for each in self._waiting if each.job is job), None)
            if entry is None:
                return ()
            turns, left, before = dict(self._turns), list(self._waiting), list(self._in_lane())
            while (following := _first(left, turns)) is not entry:
                left.remove(following)
                before.append(following.job)
                for each in following.turns:
                    turns[each] = self._last_turn + len(before)
            return tuple(before)

    def running(self, subject: str) -> Job | None:
        """Return the job on a subject if it runs now, or waits between two of its steps."""
        jobs = (*self._in_lane(), *filter(None, [self._beside]))
        return next((job for job in jobs if job.subject == subject), None)

    def _in_lane(self) -> tuple[Job, ...]:
        jobs = (self._running, *reversed(self._gave_way))
        return tuple(dict.fromkeys(job for job in jobs if job is not None))

    def _give_way(self, job: Job) -> bool:
        """Let waiting short work go before the next step of a running job; all of it if unasked.

        Return whether any did, or went beside the last step. Blocks meanwhile. A job that somebody
        asked for gives away no more time than it took itself and GRACE_S.
        """
        with self._lock:
            if self._running is not job or job.is_short:
                return False
            gave_way, job.had_beside = job.had_beside, False
            while (
                self._running is job
                and not job.is_cancelled
                and (job.is_unasked or job.gave_s < job.elapsed_s + GRACE_S)
            ):
                first = [each for each in self._waiting if _goes_before(each.job, job)]
                if not first:
                    break
                gave_way = True
                self._gave_way.append(job)
                job._gives_since = job._gives_since or time.monotonic()
                self._start(_first(first, self._turns))
                while self._running is not job and not (job.is_cancelled or job.ended):
                    self._changed.wait(LOOK_S)
                # When it was stopped, the other one runs on, and the next job begins after that.
                if job in self._gave_way:
                    self._gave_way.remove(job)
            job._gave_s, job._gives_since = job.gave_s, None
            return gave_way

    def unfinished(self, subject: str) -> Job | None:
        """Return the first job on a subject that runs or waits."""
        found = (job for job in self.all() if job.subject == subject)
        return next((job for job in found if job.state not in FINISHED), None)

    def cancel(self, job: Job) -> None:
        """Stop a job: a waiting one leaves the queue, a running one is asked to end."""
        if not self._left_queue(job):
            job.cancel()

    def _left_queue(self, job: Job) -> bool:
        """Take a waiting job out of the queue, and say whether it was one."""
        with self._lock:
            entry = next((each for each in self._waiting if each.job is job), None)
            if entry is None:
                return False
            job.cancel()
            self._leave_queue(entry)
            self._finish(job, State.STOPPED)
        entry.let_go()
        return True

    @contextlib.contextmanager
    def in_turn(
        self, label: str, *, subject: str, share: Share = WHOLE, wait_s: float = TURN_S
    ) -> Iterator[bool]:
        """Hold the lane for short work of the caller's own thread; give whether it is held.

        Where the lane does not come free for `wait_s` seconds, the work goes beside what holds it.
        """
        began, over = threading.Event(), threading.Event()

        def hold(_job: Job) -> None:
            began.set()
            over.wait(HOLD_S)

        # It counts against nobody's jobs: a person waits for it.
        share = replace(share, unfinished=0, run_s=0.0)
        job = self.submit(label, hold, subject=subject, share=share, is_short=True)
        try:
            yield began.wait(wait_s) or not self._left_queue(job)
        finally:
            over.set()

    def _take_turn(self, key: tuple[str, str]) -> None:
        self._last_turn += 1
        self._turns[key] = self._last_turn

    def _leave_queue(self, entry: _Queued) -> None:
        self._waiting.remove(entry)
        self._turn_came.pop(entry.job.id, None)
        waiting = {key for each in self._waiting for key in each.turns}
        self._turns = {key: turn for key, turn in self._turns.items() if key in waiting}

    def _start_next(self) -> None:
        if self._running is not None or not self._waiting:
            return
        following = _first(self._waiting, self._turns)
        long = [each for each in self._waiting if not each.job.is_short]
        if following.job.is_short and long:
            # Short work goes first, but for some seconds only.
            due, now = _first(long, self._turns), time.monotonic()
            if now - self._turn_came.setdefault(due.job.id, now) >= GRACE_S:
                following = due
        self._start(following)
        self._start_beside()

    def _start_beside(self) -> None:
        """Start short work that waited for BESIDE_S beside what holds the lane, one at a time."""
        with self._lock:
            before = time.monotonic() - BESIDE_S
            held = {job.not_beside for job in self._in_lane()}
            late = [each for each in self._waiting if each.job.is_short]
            late = [each for each in late if each.job.created <= before]
            late = [each for each in late if each.job.subject not in held]
            if self._beside is not None or not late:
                return
            for job in self._in_lane():
                job.had_beside = True
            self._start(_first(late, self._turns), is_beside=True)

    def _start(self, queued: _Queued, *, is_beside: bool = False) -> None:
        self._leave_queue(queued)
        for key in self._turns.keys() & set(queued.turns):
            self._take_turn(key)
        job = queued.job
        if is_beside:
            self._beside = job
        else:
            self._running = job
        job.give_way = partial(self._give_way, job)
        job.state = State.RUNNING
        job.started = time.monotonic()
        threading.Thread(
            target=self._work, args=(queued,), name=f"job-{job.subject}", daemon=True
        ).start()

    def _work(self, queued: _Queued) -> None:
        job, state = queued.job, State.DONE
        if queued.run_s:
            threading.Thread(target=_end_in_time, args=(queued,), daemon=True).start()
        try:
            result = queued.work(job)
            job.result = result if result is not None else job.result
            if job.is_cancelled:
                state = State.STOPPED
        except JobCancelled:
            state = State.STOPPED
        except LabError as error:
            job.error = error
            state = State.FAILED
        except Exception as error:  # noqa: BLE001  # logged and shown
            # The page shows one sentence, the log where it happened. The label and the message can
            # hold a visitor's text, so neither is written.
            places = "".join(traceback.format_tb(error.__traceback__))
            logging.getLogger(__name__).error(
                "A job failed with %s:\n%s", type(error).__name__, places
            )
            job.error = LabError(
                f"{job.label} failed: {type(error).__name__}: {error}",
                kept="What was finished before is kept.",
                next_step="The app's log has the details.",
            )
            state = State.FAILED
        finally:
            try:
                queued.let_go()
            finally:
                with self._lock:
                    if job in self._gave_way:  # it ended while another thread of it waited
                        self._gave_way.remove(job)
                    if self._beside is job:
                        self._beside = None
                    if self._running is job:
                        self._running = self._gave_way[-1] if self._gave_way else None
                    self._finish(job, state)
                    self._start_next()
                    self._start_beside()
                    self._changed.notify_all()

    def _finish(self, job: Job, state: State) -> None:
        job.ended = time.monotonic()
        job.state = state
        self.on_end(job)
        job.finished.set()

    def _drop_old(self) -> None:
        now = time.monotonic()
        finished = [job for job in self._jobs.values() if job.state in FINISHED]
        finished.sort(key=lambda job: job.ended or now)
        surplus = finished[: max(len(finished) - MAX_FINISHED, 0)]
        old = [job for job in finished if now - (job.ended or now) > self._time_to_live_s]
        for job in {*surplus, *old}:
            self._jobs.pop(job.id, None)


def _goes_before(waiting: Job, job: Job) -> bool:
    """Say whether a waiting job goes before the next step of one that runs.

    Neither may change what the other one works on.
    """
    is_first = waiting.is_short or (job.is_unasked and not waiting.is_unasked)
    return is_first and job.not_beside != waiting.subject and waiting.not_beside != job.subject


def _first(waiting: list[_Queued], turns: dict[tuple[str, str], int]) -> _Queued:
    """Return whose turn it is: the place that waited longest, in it the owner who did; short first.

    Of one owner the job that came first. What nobody asked for comes last.
    """
    return min(
        waiting,
        key=lambda each: (
            each.job.is_unasked,
            not each.job.is_short,
            *(turns[key] for key in each.turns),
        ),
    )


def _end_in_time(queued: _Queued) -> None:
    """Stop a job that has itself run for as long as it may."""
    job = queued.job
    while (left_s := queued.run_s - job.elapsed_s) > 0:
        if job.finished.wait(left_s):
            return
    job.end_for(
        LabError(
            f"Stopped: a job may run {queued.run_s:,g} s here.",
            kept="What was finished is kept.",
            next_step="Ask for less at once.",
        )
    )


_shared = Jobs()


def shared() -> Jobs:
    """Return the process's one registry of jobs."""
    return _shared
