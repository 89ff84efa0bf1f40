"""What a run of a service says: its figures are exact, and file, charts and steps carry them."""

from dataclasses import replace

import pytest

from lib.charts import data as chart_data
from lib.charts.charts import CHARTS
from lib.charts.data import Focus
from lib.results import findings, run_file
from lib.results.analysis import analyse
from lib.results.findings import ALONE
from lib.results.summaries import neighbour_s, summarise
from lib.results.trials import Run
from lib.runs import card, story
from tests.frames import frame_of
from tests.run_builder import make_run, make_served_trial, make_service_run

RUN = make_service_run()
WHOLE = Focus("", 0)


@pytest.mark.parametrize(("pings", "is_p99"), [(1, False), (499, False), (500, True), (523, True)])
def test_the_neighbour_s_wait_is_a_p99_from_500_requests_on_and_else_the_slowest(
    pings: int, is_p99: bool
) -> None:
    trial = make_served_trial("service_async", wait_s=0.2, pings=pings)
    (cell,) = summarise([trial])
    # The last request waits 0.2 s, all others half of it.
    assert neighbour_s(trial) == pytest.approx(0.1 if is_p99 else 0.2)
    assert cell.neighbour_ms == pytest.approx(1000 * neighbour_s(trial))
    assert (cell.neighbour_is_p99, cell.pings) == (is_p99, pings)


def test_the_ratios_are_exactly_those_of_the_shown_figures() -> None:
    verdict = analyse(RUN).service
    assert verdict is not None
    blocking, awaited = verdict.way("service_blocking"), verdict.way("service_async")
    assert blocking is not None
    assert awaited is not None
    assert verdict.calmer is not None
    assert blocking.neighbour_ms == pytest.approx(5_000 * 1.01)
    assert verdict.calmer.ratio == pytest.approx(
        (blocking.neighbour_ms or 0) / (awaited.neighbour_ms or 1)
    )
    assert verdict.calmer.low is not None
    assert verdict.faster is not None
    assert verdict.faster.ratio == pytest.approx(
        (awaited.throughput_per_s or 0) / (blocking.throughput_per_s or 1)
    )


def test_the_verdict_is_one_sentence_with_the_neighbour_and_its_interval() -> None:
    (sentence, *lines) = analyse(RUN).sentences
    assert sentence == (
        "50 users: with the sync call in async def a service answers 10.0 requests/s and a health "
        "check beside it waits 5.05 s; awaited, 400 requests/s and 0.020 s, 250 times "
        "shorter (249–251)."
    )
    assert len(lines) == 3
    assert findings.headline(analyse(RUN)) == sentence
    assert all("slowest of 100 in each repeat" in line for line in lines)
    assert any("40 threads" in line for line in lines)


def test_without_the_blocking_call_the_best_way_is_told() -> None:
    trials = [t for t in RUN.trials if t.strategy != "service_blocking"]
    only = replace(RUN, trials=tuple(trials))
    assert analyse(only).sentences[0].startswith("50 users: ")
    assert "answers the most, 400 requests/s" in analyse(only).sentences[0]
    assert analyse(only).advice.short.endswith("answers the most")


def test_a_run_without_a_good_trial_has_no_verdict() -> None:
    failed = replace(RUN, trials=tuple(replace(t, verified=False) for t in RUN.trials))
    assert analyse(failed).service is None
    assert analyse(make_run()).service is None
    assert findings.headline(analyse(failed)).startswith("No trial was verified")
    assert chart_data.heartbeat(analyse(failed)).empty
    assert story.slides(analyse(failed), ALONE)


def test_of_several_numbers_of_users_the_one_with_the_most_repeats_is_told() -> None:
    few = [make_served_trial(name, users=10) for name in ("service_blocking", "service_async")]
    both = replace(RUN, trials=(*few, *RUN.trials))
    verdict = analyse(both).service
    assert verdict is not None
    assert verdict.users == 50
    assert set(chart_data.served(analyse(both))["group"]) == {"10 users", "50 users"}


def test_the_file_keeps_the_neighbour_to_ten_microseconds() -> None:
    again = run_file.read(run_file.to_json(RUN).encode())
    assert again.trials[0].pings[3].due_s == pytest.approx(0.15)
    assert [t.pings for t in again.trials] == [
        tuple(
            replace(
                p,
                start_s=pytest.approx(p.start_s, abs=1e-5),
                end_s=pytest.approx(p.end_s, abs=2e-5),
                due_s=pytest.approx(p.due_s, abs=1e-5),
            )
            for p in t.pings
        )
        for t in RUN.trials
    ]
    assert [t.served_threads for t in again.trials[:3]] == [1, 40, 0]
    assert analyse(again).sentences == analyse(RUN).sentences


def test_a_neighbour_late_by_this_client_voids_the_trial() -> None:
    trial = RUN.trials[0]
    late = [replace(p, start_s=(p.due_s or 0) + 0.011) for p in trial.pings[:2]]
    assert not trial.is_void
    assert replace(trial, pings=(*late, *trial.pings[2:])).is_void
    assert not replace(trial, pings=(*late[:1], *trial.pings[1:])).is_void


def test_the_charts_rank_by_requests_and_show_the_silence() -> None:
    served = frame_of(CHARTS["served"], RUN, WHOLE)
    assert list(served["family"])[-1] == "blocking"
    assert list(served["throughput_per_s"]) == sorted(served["throughput_per_s"], reverse=True)
    heartbeat = frame_of(CHARTS["heartbeat"], RUN, WHOLE)
    silent = heartbeat.groupby("strategy")["silent_s"].first()
    assert silent["Sync call in async def"] > 2
    assert silent["Awaited"] < 0.1
    # What was held for seconds and then answered all at once is no beat.
    beats = heartbeat.groupby("strategy")["answered_s"].count()
    assert beats["Sync call in async def"] < 0.1 * beats["Awaited"]
    assert "Beside “Sync call in async def” a health check waits 5.05 s" in CHARTS[
        "heartbeat"
    ].finding(heartbeat)
    for name in ("served", "heartbeat"):
        assert CHARTS[name].titled(frame_of(CHARTS[name], RUN, WHOLE)).to_dict()
        assert frame_of(CHARTS[name], make_run(), WHOLE).empty
    for name in ("waterfall", "loop_lag", "sweep"):
        assert frame_of(CHARTS[name], RUN, Focus("similarity_search", 0)).empty


def test_a_service_is_told_in_three_steps_without_a_loop() -> None:
    steps = story.slides(analyse(RUN), ALONE)
    assert [step.chart for step in steps] == ["", "", ""]
    assert steps[1].bars == card.bars(analyse(RUN))
    assert steps[1].heads == card.SERVED_HEADS
    assert steps[2].lines == (*story.SERVED, story.ELSEWHERE)
    told = " ".join(line for step in steps for line in (step.statement, *step.lines))
    assert "no repeat" not in told.lower()
    found = analyse(RUN)
    assert len(card.headline(found).split()) <= 12
    bars = {bar.label: (bar.shown, bar.gain) for bar in card.bars(found)}
    assert bars["Sync call in async def"] == ("10.0/s", "5.05 s")
    assert bars["Awaited"] == ("400/s", "0.020 s")
    assert [bar.value for bar in card.bars(found)] == sorted(
        (bar.value for bar in card.bars(found)), reverse=True
    )
    assert _brief(RUN) == "wait 250× shorter"


def _brief(run: Run) -> str:
    return findings.digest(analyse(run)).result
