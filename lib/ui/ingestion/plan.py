"""Choose how to write: method, one after another or side by side, batch size, concurrency."""

import pandas as pd
import streamlit as st

from lib import jobs
from lib.documents.chunking import Chunking
from lib.ingestion import inputs, tuning
from lib.ingestion.inputs import Input
from lib.ingestion.plan import (
    MAX_BATCH_SIZE,
    MAX_CONCURRENCY,
    METHODS,
    MODES,
    IngestionPlan,
    defaults,
)
from lib.ingestion.tuning import Trial
from lib.jobs import Job
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.ui.common.progress import follow

BOTH = "both"
WAYS = {
    "gather": "Side by side",
    "sync_loop": "One after another",
    BOTH: "Both in turn",
}
BATCH_KEY, CONCURRENCY_KEY = "ingest_batch", "ingest_concurrency"
TUNING_PARAMETER = "tuning"


def choose_plan(
    opened: Connection, model: EmbeddingModel, collection: str, chosen: Input | None
) -> tuple[IngestionPlan, bool]:
    """Draw the controls and return the plan, and whether both ways are asked for."""
    start = defaults(opened, model)
    st.session_state.setdefault(BATCH_KEY, start.batch_size)
    st.session_state.setdefault(CONCURRENCY_KEY, start.concurrency)
    method_slot, way_slot = st.columns([1, 2])
    names = ["add_embeddings"] if chosen and chosen.has_vectors else list(METHODS)
    method = method_slot.selectbox(
        "Method",
        names,
        help="The langchain-milvus method, or its async twin when batches go side by side.",
        key="ingest_method",
    )
    way = way_slot.segmented_control(
        "Batches",
        list(WAYS),
        format_func=WAYS.__getitem__,
        default="gather",
        required=True,
        help="  \n".join([*MODES.values(), "Both in turn: the same rows twice, to compare."]),
        key="ingest_way",
        bind="query-params",
    )
    batch_slot, concurrency_slot = st.columns(2)
    batch_size = batch_slot.number_input(
        "Batch size",
        min_value=1,
        max_value=MAX_BATCH_SIZE,
        help=f"Rows in one call. {start.why}",
        key=BATCH_KEY,
        bind="query-params",
    )
    concurrency = concurrency_slot.number_input(
        "Concurrency",
        min_value=1,
        max_value=MAX_CONCURRENCY,
        help="Batches under way at once, when they go side by side.",
        key=CONCURRENCY_KEY,
        bind="query-params",
    )
    if METHODS[method].creates:
        collection = st.text_input(
            "New collection",
            value=f"{collection}_new",
            help="from_texts creates a collection; it must not exist yet.",
            key="ingest_new_collection",
        ).strip()
    remove_gone = st.checkbox(
        "Remove rows whose text is gone from its file",
        help="When a file that was ingested before has become shorter. Rows that changed are "
        "replaced in any case.",
        key="ingest_remove_gone",
    )
    plan = IngestionPlan(
        collection=collection,
        batch_size=int(batch_size),
        concurrency=int(concurrency),
        method=method,
        mode="sync_loop" if way == "sync_loop" else "gather",
        remove_gone=remove_gone,
    )
    return plan, way == BOTH


def offer_tuning(
    opened: Connection,
    model: EmbeddingModel,
    chosen: Input,
    cut: Chunking,
    plan: IngestionPlan,
) -> None:
    """Measure a few combinations on a scratch collection and offer the fastest."""
    grid = tuning.grid_for(model)

    def work(job: Job) -> list[Trial]:
        sample = inputs.sample_chunks(chosen, cut, grid.rows)
        return tuning.find_best(opened, model, sample, method=plan.method, job=job)

    def start() -> None:
        job = jobs.shared().submit("Finding the best", work, lane="benchmark")
        st.query_params[TUNING_PARAMETER] = job.id

    st.button(
        "Find the best",
        icon=":material/tune:",
        help=f"Writes up to {grid.rows:,} of these rows {grid.trials} times into a scratch "
        "collection, with different batch sizes and concurrencies, and drops it.",
        on_click=start,
        key="ingest_tune",
    )
    job = jobs.shared().get(st.query_params.get(TUNING_PARAMETER))
    if job is None or not follow(job, key="tuning"):
        return
    if job.result:
        _show_trials(job.result)


def _show_trials(trials: list[Trial]) -> None:
    best = trials[0]
    slowest = trials[-1]
    st.success(
        f"Batches of {best.batch_size:,}, {best.concurrency} at once: "
        f"{best.rows_per_s:,.0f} rows/s, {best.rows_per_s / slowest.rows_per_s:.1f} times the "
        "slowest. Measured once each, so close ones may change places.",
        title="The best of these",
        icon=":material/trophy:",
    )
    st.dataframe(
        pd.DataFrame(
            {
                "Batch size": [trial.batch_size for trial in trials],
                "Concurrency": [trial.concurrency for trial in trials],
                "Rows/s": [trial.rows_per_s for trial in trials],
            }
        ),
        column_config={
            "Rows/s": st.column_config.ProgressColumn(
                format="%.0f", min_value=0, max_value=best.rows_per_s
            )
        },
        hide_index=True,
        height="content",
        alt="Rows per second of each batch size and concurrency",
    )

    def use() -> None:
        st.session_state[BATCH_KEY] = best.batch_size
        st.session_state[CONCURRENCY_KEY] = best.concurrency

    st.button("Use these", on_click=use, icon=":material/check:", key="ingest_use_best")
