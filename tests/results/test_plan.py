"""Plans: what is refused and how, what is run, and the command that repeats it."""

import shlex
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from lib import settings
from lib.benchmark import options
from lib.errors import InvalidInput
from lib.results.catalogue import OPERATIONS, OWN_WAYS, SERVED_WAYS, STRATEGIES
from lib.results.effects import command
from lib.results.plan import PRESETS, Cell, Plan, preset
from lib.settings import Settings

SETTINGS = Settings(milvus_uri="unused.db")
PLAN = Plan(operations=("add_texts", "delete"), strategies=("sync_loop", "gather_limited"))


SEARCHES = {"operations": ("similarity_search",)}
TIMED = {"seconds": 2.0, **SEARCHES}
SERVED = TIMED | {"experiment": "service", "strategies": ("service_def",)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"operations": ("similarty_search",)}, "Did you mean 'similarity_search'?"),
        ({"operations": ("adelete",)}, "Did you mean 'delete'?"),
        ({"operations": ("xyzzy",)}, "Known: add_texts"),
        ({"operations": ()}, "at least one operation"),
        ({"operations": ("delete", "delete")}, "An operation is named twice"),
        ({"strategies": ("gathr",)}, "Did you mean 'gather'?"),
        ({"strategies": ()}, "at least one strategy"),
        ({"operations": ("get_pks",), "strategies": ("one_batch",)}, "cannot issue"),
        ({"embedding": "bundeld"}, "Did you mean 'bundled'?"),
        ({"counts": (0,)}, "count must be between 1 and 10,000, not 0"),
        ({"counts": (10**9,)}, "not 1,000,000,000"),
        ({"counts": (-5,)}, "not -5"),
        ({"counts": ()}, "at least one count"),
        ({"counts": (10, 10)}, "count has a number twice"),
        ({"repeats": 0}, "repeats must be between 1 and 100, not 0"),
        ({"repeats": 1.5}, "repeats must be"),
        ({"warmup": -1}, "warmup must be"),
        ({"concurrency": (0,)}, "concurrency must be"),
        ({"concurrency": (4096,)}, "concurrency must be"),
        ({"rows": 0}, "rows must be"),
        ({"rows": 10**9}, "rows must be"),
        ({"rows": 50}, "delete × 100 needs at least that many starting rows"),
        ({"k": 0}, "k must be"),
        ({"k": 30, "fetch_k": 20}, "not k = 30, fetch_k = 20"),
        ({"lambda_mult": 1.5}, "λ between 0 and 1, not k = 3"),
        ({"lambda_mult": float("nan")}, "λ = nan"),
        ({"embedding_latency_ms": -1.0}, "embedding_latency_ms must be"),
        ({"embedding_latency_ms": float("nan")}, "embedding_latency_ms must be"),
        ({"embedding_jitter_ms": 1e9}, "embedding_jitter_ms must be"),
        ({"delete_by": "category"}, "use pk or id"),
        ({"delete_consistency": "bounded"}, "use Strong, Session, Bounded, Eventually, or none"),
        ({"counts": (10_000,), "rows": 10_000, "repeats": 100}, "the limit is 200,000"),
        ({"index": "HNWS"}, "Did you mean 'HNSW'?"),
        ({"least_recall": 1.01}, "least recall must be between 0 and 1, not 1.01"),
        ({"least_recall": float("nan")}, "least recall must be"),
        (TIMED | {"strategies": ("sync_loop", "gather")}, "gather makes all its calls at once"),
        (TIMED | {"strategies": ("one_batch",)}, "one_batch makes all its calls at once"),
        (TIMED | {"experiment": "rate", "p99_ms": 50.0}, "takes an open loop"),
        (TIMED | {"strategies": ("service_def",)}, "service_def asks a service"),
        (TIMED | {"experiment": "service"}, "Use service_blocking, service_def"),
        (SERVED | {"seconds": 0.0}, "The experiment service takes --seconds"),
        (SERVED | {"concurrency": (501,)}, "at most 500 users here, not 501"),
        (SERVED | {"operations": ("get_pks",)}, "cannot issue get_pks"),
        (
            {"collection": "c", "questions": ("?",), "index": "FLAT", **SEARCHES},
            "A collection that exists keeps its index",
        ),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused_with_one_line_that_says_why(
    change: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        replace(PLAN, **change).check(SETTINGS)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_public_host_s_limits_bound_the_plan() -> None:
    public = replace(SETTINGS, public=True, max_calls=50)
    with pytest.raises(InvalidInput, match="between 1 and 50, not 100"):
        PLAN.check(public)


HOSTED = settings.load({"LAB_PUBLIC": "1"})
LOOKUP = Plan(operations=("similarity_search_by_vector",), strategies=("gather_limited",))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"strategies": ("gather",), "counts": (1_000,)},
            "1,000 calls in flight; the limit is 128",
        ),
        ({"strategies": ("gather",), "counts": (129,)}, "129 calls in flight; the limit is 128"),
        ({"concurrency": (129,)}, "concurrency must be"),
        ({"seconds": 2.0}, "A timed trial may make at most 1,000 calls"),
        ({"seconds": 2.0, "most_calls": 1_001}, "A timed trial may make at most 1,000 calls"),
        (
            {"strategies": ("open_constant",), "rates": (20_000.0,), "seconds": 2.0},
            "A timed trial may make at most 1,000 calls",
        ),
        (
            {
                "strategies": ("open_constant",),
                "rates": (20_000.0,),
                "seconds": 2.0,
                "most_calls": 1_000,
            },
            "40,000 calls in flight; the limit is 1,000",
        ),
    ],
)
def test_a_plan_of_any_shape_is_bounded_for_strangers(change: dict[str, Any], said: str) -> None:
    plan = replace(LOOKUP, **change)
    plan.check(SETTINGS)
    with pytest.raises(InvalidInput) as refused:
        plan.check(HOSTED)
    assert said in str(refused.value)


@settings_of_hypothesis(max_examples=200)
@given(
    st.sampled_from(sorted(STRATEGIES)),
    st.integers(1, 10_000),
    st.integers(1, 1_024),
    st.floats(0.1, 20_000),
    st.sampled_from([0.0, 2.0, 7.0, 60.0]),
)
def test_what_passes_the_check_stays_within_the_limits(
    strategy: str, count: int, limit: int, rate: float, seconds: float
) -> None:
    is_served = strategy in SERVED_WAYS
    plan = replace(
        LOOKUP,
        operations=("similarity_search",) if is_served else LOOKUP.operations,
        experiment="service" if is_served else "compare",
        strategies=(strategy,),
        counts=(count,),
        concurrency=(limit,),
        rates=(rate,) if STRATEGIES[strategy].uses_rate else (),
        seconds=seconds if STRATEGIES[strategy].can_be_timed else 0.0,
    ).within(HOSTED)
    try:
        plan.check(HOSTED)
    except InvalidInput:
        return
    for cell in plan.cells():
        assert cell.calls <= HOSTED.max_calls
        assert cell.warmup_calls <= HOSTED.max_calls
        assert STRATEGIES[strategy].uses_rate or cell.most_in_flight <= HOSTED.max_concurrency
        assert not (cell.rate_per_s and cell.seconds) or rate * seconds <= HOSTED.max_calls + 1


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"overload", "batches"}))
def test_strangers_can_run_every_preset_that_fits_their_limits(name: str) -> None:
    preset(name).plan.within(HOSTED).check(HOSTED)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_run(name: str) -> None:
    preset(name).plan.check(SETTINGS)
    assert preset(name).plan.preset == name


def test_every_way_that_holds_a_number_of_calls_in_flight_or_a_rate_can_be_timed() -> None:
    timed = tuple(name for name in OWN_WAYS if STRATEGIES[name].can_be_timed)
    assert set(OWN_WAYS) - set(timed) == {"gather", "blocking", "to_thread", "one_batch"}
    plan = replace(PLAN, operations=("similarity_search",), strategies=timed, seconds=2.0)
    plan.check(SETTINGS)
    assert {cell.strategy for cell in plan.cells()} == set(timed)


def test_an_unknown_preset_gets_the_nearest_right_name() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'tutorial'"):
        preset("tutoral")


def test_the_tutorial_preset_is_the_tutorial_s_workload() -> None:
    plan = preset("tutorial").plan
    assert plan.operations == ("add_documents", "similarity_search", "delete")
    assert plan.counts == (10, 100)
    assert (plan.rows, plan.k, plan.delete_by) == (1_000, 3, "id")
    assert plan.strategies == ("sync_loop", "gather")
    assert plan.repeats >= 3
    assert plan.warmup == 1


def test_the_sweep_covers_1_to_128_in_flight() -> None:
    limits = [c.concurrency for c in preset("sweep").plan.cells() if c.strategy == "gather_limited"]
    assert limits == [1, 2, 4, 8, 16, 32, 64, 128]


def test_cells_are_every_operation_count_and_strategy_that_apply() -> None:
    plan = Plan(
        operations=("add_texts", "get_pks"),
        strategies=OWN_WAYS,
        counts=(10,),
        concurrency=(4, 8),
    )
    assert len(plan.cells()) == 12 + 11  # a lookup has no batched form, and neither a retriever
    assert Cell("add_texts", "one_batch", 10, 1) in plan.cells()
    assert Cell("get_pks", "gather", 10, None) in plan.cells()
    assert Cell("get_pks", "thread_pool", 10, 8) in plan.cells()


def test_a_cell_names_its_concurrency() -> None:
    assert Cell("delete", "gather_limited", 100, 32).label == "delete × 100, Async, at most 32"
    assert Cell("delete", "thread_pool", 100, 16).label == "delete × 100, 16 threads"
    assert Cell("delete", "thread_pool", 100, 1).label == "delete × 100, 1 thread"
    assert Cell("delete", "gather", 1000, None).label == "delete × 1,000, Async"


def test_every_operation_but_mmr_lookups_and_creation_has_a_batched_form() -> None:
    without = {name for name in OPERATIONS if not STRATEGIES["one_batch"].applies(name)}
    assert without == {
        "max_marginal_relevance_search",
        "max_marginal_relevance_search_by_vector",
        "search_by_metadata",
        "get_pks",
        "from_texts",
    }


@pytest.mark.parametrize("name", [*PRESETS, "own"])
def test_the_command_of_a_plan_makes_the_same_plan(name: str) -> None:
    own = replace(
        PLAN,
        operations=("max_marginal_relevance_search", "delete"),
        counts=(7,),
        k=5,
        fetch_k=30,
        lambda_mult=0.25,
        delete_by="id",
        delete_consistency="Bounded",
        embedding_latency_ms=450.0,
        embedding_jitter_ms=12.5,
        concurrency=(1, 2),
        seed=3,
        index="HNSW",
        least_recall=0.95,
    )
    plan = own if name == "own" else preset(name).plan
    words = shlex.split(command(plan, "http://localhost:19530"))
    assert words[:3] == ["python", "-m", "lib.benchmark"]
    again = options.plan_of(options.parser().parse_args(words[3:]), SETTINGS)
    assert again == replace(plan, preset="")


def test_the_command_of_a_plan_that_a_public_host_bounded_can_be_run() -> None:
    plan = preset("sweep").plan
    words = shlex.split(command(plan.within(HOSTED), "lab.db"))
    again = options.plan_of(options.parser().parse_args(words[3:]), SETTINGS)
    assert again == replace(plan, preset="")


def test_the_command_of_a_plan_leaves_out_what_it_would_refuse() -> None:
    idle = Plan(operations=("get_pks",), concurrency=(5,), k=7, rates=(100.0,), delete_by="id")
    words = shlex.split(command(idle, "lab.db"))
    again = options.plan_of(options.parser().parse_args(words[3:]), SETTINGS)
    assert again == Plan(operations=("get_pks",))


def test_deletes_that_do_not_wait_for_the_server_s_clock_are_estimated_shorter() -> None:
    deletes = replace(PLAN, operations=("delete",), delete_by="id")
    bounded = replace(deletes, delete_consistency="Bounded")
    assert (deletes.deletes_wait, bounded.deletes_wait) == (True, False)
    assert replace(deletes, delete_consistency="Strong").deletes_wait
    assert bounded.estimate_s() < deletes.estimate_s() - 10
    # The embedded store has no such clock.
    assert deletes.estimate_s(embedded=True) == bounded.estimate_s(embedded=True)


def test_no_level_can_be_asked_for_by_name() -> None:
    words = ["--operations", "delete", "--delete-consistency", "none"]
    plan = options.plan_of(options.parser().parse_args(words), SETTINGS)
    assert plan.delete_consistency == ""


def test_the_estimate_grows_with_latency_calls_and_repeats() -> None:
    estimate = PLAN.estimate_s()
    assert replace(PLAN, embedding_latency_ms=450.0).estimate_s() > estimate + 60
    assert replace(PLAN, repeats=6).estimate_s() > 1.5 * estimate
    assert replace(PLAN, strategies=("gather",)).estimate_s() < estimate


def test_a_run_longer_than_a_stranger_s_job_is_told_before_and_refused_beyond_all_doubt() -> None:
    here = settings.load({"LAB_PUBLIC": "1", "LAB_MAX_RUN_S": "100"})
    base = Plan(
        operations=("similarity_search",),
        strategies=("sync_loop",),
        counts=(10,),
        repeats=1,
        warmup=0,
        rows=13,
    )
    # Ten calls in a loop wait for 0.01, 150 and 370 s.
    short, long, endless = (
        replace(base, counts=(count,), embedding_latency_ms=wait_ms)
        for count, wait_ms in ((10, 1.0), (30, 5_000.0), (74, 5_000.0))
    )
    short.check(here)
    long.check(here)
    with pytest.raises(InvalidInput, match=r"very roughly 37[0-9] s; a job may run 100 s"):
        endless.check(here)
    assert short.time_warning(here, embedded=True) == ""
    assert "longer than the 100 s" in long.time_warning(here, embedded=True)
    # On somebody's own machine a run may take as long as it takes.
    own = settings.load({"LAB_MAX_RUN_S": "100"})
    endless.check(own)
    assert endless.time_warning(own, embedded=True) == ""
