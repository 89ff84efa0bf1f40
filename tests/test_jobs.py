"""Jobs: progress, a queue, Stop, and being found again."""

import threading
import time

import pytest

from lib import jobs as jobs_module
from lib.errors import InvalidInput
from lib.jobs import Job, Jobs, Share, State
from tests.waiting import PATIENCE_S, wait_until


def wait(job: Job) -> Job:
    """Wait for a job's end."""
    assert job.finished.wait(PATIENCE_S)
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


class Lane:
    """A registry of jobs whose order of running is noted; the first holds the lane until `gate`."""

    def __init__(self) -> None:
        self.jobs, self.gate, self.order = Jobs(), threading.Event(), []
        self.first = self.jobs.submit("first", lambda job: self.gate.wait(5), subject="x")

    def add(self, label: str, share: Share, *, is_short: bool = False, subject: str = "a") -> Job:
        """Queue a job that notes its label and ends."""
        return self.jobs.submit(
            label,
            lambda job: self.order.append(label),
            subject=subject,
            share=share,
            is_short=is_short,
        )

    def run(self) -> list[str]:
        """Let the queue run to its end, and return the order."""
        self.gate.set()
        for job in self.jobs.all():
            wait(job)
        return self.order


def test_owners_take_turns_whoever_queued_how_much() -> None:
    lane, a, b, c = Lane(), Share("a"), Share("b"), Share("c")
    for label, share in [("a1", a), ("a2", a), ("a3", a), ("b1", b), ("b2", b), ("c1", c)]:
        lane.add(label, share)
    last = lane.add("a4", a)
    assert [job.label for job in lane.jobs.ahead(last)] == [
        *("first", "a1", "b1", "c1", "a2", "b2", "a3")
    ]
    assert lane.run() == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_owners_who_share_a_place_have_one_turn_together() -> None:
    lane = Lane()
    crowd = [Share(f"s{number}", place="address") for number in range(6)]
    for share in (*crowd, *crowd):
        lane.add(share.owner, share)
    lane.add("other", Share("other"))
    # Within the place its owners take turns as well.
    assert lane.run() == [
        "s0",
        "other",
        *(f"s{n}" for n in (1, 2, 3, 4, 5)),
        *map("s{}".format, range(6)),
    ]


def test_who_left_the_queue_has_no_turn_and_holds_none() -> None:
    lane = Lane()
    gone = lane.add("a1", Share("a"))
    lane.add("b1", Share("b"))
    lane.add("a2", Share("a"))
    lane.jobs.cancel(gone)
    assert lane.run() == ["a2", "b1"]
    assert not lane.jobs._turns


def test_short_work_goes_first_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    for grace_s, expected in ((5.0, ["s0", "s1", "s2", "long"]), (0.0, ["long", "s0", "s1", "s2"])):
        monkeypatch.setattr(jobs_module, "GRACE_S", grace_s)
        lane = Lane()
        lane.add("long", Share("a"))
        for number in range(3):
            lane.add(f"s{number}", Share("b"), is_short=True)
        assert lane.run() == expected


def long_run(lane: Lane, steps: int, gaps: list[bool]) -> Job:
    """Queue a job of some steps that gives way between them and notes whether it did."""

    def work(job: Job) -> None:
        for step in range(steps):
            if step:
                gaps.append(job.give_way())
            lane.order.append(f"step {step}")
            job.check()

    return lane.jobs.submit("run", work, subject="benchmark", share=Share("measures"))


def test_a_run_gives_way_to_short_work_between_its_steps_and_to_nothing_else() -> None:
    lane, gaps = Lane(), []
    inside = threading.Event()

    def work(job: Job) -> None:
        lane.order.append("step 0")
        inside.set()
        lane.gate.wait(5)
        gaps.append(job.give_way())
        lane.order.append("step 1")
        gaps.append(job.give_way())

    lane.gate.set()
    wait(lane.first)
    lane.gate.clear()
    run = lane.jobs.submit("run", work, subject="benchmark", share=Share("measures"))
    assert inside.wait(5)
    seen = []
    lane.jobs.submit(
        "short",
        lambda job: seen.append((lane.jobs.running("benchmark") is run, run.state)),
        subject="a",
        share=Share("b"),
        is_short=True,
    )
    lane.add("short too", Share("c"), is_short=True)
    lane.add("long", Share("b"))
    assert lane.run() == ["step 0", "short too", "step 1", "long"]
    assert gaps == [True, False]
    # For the pages it runs meanwhile, and the time it gave away is not its own.
    assert seen == [(True, State.RUNNING)]
    assert run.gave_s > 0


@pytest.mark.alone
def test_a_run_gives_away_no_more_time_than_it_took_and_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs_module, "GRACE_S", 0.05)
    lane, gaps = Lane(), []
    run = long_run(lane, 2, gaps)
    lane.gate.set()
    wait(run)
    lane.gate.clear()
    jobs, never = lane.jobs, threading.Event()

    def work(job: Job) -> None:
        for _ in range(9):
            jobs.submit("s", lambda job: never.wait(0.04) or None, subject="a", is_short=True)
        job.give_way()

    run = wait(jobs.submit("run", work, subject="benchmark"))
    assert 0.05 < run.gave_s < 0.2
    assert [job for job in jobs.all() if job.state is State.QUEUED]


def test_work_on_what_a_run_measures_waits_for_its_end() -> None:
    lane, gaps = Lane(), []

    def work(job: Job) -> None:
        lane.add("into it", Share("b"), is_short=True, subject="ingest:mine")
        lane.add("beside it", Share("b"), is_short=True, subject="ingest:other")
        gaps.append(job.give_way())
        lane.order.append("step")

    run = lane.jobs.submit("run", work, subject="benchmark", not_beside="ingest:mine")
    lane.gate.set()
    wait(run)
    wait_until(lambda: len(lane.order) == 3)
    assert (lane.order, gaps) == (["beside it", "step", "into it"], [True])


def test_what_nobody_asked_for_lets_everything_go_first_and_goes_on_afterwards() -> None:
    jobs, order, asked = Jobs(), [], threading.Event()

    def short(job: Job) -> None:
        order.append("short")

    def run(job: Job) -> None:
        order.append("trial 1")
        jobs.submit("short", short, subject="a", is_short=True)
        assert job.give_way()
        order.append("trial 2")

    def load(job: Job) -> None:
        asked.wait(5)
        for batch in ("batch 1", "batch 2"):
            order.append(batch)
            job.give_way()

    loading = jobs.submit("load", load, subject="ingest:a", is_unasked=True, not_beside="ingest:a")
    into = jobs.submit("into it", lambda job: order.append("into it"), subject="ingest:a")
    of_it = jobs.submit(
        "of it", lambda job: order.append("of it"), subject="benchmark", not_beside="ingest:a"
    )
    asked_for = jobs.submit("run", run, subject="benchmark")
    late = jobs.submit("late", lambda job: order.append("late"), subject="b", is_unasked=True)
    asked.set()
    for job in (loading, into, of_it, asked_for, late):
        assert wait(job).error is None
    assert order == [
        *("batch 1", "trial 1", "short", "trial 2", "batch 2"),
        *("into it", "of it", "late"),
    ]


@pytest.mark.alone
def test_a_run_that_gave_way_is_stopped_at_once_and_the_short_work_goes_on() -> None:
    jobs, gate, began = Jobs(), threading.Event(), threading.Event()

    def short(job: Job) -> str:
        began.set()
        gate.wait(5)
        return "done"

    made = []

    def work(job: Job) -> None:
        made.append(jobs.submit("short", short, subject="a", is_short=True))
        job.give_way()
        job.check()

    run = jobs.submit("run", work, subject="benchmark")
    assert began.wait(5)
    stopped = time.monotonic()
    jobs.cancel(run)
    assert wait(run).state is State.STOPPED
    assert time.monotonic() - stopped < 1
    after = jobs.submit("after", lambda job: 1, subject="a")
    # One at a time still: the short one holds the lane.
    assert after.state is State.QUEUED
    gate.set()
    assert (wait(made[0]).result, wait(after).state) == ("done", State.DONE)


def test_the_time_that_a_run_gave_away_is_not_counted_against_it() -> None:
    jobs, never = Jobs(), threading.Event()

    def work(job: Job) -> str:
        jobs.submit("short", lambda job: never.wait(0.4) or None, subject="a", is_short=True)
        job.give_way()
        job.check()
        return "whole"

    job = wait(jobs.submit("run", work, subject="b", share=Share("me", run_s=0.3)))
    assert (job.state, job.result, job.error) == (State.DONE, "whole", None)
    assert job.gave_s >= 0.4 > job.elapsed_s


def test_short_work_that_waited_goes_beside_what_holds_the_lane_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs_module, "BESIDE_S", 0.05)
    jobs, gate, leave = Jobs(), threading.Event(), threading.Event()
    gaps, together = list[bool](), list[tuple[str, ...]]()

    def trial(job: Job) -> None:
        gate.wait(10)
        gaps.extend((job.give_way(), job.give_way()))

    run = jobs.submit("run", trial, subject="benchmark", not_beside="ingest:mine")

    def row(job: Job) -> str:
        running = [each.label for each in jobs.all() if each.state is State.RUNNING]
        together.append(tuple(running))
        leave.wait(10)
        return job.label

    def short(label: str, subject: str) -> Job:
        return jobs.submit(label, row, subject=subject, share=Share(label), is_short=True)

    refused = short("into it", "ingest:mine")
    rows = [short(label, f"ingest:{label}") for label in ("a", "b", "c")]
    wait_until(lambda: bool(together))
    assert jobs.running("ingest:a") is rows[0]
    leave.set()
    assert [wait(job).result for job in rows] == ["a", "b", "c"]
    assert together == [("run", label) for label in ("a", "b", "c")]
    assert refused.state is State.QUEUED
    gate.set()
    assert wait(run).state is State.DONE
    # The run knows of those beside it, and says so once.
    assert gaps == [True, False]
    assert wait(refused).result == "into it"


def test_own_short_work_holds_the_lane_or_goes_beside_it_after_a_while() -> None:
    lane = Lane()
    with lane.jobs.in_turn("beside", subject="change", wait_s=0.05) as is_held:
        assert not is_held
    lane.gate.set()
    wait(lane.first)
    lane.gate.clear()

    def work(job: Job) -> None:
        began.set()
        while not lane.gate.wait(0.01):
            gaps.append(job.give_way())
            went_on.set()

    began, went_on, gaps = threading.Event(), threading.Event(), list[bool]()
    share = Share("me", unfinished=1)
    run = lane.jobs.submit("run", work, subject="benchmark", share=share)
    assert began.wait(5)
    with lane.jobs.in_turn("between", subject="change", share=share) as is_held:
        assert is_held
        assert lane.jobs.running("change") is not None
        went_on.clear()
        assert not went_on.wait(0.1)  # the run waits
    wait_until(lambda: True in gaps)
    lane.gate.set()
    assert wait(run).state is State.DONE
    assert lane.jobs.running("change") is None


def test_a_job_that_does_not_run_gives_no_way() -> None:
    assert not Job("of a terminal", "benchmark").give_way()
    job = wait(Jobs().submit("ended", lambda job: 1, subject="a"))
    assert not job.give_way()
