"""What the charts and sentences say about runs whose figures are known."""

import dataclasses
import functools
import json
import re
from dataclasses import replace

import pytest
import vl_convert

from lib.charts import charts
from lib.charts import data as chart_data
from lib.charts.charts import CHARTS
from lib.charts.theme import FAMILIES, VEGA_LITE_VERSION, vega_config
from lib.results import comparison, findings, run_file
from lib.results.advice import Outcome
from lib.results.analysis import analyse
from lib.results.catalogue import OPERATIONS, STRATEGIES
from lib.results.groups import Focus
from lib.results.plan import PRESETS
from lib.results.summaries import FASTER
from lib.results.trials import Run
from lib.runs import card, measured_code
from lib.runs.store import RECORDED_DIR
from lib.settings import PROJECT_ROOT
from lib.words import bounds_text, counted, duration_text, ratio_text
from tests.benchmark.capacity import SEARCH, Capacity, measured
from tests.frames import frame_of
from tests.run_builder import make_chain_run, make_run, make_service_run, make_trial

ADD = Focus("add_documents", 100)


def sweep_run() -> Run:
    """Return a sweep in which more than 8 in flight brings nothing."""
    latency_s = {1: 0.010, 2: 0.010, 4: 0.010, 8: 0.012, 16: 0.024, 32: 0.048}
    trials = []
    for limit, call_s in latency_s.items():
        for i in range(3):
            trial = make_trial(
                "gather_limited", concurrency=limit, repeat=i, call_s=call_s, embed_s=0.0, count=96
            )
            wall_s = 96 / limit * call_s * 1.01**i
            trials.append(dataclasses.replace(trial, wall_s=wall_s))
    return make_run(*trials)


@functools.cache
def run_for(name: str) -> tuple[Run, Focus]:
    """Return a run that has this chart: advice is drawn for the run that asks for it."""
    if name == "sweep":
        return sweep_run(), Focus("add_documents", 96)
    if name == "rates":
        plan = replace(PRESETS["rate"].plan, warmup=0, repeats=1)
        return measured(plan, Capacity(0.01, 4, queue=100)), Focus(SEARCH, 0)
    if name == "losses":
        plan = replace(PRESETS["overload"].plan, warmup=0, repeats=1)
        return measured(plan, Capacity(0.01, 64, queue=100)), Focus(SEARCH, 500)
    if name in ("served", "heartbeat"):
        return make_service_run(), Focus(SEARCH, 0)
    if name == "askers":
        return make_chain_run(), Focus(SEARCH, 4)
    return make_run(), ADD


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_can_be_drawn_in_both_themes(name: str, mode: str) -> None:
    chart = CHARTS[name]
    run, focus = run_for(name)
    frame = frame_of(chart, run, focus)
    svg = vl_convert.vegalite_to_svg(
        chart.titled(frame, note="note").to_dict(),
        vl_version=VEGA_LITE_VERSION,
        config=vega_config(mode),
    )
    assert chart.finding(frame).split()[0] in svg


@pytest.mark.parametrize("name", CHARTS)
def test_a_run_without_a_verified_trial_gives_no_chart_and_no_exception(name: str) -> None:
    run = make_run(make_trial(verified=False))
    assert frame_of(CHARTS[name], run, ADD).empty


@pytest.mark.parametrize("name", CHARTS)
def test_sync_is_always_the_first_hue_and_async_the_second(name: str) -> None:
    run, focus = run_for(name)
    chart = CHARTS[name]
    spec = json.dumps(chart.draw(frame_of(chart, run, focus)).to_dict())
    assert '"domain": ["loop", "async", "neither", "threads", "batch", "blocking"]' in spec
    assert "#" not in spec.split('"datasets"')[0]  # no colour is named in a chart


def test_the_colours_of_exports_are_those_of_the_app() -> None:
    config = (PROJECT_ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    for mode in ("light", "dark"):
        for hue in vega_config(mode)["range"]["category"][:2]:
            assert hue in config


def test_the_headline_gives_ratio_interval_concurrency_and_the_simulated_latency() -> None:
    text = findings.headline(analyse(make_run())).replace("\u00a0", " ")
    assert text == (
        "Async added 100 documents 50× faster than the loop "
        "(95% CI 50.00–50.00; 450 ms simulated embedding wait)."
    ).replace("50.00–50.00", bounds_text(50, 50))


def test_fewer_than_three_repeats_give_no_interval_and_say_why() -> None:
    run = make_run(repeats=2)
    assert "no interval below 3 repeats" in findings.headline(analyse(run))
    assert chart_data.speedups(analyse(run))["low"].isna().all()
    assert card.basis(analyse(run)).startswith("no interval below 3 repeats")
    assert [bar.interval for bar in card.bars(analyse(run))] == ["", ""]


def test_async_that_loses_is_said_in_the_headline_and_explained_for_the_embedded_store() -> None:
    trials = []
    for repeat, noise in enumerate((1.0, 1.02, 0.98)):
        trials.append(make_trial(repeat=repeat, call_s=0.01))
        trials.append(make_trial("gather", concurrency=None, repeat=repeat, call_s=3 * noise))
    run = make_run(*trials, environment={"backend": "lite"})
    assert "Async added 100 documents 3.0× slower than the loop" in findings.headline(analyse(run))
    (finding,) = findings.where_async_loses(analyse(run))
    assert "is 3.0× slower than the loop" in finding.sentence
    assert "one request at a time" in finding.cause


@pytest.mark.parametrize(
    ("calls_s", "said"),
    [
        ((0.97, 1.0, 1.04), "no measurable difference"),
        ((0.7, 1.0, 1.5), "too few repeats to tell"),
    ],
)
def test_an_interval_around_one_is_no_difference_only_where_it_is_narrow(
    calls_s: tuple[float, ...], said: str
) -> None:
    trials = []
    for repeat, call_s in enumerate(calls_s):
        trials.append(make_trial(repeat=repeat, call_s=0.01))
        trials.append(make_trial("gather", concurrency=None, repeat=repeat, call_s=call_s))
    run = make_run(*trials)
    assert said in findings.headline(analyse(run))
    assert said in card.headline(analyse(run))
    assert said[1:] in findings.where_async_loses(analyse(run))[0].sentence
    assert findings.digest(analyse(run)).result == said.replace("measurable ", "")


def test_what_shows_no_difference_is_one_finding_however_many_operations_it_is() -> None:
    trials = [
        trial
        for operation in ("add_documents", "similarity_search", "get_pks")
        for repeat, call_s in enumerate((0.9, 1.0, 1.15))
        for trial in (
            make_trial(operation=operation, repeat=repeat, call_s=0.01),
            make_trial(
                "gather", operation=operation, concurrency=None, repeat=repeat, call_s=call_s
            ),
        )
    ]
    (finding,) = findings.where_async_loses(analyse(make_run(*trials)))
    assert finding.sentence.count("CI") == 3


@functools.cache
def recorded(name: str) -> Run:
    """Return a run that ships with the app."""
    return run_file.read(RECORDED_DIR / f"{name}.json")


def test_a_run_of_many_operations_is_headed_by_what_stands_out() -> None:
    found = analyse(recorded("all-server"))
    gains = [cell for cell in found.cells if cell.strategy == "gather" and cell.speedup]
    faster = [cell.speedup or 0.0 for cell in gains if cell.verdict == FASTER]
    made = {cell.strategy: cell for cell in found.cells if cell.operation == "from_texts"}
    took = {way: duration_text(cell.geomean_wall_s or 0.0) for way, cell in made.items()}
    headline = findings.headline(found)
    assert headline.startswith(
        f"Async is faster in {len(faster)} of {len(gains)} operations, up to "
        f"{ratio_text(max(faster))}"
    )
    assert len(faster) >= 12  # what waits for nothing but the server's creation gains nothing
    few = counted(made["gather"].repeats, "repeat")
    assert made["gather"].speedup_low is None
    assert headline.endswith(
        f"afrom_texts: Async {took['gather']} ({few}), loop {took['sync_loop']}, "
        f"32 threads {took['thread_pool']}."
    )


@pytest.mark.parametrize("name", CHARTS)
def test_no_bar_stands_on_a_log_axis(name: str) -> None:
    run, focus = run_for(name)
    for each in (run, recorded("all-server"), recorded("tutorial-server-450ms")):
        frame = frame_of(CHARTS[name], each, focus)
        if frame.empty:
            continue
        for layer in CHARTS[name].draw(frame).to_dict()["layer"]:
            if layer["mark"]["type"] == "bar":
                scales = [layer["encoding"][axis].get("scale", {}) for axis in "xy"]
                assert "log" not in [scale.get("type") for scale in scales]


def test_a_bar_is_its_share_of_the_longest_of_its_group_and_says_time_and_gain() -> None:
    frame = chart_data.wall_times(analyse(recorded("all-server")))
    assert frame.groupby("group")["share"].max().tolist() == [1.0] * frame["group"].nunique()
    row = frame[(frame["group"] == "Add texts × 100") & (frame["strategy"] == "Async")].iloc[0]
    longest = frame[frame["group"] == "Add texts × 100"]["wall_s"].max()
    assert row["share"] == pytest.approx(row["wall_s"] / longest)
    assert re.fullmatch(r"[\d.]+ s · [\d.]+× \([\d.]+–[\d.]+\)", row["text"])


def test_a_batch_that_is_faster_in_many_comparisons_is_one_finding_with_each_figure() -> None:
    analysed = analyse(recorded("all-server"))
    walls = {(cell.operation, cell.strategy): cell.geomean_wall_s or 0.0 for cell in analysed.cells}
    ratios = sorted(
        (
            min(walls[name, "gather"], walls[name, "gather_limited"]) / walls[name, way]
            for name, way in walls
            if way == "one_batch"
        ),
        reverse=True,
    )
    over = [ratio_text(ratio) for ratio in ratios]
    found = findings.where_async_loses(analysed)
    (finding,) = [each for each in found if "One batch" in each.sentence]
    figure = re.compile(r"× 100 ([\d.]+×) \(95%\u00a0CI [\d.]+–[\d.]+\)$")
    assert [figure.findall(each) for each in finding.figures] == [[each] for each in over]
    assert finding.sentence == (
        f"One batch is {over[-1]} to {over[0]} faster than async in {len(over)} comparisons."
    )


def test_lags_are_sorted_by_the_number_of_calls_in_flight() -> None:
    limits = (32, 4, 128, 16)
    run = make_run(*[make_trial("gather_limited", concurrency=n, lag_ms=1.0) for n in limits])
    frame = chart_data.loop_lag(analyse(run), Focus("add_documents", 100))
    assert list(frame["strategy"]) == [f"Async, at most {n}" for n in sorted(limits)]


def test_a_run_has_a_title_for_people() -> None:
    assert findings.title(recorded("tutorial-server-450ms")) == "Tutorial, server, 450 ms simulated"
    assert findings.title(recorded("all-lite")) == "All operations, Milvus Lite"
    assert findings.title(recorded("delete-bounded-server")) == "Delete, Bounded deletes, server"


def test_a_batched_call_that_beats_gather_is_said_with_its_interval() -> None:
    trials = [*make_run().trials]
    trials += [
        make_trial("one_batch", repeat=repeat, call_s=0.02 * 1.01**repeat) for repeat in range(3)
    ]
    (finding,) = findings.where_async_loses(analyse(make_run(*trials)))
    assert "One batch is 10.0× faster than Async" in finding.sentence
    assert "One request carries everything" in finding.cause


def test_a_failed_trial_takes_no_part_in_any_chart() -> None:
    good = make_run()
    bad = make_run(*good.trials, make_trial(repeat=9, call_s=99.0, verified=False))
    for chart in CHARTS.values():
        if chart.name != "loop_lag":
            assert frame_of(chart, bad, ADD).equals(frame_of(chart, good, ADD)), chart.name


def test_published_figures_stand_beside_ours_only_where_there_are_some() -> None:
    frame = chart_data.speedups(analyse(make_run()))
    published = frame[frame["source"] == "published"]
    assert published["ratio"].round(1).tolist() == [23.7]
    trials = [dataclasses.replace(trial, count=7) for trial in make_run().trials]
    trials = [dataclasses.replace(trial, calls=trial.calls[:7]) for trial in trials]
    assert set(chart_data.speedups(analyse(make_run(*trials)))["source"]) == {"measured"}


def test_the_waterfall_of_ten_thousand_calls_is_sampled_and_says_so() -> None:
    run = make_run(
        make_trial(count=10_000, call_s=0.001, embed_s=0.0),
        make_trial("gather", count=10_000, concurrency=None, call_s=1.0),
    )
    frame = chart_data.waterfall(analyse(run), Focus("add_documents", 10_000))
    assert len(frame) <= 4 * chart_data.MAX_LANE_CALLS
    finding = charts.waterfall_finding(frame)
    assert "Drawn: repeat 1; 100 of 10,000 calls a lane" in finding
    assert "when Loop had finished about 1,000." in finding
    # First and last call are among the sample: the lane's length is true.
    assert frame["end_s"].max() == pytest.approx(10.0)


def test_lanes_of_few_and_of_many_calls_are_equally_high_and_their_names_apart() -> None:
    ways = [
        make_trial(count=97, concurrency=1, batch=batch, call_s=call_s)
        for batch, call_s in ((1, 0.1), (50, 0.2))
    ]
    few = dataclasses.replace(ways[1], calls=ways[1].calls[:2])
    frame = chart_data.waterfall(
        analyse(make_run(ways[0], few, make_trial("gather", count=97))), Focus("add_documents", 97)
    )
    spans = frame.groupby("lane", sort=False).agg(top=("row", "min"), last=("row", "max"))
    assert len(spans) == 3
    heights = frame.groupby("lane", sort=False)["row_end"].max() - spans["top"]
    assert heights.tolist() == pytest.approx([heights.iloc[0]] * 3, abs=2)
    gaps = spans["top"].to_numpy()[1:] - spans["last"].to_numpy()[:-1]
    assert (gaps > chart_data.LANE_GAP * 97 * 2).all()


def test_a_waterfall_bar_splits_where_the_embedding_ends() -> None:
    frame = chart_data.waterfall(analyse(make_run()), ADD)
    first = frame[(frame["family"] == "loop") & (frame["call"] == 1)]
    assert first["start_s"].tolist() == pytest.approx([0.1, 0.18], rel=0.05)
    assert first["end_s"].tolist() == pytest.approx([0.18, 0.2], rel=0.05)


def test_the_race_counts_what_has_ended_at_every_moment() -> None:
    cells = chart_data.race(analyse(make_run()), ADD)
    assert cells["per_cell"].unique().tolist() == [1]
    for clock_s, done in ((0.0, (0, 0)), (0.25, (2, 100)), (99.0, (100, 100))):
        ended = cells[cells["end_s"] <= clock_s].groupby("family").size()
        assert (ended.get("loop", 0), ended.get("async", 0)) == done


def test_the_ways_stand_in_one_order_everywhere_and_a_batch_stands_for_its_calls() -> None:
    ways = [("one_batch", 1), ("gather", None), ("thread_pool", 16), ("sync_loop", 1)]
    trials = [
        make_trial(name, concurrency=limit, repeat=i, call_s=0.1)
        for i in range(3)
        for name, limit in ways
    ]
    found = analyse(make_run(*trials))
    assert [trial.strategy for trial in chart_data.lanes(found, ADD)] == [
        name for name, _ in reversed(ways)
    ]
    race = charts.race_picture(chart_data.race(found, ADD))
    assert [lane["label"] for lane in race["lanes"]] == ["Loop", "16 threads", "Async", "One batch"]
    assert [lane["total"] for lane in race["lanes"]] == [100] * 4
    assert race["finding"].endswith("Drawn: repeat 1.")
    bars = chart_data.wall_times(found)
    assert list(bars["strategy"]) == ["Loop", "16 threads", "Async", "One batch"]


def test_a_race_of_ten_thousand_calls_has_at_most_a_hundred_cells_a_lane() -> None:
    run = make_run(make_trial(count=10_000, call_s=0.001))
    cells = chart_data.race(analyse(run), Focus("add_documents", 10_000))
    assert len(cells) == 100
    assert "Each cell is 100 calls." in charts.race_finding(cells)


def test_the_knee_is_the_lowest_limit_that_none_above_beats_measurably() -> None:
    frame = chart_data.sweep(analyse(sweep_run()), Focus("add_documents", 96))
    assert frame.loc[frame["is_knee"], "limit"].tolist() == [8]
    assert "use 8 in flight" in charts.sweep_finding(frame)


def test_a_sweep_whose_intervals_all_contain_one_has_no_knee() -> None:
    walls = {1: (1.0, 2.0, 1.4), 8: (1.6, 1.1, 2.1), 128: (1.9, 0.7, 1.5)}
    run = make_run(
        *(
            make_trial(
                "gather_limited",
                concurrency=limit,
                repeat=i,
                call_s=wall / (100 if limit == 1 else 1),
            )
            for limit, mine in walls.items()
            for i, wall in enumerate(mine)
        )
    )
    frame = chart_data.sweep(analyse(run), ADD)
    assert not frame["is_knee"].any()
    assert "the intervals show no knee" in charts.sweep_finding(frame)


def test_no_knee_is_marked_beside_advice_that_the_evidence_is_too_thin() -> None:
    run = run_file.read(RECORDED_DIR / "batches-server.json")
    found = analyse(run)
    (advice,) = found.sweeps
    frame = chart_data.sweep(found, Focus(advice.operation, 2_000))
    marked = frame.loc[frame["is_marked"], "limit"].tolist()
    assert marked == ([advice.advised.level] if advice.is_decided else [])
    # The headline says what the sentence says, also where the client was busy.
    assert advice.is_decided or advice.short.startswith("Not enough evidence")


def test_a_rate_that_held_above_one_that_did_not_has_no_colour_of_success() -> None:
    found = analyse(run_file.read(RECORDED_DIR / "rate-server.json"))
    rate = found.rate
    once = {"is_confirmed": False, "held_trials": 1, "trials": 1}
    levels = (
        *[level for level in rate.levels if level.rate_per_s <= rate.rate_per_s],
        dataclasses.replace(rate.at_rate, rate_per_s=12_007.0, outcome=Outcome.SLOW, **once),
        dataclasses.replace(rate.at_rate, rate_per_s=12_345.6, **once),
    )
    frame = chart_data.rates(replace(found, rate=replace(rate, levels=levels)))
    failed = frame.loc[frame["verdict"] == chart_data.NOT_HELD, "rate_per_s"].min()
    above = frame[frame["rate_per_s"] > failed]
    assert (above["verdict"] == chart_data.HELD).any()
    assert set(above["family"]) == {"neither"}
    assert frame.loc[frame["is_found"], "family"].tolist() == ["async"]
    # What waits without an end stands at the edge, which says so.
    y = charts.rates(frame).to_dict()["layer"][1]["encoding"]["y"]
    most = charts.MOST_OF_LIMIT * frame["limit_ms"].iloc[0]
    assert (frame["p99_ms"] > most).any() == ("clamp" in y["scale"])
    many = charts.rates(frame.assign(p99_ms=frame["p99_ms"] * 97)).to_dict()
    assert many["layer"][1]["encoding"]["y"]["title"][1] == f"top: above {most:,.0f}"


def test_one_limit_is_no_sweep() -> None:
    run = make_run(make_trial("gather_limited", concurrency=32))
    assert chart_data.sweep(analyse(run), ADD).empty


def test_percentiles_carry_their_sample_size() -> None:
    frame = chart_data.latencies(analyse(make_run()), ADD)
    marked = frame[frame["mark"] != ""]
    assert set(marked["mark"]) == {"p50", "p95", "slowest of 300"}
    assert set(marked["samples"]) == {300}
    assert "(n = 300)" in charts.latency_finding(frame)


def test_the_split_divides_a_batched_call_by_the_calls_it_stands_for() -> None:
    run = make_run(make_trial("one_batch", call_s=1.0, embed_s=0.6))
    frame = chart_data.split(analyse(run), ADD)
    assert frame["mean_ms"].tolist() == pytest.approx([6.0, 4.0])


def test_runs_get_a_verdict_only_where_their_intervals_do_not_overlap() -> None:
    slow = make_run(*[make_trial(repeat=i, call_s=0.2 * 1.01**i) for i in range(3)])
    fast = make_run(*[make_trial(repeat=i, call_s=0.1 * 1.01**i) for i in range(3)])
    noisy = make_run(*[make_trial(repeat=i, call_s=c) for i, c in enumerate((0.1, 0.2, 0.4))])
    short = make_run(make_trial(call_s=0.001))

    def verdict(other: Run) -> str:
        (cell,) = comparison.compare([("A", slow), ("B", other)])
        return cell.verdict

    assert verdict(fast) == "B is faster, 2.0× against A"
    assert verdict(noisy) == "no clear difference"
    assert verdict(short) == "no verdict: fewer than three repeats in B"


def test_times_that_stand_apart_are_not_called_equal_where_many_are_told_at_once() -> None:
    def run(call_s: float, cells: int) -> Run:
        noise = (1.0, 1.05, 0.97)
        return make_run(
            *(
                make_trial(count=count, repeat=repeat, call_s=call_s * noise[repeat])
                for count in range(1, cells + 1)
                for repeat in range(3)
            )
        )

    (alone,) = comparison.compare([("A", run(0.2, 1)), ("B", run(0.165, 1))])
    assert alone.verdict.startswith("B is faster")
    many = comparison.compare([("A", run(0.2, 37)), ("B", run(0.165, 37))])
    assert {cell.verdict for cell in many} == {"too few repeats to tell"}


def test_a_run_s_name_decides_nothing() -> None:
    run = make_run(*[make_trial(repeat=i, call_s=0.1 * 1.1**i) for i in range(3)])
    fast = make_run(*[make_trial(repeat=i, call_s=0.01 * 1.01**i) for i in range(3)])
    (same,) = comparison.compare([("faster machine", run), ("is faster", run)])
    assert not same.is_decided
    (apart,) = comparison.compare([("slow", run), ("slow too", fast)])
    assert apart.is_decided


def test_runs_without_a_common_cell_have_nothing_to_compare() -> None:
    other = make_run(make_trial(operation="delete"))
    assert comparison.compare([("A", make_run()), ("B", other)]) == ()


def test_a_run_that_shares_nothing_does_not_hide_what_the_others_share() -> None:
    runs = [("A", make_run()), ("B", make_run()), ("C", make_run(make_trial(operation="delete")))]
    cells = comparison.compare(runs)
    assert [[level.run for level in cell.levels] for cell in cells] == [["A", "B"], ["A", "B"]]
    assert comparison.strangers(runs, cells) == ["C"]


def test_a_comparison_shows_the_time_that_a_run_s_own_page_shows() -> None:
    run = make_run(*[make_trial(repeat=i, call_s=c) for i, c in enumerate((0.1, 0.1, 0.4))])
    (cell,) = comparison.compare([("A", run), ("B", run)])
    mean_s = 10.0 * 4 ** (1 / 3)
    assert cell.levels[0].mean_s == analyse(run).cells[0].geomean_wall_s == pytest.approx(mean_s)
    assert cell.levels[0].text.startswith("15.9 s (")


def test_a_comparison_s_ways_stand_in_their_order_however_they_were_shuffled() -> None:
    ways = ("one_batch", "gather", "sync_loop", "thread_pool")
    run = make_run(
        *(
            make_trial(way, operation=operation)
            for operation in ("similarity_search", "add_documents")
            for way in ways
        )
    )
    cells = comparison.compare([("A", run), ("B", run)])
    ordered = ["sync_loop", "thread_pool", "gather", "one_batch"]
    assert [cell.key.strategy for cell in cells] == ordered * 2
    assert [cell.key.operation for cell in cells][::4] == ["similarity_search", "add_documents"]


def test_a_comparison_shows_what_the_tutorial_published_of_the_same_work_and_of_no_other() -> None:
    cells = comparison.compare([("A", make_run()), ("B", make_run())])
    frame = chart_data.compared_cells(cells)
    told = frame[frame["strategy"] == "as published"]
    assert told["wall_s"].tolist() == [65.6, 2.77]  # a hundred documents, the loop and async
    assert told["low"].isna().all()
    one = make_run(make_trial("thread_pool"), make_trial(operation="max_marginal_relevance_search"))
    other = chart_data.compared_cells(comparison.compare([("A", one), ("B", one)]))
    assert set(other["strategy"]) == {"A", "B"}


def test_several_runs_are_told_together_by_what_async_gained_in_each() -> None:
    def run(call_s: float) -> Run:
        return make_run(
            *(
                make_trial(way, repeat=i, call_s=took * 1.01**i, concurrency=limit)
                for i in range(3)
                for way, took, limit in (("sync_loop", 0.1, 1), ("gather", call_s, None))
            )
        )

    fast, slow = run(0.25), run(20.0)
    said, lines = findings.together([("A", fast), ("B", fast)])
    assert said == "Async is faster in both runs"
    assert lines == ("Add documents × 100: 40× in “A”, 40× in “B”",)
    said, lines = findings.together([("A", fast), ("B", slow), ("C", fast)])
    assert said == "Async is faster in some of these runs and not in others"
    assert lines[0].endswith("0.50× in “B”, 40× in “C”")
    assert findings.together([("A", slow), ("B", slow)])[0].startswith("None of these runs")
    assert findings.together([("A", fast)]) == ("", ())


def test_services_are_compared_by_what_their_neighbours_wait() -> None:
    run = make_service_run()
    cells = comparison.compare([("A", run), ("B", run)])
    waits = {cell.key.strategy: cell.levels[0].text for cell in cells}
    assert waits["service_blocking"].startswith("5.05 s")
    assert waits["service_async"].startswith("0.020 s")


def test_what_else_differs_between_runs_is_named() -> None:
    other = make_run(environment={"milvus_version": "3.0.2"})
    assert comparison.differences([("A", make_run()), ("B", other)]) == {
        "milvus version": {"A": "2.3.5", "B": "3.0.2"}
    }


def test_a_delete_s_consistency_is_named_when_the_runs_differ_in_it_and_when_it_is_new() -> None:
    default, bounded = (make_run(settings={"delete_consistency": each}) for each in ("", "Bounded"))
    assert comparison.differences([("A", make_run()), ("B", default)]) == {}
    assert comparison.differences([("A", make_run()), ("B", bounded)]) == {
        "delete consistency": {"A": "not given", "B": "Bounded"}
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_measured_code_of_every_operation_is_python_and_names_both_methods(
    operation: str,
) -> None:
    code = measured_code.measured_code(make_run(), Focus(operation, 100))
    assert code is not None
    compile(code.sync, "sync.py", "exec")
    compile(code.asynchronous, "async.py", "exec")
    assert f".{operation}(" in code.sync
    assert (
        f"await {'Milvus' if operation == 'from_texts' else 'store'}.a{operation}("
        in code.asynchronous
    )


def test_the_measured_code_of_a_delete_asks_for_the_consistency_that_was_measured() -> None:
    def sync(level: str) -> str:
        run = make_run(make_trial(operation="delete"), settings={"delete_consistency": level})
        code = measured_code.measured_code(run, Focus("delete", 100))
        assert code is not None
        return code.sync

    assert 'consistency_level="Bounded"' in sync("Bounded")
    asked_for_nothing = sync("")
    assert "store.delete(expr=f\"id == '{documents[i].id}'\")" in asked_for_nothing
    # A run may be somebody else's file: what it says never becomes code unless it is known.
    assert sync('"); import os; ("') == asked_for_nothing


@pytest.mark.parametrize(
    ("backend", "kind", "chosen", "shown"),
    [
        ("server", "FLAT", "", '"index_type": "FLAT", "params": {},'),
        ("server", "AUTOINDEX", "AUTOINDEX", '"index_type": "AUTOINDEX", "params": {},'),
        (
            "server",
            "IVF_FLAT",
            "IVF_FLAT",
            '"index_type": "IVF_FLAT", "params": {"nlist": 128}',
        ),
        ("lite", "IVF_FLAT", "", '"params": {"params": \'{"nlist": 1}\'}'),
        ("lite", "IVF_FLAT", "IVF_FLAT", '"params": {"params": \'{"nlist": 128}\'}'),
        ("server", "import os", "import os", '"index_type": "AUTOINDEX"'),
    ],
)
def test_the_measured_code_makes_the_index_that_was_measured(
    backend: str, kind: str, chosen: str, shown: str
) -> None:
    made = make_run()
    made = replace(
        made,
        environment=made.environment | {"backend": backend, "index_type": kind},
        settings=made.settings | {"index": chosen},
    )
    code = measured_code.measured_code(made, Focus("similarity_search", 100))
    assert code is not None
    for program in code.programs.values():
        compile(program, "program.py", "exec")
        assert shown in " ".join(program.split())
        assert 'import os"' not in program


def test_the_measured_code_has_the_limit_that_was_measured() -> None:
    run = make_run(make_trial("gather_limited", concurrency=32))
    code = measured_code.measured_code(run, ADD)
    assert code is not None
    assert "asyncio.Semaphore(32)" in code.asynchronous


def test_every_strategy_has_the_family_of_its_methods() -> None:
    for strategy in STRATEGIES.values():
        assert (strategy.family == "async") == strategy.is_async
        assert strategy.family in FAMILIES


def test_the_two_trials_that_are_drawn_are_of_the_repeat_nearest_to_the_shown_times() -> None:
    calls_s = {0: (0.010, 0.002), 1: (0.017, 0.020), 2: (0.100, 0.010)}
    trials = [
        trial
        for repeat, (loop_s, gather_s) in calls_s.items()
        for trial in (
            make_trial(repeat=repeat, call_s=loop_s),
            make_trial("gather", concurrency=None, repeat=repeat, call_s=gather_s),
        )
    ]
    run = make_run(*trials)
    drawn = chart_data.lanes(analyse(run), ADD)
    # The times that are shown: 2.57 s and 0.0074 s. Repeat 2 is furthest from neither.
    assert {trial.repeat for trial in drawn} == {1}
    frame = chart_data.race(analyse(run), ADD)
    assert set(frame["repeat"]) == {2}
    shown = dict(zip(frame["lane"], frame["shown_s"], strict=True))
    gather = next(cell for cell in analyse(run).cells if cell.strategy == "gather")
    assert shown["Loop"] / shown["Async"] == pytest.approx(gather.speedup)
    assert "Drawn: repeat 2." in charts.waterfall_finding(chart_data.waterfall(analyse(run), ADD))
    assert "Drawn: repeat 2." in charts.race_finding(frame)


def test_a_trial_that_took_no_time_stands_on_no_log_axis() -> None:
    run = make_run(make_trial(call_s=0.0), make_trial("gather", call_s=0.1))
    chart = CHARTS["wall_time"]
    frame = frame_of(chart, run, ADD)
    assert list(frame["wall_s"] > 0) == [True]
    assert chart.finding(frame)


def test_a_timeline_has_a_red_lane_below_the_calls_where_the_loop_was_held() -> None:
    held = ((0.013, 0.041), (0.05, 0.091))
    ways = [make_trial(), dataclasses.replace(make_trial("gather", concurrency=None), held_s=held)]
    frame = chart_data.waterfall(analyse(make_run(*ways)), ADD)
    red = frame[frame["family"] == "blocking"]
    assert list(zip(red["start_s"], red["end_s"], strict=True)) == list(held)
    calls = frame[(frame["lane"] == red["lane"].iloc[0]) & (frame["part"] != chart_data.LOOP_HELD)]
    assert calls["row_end"].max() <= red["row"].min()
    drawn = charts.waterfall(frame).to_dict()
    assert chart_data.LOOP_HELD in json.dumps(drawn)
    assert "event loop held" in chart_data.LOOP_HELD  # what a verdict on a rate says is another
    # What takes no longer than a task notices is no lane, and no legend.
    without = chart_data.waterfall(analyse(make_run(ways[0], make_trial("gather"))), ADD)
    assert chart_data.LOOP_HELD not in json.dumps(charts.waterfall(without).to_dict())
