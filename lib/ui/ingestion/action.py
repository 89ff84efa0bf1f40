"""The bar at the bottom of the ingestion page: the button, and what it will do."""

import streamlit as st

from lib import jobs
from lib.documents.problems import reasons
from lib.errors import LabError
from lib.ingestion.chosen import LOOKED_UP_ROWS, Chosen, Forecast, Remaining, remaining
from lib.ingestion.plan import METHODS, IngestionPlan
from lib.ingestion.report import IngestionReport
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.milvus_collections import Collection
from lib.ui.visitor import session
from lib.ui.widgets.text import literal
from lib.words import counted, shown_name

REMAINING_KEY = "ingest_remaining"
RATE_KEY = "ingest_rate"
# What the bundled model reaches on two slow cores; the first ingestion replaces it.
CAUTIOUS_ROWS_PER_S = 2_000.0


def offer_ingestion(
    opened: Connection,
    model: EmbeddingModel,
    chosen: Chosen | None,
    forecast: Forecast | None,
    plan: IngestionPlan,
    done: IngestionReport | None,
    *,
    is_running: bool,
) -> bool:
    """Draw the button and what it will do, and return whether it was pressed.

    `done` is the report of the last ingestion of the same choice, into whatever collection. While
    one runs, its progress and its Stop stand in the button's place, and the session cannot start
    another.
    """
    if is_running:
        return False
    done = done if done is not None and done.collection == plan.collection else None
    label, sentence, can_start = "Ingest", "Choose something to ingest.", False
    is_done = False
    is_new = session.collection_facts(opened, plan.collection) is None
    name = literal(shown_name(plan.collection))
    into = f"new collection «{name}»" if is_new else f"“{name}”"
    if chosen is not None and forecast is not None and not forecast.rows:
        label, sentence = "Nothing to ingest", "No text could be read."
    elif why := _refusal(opened, model, plan):
        label, sentence = "Not into this collection", literal(why)
    elif chosen is not None and forecast is not None:
        left = _remaining(opened, model, chosen, forecast, plan)
        rows = counted(forecast.rows, "row")
        if left is not None and left.is_nothing and not plan.remove_gone:
            label, sentence = "Nothing new to ingest", f"All {rows} are in {into} already."
            if done is not None and done.tally.written:
                is_done, label = True, "Ingested"
        else:
            about = "" if forecast.is_exact else "about "
            label, can_start = f"Ingest {about}{rows}", True
            parts = "" if is_new else _parts(forecast, left)
            sentence = f"Into {into}{parts}. {_duration(forecast, left, model)}"
            if done is not None and done.tally.stopped:
                rest = forecast.rows - done.tally.given if left is None else left.new + left.changed
                label = f"Continue with {about}{rest:,}"
                sentence = f"Stopped at {done.tally.given:,}. {sentence}"
            # Too much to look up what is left, so that it can be ingested again.
            is_done = left is None and done is not None and not done.tally.stopped
        losses = sum(problem.is_loss for problem in forecast.problems)
        if is_done and done is not None:
            sentence = outcome_of(done)
        elif losses and can_start:
            sentence += (
                f" {losses:,} will be skipped ({literal(reasons(forecast.problems, losses))})."
            )
    with st.bottom, st.container(horizontal=True, vertical_alignment="center", key="ingest_bar"):
        pressed = st.button(
            label,
            type="primary",
            icon=":material/upload:",
            disabled=not can_start,
            key="ingest_start",
        )
        st.markdown(sentence, width="content" if is_done else "stretch")
        if is_done:
            st.page_link("pages/search.py", label="Search them", icon=":material/search:")
    return pressed and can_start


def outcome_of(report: IngestionReport) -> str:
    """Say in one line what became of the rows and where."""
    return f"“{literal(shown_name(report.collection))}”: **{literal(report.outcome)}.**"


def _refusal(opened: Connection, model: EmbeddingModel, plan: IngestionPlan) -> str:
    """Return why the collection takes no documents and what to do, "" when it takes them."""
    facts = session.collection_facts(opened, plan.collection)
    if facts is None or METHODS[plan.method].creates:
        return ""
    use = milvus_collections.INGESTION
    try:
        milvus_collections.check_fits(facts, model.dimension, embedding=model.model, use=use)
    except LabError as error:
        return f"{error.what} {error.next_step}"
    return ""


def _parts(forecast: Forecast, left: Remaining | None) -> str:
    if left is None:
        return ", without the rows that are there already"
    same = forecast.rows - left.new - left.changed
    numbers = {
        "new": left.new,
        "changed": left.changed,
        "already there": same,
        "there and not in these files": left.others,
    }
    return ": " + ", ".join(f"{number:,} {what}" for what, number in numbers.items() if number)


def _remaining(
    opened: Connection,
    model: EmbeddingModel,
    chosen: Chosen,
    forecast: Forecast,
    plan: IngestionPlan,
) -> Remaining | None:
    """Look up what is left to do, or return None if that would take too long."""
    facts = session.collection_facts(opened, plan.collection)
    is_looked_up = forecast.is_exact and forecast.rows <= LOOKED_UP_ROWS
    if facts is None or not facts.rows or METHODS[plan.method].creates or not is_looked_up:
        return None
    if jobs.shared().running(f"ingest:{plan.collection}"):
        return None

    def look_up() -> Remaining | None:
        try:
            return left_of(opened, model, chosen, facts)
        except LabError:
            return None  # the ingestion says why

    # A failure is kept too: it is not looked up again at every rerun.
    asked = (opened.id, facts, session.rows_version(opened), chosen.identity)
    return session.made_once(REMAINING_KEY, asked, look_up)


@st.cache_resource(
    show_spinner=False,
    max_entries=16,
    hash_funcs=session.KEPT_UNTIL_WRITTEN | {Chosen: lambda chosen: repr(chosen.identity)},
)
def left_of(
    opened: Connection, model: EmbeddingModel, chosen: Chosen, collection: Collection
) -> Remaining:
    """Look up what is left to do, once for all visitors until something is written."""
    return remaining(opened, model, chosen, collection)


def remember_rate(model: EmbeddingModel, report: IngestionReport) -> None:
    """Keep how fast the last ingestion was, for the next estimate of time."""
    if report.rows_per_s:
        st.session_state[RATE_KEY] = (model.label, report.rows_per_s)


def _duration(forecast: Forecast, left: Remaining | None, model: EmbeddingModel) -> str:
    rows = forecast.rows if left is None else left.new + left.changed
    label, rate = st.session_state.get(RATE_KEY, ("", 0.0))
    if label != model.label or not rate:
        if not model.model.startswith("bundled/") or model.simulated_latency_ms:
            return ""
        rate = CAUTIOUS_ROWS_PER_S
    seconds = rows / rate
    return f"About {seconds:,.0f} s." if seconds >= 1 else "Under a second."
