"""Jobs: long work with progress, a stop button and a result, which outlive a page refresh.

A job is plain data plus a cancel. Its worker thread writes to it, a page's fragment reads it; the
page keeps only the id. Jobs of one lane run one at a time, in the order they came.
"""

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from lib.errors import JobCancelled, LabError

TIME_TO_LIVE_S = 3600.0
MAX_FINISHED = 50


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

    def __init__(self, label: str, lane: str) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.label = label
        self.lane = lane
        self.state = State.QUEUED
        self.progress = Progress()
        self.result: Any = None
        self.error: LabError | None = None
        self.created = time.monotonic()
        self.started: float | None = None
        self.ended: float | None = None
        self._cancelled = threading.Event()
        self.finished = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        """Say whether somebody asked the job to stop."""
        return self._cancelled.is_set()

    @property
    def elapsed_s(self) -> float:
        """Seconds of running, until now or until the end."""
        if self.started is None:
            return 0.0
        return (self.ended or time.monotonic()) - self.started

    @property
    def time_left_s(self) -> float | None:
        """Seconds left at the pace so far, None while that is unknown."""
        fraction = self.progress.fraction
        if self.state is not State.RUNNING or fraction < 0.02 or self.elapsed_s < 0.5:
            return None
        return self.elapsed_s * (1 - fraction) / fraction

    def check(self) -> None:
        """Raise JobCancelled if the job was asked to stop; workers call this between steps."""
        if self.is_cancelled:
            raise JobCancelled("Stopped.", kept="What was finished is kept.")

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._cancelled.set()


Work = Callable[[Job], Any]


class Jobs:
    """The jobs of one process, found by id."""

    def __init__(self, time_to_live_s: float = TIME_TO_LIVE_S) -> None:
        self._jobs: dict[str, Job] = {}
        self._waiting: dict[str, deque[tuple[Job, Work]]] = {}
        self._running: dict[str, Job] = {}
        self._lock = threading.RLock()
        self._time_to_live_s = time_to_live_s

    def submit(self, label: str, work: Work, *, lane: str) -> Job:
        """Queue work in a lane and return its job at once.

        `work(job)` returns the result; it may set `job.result` earlier, so that a stop keeps it.
        """
        job = Job(label, lane)
        with self._lock:
            self._drop_old()
            self._jobs[job.id] = job
            self._waiting.setdefault(lane, deque()).append((job, work))
            self._start_next(lane)
        return job

    def get(self, job_id: str | None) -> Job | None:
        """Return the job with this id, or None when it is unknown or was dropped."""
        with self._lock:
            self._drop_old()
            return self._jobs.get(job_id or "")

    def position(self, job: Job) -> int:
        """Return how many jobs run or wait before this one in its lane."""
        with self._lock:
            waiting = [queued for queued, _ in self._waiting.get(job.lane, ())]
            if job not in waiting:
                return 0
            return waiting.index(job) + (job.lane in self._running)

    def running(self, lane: str) -> Job | None:
        """Return the job that runs in a lane now."""
        with self._lock:
            return self._running.get(lane)

    def cancel(self, job: Job) -> None:
        """Stop a job: a waiting one leaves the queue, a running one is asked to end."""
        with self._lock:
            queue = self._waiting.get(job.lane, deque())
            for entry in list(queue):
                if entry[0] is job:
                    queue.remove(entry)
                    self._finish(job, State.STOPPED)
        job.cancel()

    def _start_next(self, lane: str) -> None:
        if lane in self._running or not self._waiting.get(lane):
            return
        job, work = self._waiting[lane].popleft()
        self._running[lane] = job
        job.state = State.RUNNING
        job.started = time.monotonic()
        threading.Thread(
            target=self._work, args=(job, work), name=f"job-{lane}", daemon=True
        ).start()

    def _work(self, job: Job, work: Work) -> None:
        state = State.DONE
        try:
            result = work(job)
            job.result = result if result is not None else job.result
            if job.is_cancelled:
                state = State.STOPPED
        except JobCancelled:
            state = State.STOPPED
        except LabError as error:
            job.error = error
            state = State.FAILED
        except Exception as error:
            # The page shows one sentence; the log keeps the traceback for whoever runs the app.
            logging.getLogger(__name__).exception("Job %s failed", job.label)
            job.error = LabError(
                f"{job.label} failed: {type(error).__name__}: {error}",
                kept="What was finished before is kept.",
                next_step="The app's log has the details.",
            )
            state = State.FAILED
        finally:
            with self._lock:
                self._running.pop(job.lane, None)
                self._finish(job, state)
                self._start_next(job.lane)

    @staticmethod
    def _finish(job: Job, state: State) -> None:
        job.ended = time.monotonic()
        job.state = state
        job.finished.set()

    def _drop_old(self) -> None:
        now = time.monotonic()
        finished = [job for job in self._jobs.values() if job.state in FINISHED]
        finished.sort(key=lambda job: job.ended or now)
        surplus = finished[: max(len(finished) - MAX_FINISHED, 0)]
        old = [job for job in finished if now - (job.ended or now) > self._time_to_live_s]
        for job in {*surplus, *old}:
            self._jobs.pop(job.id, None)


_shared = Jobs()


def shared() -> Jobs:
    """Return the process's one registry of jobs."""
    return _shared
