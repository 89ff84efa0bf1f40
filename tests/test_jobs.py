"""Jobs: progress, a queue, Stop, and being found again."""

import threading

import pytest

from lib.errors import InvalidInput
from lib.jobs import Job, Jobs, Share, State
from tests.waiting import wait_until


def wait(job: Job) -> Job:
    """Wait for a job's end."""
    assert job.finished.wait(5)
    return job


def test_a_job_gives_its_result_and_can_be_found_by_id() -> None:
    jobs = Jobs()
    job = wait(jobs.submit("add", lambda job: 42, subject="a"))
    assert (job.state, job.result) == (State.DONE, 42)
    assert jobs.get(job.id) is job
    assert jobs.get("unknown") is None
    assert jobs.get(None) is None


def test_jobs_run_one_at_a_time_in_order_whatever_they_are_about() -> None:
    jobs, gate, order = Jobs(), threading.Event(), []
    subjects = ["ingest:a", "benchmark", "benchmark"]

    def work(job: Job) -> None:
        gate.wait(5)
        order.append(job.label)

    made = [jobs.submit(str(i), work, subject=subject) for i, subject in enumerate(subjects)]
    assert [jobs.ahead(job) for job in made] == [(), (made[0],), (made[0], made[1])]
    assert jobs.running("ingest:a") is made[0]
    assert jobs.running("benchmark") is None
    assert jobs.unfinished("benchmark") is made[1]
    gate.set()
    for job in made:
        wait(job)
    assert order == ["0", "1", "2"]
    assert jobs.unfinished("benchmark") is None


def test_stop_reaches_the_work_at_once_and_keeps_the_partial_result() -> None:
    jobs = Jobs()

    began = threading.Event()

    def work(job: Job) -> None:
        job.result = ["half"]
        began.set()
        wait_until(lambda: job.is_cancelled)
        job.check()
        job.result.append("more")

    job = jobs.submit("long", work, subject="a")
    assert began.wait(5)
    jobs.cancel(job)
    assert wait(job).state is State.STOPPED
    assert job.result == ["half"]


def test_a_waiting_job_can_be_stopped_without_ever_running() -> None:
    jobs, gate, ran = Jobs(), threading.Event(), []
    first = jobs.submit("first", lambda job: gate.wait(5), subject="a")
    second = jobs.submit("second", lambda job: ran.append(1), subject="a")
    jobs.cancel(second)
    assert wait(second).state is State.STOPPED
    gate.set()
    wait(first)
    # What came after it in the lane has run, so its own turn has passed.
    wait(jobs.submit("third", lambda job: 3, subject="a"))
    assert ran == []


def test_an_expected_failure_is_kept_for_the_reader_and_a_bug_is_worded_too() -> None:
    jobs = Jobs()

    def expected(job: Job) -> None:
        job.result = "half"
        raise InvalidInput("Not like this.")

    def bug(job: Job) -> None:
        raise KeyError("oops")

    failed = wait(jobs.submit("expected", expected, subject="a"))
    assert (failed.state, failed.result) == (State.FAILED, "half")
    assert str(failed.error) == "Not like this."
    broken = wait(jobs.submit("bug", bug, subject="a"))
    assert broken.state is State.FAILED
    assert "KeyError" in str(broken.error)


def test_finished_jobs_are_dropped_after_their_time_to_live() -> None:
    jobs = Jobs(time_to_live_s=100)
    job = wait(jobs.submit("old", lambda job: 1, subject="a"))
    assert jobs.get(job.id) is job
    assert job.ended is not None
    job.ended -= 101
    assert jobs.get(job.id) is None


class Hold:
    """Counts how often it was let go."""

    released = 0

    def release(self) -> None:
        """Count."""
        self.released += 1


def test_ids_carry_128_random_bits() -> None:
    ids = {Job("x", "lane").id for _ in range(500)}
    assert len(ids) == 500
    assert all(len(bytes.fromhex(each)) == 16 for each in ids)


def test_a_job_is_found_by_its_owner_alone() -> None:
    jobs = Jobs()
    job = wait(jobs.submit("mine", lambda job: 1, subject="a", share=Share(owner="me")))
    assert jobs.get(job.id, "me") is job
    assert jobs.get(job.id, "you") is None
    assert jobs.get(job.id) is None


def test_what_a_job_holds_is_let_go_once_at_its_end_in_the_queue_and_when_refused() -> None:
    jobs, gate = Jobs(), threading.Event()
    share = Share(owner="me", unfinished=2)
    ran, left, refused = Hold(), Hold(), Hold()
    running = jobs.submit("runs", lambda job: gate.wait(5), subject="a", held=ran, share=share)
    queued = jobs.submit("waits", lambda job: 1, subject="a", held=left, share=share)
    with pytest.raises(InvalidInput, match="2 of your jobs"):
        jobs.submit("too many", lambda job: 1, subject="a", held=refused, share=share)
    assert (ran.released, left.released, refused.released) == (0, 0, 1)
    jobs.submit("another's", lambda job: 1, subject="b", share=Share(owner="you", unfinished=2))
    jobs.cancel(queued)
    assert left.released == 1
    gate.set()
    wait(running)
    wait(jobs.submit("after it", lambda job: 1, subject="a"))
    assert ran.released == 1


def test_a_job_is_stopped_when_its_time_is_over_and_says_why() -> None:
    jobs, never = Jobs(), threading.Event()

    def work(job: Job) -> None:
        job.result = "so far"
        while True:
            job.check()
            never.wait(0.01)

    job = wait(jobs.submit("endless", work, subject="a", share=Share(owner="me", run_s=0.2)))
    assert (job.state, job.result) == (State.STOPPED, "so far")
    assert "may run 0.2 s here" in str(job.error)
