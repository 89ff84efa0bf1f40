"""While a benchmark runs the page draws a counter: it shares the processors with it."""

import gc
import threading
from collections.abc import Iterator

import pytest

from lib import jobs
from lib.jobs import Job
from lib.ui.benchmark.live import trial_cells
from lib.ui.visitor import memory
from lib.words import duration_text
from tests.pages.conftest import OpenApp, said
from tests.run_builder import make_run, make_trial
from tests.waiting import PATIENCE_S, wait_until


@pytest.fixture(autouse=True)
def no_first_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the corpus that a first visit loads: it would wait for what runs here."""
    monkeypatch.setattr("lib.ui.frame.corpus.first_load", lambda opened: None)


@pytest.fixture
def running() -> Iterator[Job]:
    """A benchmark that has finished seven of its trials and goes on until the test is over."""
    over = threading.Event()

    def work(job: Job) -> None:
        job.progress.total, job.progress.done = 700, 301
        job.result = make_run(*(make_trial(repeat=number) for number in range(7)))
        over.wait(60)

    job = jobs.shared().submit("Measuring", work, subject="benchmark")
    wait_until(lambda: job.result is not None)
    yield job
    over.set()
    assert job.finished.wait(PATIENCE_S)


def test_a_running_benchmark_is_a_counter_and_its_picture_comes_at_the_end(
    open_app: OpenApp, running: Job
) -> None:
    app = open_app()
    app.query_params["b_run"] = running.id
    app.switch_page("pages/benchmark.py").run()
    assert "7 trials finished" in said(app)
    assert not app.get("vega_lite_chart")
    # Share is a button; the race would be drawn.
    assert {each.key for each in app.get("bidi_component")} <= {"b_share"}
    running.cancel()


def test_each_repeat_is_a_square_that_fills_and_a_wrong_one_is_crossed() -> None:
    loop, wrong = make_trial(), make_trial("gather", concurrency=None, verified=False)
    drawn = trial_cells([loop, wrong], loop.cell, 3, 0.37, "light")
    lines = drawn.split("</div></div>")[0].split("<div>")[1:]
    assert [line.count("<span") for line in lines if "<span" in line] == [3, 3]
    assert [line.count("✕") for line in lines if "<span" in line] == [0, 1]
    assert "37%" in drawn
    assert duration_text(loop.wall_s) in drawn
    assert 'aria-label="2 trials finished"' in drawn
    # Shuffled as the trials are, the ways stand in their order.
    shuffled = trial_cells([wrong, loop], loop.cell, 3, 0.37, "light")
    assert shuffled == drawn
    # The first trial of a run is drawn while it warms up.
    assert trial_cells([], loop.cell, 1, 0.0, "dark").count("<span") == 1
    assert "<span" not in trial_cells([], None, 1, 0.0, "dark")


def test_memory_is_given_back_beside_a_benchmark_and_not_beside_what_this_process_measures(
    running: Job,
) -> None:
    memory._give_back_once.cache_clear()
    memory.give_back()
    assert memory._give_back_once.cache_info().misses == 1
    running.subject = "tuning"
    memory._give_back_once.cache_clear()
    memory.give_back()
    assert memory._give_back_once.cache_info().misses == 0


def test_the_app_does_not_watch_its_loop(open_app: OpenApp) -> None:
    open_app()
    # The soak's watch notes each garbage collection; nothing of it is in a process that serves.
    assert not [each for each in gc.callbacks if each.__qualname__.startswith("LoopWatch.")]
