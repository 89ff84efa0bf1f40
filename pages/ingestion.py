"""Ingestion: choose a source, see how it is cut, write it in batches, watch the rows arrive."""

import streamlit as st

from lib import jobs
from lib.ingestion.chosen import ingest_chosen
from lib.ingestion.report import IngestionReport
from lib.jobs import Job
from lib.milvus import snippets
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
from lib.ui.ingestion.chunks import DEFAULTS, choose_chunking, remember_rate, show_preview
from lib.ui.ingestion.plan import choose_plan, offer_tuning
from lib.ui.ingestion.report import show_report
from lib.ui.ingestion.source import choose_input, choose_source, needs_chunking

st.title("Ingestion")
st.caption("Texts are cut, embedded and inserted in batches, several batches at a time.")

opened = connection_or_stop()
model = model_or_stop()
limits = current_settings()

source = choose_source()
cut = DEFAULTS
source_slot = st.container()
if needs_chunking(source):
    cut = choose_chunking()
with source_slot, show_error():
    chosen = choose_input(source, limits, model, cut)
forecast = None
if chosen is not None:
    with show_error():
        cut.check()
        forecast = chosen.forecast()
    if chosen.is_chunked:
        show_preview(forecast, cut, model)

st.subheader("How to write")
plan = choose_plan(opened, model, current_collection(), chosen)


def work(job: Job) -> IngestionReport | None:
    """Read, cut, embed and insert what was chosen."""
    if chosen is None or forecast is None:
        return None
    return ingest_chosen(opened, model, chosen, plan, total=forecast.rows, job=job)


with st.container(horizontal=True, vertical_alignment="center"):
    submitted = st.button(
        "Ingest",
        type="primary",
        icon=":material/upload:",
        disabled=chosen is None,
        key="ingest_start",
    )
    tuning_slot = st.container()
if chosen is not None:
    with tuning_slot:
        offer_tuning(opened, model, chosen, plan)

if submitted and chosen is not None:
    with show_error():
        plan.check()
    job = jobs.shared().submit(f"Ingesting {chosen.label}", work, lane=f"ingest:{plan.collection}")
    st.query_params["ingestion"] = job.id

job_now = jobs.shared().get(st.query_params.get("ingestion"))
if job_now is None:
    st.info(
        f"Rows will go into the collection “{plan.collection}”. Rows that are already there are "
        "not added twice.",
        icon=":material/info:",
    )
elif follow(job_now, key="ingestion"):
    if st.session_state.get("ingestion_seen") != job_now.id:
        st.session_state["ingestion_seen"] = job_now.id
        rows_changed()
        st.rerun()
    if job_now.result is not None:
        remember_rate(model, job_now.result)
        show_report(job_now.result)

snippet(
    snippets.ingestion(
        uri=snippets.shown_uri(opened),
        collection=plan.collection,
        model=model.model,
        batch_size=plan.batch_size,
        concurrency=plan.concurrency,
        method=plan.method,
    ),
    key="ingestion_code",
)
