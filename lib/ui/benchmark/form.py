"""The form that decides what a benchmark runs. The address shows what it would run."""

import dataclasses
import re
from typing import Any

import streamlit as st

from lib.errors import InvalidInput
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.results.catalogue import INDEX_TYPES, OPERATIONS, OWN_WAYS, STRATEGIES
from lib.results.plan import (
    DELETE_CONSISTENCIES,
    DELETE_FIELDS,
    OVERLOAD_WARNING,
    PRESETS,
    Plan,
    Preset,
    message_warning,
)
from lib.results.ranking import DEFAULT_FETCH_K
from lib.results.trials import ENDPOINT_MS, OVERLOAD, SERVICE
from lib.runs.store import RunStore
from lib.settings import Settings
from lib.ui.benchmark import address
from lib.ui.benchmark.address import CUSTOM, INPUTS, OVERLOADED, preset_values
from lib.ui.runs.saved import measure
from lib.ui.visitor import session
from lib.ui.visitor.errors import error_box, show_error
from lib.ui.widgets.links import RUN_PARAMETER
from lib.words import counted

SHOWN_KEY = "benchmark_run"
DELETE_LABELS = {"pk": "the primary key", "id": "a metadata field"}


def run_form(opened: Connection, model: EmbeddingModel, store: RunStore) -> None:
    """Draw the form; a click on Run starts or queues the benchmark and reruns the page.

    It says where the recorded run that stands below it differs; `store` has that.
    """
    settings = session.current_settings()
    address.read(arrived=session.arrived())
    drawn_with = st.session_state.b_preset

    @st.fragment
    def _form() -> None:
        address.keep_preset()
        preset: str = st.segmented_control(
            "Preset",
            [*PRESETS, CUSTOM],
            format_func=lambda name: PRESETS[name].label if name in PRESETS else "Custom",
            default=st.session_state.b_preset,
            key="b_preset",
            on_change=_preset_chosen,
            required=True,
            label_visibility="collapsed",
        ) or next(iter(PRESETS))
        if preset != drawn_with:
            st.rerun()  # what is below the form is of the preset too
        # Other people may use the same server, so the visitor must agree.
        agreed = (
            preset != OVERLOAD
            or opened.is_lite
            or st.checkbox(f"Overload this Milvus. {OVERLOAD_WARNING}", key="b_overload")
        )
        told = st.container(horizontal=True, vertical_alignment="center")
        clicked = told.button(
            "Run", type="primary", icon=":material/play_arrow:", key="b_go", disabled=not agreed
        )
        # Beside a run the settings are folded.
        settled = (
            st.container(border=True)
            if preset == CUSTOM and RUN_PARAMETER not in st.query_params
            else told.popover("Settings", type="tertiary", icon=":material/tune:")
        )
        address.write()
        with settled:
            with st.container(horizontal=True, vertical_alignment="bottom"):
                _common_inputs(preset, model, settings)
            if preset == CUSTOM:
                _custom_inputs(settings)
                with st.container(horizontal=True, vertical_alignment="center"):
                    st.caption(
                        "A benchmark makes a collection of its own and drops it. To time searches "
                        "on yours:",
                        width="content",
                    )
                    st.page_link(
                        "pages/search.py",
                        label="Search, Many at once",
                        icon=":material/search:",
                        query_params={"view": "Many at once"},
                    )
        try:
            plan = _plan(preset, settings).within(settings)
            plan.check(settings)
        except InvalidInput as error:
            error_box(error)
            return
        summary = PRESETS[preset].summary if preset in PRESETS else ""
        expected = _expectation(plan, embedded=opened.is_lite) + _apart(plan, store)
        told.caption(f"{summary} {expected}.".strip(), width="content")
        if too_large := message_warning(plan, model.dimension):
            st.warning(too_large, icon=":material/scale:")
        if too_long := plan.time_warning(settings, embedded=opened.is_lite):
            st.warning(too_long, icon=":material/timer:")
        if clicked:
            with show_error(ends_page=False):
                st.query_params[RUN_PARAMETER] = measure(plan, opened, model).id
                st.rerun()

    _form()


def _apart(plan: Plan, store: RunStore) -> str:
    """Say how long the recorded run below waited, where this plan waits otherwise."""
    is_shown = st.query_params.get(RUN_PARAMETER) or st.session_state.get(SHOWN_KEY)
    recorded = store.recorded_of(plan.preset) if plan.preset and not is_shown else None
    if recorded is None:
        return ""
    about = recorded.about.environment
    was_ms = about.get(ENDPOINT_MS) or about.get("simulated_latency_ms")
    is_other = was_ms and was_ms != plan.embedding_latency_ms
    return f" (recorded: {was_ms:g} ms)" if is_other else ""


def start(preset: Preset) -> None:
    """Start a preset's run at once and go to it; an error is shown where the visitor is."""
    with show_error(), st.spinner("Starting …"):
        job = measure(preset.plan, session.connection(), session.model())
    st.switch_page(
        "pages/benchmark.py",
        query_params={address.PRESET_KEY: preset.plan.preset, RUN_PARAMETER: job.id},
    )


# Every input gets its present value as its default too. Streamlit tells the browser once that a run
# has set a value. A slow browser may draw the input first after a later run, and takes the default
# then: a form whose numbers are the lowest, where typing the lowest changes nothing.


def _number_input(label: str, key: str, **more: Any) -> None:
    bounds = INPUTS[key].bounds | more
    low, high = bounds["min_value"], bounds["max_value"]
    present = min(max(type(low)(st.session_state[key]), low), high)
    st.number_input(label, value=present, key=key, **bounds)


def _text_input(label: str, key: str, **more: Any) -> None:
    st.text_input(label, st.session_state[key], key=key, **more)


def _common_inputs(preset: str, model: EmbeddingModel, settings: Settings) -> None:
    plan = PRESETS[preset].plan if preset in PRESETS else None
    _number_input(
        "Simulated embedding latency (ms)",
        "b_latency",
        step=50.0,
        format="%g",
        help=f"Added to each call of “{model.label}”, as a remote provider would take.",
        width=280,
    )
    _number_input(
        "Repeats",
        "b_repeats",
        help="An interval takes three, and gets narrow with five or more.",
        width=160,
    )
    if plan and plan.p99_ms:
        _number_input(
            "p99 below (ms)",
            "b_p99",
            step=10.0,
            format="%g",
            help="The rate rises until the p99 reaches this. It is counted from the "
            "scheduled start.",
            width=160,
        )
    if plan and plan.experiment == SERVICE:
        _text_input(
            "Users",
            "b_users",
            help="Each asks again when answered. Several numbers, with commas between them, show "
            "where the threads end.",
            width=200,
        )
    if plan and plan.batches:
        _text_input(
            "Rows a call",
            "b_batches",
            help="Several numbers, with commas between them, make a sweep.",
            width=280,
        )
    if preset == OVERLOAD and settings.embedding_provider != "bundled":
        st.segmented_control(
            "Overload",
            list(OVERLOADED),
            format_func=OVERLOADED.__getitem__,
            default=st.session_state.b_overloaded,
            key="b_overloaded",
            required=True,
            help="A search by vector asks Milvus alone; a search by text asks the provider first.",
        )


def _custom_inputs(settings: Settings) -> None:
    st.multiselect(
        "Operations",
        list(OPERATIONS),
        default=st.session_state.b_operations,
        format_func=lambda name: OPERATIONS[name].label,
        key="b_operations",
    )
    st.multiselect(
        "Strategies",
        list(OWN_WAYS),
        default=st.session_state.b_strategies,
        format_func=lambda name: STRATEGIES[name].title,
        key="b_strategies",
        help="\n".join(
            f"- **{STRATEGIES[name].title}**: {STRATEGIES[name].summary}" for name in OWN_WAYS
        ),
    )
    with st.grid(3):
        _text_input(
            "Calls per trial",
            "b_counts",
            help=f"One or more numbers up to {settings.max_calls:,}, with commas between them.",
        )
        _text_input(
            "Calls in flight, at most",
            "b_limits",
            help="For threads and limited gather. Several numbers make a sweep.",
        )
        _number_input(
            "Seconds a trial",
            "b_seconds",
            step=1.0,
            format="%g",
            help="Trials of searches that last so long, whatever the number of calls; 0 for none.",
        )
        _number_input("Rows before each trial", "b_rows", max_value=settings.max_rows)
        st.selectbox(
            "Index",
            ("", *INDEX_TYPES),
            format_func=lambda name: name or "exact: every answer is checked",
            key="b_index",
            help="Answers of an index that is not exact are judged by their recall.",
        )
        _number_input("k (results of a search)", "b_k")
        _number_input("Warm-up trials", "b_warmup", help="Made before the repeats and thrown away.")
        _number_input(
            "Seed",
            "b_seed",
            help="Decides the documents, the queries and the order of the strategies.",
        )
        if "delete" in st.session_state.b_operations:
            _delete_inputs()


def _delete_inputs() -> None:
    st.selectbox(
        "Deletes find their row by",
        fields := DELETE_FIELDS[::-1],
        fields.index(st.session_state.b_delete_by),
        format_func=lambda name: DELETE_LABELS.get(name, name),
        key="b_delete_by",
        help="A server deletes a key at once; by a metadata field, the tutorial's way, it must "
        "first find the row.",
    )
    st.selectbox(
        "Consistency level of deletes",
        DELETE_CONSISTENCIES,
        DELETE_CONSISTENCIES.index(st.session_state.b_delete_consistency),
        format_func=lambda level: level or "none: the library's way",
        key="b_delete_consistency",
        help="Without a level a server waits for its clock to find the row; with Bounded or "
        "Eventually it does not, and may miss the newest rows.",
    )


def _preset_chosen() -> None:
    """Fill the inputs from the preset, and leave the run that was shown.

    Custom starts from what was there before.
    """
    st.query_params.pop(RUN_PARAMETER, None)
    st.session_state.pop(SHOWN_KEY, None)
    if st.session_state.b_preset in PRESETS:
        st.session_state.update(preset_values(st.session_state.b_preset))


def _plan(preset: str, settings: Settings) -> Plan:
    """Return the plan that the inputs describe. Raises InvalidInput."""
    state = st.session_state
    common: dict[str, Any] = {
        "repeats": int(state.b_repeats),
        "embedding_latency_ms": float(state.b_latency),
        "embedding": settings.embedding_provider,
    }
    if preset in PRESETS:
        plan = PRESETS[preset].plan
        if plan.p99_ms:
            common["p99_ms"] = float(state.b_p99)
        if plan.experiment == SERVICE:
            common["concurrency"] = _numbers("Users", state.b_users)
        if plan.preset == OVERLOAD:
            most = min(settings.max_calls, settings.max_concurrency)
            common["counts"] = tuple(count for count in plan.counts if count <= most) or (most,)
            common["operations"] = (state.b_overloaded,)
        if plan.batches:
            batches = _numbers("Rows a call", state.b_batches)
            common |= {"batches": batches, "counts": (max(*plan.counts, *batches),)}
        return dataclasses.replace(plan, **common)
    return Plan(
        operations=tuple(state.b_operations),
        strategies=tuple(state.b_strategies),
        counts=_numbers("Calls per trial", state.b_counts),
        concurrency=_numbers("Calls in flight", state.b_limits),
        seconds=float(state.b_seconds),
        rows=int(state.b_rows),
        index=state.b_index,
        k=int(state.b_k),
        fetch_k=max(DEFAULT_FETCH_K, int(state.b_k)),
        warmup=int(state.b_warmup),
        seed=int(state.b_seed),
        delete_by=state.b_delete_by,
        delete_consistency=state.b_delete_consistency,
        **common,
    )


def _numbers(label: str, text: str) -> tuple[int, ...]:
    parts = [part for part in re.split(r"[,;\s]+", text.strip()) if part]
    if not parts or not all(part.isdecimal() and len(part) <= 9 for part in parts):
        raise InvalidInput(
            f"{label} must be whole numbers with commas between them, not {text[:40]!r}."
        )
    return tuple(int(part) for part in parts)


def _expectation(plan: Plan, *, embedded: bool) -> str:
    seconds = plan.estimate_s(embedded=embedded)
    about = f"{seconds:,.0f} s" if seconds < 90 else f"{seconds / 60:,.0f} min"
    # The preset's summary does not say how long this plan waits.
    latency = f", {plan.embedding_latency_ms:g} ms simulated wait"
    latency = latency if plan.embedding_latency_ms else ""
    if plan.counts_trials:
        return f"About {counted(plan.total_trials(), 'trial')}, {about}{latency}"
    return f"{plan.total_calls():,} calls, about {about}{latency}"
