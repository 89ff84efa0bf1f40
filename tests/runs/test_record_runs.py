"""The recorder of the runs that ship: what it joins, and from what."""

import dataclasses

import pytest

from lib.benchmark.environment import ONE_START
from lib.benchmark.kit import RECORDINGS
from lib.results.summaries import summarise
from lib.results.trials import Run
from scripts.record_runs import join_operations, join_starts
from tests.run_builder import ENVIRONMENT, make_run, make_trial


def _start(call_s: float) -> Run:
    return make_run(
        make_trial(call_s=0.1),
        make_trial("gather", concurrency=None, call_s=call_s),
        settings={"seed": 7, "repeats": 1},
        environment={"notes": [*ENVIRONMENT["notes"], ONE_START]},  # type: ignore[misc]
    )


def test_starts_become_the_repeats_of_one_run_with_an_interval_over_them() -> None:
    joined = join_starts([_start(0.2), _start(0.1), _start(0.05)], "tutorial-server")
    assert [trial.repeat for trial in joined.trials] == [0, 0, 1, 1, 2, 2]
    assert [trial.order for trial in joined.trials] == list(range(6))
    assert (joined.settings["repeats"], joined.settings["server_starts"]) == (3, 3)
    gather = summarise(joined.trials)[1]
    assert gather.speedup == pytest.approx(100)  # the geometric mean of 50, 100 and 200
    assert gather.speedup_low is not None
    assert gather.speedup_low < 50


def test_a_run_over_starts_says_so_and_not_that_it_speaks_for_one() -> None:
    joined = join_starts([_start(0.2), _start(0.1)], "tutorial-server")
    assert ONE_START not in joined.environment["notes"]
    assert joined.environment["notes"][-1].startswith("2 starts of the server")
    assert "python -m scripts.record_runs --only tutorial-server" in joined.settings["command"]
    assert "python -m lib.benchmark --preset tutorial" in joined.settings["command"]


def test_one_partial_start_makes_the_whole_partial() -> None:
    whole = _start(0.2)
    partial = dataclasses.replace(whole, partial=True)
    assert join_starts([whole, partial], "tutorial-server").partial


def test_two_runs_of_other_operations_keep_both_commands() -> None:
    second = make_run(
        make_trial(operation="from_texts"),
        settings={"operations": ["from_texts"], "command": "the second"},
    )
    joined = join_operations(make_run(), second)
    assert joined.settings["operations"] == ["add_documents", "from_texts"]
    assert joined.settings["command"].endswith("run.json && the second")
    assert [trial.order for trial in joined.trials] == list(range(7))


def test_every_tutorial_run_on_a_server_is_made_over_starts() -> None:
    tutorials = [name for name in RECORDINGS if name.startswith("tutorial-server")]
    assert len(tutorials) == 2
    assert all(RECORDINGS[name].starts >= 5 for name in tutorials)
