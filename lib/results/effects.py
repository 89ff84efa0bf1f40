"""Which settings of a plan change anything about its run, and the command that names these."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from lib.results.catalogue import OPERATIONS, STRATEGIES, Operation, Strategy
from lib.results.plan import Plan
from lib.results.trials import CHAIN, COMPARE, OVERLOAD, RATE, SERVICE

# The ways that the experiment "overload" makes, whatever a plan names.
OVERLOAD_WAYS = {"gather", "gather_limited", "token_bucket"}


@dataclass(frozen=True)
class Need:
    """What one setting of a plan needs to change anything, and how that is said."""

    is_met: Callable[[Plan], bool]
    said: str


def _any_operation(asked: Callable[[Operation], bool]) -> Callable[[Plan], bool]:
    return lambda plan: any(asked(OPERATIONS[name]) for name in plan.operations)


def _any_strategy(asked: Callable[[Strategy], bool]) -> Callable[[Plan], bool]:
    return lambda plan: any(asked(STRATEGIES[name]) for name in plan.strategies)


_USES_K = _any_operation(lambda one: one.searches or one.name == "search_by_metadata")
_IS_MMR = _any_operation(lambda one: one.is_mmr)
_DELETES = _any_operation(lambda one: one.name == "delete")
_EMBEDS = _any_operation(lambda one: one.embeds)
_STARTS_AT_A_RATE = _any_strategy(lambda one: one.uses_rate)
_IS_LIMITED = _any_strategy(lambda one: one.uses_limit)
_RETRIES = _any_strategy(lambda one: one.is_async)
_TAKES_BATCHES = _any_strategy(lambda one: not (one.uses_rate or one.is_batch))


def _has_its_ways(plan: Plan) -> bool:
    if plan.experiment == OVERLOAD:
        return set(plan.strategies) == OVERLOAD_WAYS
    open_loops = [name for name in plan.strategies if name != "gather_limited"]
    return plan.experiment != RATE or len(open_loops) == 1


NEEDS: dict[str, Need] = {
    "operations": Need(
        lambda plan: plan.experiment == COMPARE or len(plan.operations) == 1,
        "the experiments rate, overload, service and chain take one operation",
    ),
    "strategies": Need(
        _has_its_ways,
        "the experiment rate takes one open loop, with or without gather_limited, and overload "
        f"makes {', '.join(sorted(OVERLOAD_WAYS))}",
    ),
    "counts": Need(
        lambda plan: not plan.seconds,
        "timed trials (--seconds) make as many calls as they have time for",
    ),
    "concurrency": Need(
        lambda plan: (
            len(plan.concurrency) == 1
            if plan.experiment == OVERLOAD
            else plan.experiment in (COMPARE, SERVICE, CHAIN) and _IS_LIMITED(plan)
        ),
        "it takes a strategy with a limit, such as gather_limited; the experiment overload takes "
        "one limit and rate finds its own",
    ),
    "rows": Need(lambda plan: not plan.collection, "--collection has rows of its own"),
    "index": Need(lambda plan: not plan.collection, "a collection that exists keeps its index"),
    "least_recall": Need(
        lambda plan: bool(plan.collection) or plan.index not in {"", "FLAT"},
        "it takes --collection, or an --index that is not exact",
    ),
    "k": Need(_USES_K, "no operation of the plan searches"),
    "fetch_k": Need(_IS_MMR, "it takes a max_marginal_relevance_search"),
    "lambda_mult": Need(_IS_MMR, "it takes a max_marginal_relevance_search"),
    "delete_by": Need(_DELETES, "no operation of the plan deletes"),
    "delete_consistency": Need(_DELETES, "no operation of the plan deletes"),
    "embedding_latency_ms": Need(_EMBEDS, "no operation of the plan embeds"),
    "embedding_jitter_ms": Need(_EMBEDS, "no operation of the plan embeds"),
    "seconds": Need(
        lambda plan: plan.experiment != OVERLOAD, "the experiment overload counts its calls"
    ),
    "rates": Need(
        lambda plan: (
            len(plan.rates) <= 1
            if plan.experiment == OVERLOAD
            else plan.experiment == COMPARE and _STARTS_AT_A_RATE(plan)
        ),
        "it takes an open loop or a token bucket; the experiment overload takes one rate and rate "
        "searches for it",
    ),
    "batches": Need(
        lambda plan: plan.experiment == COMPARE and _TAKES_BATCHES(plan),
        "it takes a strategy that makes several calls, such as gather",
    ),
    "retries": Need(
        lambda plan: plan.experiment == OVERLOAD or (plan.experiment == COMPARE and _RETRIES(plan)),
        "it takes an async strategy, such as gather",
    ),
    "p99_ms": Need(lambda plan: plan.experiment == RATE, "it takes --experiment rate"),
}


def changes_something(plan: Plan, name: str) -> bool:
    """Say whether the value of this setting changes anything about the plan's run."""
    return name not in NEEDS or NEEDS[name].is_met(plan)


_LISTS = ("operations", "strategies", "counts", "concurrency")
# What a command names even where it is the default.
_ALWAYS = {*_LISTS, "repeats", "warmup", "rows", "seed", "embedding"}


def command(plan: Plan, uri: str = "URI", output: str = "run.json") -> str:
    """Return the terminal command that makes a plan's run again, without the token."""
    parts = ["python -m lib.benchmark", f"--uri {shlex.quote(uri)}"]
    defaults = Plan(operations=plan.operations)
    for name in (*_LISTS, *(field.name for field in fields(plan) if field.name not in _LISTS)):
        value = getattr(plan, name)
        is_given = name in _ALWAYS or value != getattr(defaults, name)
        is_given = is_given and changes_something(plan, name)
        if is_given and name not in {"preset", "questions", "most_calls"}:
            parts.append(f"--{name.replace('_', '-')} {_written(value)}")
    if plan.questions:
        parts.append("--questions questions.txt")
    return " ".join([*parts, f"--output {shlex.quote(output)}"])


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    # A collection's name may come from a file that anybody wrote.
    return f"{value:g}" if isinstance(value, float) else shlex.quote(str(value))
