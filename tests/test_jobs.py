"""Jobs: progress, a queue, Stop, and being found again."""

import threading

from lib.errors import InvalidInput
from lib.jobs import Job, Jobs, State
from tests.waiting import wait_until


def wait(job: Job) -> Job:
    """Wait for a job's end."""
    assert job.finished.wait(5)
    return job


def test_a_job_gives_its_result_and_can_be_found_by_id() -> None:
    jobs = Jobs()
    job = wait(jobs.submit("add", lambda job: 42, lane="a"))
    assert (job.state, job.result) == (State.DONE, 42)
    assert jobs.get(job.id) is job
    assert jobs.get("unknown") is None
    assert jobs.get(None) is None


def test_one_lane_runs_one_job_at_a_time_in_order() -> None:
    jobs, gate, order = Jobs(), threading.Event(), []

    def work(job: Job) -> None:
        gate.wait(5)
        order.append(job.label)

    made = [jobs.submit(str(i), work, lane="benchmark") for i in range(3)]
    other = jobs.submit("other lane", lambda job: "free", lane="ingest")
    assert wait(other).result == "free"
    assert [jobs.position(job) for job in made] == [0, 1, 2]
    assert jobs.running("benchmark") is made[0]
    gate.set()
    for job in made:
        wait(job)
    assert order == ["0", "1", "2"]
    assert jobs.running("benchmark") is None


def test_stop_reaches_the_work_at_once_and_keeps_the_partial_result() -> None:
    jobs = Jobs()

    began = threading.Event()

    def work(job: Job) -> None:
        job.result = ["half"]
        began.set()
        wait_until(lambda: job.is_cancelled)
        job.check()
        job.result.append("more")

    job = jobs.submit("long", work, lane="a")
    assert began.wait(5)
    jobs.cancel(job)
    assert wait(job).state is State.STOPPED
    assert job.result == ["half"]


def test_a_waiting_job_can_be_stopped_without_ever_running() -> None:
    jobs, gate, ran = Jobs(), threading.Event(), []
    first = jobs.submit("first", lambda job: gate.wait(5), lane="a")
    second = jobs.submit("second", lambda job: ran.append(1), lane="a")
    jobs.cancel(second)
    assert wait(second).state is State.STOPPED
    gate.set()
    wait(first)
    # What came after it in the lane has run, so its own turn has passed.
    wait(jobs.submit("third", lambda job: 3, lane="a"))
    assert ran == []


def test_an_expected_failure_is_kept_for_the_reader_and_a_bug_is_worded_too() -> None:
    jobs = Jobs()

    def expected(job: Job) -> None:
        job.result = "half"
        raise InvalidInput("Not like this.")

    def bug(job: Job) -> None:
        raise KeyError("oops")

    failed = wait(jobs.submit("expected", expected, lane="a"))
    assert (failed.state, failed.result) == (State.FAILED, "half")
    assert str(failed.error) == "Not like this."
    broken = wait(jobs.submit("bug", bug, lane="a"))
    assert broken.state is State.FAILED
    assert "KeyError" in str(broken.error)


def test_finished_jobs_are_dropped_after_their_time_to_live() -> None:
    jobs = Jobs(time_to_live_s=100)
    job = wait(jobs.submit("old", lambda job: 1, lane="a"))
    assert jobs.get(job.id) is job
    assert job.ended is not None
    job.ended -= 101
    assert jobs.get(job.id) is None
