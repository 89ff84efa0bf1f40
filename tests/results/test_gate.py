"""Slower than the baseline, not slower, or not enough evidence: on a seeded clock and for real."""

import dataclasses
import math
import random
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.gate_power import CHANGES, REPEATS, simulated
from benchmarks.gate_power import PAIRS as SIMULATED_PAIRS
from benchmarks.gate_power import verdicts as count_verdicts
from lib.benchmark.command import main
from lib.results import run_file
from lib.results.gate import Decision, Verdict, decide
from lib.results.plan import Plan
from lib.results.trials import Run, Trial
from tests.benchmark.stubs import JITTERS, StubStore, VirtualClock, measure
from tests.run_builder import trial

pytestmark = pytest.mark.slow

PAIRS = 200
# A trial is one call that waits as a hundred calls after another would: the same wall time.
PLAN = Plan(operations=("delete",), strategies=("sync_loop",), counts=(1,), repeats=10, warmup=0)
WAITS = 100
SLOWER = 0.15
simulated_verdicts = cache(count_verdicts)


def run_of(*trials: Trial, **settings: object) -> Run:
    return Run(environment={}, settings=settings, trials=trials)


def walls(*seconds: float, strategy: str = "sync_loop") -> tuple[Trial, ...]:
    return tuple(trial(wall_s, i, strategy) for i, wall_s in enumerate(seconds))


def verdicts(jitter: str, slowdown: float) -> list[Verdict]:
    """Compare 200 pairs of runs on a virtual clock; the second of each is slower by a factor."""
    dice = random.Random(11)

    def measured(factor: float) -> Run:
        clock = VirtualClock()

        def wait() -> None:
            for _ in range(WAITS):
                clock.now += factor * JITTERS[jitter](dice)

        return measure(PLAN, StubStore(wait=wait), clock)

    return [decide(measured(1.0), measured(slowdown), SLOWER).verdict for _ in range(PAIRS)]


@pytest.mark.parametrize("jitter", ["normal", "skewed"])
def test_of_200_equal_pairs_at_most_5_percent_raise_an_alarm(jitter: str) -> None:
    found = verdicts(jitter, 1.0)
    alarms = found.count(Verdict.SLOWER)
    print(f"equal pairs, {jitter}: {alarms} of {PAIRS} called slower")  # noqa: T201
    assert alarms <= 0.05 * PAIRS


@pytest.mark.parametrize("jitter", ["normal", "skewed"])
def test_a_slowdown_of_twice_the_threshold_is_caught_in_90_percent_of_200_pairs(
    jitter: str,
) -> None:
    found = verdicts(jitter, 1.30)
    caught = found.count(Verdict.SLOWER)
    print(f"30 % slower, {jitter}: {caught} of {PAIRS} caught")  # noqa: T201
    assert caught >= 0.9 * PAIRS


@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_up_to_the_threshold_is_not_called_slower_nor_one_beyond_it_not_slower(
    change: float, repeats: int
) -> None:
    found = simulated_verdicts(change, repeats)
    slower, not_slower = (
        found[verdict] / SIMULATED_PAIRS for verdict in (Verdict.SLOWER, Verdict.NOT_SLOWER)
    )
    if change <= SLOWER:
        assert slower <= 0.05
    if change >= SLOWER:
        assert not_slower <= 0.05
    if change == 0.0:
        assert not_slower >= 0.99
    if change >= 2 * SLOWER:
        assert slower >= 0.95


def test_more_repeats_decide_more_and_never_the_other_way() -> None:
    for change in CHANGES:
        few, many = (simulated_verdicts(change, repeats) for repeats in REPEATS)
        allowed = 0.03 * SIMULATED_PAIRS  # by chance, at the threshold itself
        assert many[Verdict.UNDECIDED] <= few[Verdict.UNDECIDED] + allowed


@settings(max_examples=60)
@given(
    st.integers(0, 10_000),
    st.floats(0.5, 2.0),
    st.integers(3, 12),
    st.sampled_from([0.05, 0.10, 0.15, 0.20, 0.30]),
)
def test_a_verdict_is_where_the_whole_interval_lies(
    seed: int, factor: float, repeats: int, threshold: float
) -> None:
    dice = random.Random(seed)
    pair = [simulated(dice, one, repeats, sigma=0.1) for one in (1.0, factor)]
    (cell,) = decide(*pair, threshold).cells
    assert cell.ratio is not None
    assert cell.low is not None
    assert cell.high is not None
    assert cell.low <= cell.ratio <= cell.high
    assert (cell.verdict is Verdict.SLOWER) == (cell.low > 1 + threshold)
    assert (cell.verdict is Verdict.NOT_SLOWER) == (cell.high < 1 + threshold)
    if cell.repeats_needed is not None:
        assert cell.verdict is Verdict.UNDECIDED
        assert cell.repeats_needed > repeats


def decision(old: tuple[Trial, ...], new: tuple[Trial, ...], **settings: object) -> Decision:
    return decide(run_of(*old, **settings), run_of(*new, **settings), SLOWER)


def test_the_verdicts_on_literal_times() -> None:
    old = walls(1.00, 1.01, 0.99, 1.00, 1.00)
    assert decision(old, walls(1.30, 1.31, 1.29, 1.30, 1.30)).verdict is Verdict.SLOWER
    assert decision(old, walls(1.00, 1.01, 0.99, 1.00, 1.00)).verdict is Verdict.NOT_SLOWER
    # Slower for certain, but by less than was asked for.
    assert decision(old, walls(1.05, 1.06, 1.04, 1.05, 1.05)).verdict is Verdict.NOT_SLOWER
    noisy = decision(old, walls(0.9, 1.25, 1.0, 1.2, 0.95))
    assert noisy.verdict is Verdict.UNDECIDED
    assert noisy.repeats_needed is not None
    assert noisy.repeats_needed > 5


def test_repeats_are_paired_only_where_the_plans_are_equal() -> None:
    old, new = walls(1.0, 2.0, 4.0), walls(1.2, 2.4, 4.8)
    (paired,) = decision(old, new, seed=7, command="one").cells
    assert paired.paired
    assert paired.verdict is Verdict.SLOWER
    assert (paired.low, paired.high) == pytest.approx((1.2, 1.2))
    apart = decide(run_of(*old, seed=7), run_of(*new, seed=8), SLOWER)
    assert not apart.cells[0].paired
    assert apart.verdict is Verdict.UNDECIDED


def test_too_few_or_failed_repeats_are_no_evidence() -> None:
    few = decision(walls(1.0, 1.0), walls(2.0, 2.0))
    assert few.verdict is Verdict.UNDECIDED
    assert few.repeats_needed == 3
    failed = tuple(dataclasses.replace(one, verified=False) for one in walls(2.0, 2.0, 2.0))
    assert decision(walls(1.0, 1.0, 1.0), failed).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("change", [0.03, 0.05, 0.25, 0.28])
def test_the_repeats_that_are_said_to_suffice_do_if_the_change_is_as_it_seemed(
    change: float,
) -> None:
    old = walls(*[1.0] * 6)
    sigma = 0.12
    new = walls(*((1 + change) * math.exp(sigma * sign) for sign in (1, -1, 1, -1, 1, -1)))
    found = decision(old, new)
    assert found.verdict is Verdict.UNDECIDED
    needed = found.repeats_needed
    assert needed is not None
    dice = random.Random(3)
    steady = simulated(dice, 1.0, needed, sigma=0.0)
    decided = [
        decide(steady, simulated(dice, 1 + change, needed, sigma), SLOWER).verdict
        for _ in range(200)
    ]
    right = Verdict.SLOWER if change > SLOWER else Verdict.NOT_SLOWER
    # The sample's own deviation is a tenth larger than sigma, so that a little more is decided.
    assert decided.count(right) >= 0.85 * len(decided)


def test_a_change_at_the_threshold_itself_is_not_decided_by_any_repeats() -> None:
    new = walls(*(1.15 * math.exp(0.1 * sign) for sign in (1, -1, 1, -1)))
    found = decision(walls(*[1.0] * 4), new)
    assert (found.verdict, found.repeats_needed) == (Verdict.UNDECIDED, None)
    assert "it lies at the threshold" in found.cells[0].text


def test_the_more_cells_a_run_has_the_wider_each_interval_is() -> None:
    old, new = walls(1.0, 1.1, 1.2, 1.0), walls(1.2, 1.3, 1.2, 1.3)
    both_old = (*old, *walls(1.0, 1.1, 1.2, 1.0, strategy="gather"))
    both_new = (*new, *walls(1.2, 1.3, 1.2, 1.3, strategy="gather"))
    one, two = decision(old, new).cells[0], decision(both_old, both_new).cells[0]
    assert one.low is not None
    assert two.low is not None
    assert two.low < one.low


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the embedded store whose calls wait 30 ms, simulated."""
    folder = tmp_path_factory.mktemp("baseline")
    path = folder / "baseline.json"
    plan = "--operations similarity_search --strategies sync_loop --counts 10 --rows 50 --repeats 4"
    arguments = [*plan.split(), "--embedding-latency-ms", "30", "--output", str(path)]
    assert main(["--uri", str(folder / "lab.db"), *arguments]) == 0
    return path


@pytest.mark.alone
@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (0.5, 3)])
def test_the_command_measures_the_baseline_s_plan_again_and_its_exit_code_is_the_verdict(
    factor: float, code: int, baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_file.read(baseline)
    shorter = [dataclasses.replace(t, wall_s=factor * t.wall_s) for t in run.trials]
    run_file.write(dataclasses.replace(run, trials=tuple(shorter)), tmp_path / "baseline.json")
    arguments = ["--compare", str(tmp_path / "baseline.json"), "--fail-if-slower", "50%"]
    output = ["--output", str(tmp_path / "run.json")]
    assert main(["--uri", str(tmp_path / "lab.db"), *arguments, *output]) == code
    said = capsys.readouterr().err
    assert f"Verdict: {'slower' if code else 'not slower'}." in said
    assert len(run_file.read(tmp_path / "run.json").trials) == 4


def test_the_command_ends_with_4_and_the_repeats_that_would_do_without_evidence(
    baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--repeats", "2", "--compare", str(baseline), "--output", str(tmp_path / "run.json")]
    assert main(["--uri", str(tmp_path / "lab.db"), *few]) == 4
    assert "Measure both again with --repeats 3." in capsys.readouterr().err


@pytest.mark.parametrize("share", ["0%", "fast", "-5%", "2000%"])
def test_a_share_that_is_none_ends_with_2(share: str, baseline: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--compare", str(baseline), "--fail-if-slower", share])
    assert ended.value.code == 2


def test_a_baseline_that_is_no_run_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text("{}")
    assert main(["--compare", str(tmp_path / "baseline.json")]) == 2
