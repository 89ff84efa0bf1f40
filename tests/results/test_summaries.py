"""Statistics on literal numbers."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.results.analysis import analyse
from lib.results.catalogue import STRATEGIES
from lib.results.summaries import (
    OVER_AIOHTTP,
    cell_label,
    median,
    outliers,
    percentile,
    speedup,
    summarise,
    t_quantile,
    verdicts_on,
)
from lib.results.trials import Call, Run, Trial
from tests.run_builder import trial

seconds = st.floats(min_value=1e-4, max_value=1e3)
pairs = st.lists(st.tuples(seconds, seconds), min_size=3, max_size=12)


def titles(trials: list[Trial]) -> list[str]:
    return list(analyse(Run({}, {}, tuple(trials))).warnings)


def test_percentiles_interpolate_between_the_nearest_samples() -> None:
    assert percentile([4, 1, 3, 2], 50) == 2.5
    assert percentile([10, 20, 30, 40, 50], 95) == pytest.approx(48)
    assert percentile(range(1, 101), 99) == pytest.approx(99.01)
    assert percentile([7], 99) == 7
    assert median([5, 1, 9]) == 5


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="No values"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("degrees", "printed"),
    [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (11, 2.201), (15, 2.131), (20, 2.086),
     (30, 2.042), (60, 2.000), (120, 1.980), (10_000, 1.960)],
)  # fmt: skip
def test_the_quantiles_of_student_s_t_are_those_of_the_printed_table(
    degrees: int, printed: float
) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(printed, abs=0.0006)


@pytest.mark.parametrize(
    ("probability", "degrees", "printed"),
    [(0.95, 1, 6.314), (0.95, 7, 1.895), (0.995, 2, 9.925), (0.995, 9, 3.250), (0.9995, 10, 4.587),
     (0.5, 5, 0.0)],
)  # fmt: skip
def test_the_quantiles_for_other_probabilities_are_those_of_the_printed_table_too(
    probability: float, degrees: int, printed: float
) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(printed, abs=0.0006)


def test_a_speed_up_is_the_geometric_mean_with_student_s_interval_on_the_logarithms() -> None:
    # Ratios 2, 4 and 8: logs ln 2 × (1, 2, 3), their mean 2 ln 2, their deviation ln 2.
    gain = speedup([2, 4, 8], [1, 1, 1])
    assert gain.ratio == pytest.approx(4)
    margin = 4.302653 * math.log(2) / math.sqrt(3)
    assert gain.low == pytest.approx(4 / math.exp(margin))
    assert gain.high == pytest.approx(4 * math.exp(margin))
    assert (gain.repeats, gain.is_paired) == (3, True)
    assert gain.is_difference is False


def test_a_minute_that_is_slow_for_both_sides_cancels_out() -> None:
    gain = speedup([10.0, 50.0, 20.0], [1.0, 5.0, 2.0])
    assert (gain.ratio, gain.low, gain.high) == pytest.approx((10, 10, 10))
    assert gain.is_difference is True


def test_fewer_than_three_repeats_give_a_ratio_but_no_interval() -> None:
    gain = speedup([4.0, 4.0], [2.0, 2.0])
    assert (gain.ratio, gain.low, gain.high) == (pytest.approx(2), None, None)
    assert gain.is_difference is None


@pytest.mark.parametrize("sides", [([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0]), ([1.0], [-1.0])])
def test_times_that_cannot_be_compared_are_refused(sides: tuple[list[float], list[float]]) -> None:
    with pytest.raises(ValueError, match=r"speed-up needs|above zero"):
        speedup(*sides)


@given(pairs)
def test_the_interval_holds_the_ratio_and_turns_over_with_the_sides(
    times: list[tuple[float, float]],
) -> None:
    one, other = [pair[0] for pair in times], [pair[1] for pair in times]
    there, back = speedup(one, other), speedup(other, one)
    assert there.low is not None
    assert there.high is not None
    assert there.low <= there.ratio * (1 + 1e-9)
    assert there.ratio <= there.high * (1 + 1e-9)
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert back.high is not None
    assert math.log(back.high) == pytest.approx(-math.log(there.low), abs=1e-6)


@given(pairs, st.floats(min_value=0.01, max_value=100))
def test_the_unit_of_time_does_not_matter(times: list[tuple[float, float]], unit: float) -> None:
    one, other = [pair[0] for pair in times], [pair[1] for pair in times]
    scaled = speedup([unit * t for t in one], [unit * t for t in other])
    assert scaled.ratio == pytest.approx(speedup(one, other).ratio)


def test_a_summary_has_the_geometric_mean_percentiles_split_and_throughput() -> None:
    trials = [
        trial(wall, repeat, durations=[0.1, 0.2, 0.3, 0.4], cpu_s=wall / 2)
        for repeat, wall in enumerate([1.0, 4.0, 2.0])
    ]
    (cell,) = summarise(trials)
    assert (cell.repeats, cell.failed_trials, cell.samples) == (3, 0, 12)
    assert cell.geomean_wall_s == pytest.approx(2.0)
    assert cell.throughput_per_s == pytest.approx(2.0)  # four calls in two seconds
    assert cell.p50_ms == pytest.approx(250)
    assert cell.embed_p50_ms == pytest.approx(62.5)
    assert cell.milvus_p50_ms == pytest.approx(187.5)
    assert cell.cpu_share == pytest.approx(0.5)
    assert cell.speedup is None


def test_a_speed_up_is_against_the_sync_loop_of_the_same_operation_and_count() -> None:
    trials = [
        *(trial(8.0, r) for r in range(3)),
        *(trial(2.0, r, "gather", concurrency=None) for r in range(3)),
        *(trial(80.0, r, count=40) for r in range(3)),
        *(trial(10.0, r, "gather", concurrency=None, count=40) for r in range(3)),
        *(trial(99.0, r, operation="get_pks") for r in range(3)),
    ]
    gains = {(c.operation, c.strategy, c.count): c.speedup for c in summarise(trials)}
    assert gains["add_texts", "gather", 4] == pytest.approx(4)
    assert gains["add_texts", "gather", 40] == pytest.approx(8)
    assert gains["get_pks", "sync_loop", 4] is None


def test_a_trial_that_failed_its_check_takes_no_part_in_any_number_but_the_failures() -> None:
    loops = [trial(float(10 + r), r) for r in range(4)]
    fast = [trial(1.0, r, "gather", concurrency=None) for r in range(3)]
    broken = trial(0.001, 3, "gather", concurrency=None, errors=["boom", "boom"])
    with_it = summarise([*loops, *fast, broken])[1]
    without = summarise([*loops, *fast])[1]
    assert (with_it.speedup, with_it.geomean_wall_s) == (without.speedup, without.geomean_wall_s)
    assert (with_it.p99_ms, with_it.samples) == (without.p99_ms, without.samples)
    assert with_it.errors == {"boom": 2}
    assert with_it.failed_trials == 1


def test_a_failed_call_is_no_latency_even_in_a_file_that_calls_its_trial_verified() -> None:
    (cell,) = summarise([trial(1.0, durations=[0.1, 0.1], errors=["boom"], verified=True)])
    assert (cell.samples, cell.slowest_ms) == (2, pytest.approx(100))


def test_a_repeat_that_failed_on_one_side_is_left_out_and_the_rest_is_not_paired() -> None:
    loops = [trial(4.0, 0), trial(400.0, 1, errors=["boom"]), trial(4.0, 2), trial(4.0, 3)]
    fast = [trial(2.0, r, "gather", concurrency=None) for r in range(4)]
    cell = summarise([*loops, *fast])[1]
    assert cell.speedup == pytest.approx(2)
    assert cell.speedup_note.startswith("95% interval from 3 repeats, not paired")


def test_without_a_verified_pair_the_note_says_why_there_is_no_speed_up() -> None:
    alone = trial(1.0, 0, "gather", concurrency=None)
    cell = summarise([trial(4.0, 0, errors=["boom"]), alone])[1]
    assert cell.speedup is None
    assert "verified" in cell.speedup_note
    assert summarise([alone])[0].speedup_note == ""


walls_of_cells = st.dictionaries(
    st.sampled_from(["gather", "thread_pool", "one_batch"]),
    st.dictionaries(st.integers(0, 6), st.tuples(seconds, st.booleans()), min_size=1),
    min_size=1,
)


@given(
    st.dictionaries(st.integers(0, 6), st.tuples(seconds, st.booleans()), min_size=1),
    walls_of_cells,
)
def test_the_gain_is_the_ratio_of_the_shown_times_whatever_failed_and_its_interval_holds_it(
    loop: dict[int, tuple[float, bool]], ways: dict[str, dict[int, tuple[float, bool]]]
) -> None:
    trials = [
        trial(wall_s, repeat, name, verified=verified, concurrency=None)
        for name, mine in {"sync_loop": loop, **ways}.items()
        for repeat, (wall_s, verified) in mine.items()
    ]
    cells = {cell.strategy: cell for cell in summarise(trials)}
    baseline = cells["sync_loop"]
    for name, cell in cells.items():
        if name == "sync_loop" or not (baseline.repeats and cell.repeats):
            assert cell.speedup is None
            continue
        assert cell.speedup is not None
        assert baseline.geomean_wall_s is not None
        assert cell.geomean_wall_s is not None
        assert cell.speedup == pytest.approx(baseline.geomean_wall_s / cell.geomean_wall_s)
        assert (cell.speedup_low is None) == (min(baseline.repeats, cell.repeats) < 3)
        if cell.speedup_low is not None and cell.speedup_high is not None:
            assert cell.speedup_low <= cell.speedup * (1 + 1e-9)
            assert cell.speedup <= cell.speedup_high * (1 + 1e-9)


@given(pairs, st.integers(2, 100))
def test_a_verdict_among_many_takes_a_wider_interval_and_never_turns_over(
    times: list[tuple[float, float]], verdicts: int
) -> None:
    alone = speedup([pair[0] for pair in times], [pair[1] for pair in times])
    among = alone.corrected(verdicts)
    assert among.ratio == alone.ratio
    assert among.low is not None
    assert among.high is not None
    assert alone.low is not None
    assert alone.high is not None
    assert among.low <= alone.low * (1 + 1e-9)
    assert among.high >= alone.high * (1 - 1e-9)
    assert alone.verdict(verdicts) in {alone.verdict(), "undecided"}


def test_a_gain_that_one_comparison_would_show_is_none_as_one_of_many() -> None:
    def cells(ways: int) -> dict[str, str]:
        names = ("gather", "thread_pool", "one_batch", "gather_limited", "retriever_invoke")[:ways]
        trials = [trial(wall, r) for r, wall in enumerate([2.0, 2.2, 1.8, 2.1])]
        trials += [
            trial(wall, r, name, concurrency=None)
            for name in names
            for r, wall in enumerate([1.8, 1.9, 1.714, 1.85])
        ]
        return {cell.strategy: cell.verdict for cell in summarise(trials)}

    assert cells(1)["gather"] == "faster"
    assert set(cells(5).values()) == {"", "undecided"}


@given(st.lists(pairs, min_size=1, max_size=6))
def test_holm_s_verdicts_are_among_those_of_each_alone_and_at_least_bonferroni_s(
    many: list[list[tuple[float, float]]],
) -> None:
    found = [speedup([a for a, _ in mine], [b for _, b in mine]) for mine in many]
    for one, verdict in zip(found, verdicts_on(found), strict=True):
        assert verdict in {one.verdict(), "undecided"}
        if one.p_value < 0.04 / len(found):  # beyond doubt by rounding
            assert verdict == one.verdict(len(found)) != "undecided"


def test_the_p_value_is_that_of_student_s_t() -> None:
    # Logs ln 2 × (1, 2, 3): t = 2 / (1/√3) = 3.464 with 2 degrees, two-sided p = 0.0742.
    assert speedup([2, 4, 8], [1, 1, 1]).p_value == pytest.approx(0.0742, abs=0.0001)


def test_of_many_runs_without_a_difference_at_most_5_percent_have_a_wrong_verdict() -> None:
    dice = random.Random(7)
    wrong = 0
    for _ in range(200):
        many = [
            speedup([dice.lognormvariate(0, 0.1) for _ in range(5)], [1.0] * 5) for _ in range(20)
        ]
        wrong += any(verdict != "undecided" for verdict in verdicts_on(many))
    assert wrong <= 0.08 * 200  # 5 %, and what chance adds in 200 runs


@pytest.mark.parametrize("strategy", ["open_constant", "open_poisson", "token_bucket"])
def test_ways_whose_rate_was_set_get_no_speed_up(strategy: str) -> None:
    trials = [*(trial(4.0, r) for r in range(3)), *(trial(1.0, r, strategy) for r in range(3))]
    cell = summarise(trials)[1]
    assert (cell.speedup, cell.verdict) == (None, "")
    assert "rate was set" in cell.speedup_note


@given(st.permutations([1, 7, 20]))
def test_the_baseline_of_every_batch_size_is_the_loop_with_the_smallest(sizes: list[int]) -> None:
    trials = [
        replace(trial(40.0 / size, r, name), batch=size)
        for size in sizes
        for name in ("sync_loop", "gather_limited")
        for r in range(3)
    ]
    gains = {(cell.strategy, cell.batch): cell.speedup for cell in summarise(trials)}
    for size in (1, 7, 20):
        assert gains["gather_limited", size] == pytest.approx(size)
    assert gains["sync_loop", 1] is None
    assert gains["sync_loop", 20] == pytest.approx(20)


@pytest.mark.parametrize(("calls", "has_p99"), [(1, False), (499, False), (500, True), (701, True)])
def test_a_p99_takes_500_calls_and_below_that_the_slowest_is_told(
    calls: int, has_p99: bool
) -> None:
    (cell,) = summarise([trial(9.0, durations=[0.001 * (i + 1) for i in range(calls)])])
    assert (cell.p99_ms is not None) == has_p99
    assert cell.slowest_ms == pytest.approx(calls)
    assert cell.p99_text.startswith("p99" if has_p99 else f"slowest of {calls}: ")


def test_only_ways_that_try_again_are_labelled_with_retries() -> None:
    labels = {
        name: cell_label(replace(trial(1.0, strategy=name), retries=5).cell) for name in STRATEGIES
    }
    assert {name for name, label in labels.items() if "5 retries" in label} == {
        name for name, strategy in STRATEGIES.items() if strategy.is_async
    }


def test_in_timed_trials_the_calls_are_looked_at_for_outliers_and_a_slow_start() -> None:
    def timed(repeat: int, calls: int) -> Trial:
        made = tuple(
            Call(i / calls, (i + 1) / calls, 0.0, ok=True, error=None) for i in range(calls)
        )
        return replace(trial(1.0, repeat), count=0, seconds=1.0, calls=made)

    steady = [timed(r, calls) for r, calls in enumerate([97, 101, 103, 99, 100])]
    assert titles(steady) == []
    slow_first = [timed(0, 31), *(replace(one, repeat=one.repeat + 1) for one in steady)]
    assert titles(slow_first) == ["Slow first trial", "Trials far from the others"]


def test_in_an_open_loop_the_latency_is_looked_at_for_outliers() -> None:
    def opened(repeat: int, latency_s: float) -> Trial:
        calls = tuple(
            Call(i / 10, i / 10 + latency_s, 0.0, ok=True, error=None, due_s=i / 10)
            for i in range(20)
        )
        rated = replace(trial(2.0, repeat, "open_constant"), count=0, seconds=2.0)
        return replace(rated, rate_per_s=10.0, calls=calls)

    steady = [opened(r, 0.01 + r / 10_000) for r in range(5)]
    assert titles(steady) == []
    assert titles([*steady, opened(5, 0.07)]) == ["Trials far from the others"]


@pytest.mark.parametrize("experiment", ["rate", "overload"])
def test_a_search_does_not_warn_of_the_repeats_that_it_chose_itself(experiment: str) -> None:
    found = [trial(1.0, 0, "open_constant")]
    run = Run({}, {"experiment": experiment}, tuple(found))
    assert analyse(run).warnings == {}
    assert list(analyse(replace(run, settings={})).warnings) == ["Few repeats"]


def test_a_run_of_unequal_repeats_says_which_part_of_it_has_few() -> None:
    trials = [*(trial(1.0, r) for r in range(5)), trial(1.0, 0, operation="from_texts")]
    [[message]] = analyse(Run({}, {}, tuple(trials))).warnings.values()
    assert message.startswith("1 repeat gives no interval (1 of 2 cells)")


def test_void_trials_are_said_to_be_the_client_s_not_failed() -> None:
    late = Call(start_s=1.0, end_s=1.1, embed_s=0, ok=True, error=None, due_s=0.5)
    void = replace(trial(1.1, 0, "open_constant"), calls=(late,), verified=False)
    [[message]] = analyse(Run({}, {}, (void,))).warnings.values()
    assert "1 of 1 trials are not valid: client too slow" in message


def test_warm_up_trials_do_not_count() -> None:
    assert summarise([trial(1.0, 0, warmup=True)]) == ()


def test_cells_come_in_the_registry_s_order_however_the_trials_were_shuffled() -> None:
    shuffled = [
        trial(1.0, 0, "one_batch"),
        trial(1.0, 0, "gather_limited", concurrency=32),
        trial(1.0, 0, "gather_limited", concurrency=4),
        trial(1.0, 0),
    ]
    assert [cell.label for cell in summarise(shuffled)] == [
        "Loop",
        "Async, at most 4",
        "Async, at most 32",
        "One batch",
    ]


def test_a_calm_run_of_five_repeats_warns_of_nothing() -> None:
    loops = [trial(10.0 + r / 100, r, cpu_s=1.0) for r in range(5)]
    fast = [trial(1.0 + r / 100, r, "gather", concurrency=None, lag_ms=3.0) for r in range(5)]
    assert titles([*loops, *fast]) == []


def test_each_warning_comes_when_its_cause_is_there() -> None:
    walls = [1.0, 1.01, 0.99, 1.0, 1.02]
    assert titles([trial(w, r) for r, w in enumerate(walls[:3])]) == ["Few repeats"]
    slow_first = [trial(w, r) for r, w in enumerate([3.0, *walls])]
    assert titles(slow_first) == ["Slow first trial", "Trials far from the others"]
    outlier = [trial(w, r) for r, w in enumerate([*walls, 2.0])]
    assert titles(outlier) == ["Trials far from the others"]
    busy = [trial(w, r, cpu_s=w) for r, w in enumerate(walls)]
    assert titles(busy) == ["The client is the bottleneck"]
    blocked = [trial(w, r, "gather", lag_ms=250.0) for r, w in enumerate(walls)]
    assert titles(blocked) == ["Blocked event loop"]
    failing = [trial(w, r, errors=["boom"] * (r == 2)) for r, w in enumerate([*walls, 1.0])]
    assert titles(failing) == ["Failed trials"]
    same = [trial(w, r) for r, w in enumerate(walls)]
    same += [trial(w, r, "gather") for r, w in enumerate(reversed(walls))]
    assert titles(same) == []  # a result, which the findings tell


def test_warnings_are_grouped_by_kind_under_a_title_for_each() -> None:
    walls = [1.0, 1.0, 1.0, 1.0, 1.0]
    blocked = [trial(w, r, "gather", lag_ms=250.0) for r, w in enumerate(walls)]
    busy = [trial(w, r, cpu_s=w) for r, w in enumerate(walls)]
    threads = [trial(w, r, "thread_pool", cpu_s=w) for r, w in enumerate(walls)]
    every = [*blocked, *busy, *threads]
    by_title = analyse(Run({}, {}, tuple(every))).warnings
    assert {title: len(messages) for title, messages in by_title.items()} == {
        "The client is the bottleneck": 2,
        "Blocked event loop": 1,
    }


@pytest.mark.parametrize(
    ("client", "is_told"),
    [(None, False), ("httpx", True), ("httpx-more", True), ("aiohttp", False)],
)
def test_where_the_provider_s_client_holds_the_loop_another_one_is_named(
    client: str | None, is_told: bool
) -> None:
    environment = {"http_client": client} if client else {}
    blocked = tuple(trial(1.0, r, "gather", lag_ms=250.0) for r in range(5))
    messages = analyse(Run(environment, {}, blocked)).warnings["Blocked event loop"]
    assert (messages[-1] == OVER_AIOHTTP) == is_told
    assert len(messages) == 1 + is_told
    calm = tuple(trial(1.0, r, "gather", lag_ms=3.0) for r in range(5))
    assert not analyse(Run(environment, {}, calm)).warnings


def test_outliers_lie_far_off_in_deviations_and_in_percent() -> None:
    assert outliers([1.0, 1.01, 0.99, 1.0, 1.5]) == (4,)
    assert outliers([1.0, 1.0, 1.0, 1.0, 1.04]) == ()  # no spread at all, and still only 4 % off
    assert outliers([1.0, 9.0]) == ()
