"""The form in the page's address: what the address shows is what runs.

The address names the preset and the inputs that differ from it. Streamlit's own binding
(`bind="query-params"`) compares with a widget's default instead, which is its lowest value, and
Back and Forward would set that value.
"""

import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from lib.results.catalogue import INDEX_TYPES, OPERATIONS, OWN_WAYS, STRATEGIES
from lib.results.plan import (
    DELETE_CONSISTENCIES,
    DELETE_FIELDS,
    MAX_LATENCY_MS,
    MAX_SECONDS,
    MAX_WARMUP,
    PRESETS,
)
from lib.results.ranking import MAX_K
from lib.results.trials import MAX_REPEATS

CUSTOM = "custom"
PRESET_KEY = "b_preset"
# Calls that do not wait have little to overlap: on the page the tutorial's experiments start with
# simulated latency, and every title says so. In the terminal the presets keep their own latency.
PAGE_LATENCY_MS = {"tutorial": 50.0}
DEFAULT_P99_MS = 50.0
# What Custom starts with after a preset whose ways it does not offer; they can be timed.
UNSERVED = ("sync_loop", "gather_limited")
SEEN_KEY = "benchmark_address"
# What an overload's calls wait for → the operation that shows it.
OVERLOADED = {"similarity_search_by_vector": "Milvus", "similarity_search": "Embedding provider"}


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Input:
    """One input: the setting of a plan that it holds, and how the address writes and reads it.

    `read` raises ValueError for a text that the input does not take. `shown` turns the plan's value
    into the input's. `bounds` are the arguments that limit a number input.
    """

    setting: str
    read: Callable[[list[str]], Any]
    write: Callable[[Any], list[str]] = lambda value: [value]
    shown: Callable[[Any], Any] = _same
    bounds: dict[str, Any] = field(default_factory=dict)


def _number(
    setting: str,
    kind: type[int] | type[float],
    low: float,
    high: float,
    shown: Callable[[Any], Any] = _same,
) -> Input:
    def read(texts: list[str]) -> int | float:
        value = kind(texts[-1])
        if not low <= value <= high:
            raise ValueError(texts[-1])
        return value

    bounds = {"min_value": kind(low), "max_value": kind(high)}
    return Input(setting, read, lambda value: [f"{value:.15g}"], shown, bounds)


def _names(setting: str, known: Mapping[str, str]) -> Input:
    """Return an input of several names; the address may hold their titles as well."""
    by_title = {title: name for name, title in known.items()}

    def read(texts: list[str]) -> list[str]:
        names = [by_title.get(text, text) for text in texts if text]
        if any(name not in known for name in names):
            raise ValueError(texts)
        return list(dict.fromkeys(names))

    def shown(names: Collection[str]) -> list[str]:
        # The ways of a service are for its preset alone.
        return [name for name in names if name in known] or [*UNSERVED]

    # Without the parameter the preset's names are chosen, so an empty choice is an empty text.
    return Input(setting, read, lambda names: list(names) or [""], shown)


def _one_of(setting: str, choices: Collection[str], shown: Callable[[Any], Any] = _same) -> Input:
    def read(texts: list[str]) -> str:
        if texts[-1] not in choices:
            raise ValueError(texts[-1])
        return texts[-1]

    return Input(setting, read, shown=shown)


def _list(setting: str) -> Input:
    """Return an input of several numbers in one text."""
    return Input(
        setting, lambda texts: texts[-1][:200], shown=lambda numbers: ", ".join(map(str, numbers))
    )


COMMON = {
    "b_latency": _number("embedding_latency_ms", float, 0, MAX_LATENCY_MS),
    "b_repeats": _number("repeats", int, 1, MAX_REPEATS),
    "b_p99": _number("p99_ms", float, 1, MAX_LATENCY_MS, lambda ms: ms or DEFAULT_P99_MS),
    "b_batches": _list("batches"),
    "b_users": _list("concurrency"),
    "b_overloaded": _one_of("operations", OVERLOADED, lambda _: next(iter(OVERLOADED))),
}
INPUTS = {
    **COMMON,
    "b_operations": _names("operations", {name: one.label for name, one in OPERATIONS.items()}),
    "b_strategies": _names("strategies", {name: STRATEGIES[name].title for name in OWN_WAYS}),
    "b_counts": _list("counts"),
    "b_limits": _list("concurrency"),
    "b_seconds": _number("seconds", float, 0, MAX_SECONDS),
    "b_rows": _number("rows", int, 1, 10**9),
    "b_index": _one_of("index", ("", *INDEX_TYPES)),
    "b_k": _number("k", int, 1, MAX_K),
    "b_warmup": _number("warmup", int, 0, MAX_WARMUP),
    "b_seed": _number("seed", int, 0, 10**9),
    "b_delete_by": _one_of("delete_by", DELETE_FIELDS),
    "b_delete_consistency": _one_of("delete_consistency", DELETE_CONSISTENCIES),
}


def preset_values(preset: str) -> dict[str, Any]:
    """Return every input's value in a preset; Custom starts as the first one."""
    plan = PRESETS.get(preset, next(iter(PRESETS.values()))).plan
    values = {name: one.shown(getattr(plan, one.setting)) for name, one in INPUTS.items()}
    latency_ms = PAGE_LATENCY_MS.get(plan.preset, plan.embedding_latency_ms)
    return values | {"b_latency": latency_ms}


def read(*, arrived: bool) -> None:
    """Fill the inputs from the address, unless this form wrote that address itself.

    Call it in runs of the whole page only: a fragment's run may still have the earlier address.
    `arrived` says that the visitor comes from another page. If the address is then empty, the form
    is shown as they left it.
    """
    shown = {name: st.query_params.get_all(name) for name in (PRESET_KEY, *INPUTS)}
    shown = {name: texts for name, texts in shown.items() if texts}
    seen = st.session_state.get(SEEN_KEY)
    if arrived and not shown and seen:
        shown = seen
    elif shown == seen and not arrived and PRESET_KEY in st.session_state:
        return
    preset = _preset(shown.get(PRESET_KEY, [""])[-1])
    values = preset_values(preset)
    for name, texts in shown.items():
        if name in (COMMON if preset != CUSTOM else INPUTS):
            # An unusable value is ignored, and `write` takes it out of the address.
            with contextlib.suppress(ValueError):
                values[name] = INPUTS[name].read(texts)
    st.session_state.update({PRESET_KEY: preset, **values})


def keep_preset() -> None:
    """Choose the preset of the address again when the browser reports that none is chosen.

    A slow browser reports that, although the control requires a choice.
    """
    if st.session_state[PRESET_KEY] is None:
        seen = st.session_state.get(SEEN_KEY, {})
        st.session_state[PRESET_KEY] = _preset(seen.get(PRESET_KEY, [""])[-1])


def write() -> None:
    """Put the preset and what differs from it into the address."""
    preset = st.session_state[PRESET_KEY]
    own = preset_values(preset)
    for name, value in own.items():
        # Streamlit forgets an input that was not drawn for a while.
        st.session_state.setdefault(name, value)
    shown = {} if preset == next(iter(PRESETS)) else {PRESET_KEY: [preset]}
    for name, one in (INPUTS if preset == CUSTOM else COMMON).items():
        if st.session_state[name] != own[name]:
            shown[name] = one.write(st.session_state[name])
    st.session_state[SEEN_KEY] = shown
    for name in (PRESET_KEY, *INPUTS):
        if name in st.query_params and name not in shown:
            del st.query_params[name]
    changed = {
        name: texts for name, texts in shown.items() if st.query_params.get_all(name) != texts
    }
    if changed:
        st.query_params.update(changed)


def _preset(text: str) -> str:
    """Return the preset with this name or label, or the first one."""
    labels = {preset.label: name for name, preset in PRESETS.items()}
    name = labels.get(text, text.lower())
    return name if name in PRESETS or name == CUSTOM else next(iter(PRESETS))
