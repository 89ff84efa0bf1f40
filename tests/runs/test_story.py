"""A run in five steps: short, true, and the same in pages and decks."""

from dataclasses import replace

import pytest

from lib.results import run_file
from lib.results.analysis import analyse
from lib.results.findings import ALONE, Beside
from lib.runs import story
from lib.runs.store import RECORDED_DIR
from tests.run_builder import make_run, make_trial


def test_the_headline_has_at_most_twelve_words_and_the_line_both_times() -> None:
    run = make_run()
    assert story.headline(analyse(run)) == "50× faster, same results"
    assert story.line(analyse(run)) == "100 documents, one by one (loop): 10.1 s. Async: 0.20 s."


def test_the_headline_is_true_where_async_does_not_win() -> None:
    slower = make_run(
        *(make_trial(repeat=i, call_s=0.001 * 1.01**i) for i in range(3)),
        *(make_trial("gather", concurrency=None, repeat=i, call_s=0.3 * 1.01**i) for i in range(3)),
    )
    assert story.headline(analyse(slower)) == "3.0× slower with async"
    equal = make_run(
        *(make_trial(repeat=i, call_s=0.01 * (1 + 0.1 * i)) for i in range(3)),
        *(make_trial("gather", concurrency=None, repeat=i, call_s=1.1) for i in range(3)),
    )
    assert story.headline(analyse(equal)) == "Async or not: no measurable difference"


def test_the_caveat_names_the_simulated_wait_and_the_gain_without_it() -> None:
    plain = make_run(environment={"simulated_latency_ms": 0})
    assert story.caveat(analyse(plain), ALONE) == "Nothing is simulated."
    assert story.caveat(analyse(make_run()), ALONE) == "With a simulated 450 ms embedding wait."
    told = story.caveat(analyse(make_run()), Beside(plain=plain))
    assert told == "With a simulated 450 ms embedding wait. Without it: 50×."


def test_the_five_steps_have_one_statement_each_and_none_twice() -> None:
    steps = story.steps(analyse(make_run()), ALONE)
    assert len({step.statement for step in steps}) == len(steps)
    assert [step.chart for step in steps] == ["", "race", "waterfall", "speedup", ""]


def test_the_last_step_names_one_batch_where_async_beat_the_loop() -> None:
    trials = [
        trial
        for i in range(3)
        for trial in (
            make_trial(repeat=i, call_s=0.1 * 1.01**i),
            make_trial("gather", concurrency=None, repeat=i, call_s=0.2 * 1.2**i),
            make_trial("one_batch", repeat=i, call_s=0.2 * 1.2 ** (2 - i)),
        )
    ]
    said = " ".join(story.steps(analyse(make_run(*trials)), ALONE)[-1].lines)
    assert "Async beat the loop in this run. One batch took 0.24 s beside its 0.24 s" in said
    assert "won every" not in said
    slower = [
        make_trial("one_batch", repeat=t.repeat, call_s=0.4) if t.strategy == "one_batch" else t
        for t in trials
    ]
    said = " ".join(story.steps(analyse(make_run(*slower)), ALONE)[-1].lines)
    assert "One batch took" not in said


@pytest.mark.parametrize(
    ("name", "chart"),
    [("sweep-server", "sweep"), ("rate-server", "rates"), ("overload-server", "losses")],
)
def test_a_run_without_a_loop_beside_async_claims_no_gain_and_shows_its_advice(
    name: str, chart: str
) -> None:
    run = run_file.read(RECORDED_DIR / f"{name}.json")
    steps = story.steps(analyse(run), ALONE)
    said = " ".join(text for step in steps for text in (step.statement, *step.lines))
    assert "beat the loop" not in said
    assert "twice" not in said
    assert "must be equal" not in said
    assert "Nothing to compare" not in said
    assert "No call was recorded" not in said
    assert "says nothing about a gain" in said
    assert steps[1].chart == chart
    assert steps[1].statement == analyse(run).advice.short
    assert steps[3].lines == analyse(run).sentences
    assert "staircase" not in " ".join(step.notes for step in steps)
    assert len({step.statement for step in steps}) == len(steps) == 5


def test_a_run_of_warm_ups_alone_has_its_steps() -> None:
    run = make_run(replace(make_trial(), warmup=True))
    assert [step.chart for step in story.steps(analyse(run), ALONE)] == [""] * 5


def test_a_run_without_a_verified_trial_still_has_five_steps() -> None:
    steps = story.steps(analyse(make_run(make_trial(verified=False))), ALONE)
    assert len(steps) == 5
