"""Ingestion: choose a corpus, load it in concurrent batches, watch the rows arrive."""

import streamlit as st

from lib import jobs, snippets
from lib.corpora import CORPORA
from lib.ingestion import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_CONCURRENCY,
    MAX_BATCH_SIZE,
    MAX_CONCURRENCY,
    IngestionPlan,
    IngestionReport,
    ingest,
)
from lib.jobs import Job, State
from lib.ui import (
    connection_or_stop,
    current_collection,
    current_settings,
    follow,
    model_or_stop,
    rows_changed,
    show_error,
    snippet,
)

TUTORIAL_DEFAULT_ROWS = 1_000

st.title("Ingestion")
st.caption("Documents are embedded and inserted in batches, several batches at a time.")

opened = connection_or_stop()
model = model_or_stop()
limits = current_settings()

with st.form("ingest"):
    corpus = CORPORA[
        st.radio(
            "Corpus",
            list(CORPORA),
            format_func=lambda name: CORPORA[name].label,
            captions=[corpus.description for corpus in CORPORA.values()],
            key="corpus",
            bind="query-params",
        )
    ]
    size_column, batch_column, concurrency_column = st.columns(3)
    size = size_column.number_input(
        "Documents at most",
        min_value=1,
        max_value=limits.max_rows,
        value=min(5_000, limits.max_rows),
        key="size",
        bind="query-params",
    )
    batch_size = batch_column.number_input(
        "Batch size",
        min_value=1,
        max_value=MAX_BATCH_SIZE,
        value=DEFAULT_BATCH_SIZE,
        help="Documents in one call of aadd_documents.",
        key="batch",
        bind="query-params",
    )
    concurrency = concurrency_column.number_input(
        "Concurrency",
        min_value=1,
        max_value=MAX_CONCURRENCY,
        value=DEFAULT_CONCURRENCY,
        help="Batches under way at once.",
        key="concurrency",
        bind="query-params",
    )
    submitted = st.form_submit_button("Ingest", type="primary", icon=":material/upload:")

collection = current_collection()
plan = IngestionPlan(collection=collection, batch_size=batch_size, concurrency=concurrency)


def work(job: Job) -> IngestionReport:
    """Read the corpus and ingest it."""
    documents = corpus.documents(size, 0)
    return ingest(opened, model, documents, plan, total=len(documents), job=job)


if submitted:
    with show_error():
        plan.check()
    job = jobs.shared().submit(f"Ingesting into {collection}", work, lane=f"ingest:{collection}")
    st.query_params["ingestion"] = job.id

job_now = jobs.shared().get(st.query_params.get("ingestion"))
if job_now is None:
    st.info(
        f"Rows will go into the collection “{collection}”. Documents that are already there are "
        "not added twice.",
        icon=":material/info:",
    )
elif follow(job_now, key="ingestion"):
    if st.session_state.get("ingestion_seen") != job_now.id:
        st.session_state["ingestion_seen"] = job_now.id
        rows_changed()
        st.rerun()
    report = job_now.result
    if report is not None:
        if job_now.state is State.STOPPED or report.tally.stopped:
            st.warning("What was inserted is kept; ingest again to add the rest.", title="Stopped")
        with st.grid(4):
            st.metric("Rows added", f"{report.tally.added:,}", border=True)
            st.metric("Already there", f"{report.tally.unchanged:,}", border=True)
            st.metric("Rows per second", f"{report.rows_per_s:,.0f}", border=True)
            st.metric("Time", f"{report.tally.wall_s:.2f} s", border=True)
        st.caption(
            f"Summed over all batches: {report.tally.embed_s:.2f} s embedding, "
            f"{report.tally.insert_s:.2f} s Milvus and client. "
            f"“{report.collection}” now holds {report.rows:,} rows."
        )

snippet(
    snippets.ingestion(
        uri=snippets.shown_uri(opened),
        collection=collection,
        model=model.model,
        batch_size=batch_size,
        concurrency=concurrency,
    ),
    key="ingestion_code",
)
