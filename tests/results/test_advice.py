"""The advice against servers of known capacity, on a virtual clock."""

import math
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.benchmark.command import main
from lib.benchmark.endpoint import OpenAIEndpoint
from lib.benchmark.experiments import EXPERIMENTS
from lib.benchmark.runner import plan_settings
from lib.charts import data as chart_data
from lib.results import advice, run_file
from lib.results.advice import Outcome
from lib.results.analysis import analyse
from lib.results.groups import Focus
from lib.results.plan import PRESETS, Plan
from lib.results.summaries import Speedup, percentile
from lib.results.trials import Call, Run, Trial
from tests.benchmark.capacity import SEARCH, SERVERS, Capacity, measured
from tests.run_builder import make_run, make_trial, trial_of

pytestmark = pytest.mark.slow

LIMITS = (1, 2, 4, 8, 16, 32, 64, 128)
SWEEP = replace(PRESETS["sweep"].plan, warmup=0)
RATE = replace(PRESETS["rate"].plan, warmup=0, repeats=2)


def true_limit(server: Capacity) -> int:
    """The smallest level that keeps nearly all of the server busy."""
    return next(limit for limit in LIMITS if limit >= advice.ENOUGH * server.parallel)


def test_the_advised_limit_is_within_one_level_of_the_true_one_on_9_of_10_servers() -> None:
    near = 0
    for server in SERVERS:
        (found,) = analyse(measured(SWEEP, server)).sweeps
        off = LIMITS.index(found.advised.level) - LIMITS.index(true_limit(server))
        near += abs(off) <= 1
        print(f"{server}: advised {found.advised.level}, true {true_limit(server)}")  # noqa: T201
        print(found.sentence, found.cost, found.little)  # noqa: T201
    assert near >= 9


def test_the_highest_rate_is_within_5_percent_of_the_capacity_on_9_of_10_servers() -> None:
    near = 0
    for server in SERVERS:
        # Above what one call takes even when service times vary, below what a queue makes of it.
        target_ms = 1000 * server.service_s * (1.5 if not server.spread else 6)
        run = measured(replace(RATE, p99_ms=target_ms), server)
        found = analyse(run).rate
        assert found is not None
        off = (found.rate_per_s or 0) / server.per_s - 1
        near += abs(off) <= 0.05
        print(f"{server}: {found.sentence} off by {off:+.1%}")  # noqa: T201
    assert near >= 9


def rate_level(rate: float, outcome: Outcome = Outcome.HELD, **changed: Any) -> advice.RateLevel:
    """Return a level of which nothing was valid, or 4 trials with 2,000 calls."""
    is_late = outcome is Outcome.LATE
    level = advice.RateLevel(
        rate_per_s=rate,
        p99_ms=20.0,
        late=90 if is_late else 0,
        calls=2_000,
        outcome=outcome,
        held_trials=4 if outcome is Outcome.HELD else 0,
        trials=0 if is_late else 4,
        void_trials=3 if is_late else 0,
        in_flight=2.5,
        lost={},
        is_confirmed=outcome is Outcome.HELD,
    )
    return replace(level, **changed)


def rates_of(*levels: advice.RateLevel, rate: float | None = None) -> advice.RateAdvice:
    return advice.RateAdvice(50.0, levels, rate, None, needed=4, closed=None)


@pytest.mark.parametrize(
    ("p99_ms", "rate_per_s", "reason"),
    [
        (10.0, 90.0, "It waits while the server stalls"),
        (40.0, 120.0, "more load"),
        (40.0, 90.0, "The server was slower during that trial"),
    ],
)
def test_why_the_loops_differ_depends_on_what_was_measured(
    p99_ms: float, rate_per_s: float, reason: str
) -> None:
    level = rate_level(100.0)
    closed = replace(level, rate_per_s=rate_per_s, p99_ms=p99_ms)
    found = replace(rates_of(level, rate=100.0), closed=closed)
    assert f"as many calls in flight: p99 {p99_ms:g} ms at {rate_per_s:g}/s" in found.contrast
    assert reason in found.contrast


def test_rates_that_the_client_could_not_keep_are_no_verdict_on_the_server() -> None:
    void = [rate_level(rate, Outcome.LATE) for rate in (1, 2, 4)]
    slow = rate_level(8.0, Outcome.SLOW, p99_ms=90.0)
    found = rates_of(*void, slow)
    assert found.sentence == "Not measurable here: the client was too slow at 3 of 4 rates."
    found = rates_of(slow, slow, *void[:1])
    assert found.sentence == (
        "No rate kept the p99 below 50 ms: at 8/s it was 90 ms. "
        "At 1 of 3 rates the client was too slow to tell."
    )


def test_a_verdict_names_its_true_reason() -> None:
    lost = rate_level(8.0, Outcome.LOST, lost={"returned other rows than expected": 12})
    assert rates_of(lost).sentence == (
        "No rate held: at 8/s 12 calls failed: 12× returned other rows than expected."
    )
    growing = rate_level(9.0, Outcome.GROWING)
    assert rates_of(growing).sentence == (
        "No rate held: at 9/s calls came in faster than they were answered."
    )
    once = rate_level(7.0, held_trials=1, trials=1, is_confirmed=False)
    assert "No rate was confirmed: 7/s held in 1 of 1 trial" in rates_of(once).sentence
    few = rate_level(7.0, calls=399, is_confirmed=False)
    assert "a p99 takes 500 calls" in rates_of(few).sentence


@pytest.mark.parametrize(
    ("above", "said"),
    [
        (rate_level(200.0, Outcome.LATE), "at 200/s the client was too slow to tell."),
        (rate_level(200.0, is_confirmed=False), "200/s was not confirmed."),
        (rate_level(200.0, Outcome.SLOW, p99_ms=61.0), "200/s did not hold (the p99 was 61 ms)."),
        (
            rate_level(200.0, Outcome.LOST, lost={"TimeoutError": 3}),
            "200/s did not hold (3 calls failed: 3× TimeoutError).",
        ),
    ],
)
def test_what_the_next_higher_rate_showed_stands_beside_the_confirmed_one(
    above: advice.RateLevel, said: str
) -> None:
    sentence = rates_of(rate_level(100.0), above, rate=100.0).sentence
    assert sentence.startswith(
        "Holds 100 calls/s with a p99 below 50 ms: 20 ms (n = 2,000) in 4 of 4 trials, "
        "2.5 calls in flight; "
    )
    assert sentence.endswith(said)


def open_trial(
    rate: float,
    repeat: int,
    latency_s: float = 0.01,
    *,
    is_void: bool = False,
    seconds: float = 2.0,
) -> Trial:
    """Return some seconds of an open loop; a void one started its calls late."""
    late_s = 0.5 if is_void else 0.0
    calls = tuple(
        Call(i / rate + late_s, i / rate + late_s + latency_s, 0.0, True, None, due_s=i / rate)
        for i in range(round(seconds * rate))
    )
    timed = {"count": 0, "wall_s": seconds, "seconds": seconds, "rate_per_s": rate}
    return trial_of("open_constant", calls, repeat=repeat, verified=not is_void, **timed)


shown = st.sampled_from(["held", "slow", "void"])


@given(
    st.integers(1, 4),
    st.dictionaries(
        st.sampled_from([251.0, 389.0, 607.0]), st.lists(shown, min_size=1, max_size=6)
    ),
)
def test_only_a_rate_that_enough_valid_trials_confirmed_is_reported(
    repeats: int, tried: dict[float, list[str]]
) -> None:
    trials = [
        open_trial(rate, i, 0.2 if what == "slow" else 0.01, is_void=what == "void")
        for rate, mine in tried.items()
        for i, what in enumerate(mine)
    ]
    run = Run({}, {"p99_ms": 50.0, "repeats": repeats, "experiment": "rate"}, tuple(trials))
    found = analyse(run).rate
    if not tried:
        assert found is None
        return
    assert found is not None
    for level in found.levels:
        mine = tried[level.rate_per_s]
        valid = [what for what in mine if what != "void"]
        assert (level.trials, level.void_trials) == (len(valid), mine.count("void"))
        if not valid:
            assert level.held is None  # neither held nor too high
    if found.rate_per_s is not None:
        mine = tried[found.rate_per_s]
        assert len(mine) - mine.count("void") >= repeats + 1
        assert mine.count("held") > mine.count("slow")
        assert found.at_rate is not None
        assert found.at_rate.calls >= 500
        assert found.at_rate.p99_ms < 50
        assert not any("slow" in tried[rate] and set(tried[rate]) <= {"slow", "void"}
                       for rate in tried if rate < found.rate_per_s)  # fmt: skip
    assert bool(analyse(run).without_verdict) == (
        found.rate_per_s is None and 2 * found.void > len(found.levels)
    )


class LateClient:
    """Runs a search's schedule against a server and a client whose bounds are known."""

    def __init__(self, server_per_s: float, client_per_s: float) -> None:
        self.server_per_s, self.client_per_s = server_per_s, client_per_s

    def search(self, plan: Plan) -> list[tuple[Trial, int | None]]:
        """Return what was made, with its repeat; a warm-up has none."""
        steps = EXPERIMENTS["rate"](plan)
        made: list[tuple[Trial, int | None]] = []
        sent: Trial | None = None
        while True:
            try:
                cell, repeat = steps.send(sent)
            except StopIteration:
                return made
            if cell.rate_per_s:
                slow = cell.rate_per_s > self.server_per_s
                trial = open_trial(cell.rate_per_s, repeat or 0, 0.2 if slow else 0.02,
                                   is_void=cell.rate_per_s > self.client_per_s,
                                   seconds=cell.seconds)  # fmt: skip
            else:
                trial = replace(open_trial(100.0, repeat or 0), strategy=cell.strategy,
                                rate_per_s=None, concurrency=cell.concurrency)  # fmt: skip
            made.append((trial, repeat))
            sent = None if repeat is None else trial


@pytest.mark.parametrize(
    ("server_per_s", "client_per_s"), [(631.0, 5e4), (5e4, 631.0), (631.0, 640.0), (97.0, 5e4)]
)
@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_a_search_confirms_what_it_reports_and_a_late_client_is_no_limit_of_the_server(
    server_per_s: float, client_per_s: float, repeats: int
) -> None:
    plan = replace(RATE, p99_ms=50.0, repeats=repeats, warmup=1)
    made = LateClient(server_per_s, client_per_s).search(plan)
    counted_ones = [trial for trial, repeat in made if repeat is not None]
    warm = [trial.strategy for trial, repeat in made if repeat is None]
    # The open loop is warmed before its first counted trial.
    assert warm == ["gather_limited", "open_constant"]
    first = next(i for i, (t, repeat) in enumerate(made) if t.rate_per_s and repeat is not None)
    assert made[first - 1][0].rate_per_s
    run = Run({}, plan_settings(plan), tuple(counted_ones))
    found = analyse(run).rate
    assert found is not None
    bound = min(server_per_s, client_per_s)
    assert found.rate_per_s is not None
    assert 0.95 * bound <= found.rate_per_s <= bound
    assert found.at_rate is not None
    assert found.at_rate.trials >= repeats + 1
    if client_per_s < server_per_s:
        assert found.fails_at_per_s is None
        assert "the client was too slow to tell" in found.sentence
    elif client_per_s > 2 * server_per_s:
        assert "did not hold (the p99 was 200 ms)" in found.sentence
    # The closed loop beside it has the calls in flight of the rate that is reported.
    assert found.closed is not None
    limits = [trial.concurrency for trial in counted_ones if not trial.rate_per_s]
    assert limits[1:] == [max(round(found.at_rate.in_flight), 1)] * repeats


def test_a_rate_that_one_trial_held_is_not_reported() -> None:
    """What `rate-server.json` said at first: one trial held, every confirmation went elsewhere."""
    trials = [open_trial(580.4, 0), open_trial(773.6, 0, 0.2)]
    trials += [open_trial(820.8, i, is_void=i > 0) for i in range(5)]
    found = analyse(Run({}, {"p99_ms": 50.0, "repeats": 3}, tuple(trials))).rate
    assert found is not None
    assert found.rate_per_s is None
    assert "820.8" in found.sentence or "580.4" in found.sentence
    assert "No rate was confirmed" in found.sentence


def test_an_interval_too_wide_to_say_anything_is_not_printed() -> None:
    assert advice._ratio_text(Speedup(6.7, 0.082, 540.0, 3)) == "about 6.7 times"
    assert advice._ratio_text(Speedup(6.7, 5.0, 9.0, 3)) == "6.7 times (5–9)"


def p99_ms(trial: Trial) -> float:
    return 1000 * percentile([call.latency_s for call in trial.calls], 99)


@pytest.mark.parametrize("strategy", ["open_constant", "open_poisson"])
def test_a_stall_of_one_second_shows_in_the_open_loop_and_hides_in_the_closed_one(
    strategy: str,
) -> None:
    seconds, stall_s, service_s = 10.0, 1.0, 0.01
    server = Capacity(service_s, 1_000, stall_at_s=4.0, stall_s=stall_s)
    plan = Plan(
        operations=(SEARCH,), strategies=(strategy, "gather_limited"), concurrency=(2,),
        seconds=seconds, rates=(200.0,), repeats=1, warmup=0,
    )  # fmt: skip
    trials = {trial.strategy: trial for trial in measured(plan, server).trials}
    # A tenth of the calls was due during the stall; the slowest tenth of those lie beyond p99.
    truth_ms = 1000 * (service_s + stall_s - 0.01 * seconds)
    print(strategy, p99_ms(trials[strategy]), p99_ms(trials["gather_limited"]))  # noqa: T201
    assert p99_ms(trials[strategy]) == pytest.approx(truth_ms, rel=0.05)
    assert p99_ms(trials["gather_limited"]) == pytest.approx(1000 * service_s, rel=0.05)


OVERLOAD = replace(PRESETS["overload"].plan, warmup=0, concurrency=(64,))


def test_refused_calls_are_counted_exactly_and_a_limit_or_a_bucket_loses_none() -> None:
    server = Capacity(0.02, 64, queue=1_024 - 64)
    run = measured(OVERLOAD, server)
    found = analyse(run).overload
    assert found is not None
    assert found.breaks_at == 2_000
    assert "2,000 calls at once are too many" in found.sentence
    reported = sum(sum(trial.refused.values()) for trial in run.trials)
    assert reported == server.refused["limit"] > 0
    by_strategy = {(level.key.strategy, level.key.retries): level for level in found.levels}
    without = by_strategy["gather", 0]
    assert without.lost_calls == without.trials * (2_000 - 1_024)
    assert (sum(without.refused.values()), without.retried) == (without.lost_calls, 0)
    assert without.lost == without.refused
    assert f" lost in {without.trials} trials of " in without.sentence
    ideal_s = math.ceil(2_000 / server.parallel) * server.service_s
    for strategy in ("gather_limited", "token_bucket"):
        level = by_strategy[strategy, 0]
        assert (level.lost, level.refused) == ({}, {})
        assert level.wall_s <= 1.05 * ideal_s
    again = by_strategy["gather", OVERLOAD.retries]
    assert again.retried == sum(again.refused.values()) - again.lost_calls > 0
    assert again.wall_s > ideal_s


def test_a_server_that_refuses_nothing_is_said_to() -> None:
    found = analyse(measured(replace(OVERLOAD, repeats=1), Capacity(0.001, 64))).overload
    assert found is not None
    assert re.fullmatch(
        "No call was lost with up to 4,000 at once: .* without a limit, .* with Async, "
        r"at most \d+\.",
        found.sentence,
    )


KINDS = ("DeadlineExceeded", "refused", "returned other rows than expected", "ConnectionReset")


def overloaded(count: int, failed: dict[str, int], *, retried: int = 0, **changed: Any) -> Trial:
    """Return a trial of calls at once of which some failed, by kind; refusals are counted too."""
    kinds = [kind for kind, n in failed.items() for _ in range(n)]
    calls = tuple(
        Call(0.0, 1.0, 0.0, ok=i >= len(kinds), error=kinds[i] if i < len(kinds) else None)
        for i in range(count)
    )
    refused = {"refused": failed.get("refused", 0) + retried}
    told = {"verified": not kinds, "refused": refused if refused["refused"] else {}}
    return trial_of("gather", calls, **(told | changed))


@given(st.dictionaries(st.sampled_from(KINDS), st.integers(1, 11)), st.integers(0, 13))
def test_every_kind_of_loss_is_a_loss_and_what_a_retry_cured_is_none(
    failed: dict[str, int], retried: int
) -> None:
    again = overloaded(97, {}, retried=retried, retries=5, repeat=0)
    trials = (overloaded(53, {}), overloaded(97, failed), again)
    found = analyse(Run({}, {"experiment": "overload"}, trials)).overload
    assert found is not None
    assert found.breaks_at == (97 if failed else None)
    assert ("No call was lost" in found.sentence) == (not failed)
    levels = {level.key.retries: level for level in found.levels}
    assert levels[0].lost == failed
    assert all(f"{n:,}× {kind}" in levels[0].sentence for kind, n in failed.items())
    assert (levels[5].lost_calls, levels[5].retried, levels[0].retried) == (0, retried, 0)
    assert ("tried again" in levels[5].sentence) == (retried > 0)


def test_an_overload_stops_at_the_first_count_that_loses_calls_for_whatever_reason() -> None:
    plan = replace(OVERLOAD, counts=(11, 23, 47), repeats=1, retries=0)
    steps = EXPERIMENTS["overload"](plan)
    assert next(steps)[0].count == 11
    assert steps.send(overloaded(11, {}))[0].count == 23
    cell, _ = steps.send(overloaded(23, {"DeadlineExceeded": 1}))
    assert (cell.strategy, cell.count) == ("gather_limited", 23)


@given(st.integers(1, 2_500), st.lists(st.integers(1, 2_500), min_size=3, max_size=5, unique=True))
def test_rows_that_do_not_exist_are_not_counted(rows: int, sizes: list[int]) -> None:
    """A call takes 10 ms and each of its rows 0.1 ms, the last one's too."""
    sizes = sorted({min(size, rows) for size in sizes})
    trials = [batched(size, repeat, rows=rows) for size in sizes for repeat in range(3)]
    for trial in trials:
        assert trial.throughput_per_s * trial.wall_s == pytest.approx(rows)
    found = analyse(Run({}, {}, tuple(trials))).sweeps
    if len(sizes) < 3:
        assert found == ()
        return
    fastest = min(trials, key=lambda trial: trial.wall_s)
    assert found[0].best.throughput_per_s == pytest.approx(rows / fastest.wall_s)
    assert found[0].advised.share.ratio >= advice.ENOUGH


def batched(batch: int, repeat: int, *, rows: int) -> Trial:
    """Return a trial of calls one after another, of which the last has what is left over."""
    made, end_s = [], 0.0
    for start in range(0, rows, batch):
        begin_s, end_s = end_s, end_s + 0.010 + 0.0001 * min(batch, rows - start)
        made.append(Call(begin_s, end_s, 0.0, ok=True, error=None))
    return added(made, rows, repeat, batch)


def added(calls: Sequence[Call], rows: int, repeat: int, batch: int) -> Trial:
    told = {"operation": "add_documents", "concurrency": 1, "count": rows, "batch": batch}
    return trial_of("gather_limited", calls, repeat=repeat, **told)


def test_of_500_1000_and_1500_rows_a_call_for_2000_documents_the_fastest_is_advised() -> None:
    walls = {500: 1.0, 1_000: 1.1, 1_500: 1.2}
    trials = [
        replace(batched(batch, repeat, rows=2_000), wall_s=wall_s * 1.001**repeat)
        for repeat in range(3)
        for batch, wall_s in walls.items()
    ]
    (found,) = analyse(Run({}, {}, tuple(trials))).sweeps
    assert (found.advised.level, found.best.level) == (500, 500)
    assert found.advised.throughput_per_s == pytest.approx(2_000, rel=0.01)
    assert "1,500" not in found.sentence


def test_an_adding_run_is_advised_on_its_batch_size() -> None:
    """A call costs 10 ms and each of its rows 0.1 ms: 95 % of the best takes 1,000 rows a call."""
    trials = [
        run_trial(batch, repeat, rows=2_000, call_s=0.010 + 0.0001 * batch)
        for repeat in range(3)
        for batch in (10, 50, 100, 500, 1_000)
    ]
    (found,) = analyse(Run({}, {}, tuple(trials))).sweeps
    assert not found.is_limit
    assert found.advised.level == 1_000
    assert "1,000 rows a call" in found.sentence


def run_trial(batch: int, repeat: int, *, rows: int, call_s: float) -> Trial:
    calls = tuple(
        Call(i * call_s, (i + 1) * call_s, 0.0, ok=True, error=None) for i in range(rows // batch)
    )
    return added(calls, rows, repeat, batch)


def test_the_advice_is_the_lowest_level_that_the_repeats_cannot_tell_from_the_best() -> None:
    dice = random.Random(5)
    walls = {1: 4.0, 2: 2.0, 4: 1.03, 8: 1.0, 16: 1.01}
    trials = [
        limited(limit, repeat, wall_s * dice.lognormvariate(0, 0.01))
        for repeat in range(5)
        for limit, wall_s in walls.items()
    ]
    (found,) = analyse(Run({}, {}, tuple(trials))).sweeps
    assert found.advised.level == 4
    assert found.plausible == (4, 16)
    assert found.sentence.startswith("Use 4 in flight: ")
    assert found.sentence.endswith("4 to 16 are too close to call.")
    # Little's law is of one level: its product is what was in flight at that level.
    product = found.advised.throughput_per_s * found.advised.mean_ms / 1000
    assert product == pytest.approx(found.advised.in_flight, rel=0.05)


def test_repeats_that_tell_nothing_apart_are_not_enough_evidence() -> None:
    dice = random.Random(5)
    trials = [
        limited(limit, repeat, 1.0 * dice.lognormvariate(0, 0.4))
        for repeat in range(3)
        for limit in (1, 2, 4, 8)
    ]
    run = Run({}, {}, tuple(trials))
    (found,) = analyse(run).sweeps
    assert not found.is_decided
    assert found.sentence.startswith("Not enough evidence for a limit: ")
    assert analyse(run).advice.brief == "not enough evidence"
    assert analyse(run).sentences == (found.sentence,)
    # The headline says the same, also where the client was busy.
    busy = tuple(replace(trial, cpu_s=0.97 * trial.wall_s) for trial in trials)
    assert analyse(Run({}, {}, busy)).advice.short == "Not enough evidence for a limit"
    frame = chart_data.sweep(analyse(run), Focus(trials[0].operation, 96))
    assert not frame["is_marked"].any()


def limited(limit: int, repeat: int, wall_s: float) -> Trial:
    """Return 96 calls, always as many in flight as the limit says."""
    call_s = wall_s * limit / 96
    calls = tuple(
        Call((i // limit) * call_s, (i // limit + 1) * call_s, 0.0, ok=True, error=None)
        for i in range(96)
    )
    return trial_of("gather_limited", calls, concurrency=limit, repeat=repeat, wall_s=wall_s)


def test_where_the_client_is_the_bottleneck_the_advice_says_that_instead() -> None:
    run = measured(SWEEP, SERVERS[2])
    busy = tuple(replace(trial, cpu_s=0.97 * trial.wall_s) for trial in run.trials)
    (found,) = analyse(replace(run, trials=busy)).sweeps
    assert found.sentence.startswith("The client is the limit, not Milvus: it used 97%")
    late = tuple(replace(trial, cpu_s=0.1, loop_lag_ms_p99=80.0) for trial in run.trials)
    (found,) = analyse(replace(run, trials=late)).sweeps
    assert "its event loop woke up 80 ms late" in found.sentence


def test_a_level_that_was_not_sustained_is_never_advised() -> None:
    """200 calls at a limit of 128 have 102 in flight on average."""
    plan = replace(SWEEP, seconds=0.0, counts=(200,), concurrency=(1, 2, 4, 128))
    (found,) = analyse(measured(plan, Capacity(0.01, 128))).sweeps
    by_level = {level.level: level for level in found.levels}
    assert not by_level[128].is_sustained
    assert 128 not in (found.advised.level, found.best.level)
    assert found.advised.in_flight >= advice.SUSTAINED * found.advised.level


def test_a_trial_in_which_the_client_could_not_keep_the_rate_is_void_not_slow() -> None:
    plan = Plan(
        operations=(SEARCH,), strategies=("open_constant",), seconds=2.0, rates=(50.0,),
        repeats=1, warmup=0,
    )  # fmt: skip
    (trial,) = measured(plan, Capacity(0.001, 8)).trials
    assert (trial.late_starts, trial.is_void) == (0, False)
    late = replace(trial, calls=tuple(
        replace(call, start_s=call.start_s + 0.02, end_s=call.end_s + 0.02) if i < 3 else call
        for i, call in enumerate(trial.calls)
    ))  # fmt: skip
    assert late.late_starts == 3
    assert late.is_void
    assert advice.holds(late, 1_000.0) is None


def test_a_rate_that_makes_the_queue_grow_does_not_hold_however_high_the_p99_may_be() -> None:
    plan = Plan(
        operations=(SEARCH,), strategies=("open_constant",), seconds=2.0, rates=(195.0, 215.0),
        repeats=1, warmup=0,
    )  # fmt: skip
    slow, fast = sorted(measured(plan, SERVERS[2]).trials, key=lambda t: t.rate_per_s or 0)
    assert advice.holds(slow, 10_000.0) is True
    assert advice.holds(fast, 10_000.0) is False


def test_timed_trials_come_back_from_a_file_with_every_call(tmp_path: Path) -> None:
    plan = replace(RATE, p99_ms=50.0, repeats=1)
    run = measured(plan, Capacity(0.02, 4, spread=0.3))
    run_file.write(run, tmp_path / "run.json")
    read = run_file.read(tmp_path / "run.json")
    assert [len(trial.calls) for trial in read.trials] == [len(t.calls) for t in run.trials]
    before, after = analyse(run).rate, analyse(read).rate
    assert before is not None
    assert after is not None
    assert (after.rate_per_s, after.fails_at_per_s) == (before.rate_per_s, before.fails_at_per_s)
    for one, other in zip(run.trials[1].calls, read.trials[1].calls, strict=True):
        assert other.latency_s == pytest.approx(one.latency_s, abs=3e-5)


@pytest.mark.alone
def test_a_provider_s_refusals_are_counted_as_the_provider_counts_them(
    milvus_lite_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The quota is 8 requests in flight; the loss is the provider's, the store is embedded."""
    with OpenAIEndpoint(latency_s=0.05, most_in_flight=8) as endpoint:
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.base_url)
        words = "--preset overload --operations similarity_search --counts 5,40 --repeats 1"
        words += " --concurrency 8 --warmup 0 --retries 3 --embedding openai --rows 20"
        output = tmp_path / "run.json"
        arguments = [*words.split(), "--uri", milvus_lite_uri, "--output", str(output)]
        assert main(arguments) == 0
        run = run_file.read(output)
        reported = sum(sum(trial.refused.values()) for trial in run.trials)
        assert reported == endpoint.refused["in flight"] > 0
    by_strategy = {(trial.strategy, trial.retries): trial for trial in run.trials}
    assert by_strategy["gather_limited", 0].verified
    assert by_strategy["token_bucket", 0].verified
    assert by_strategy["gather", 0].refused
    assert "40 calls at once are too many" in capsys.readouterr().err


def test_what_batches_bring_is_told_apart_from_what_gathering_them_adds() -> None:
    def trial_of(strategy: str, batch: int, wall_s: float) -> Trial:
        made = make_trial(strategy, count=-(-100 // batch), concurrency=1, call_s=0.01)
        return replace(made, count=100, batch=batch, wall_s=wall_s)

    ways = [
        trial_of("sync_loop", 1, 10.0),
        trial_of("sync_loop", 50, 0.5),
        trial_of("gather_limited", 1, 1.0),
        trial_of("gather_limited", 50, 0.25),
    ]
    said = analyse(make_run(*ways)).sentences[-1]
    assert said.startswith("Rows a second: Loop 10, Loop, 50 rows a call 200, ")
    assert said.endswith("Batches of 50 alone bring 20.0×, gathering them 2.0× more.")
    without = analyse(make_run(ways[0], ways[2])).sentences
    assert not any("Rows a second" in each for each in without)
