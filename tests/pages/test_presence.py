"""Jobs of a visitor who left are stopped after a minute; whoever comes back finds them."""

import threading

from lib.jobs import Job, Jobs, Share, State
from lib.ui.visitor.presence import Presence
from tests.waiting import PATIENCE_S, wait_until


class Room:
    """Jobs of owners whose sessions a test connects, and a clock that it moves."""

    def __init__(self) -> None:
        self.now, self.connected, self.gate = 0.0, set[str](), threading.Event()
        self.jobs = Jobs()
        self.presence = Presence(
            self.jobs, self.connected.__contains__, away_s=60, clock=lambda: self.now
        )

    def comes(self, owner: str, session: str) -> None:
        """Open a session."""
        self.connected.add(session)
        self.presence.note(owner, session)

    def queue(self, owner: str) -> Job:
        """Queue a job that runs until the gate opens or it is stopped."""

        def work(job: Job) -> None:
            while not self.gate.wait(0.01):
                job.check()

        return self.jobs.submit("work", work, subject="a", share=Share(owner))

    def looks_at(self, *moments: float) -> None:
        """Look at these moments, in seconds."""
        for self.now in moments:
            self.presence.look()


def test_waiting_and_running_jobs_end_a_minute_after_their_visitor_left() -> None:
    room = Room()
    room.comes("gone", "1")
    room.comes("here", "2")
    running, waiting, others = room.queue("gone"), room.queue("gone"), room.queue("here")
    room.looks_at(0, 1_000)
    room.connected.remove("1")
    room.looks_at(1_005, 1_064)
    assert (running.state, waiting.state) == (State.RUNNING, State.QUEUED)
    room.looks_at(1_065)
    assert running.finished.wait(PATIENCE_S)
    assert {running.state, waiting.state} == {State.STOPPED}
    assert "nobody was here for 60 s" in str(running.error)
    wait_until(lambda: others.state is State.RUNNING)
    room.looks_at(9_999)
    assert not others.is_cancelled
    room.gate.set()
    assert others.finished.wait(PATIENCE_S)


def test_who_comes_back_in_another_session_within_the_minute_finds_the_run() -> None:
    room = Room()
    room.comes("me", "1")
    running = room.queue("me")
    room.connected.remove("1")
    room.looks_at(0, 59)
    room.comes("me", "after a reload")
    room.looks_at(61, 1_000)
    assert not running.is_cancelled
    # The minute begins anew.
    room.connected.clear()
    room.looks_at(1_001, 1_060)
    assert not running.is_cancelled
    room.looks_at(1_061)
    assert running.is_cancelled
    assert running.finished.wait(PATIENCE_S)


def test_a_job_without_an_owner_goes_on_with_nobody_here() -> None:
    room = Room()
    running = room.queue("")
    room.looks_at(0, 100_000)
    assert not running.is_cancelled
    room.gate.set()
    assert running.finished.wait(PATIENCE_S)


def test_nothing_is_remembered_of_who_left() -> None:
    room = Room()
    for number in range(100):
        room.comes(f"owner {number}", f"session {number}")
    room.connected.clear()
    room.looks_at(0, 60)
    assert not room.presence._sessions
    assert not room.presence._left
