"""One background loop for the web process; nest_asyncio only where a loop already runs."""

import asyncio
import subprocess
import threading

import pytest

from lib.errors import LabError
from lib.event_loop import EventLoop
from tests.fresh_process import ended
from tests.waiting import at_once


@pytest.fixture
def loop():
    """A loop of its own for each test."""
    made = EventLoop()
    yield made
    made.close()


async def current_thread_name() -> str:
    """Return the name of the thread that runs this coroutine."""
    return threading.current_thread().name


def test_coroutines_run_on_the_background_thread_whoever_asks(loop: EventLoop) -> None:
    names = at_once(20, lambda _: loop.run(current_thread_name()))
    assert names == ["lab-event-loop"] * 20


def test_a_timeout_cancels_the_coroutine(loop: EventLoop) -> None:
    cancelled = threading.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(TimeoutError):
        loop.run(slow(), timeout=0.05)
    assert cancelled.wait(2)


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_a_coroutine_s_own_timeout_arrives_as_it_is(loop: EventLoop, timeout: float | None) -> None:
    async def gives_up() -> None:
        raise TimeoutError("The service did not answer.")

    with pytest.raises(TimeoutError, match=r"^The service did not answer\.$"):
        loop.run(gives_up(), timeout)


def test_a_submitted_coroutine_can_be_cancelled(loop: EventLoop) -> None:
    started = threading.Event()
    ended = threading.Event()

    async def slow() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    future = loop.submit(slow())
    assert started.wait(2)
    assert future.cancel()
    assert ended.wait(2)


def test_an_error_reaches_the_caller(loop: EventLoop) -> None:
    async def fail() -> None:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        loop.run(fail())


def test_closing_cancels_what_runs_and_joins_the_thread() -> None:
    made = EventLoop()
    started = threading.Event()

    async def endless() -> None:
        started.set()
        await asyncio.Event().wait()

    future = made.submit(endless())
    assert started.wait(5)
    made.close()
    made.close()
    assert future.cancelled()
    assert made.is_closed
    with pytest.raises(LabError):
        made.submit(current_thread_name())


def test_running_on_the_loop_itself_is_refused_instead_of_hanging(loop: EventLoop) -> None:
    async def nested() -> None:
        loop.run(current_thread_name())

    with pytest.raises(LabError, match="await"):
        loop.run(nested(), timeout=5)


NOTEBOOK = """
import asyncio
from lib import event_loop
from tests.waiting import at_once
{forbid}
async def answer():
    asked = asyncio.Event()
    asyncio.get_running_loop().call_soon(asked.set)
    await asked.wait()
    return 42

async def cell():
    return event_loop.run(answer())

print("answer", asyncio.run(cell()))
"""


def run_notebook_cell(forbid: str) -> subprocess.CompletedProcess[str]:
    """Call event_loop.run where a loop already runs, in a process of its own."""
    return ended("-c", NOTEBOOK.format(forbid=forbid))


def test_in_a_notebook_the_running_loop_is_nested_as_the_tutorial_does() -> None:
    done = run_notebook_cell(forbid="")
    assert done.stdout.strip() == "answer 42", done.stderr


def test_in_the_web_process_nesting_is_refused_and_asyncio_stays_as_it_is() -> None:
    done = run_notebook_cell(forbid="event_loop.shared().forbid_nesting()")
    assert done.returncode != 0
    assert "await the coroutine instead" in done.stderr
    assert "nest_asyncio" not in done.stderr
