"""The advice against servers of known capacity, on a virtual clock."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lib.benchmark import advice, run_file
from lib.benchmark.command import main
from lib.benchmark.statistics import Speedup, percentile
from lib.benchmark.trials import Call, Run, Trial
from lib.benchmark.workload import PRESETS, Plan
from scripts.openai_endpoint import OpenAIEndpoint
from tests.benchmark.capacity import SEARCH, SERVERS, Capacity, measured

pytestmark = pytest.mark.slow

LIMITS = (1, 2, 4, 8, 16, 32, 64, 128)
SWEEP = replace(PRESETS["sweep"].plan, warmup=0)
RATE = replace(PRESETS["rate"].plan, warmup=0, repeats=2)


def true_limit(server: Capacity) -> int:
    """The smallest level that keeps at least 90 % of the server busy."""
    return next(limit for limit in LIMITS if limit >= advice.ENOUGH * server.parallel)


def test_the_advised_limit_is_within_one_level_of_the_true_one_on_9_of_10_servers() -> None:
    near = 0
    for server in SERVERS:
        (found,) = advice.sweep_advice(measured(SWEEP, server))
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
        found = advice.rate_advice(run)
        assert found is not None
        off = (found.rate_per_s or 0) / server.per_s - 1
        near += abs(off) <= 0.05
        print(f"{server}: {found.sentence} off by {off:+.1%}")  # noqa: T201
    assert near >= 9


@pytest.mark.parametrize(
    ("p99_ms", "rate_per_s", "reason"),
    [
        (10.0, 90.0, "It waits while the server stalls"),
        (40.0, 120.0, "more load"),
        (40.0, 90.0, "It met slower moments"),
    ],
)
def test_why_the_loops_differ_depends_on_what_was_measured(
    p99_ms: float, rate_per_s: float, reason: str
) -> None:
    level = advice.RateLevel(100.0, 20.0, 0, 500, held=True)
    closed = replace(level, rate_per_s=rate_per_s, p99_ms=p99_ms)
    found = advice.RateAdvice(50.0, (level,), 100.0, None, is_client_bound=False, closed=closed)
    assert f"as many calls in flight: p99 {p99_ms:g} ms at {rate_per_s:g}/s" in found.contrast
    assert reason in found.contrast


def test_rates_that_the_client_could_not_keep_are_no_verdict_on_the_server() -> None:
    void = [advice.RateLevel(rate, 9.0, 90, 100, held=None) for rate in (1, 2, 4)]
    slow = advice.RateLevel(8.0, 90.0, 0, 100, held=False)
    found = advice.RateAdvice(50.0, (*void, slow), None, 1.0, is_client_bound=True, closed=None)
    assert found.sentence == "Not measurable here: the client was too slow at 3 of 4 rates."
    found = replace(found, levels=(slow, slow, *void[:1]))
    assert found.sentence == "No rate kept the p99 below 50 ms."


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
    found = advice.overload_advice(run)
    assert found is not None
    assert found.breaks_at == 2_000
    assert "2,000 calls at once are too many" in found.sentence
    reported = sum(sum(trial.refused.values()) for trial in run.trials)
    assert reported == server.refused["limit"] > 0
    by_strategy = {(level.key.strategy, level.key.retries): level for level in found.levels}
    without = by_strategy["gather", 0]
    assert without.lost == without.trials * (2_000 - 1_024)
    assert sum(without.refused.values()) == without.lost
    ideal_s = math.ceil(2_000 / server.parallel) * server.service_s
    for strategy in ("gather_limited", "token_bucket"):
        level = by_strategy[strategy, 0]
        assert (level.lost, level.refused) == (0, {})
        assert level.wall_s <= 1.05 * ideal_s
    again = by_strategy["gather", OVERLOAD.retries]
    assert again.refused
    assert again.wall_s > ideal_s


def test_a_server_that_refuses_nothing_is_said_to() -> None:
    found = advice.overload_advice(measured(replace(OVERLOAD, repeats=1), Capacity(0.001, 64)))
    assert found is not None
    assert re.fullmatch(
        "Nothing was refused with up to 4,000 calls at once: .* without a limit, .* with Async, "
        r"at most \d+\.",
        found.sentence,
    )


def test_an_adding_run_is_advised_on_its_batch_size() -> None:
    """A call costs 10 ms and each of its rows 0.1 ms: 90 % of the best takes 500 rows a call."""
    trials = [
        run_trial(batch, repeat, rows=2_000, call_s=0.010 + 0.0001 * batch)
        for repeat in range(3)
        for batch in (10, 50, 100, 500, 1_000)
    ]
    (found,) = advice.sweep_advice(Run({}, {}, tuple(trials)))
    assert not found.is_limit
    assert found.advised.level == 500
    assert "500 rows a call" in found.sentence


def run_trial(batch: int, repeat: int, *, rows: int, call_s: float) -> Trial:
    calls = tuple(
        Call(i * call_s, (i + 1) * call_s, 0.0, ok=True, error=None) for i in range(rows // batch)
    )
    return Trial(
        "add_documents", "gather_limited", rows, 1, repeat, 0, False, calls[-1].end_s, True, "",
        1.0, 1.0, 0.0, calls, batch=batch,
    )  # fmt: skip


def test_where_the_client_is_the_bottleneck_the_advice_says_that_instead() -> None:
    run = measured(SWEEP, SERVERS[2])
    busy = tuple(replace(trial, cpu_s=0.97 * trial.wall_s) for trial in run.trials)
    (found,) = advice.sweep_advice(replace(run, trials=busy))
    assert found.sentence.startswith("The client is the limit, not Milvus: it used 97%")
    late = tuple(replace(trial, cpu_s=0.1, loop_lag_ms_p99=80.0) for trial in run.trials)
    (found,) = advice.sweep_advice(replace(run, trials=late))
    assert "its event loop woke up 80 ms late" in found.sentence


def test_a_level_that_was_not_sustained_is_never_advised() -> None:
    """200 calls at a limit of 128 have 102 in flight on average."""
    plan = replace(SWEEP, seconds=0.0, counts=(200,), concurrency=(1, 2, 4, 128))
    (found,) = advice.sweep_advice(measured(plan, Capacity(0.01, 128)))
    by_level = {level.level: level for level in found.levels}
    assert not by_level[128].is_sustained
    assert found.advised.level != 128 or found.best.level == 128


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
    before, after = advice.rate_advice(run), advice.rate_advice(read)
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
