"""Choose how to write: method, one after another or side by side, batch size, concurrency."""

import re
import unicodedata
from pathlib import PurePath

import streamlit as st

from lib.documents.problems import Problems
from lib.ingestion import tuning
from lib.ingestion.chosen import Chosen
from lib.ingestion.plan import (
    MAX_BATCH_SIZE,
    MAX_CONCURRENCY,
    METHODS,
    MODES,
    IngestionPlan,
    defaults,
)
from lib.ingestion.tuning import REPEATS, Setting
from lib.jobs import Job
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.territory import is_scratch
from lib.ui.visitor import session
from lib.ui.visitor.errors import show_error
from lib.ui.widgets.parameters import choice
from lib.ui.widgets.progress import follow
from lib.ui.widgets.table import show_table
from lib.words import ratio_text, shown_name

WAYS = {"gather": "Side by side", "sync_loop": "One after another"}
WAY_KEY, BATCH_KEY, CONCURRENCY_KEY = "ingest_way", "ingest_batch", "ingest_concurrency"
TUNING_PARAMETER = "tuning"
DELETE_GONE = "Delete rows that are no longer in the file"
# What a visitor's first collection is called.
OWN_COLLECTION = "my_documents"
MOST_NAME_CHARS = 60
WHY_LITE = "Milvus Lite writes one batch at a time: side by side helps only where embedding waits."


def choose_plan(
    opened: Connection, model: EmbeddingModel, chosen: Chosen | None, collection: str
) -> IngestionPlan:
    """Draw the controls and return the plan for this collection."""
    start = defaults(opened, model)
    if opened.is_lite:
        st.caption(WHY_LITE)
    method_slot, way_slot = st.columns([1, 2])
    names = ["add_embeddings"] if chosen and chosen.has_vectors else list(METHODS)
    method = method_slot.selectbox(
        "Method",
        names,
        help="The langchain-milvus method, or its async twin when batches go side by side.",
        key="ingest_method",
    )
    with way_slot:
        way = choice(
            "Batches",
            WAYS,
            format_func=WAYS.__getitem__,
            default="gather",
            help="  \n".join(MODES.values()),
            key=WAY_KEY,
        )
    batch_slot, concurrency_slot = st.columns(2)
    batch_size = batch_slot.number_input(
        "Batch size",
        min_value=1,
        max_value=MAX_BATCH_SIZE,
        value=start.batch_size,
        help=f"Rows in one call. {start.why}",
        key=BATCH_KEY,
        bind="query-params",
    )
    concurrency = concurrency_slot.number_input(
        "Concurrency",
        min_value=1,
        max_value=MAX_CONCURRENCY,
        value=start.concurrency,
        help="Batches under way at once, when they go side by side.",
        key=CONCURRENCY_KEY,
        bind="query-params",
    )
    if METHODS[method].creates:
        collection = st.text_input(
            "New collection",
            value=f"{shown_name(collection)}_new",
            help="from_texts creates a collection; it must not exist yet.",
            key="ingest_new_collection",
        ).strip()
        if opened.territory is not None:
            collection = opened.territory.full_name(collection)
    remove_gone = st.checkbox(
        DELETE_GONE,
        help="For a file that was ingested before and is shorter now. Changed rows are replaced in "
        "any case.",
        key="ingest_remove_gone",
    )
    return IngestionPlan(
        collection=collection,
        batch_size=int(batch_size),
        concurrency=int(concurrency),
        method=method,
        mode=way,
        remove_gone=remove_gone,
    )


def choose_collection(opened: Connection, file: str) -> str:
    """Draw which collection the rows go into; one that does not exist yet is made.

    Rows of a file go into the collection that is named after the file. Others begin with the one in
    use, and for a visitor in a collection of their own.
    """
    start, territory = session.current_collection(), opened.territory
    if file:
        start = named_after(file)
        start = territory.full_name(start) if territory is not None else start
    elif territory is not None and not territory.owns(start):
        start = territory.full_name(OWN_COLLECTION)
    existing = session.description(opened).collections
    names = [name for name in existing if opened.may_write(name) and not is_scratch(name)]
    names = sorted({start, *names})

    def label(name: str) -> str:
        return shown_name(name) if name in existing else f"new collection «{shown_name(name)}»"

    typed = st.selectbox(
        "Into",
        names,
        index=names.index(start),
        format_func=label,
        accept_new_options=True,
        help="Choose a collection, or type a new name to make one.",
    )
    if typed in names or territory is None:
        return typed
    return territory.full_name(typed)


def named_after(file: str) -> str:
    """Return a collection's name that says which file it was made of."""
    stem = unicodedata.normalize("NFKD", PurePath(file).stem).encode("ascii", "ignore").decode()
    name = re.sub(r"\W+", "_", stem).strip("_")[:MOST_NAME_CHARS]
    if not name[:1].isalpha() or is_scratch(name):
        return f"file_{name}" if name else OWN_COLLECTION
    return name


def offer_tuning(
    opened: Connection, model: EmbeddingModel, chosen: Chosen, plan: IngestionPlan
) -> None:
    """Measure some settings on scratch collections and offer the fastest."""
    grid = tuning.grid_for(model)
    job = session.job(st.query_params.get(TUNING_PARAMETER))

    def work(job: Job) -> list[Setting]:
        rows = chosen.rows(Problems())
        return tuning.find_best(opened, model, rows, method=plan.method, job=job)

    def start() -> None:
        with show_error(ends_page=False):
            name = shown_name(plan.collection)
            label = f"Finding the best settings for {name}"
            job = session.submit(label, work, subject=tuning.SUBJECT, opened=opened)
            st.query_params[TUNING_PARAMETER] = job.id

    with st.expander("Find the best settings", icon=":material/speed:", expanded=job is not None):
        st.caption(
            f"Tries both ways in several batch sizes, {REPEATS} times each, with up to "
            f"{grid.rows:,} rows in scratch collections."
        )
        st.button("Find the best", on_click=start, icon=":material/speed:", key="ingest_tune")
        job = session.job(st.query_params.get(TUNING_PARAMETER))
        if job is not None and follow(job, key="tuning") and job.result:
            _show_settings(job.result, is_lite=opened.is_lite)


def _show_settings(settings: list[Setting], *, is_lite: bool) -> None:
    best = settings[0]
    st.markdown(f"**{_verdict(best)}**")
    if is_lite and (best.gain is None or not best.gain.is_difference):
        st.caption(WHY_LITE)
    show_table(
        [
            {
                "Batches": WAYS[each.mode],
                "Batch size": each.batch_size,
                "Concurrency": each.concurrency,
                "Rows/s": each.rows_per_s,
                "Times one after another": _gain(each),
            }
            for each in settings
        ],
        column_config={
            "Rows/s": st.column_config.ProgressColumn(
                format="%.0f", min_value=0, max_value=best.rows_per_s
            )
        },
        height="content",
        alt="Rows per second of each way, batch size and concurrency",
    )
    st.caption(
        f"Geometric means of {REPEATS} paired repeats. The intervals hold for all settings "
        "together in 95 of 100 cases. Close settings may change places."
    )

    def use() -> None:
        st.session_state[WAY_KEY] = best.mode
        st.session_state[BATCH_KEY] = best.batch_size
        st.session_state[CONCURRENCY_KEY] = best.concurrency

    st.button("Use the fastest", on_click=use, icon=":material/check:", key="ingest_use_best")


def _gain(setting: Setting) -> str:
    gain = setting.gain
    if gain is None or gain.low is None or gain.high is None:
        return ""
    return f"{ratio_text(gain.ratio)} ({ratio_text(gain.low)}–{ratio_text(gain.high)})"


def _verdict(best: Setting) -> str:
    rows = f"batches of {best.batch_size:,}, {best.rows_per_s:,.0f} rows/s"
    if best.gain is None:
        return f"Fastest here: one after another, {rows}."
    side_by_side = f"side by side, {best.concurrency} at once, {rows}"
    if not best.gain.is_difference:
        return f"Side by side made no difference that could be measured. Fastest: {side_by_side}."
    return f"Fastest: {side_by_side}, {_gain(best)} times one after another."
