"""Ingestion: choose a source, see how it is cut, write it in batches, watch the rows arrive."""

import streamlit as st

from lib.ingestion.chosen import ingest_chosen
from lib.ingestion.report import IngestionReport
from lib.jobs import FINISHED, Job
from lib.programs.writing import EXAMPLE_ROWS, ingestion
from lib.ui.ingestion.action import offer_ingestion, outcome_of, remember_rate
from lib.ui.ingestion.chunks import DEFAULTS, choose_chunking, show_preview, show_problems
from lib.ui.ingestion.plan import choose_collection, choose_plan, offer_tuning
from lib.ui.ingestion.report import show_report
from lib.ui.ingestion.source import (
    FILES,
    choose_input,
    choose_source,
    forecast_of,
    needs_chunking,
)
from lib.ui.ingestion.waterfall import show_waterfall
from lib.ui.visitor import session
from lib.ui.visitor.errors import show_error
from lib.ui.visitor.session import (
    connection_or_stop,
    current_settings,
    model_or_stop,
    rows_changed,
)
from lib.ui.widgets import told
from lib.ui.widgets.progress import follow
from lib.ui.widgets.snippet import here, snippet

st.title("Ingestion", anchor=False)

opened = connection_or_stop()
model = model_or_stop()
limits = current_settings()

source = choose_source()
source_slot, problems_slot, into_slot, tables_slot = (st.container() for _ in range(4))
options = st.expander("Options", icon=":material/tune:")
report_slot = st.container()
cut = DEFAULTS
if needs_chunking(source):
    with options:
        cut = choose_chunking()
with source_slot, show_error():
    cut.check()
    chosen = choose_input(source, limits, model, cut, tables_slot)
with into_slot:
    collection = choose_collection(opened, chosen.files[0] if chosen and source == FILES else "")
with options:
    plan = choose_plan(opened, model, chosen, collection)

forecast = None
if chosen is not None:
    with show_error():
        forecast = forecast_of(chosen)
    with problems_slot:
        show_problems(forecast)
    show_preview(forecast, cut)
before = session.job(st.query_params.get("ingestion"))
is_same = chosen is not None and st.session_state.get("ingestion_of") == chosen.identity
done = before.result if before is not None and is_same else None
is_running = before is not None and before.state not in FINISHED
with show_error():
    submitted = offer_ingestion(opened, model, chosen, forecast, plan, done, is_running=is_running)


def work(job: Job) -> IngestionReport | None:
    """Read, cut, embed and insert what was chosen."""
    if chosen is None or forecast is None:
        return None
    try:
        return ingest_chosen(opened, model, chosen, plan, total=forecast.rows, job=job)
    finally:
        # In the job, because the reader may be on another page when it ends.
        rows_changed(opened.territory)


if submitted and chosen is not None:
    with show_error():
        plan.check()
    with show_error():
        job = session.submit(
            f"Ingesting {chosen.label}",
            work,
            subject=f"ingest:{plan.collection}",
            opened=opened,
            is_short=bool(forecast and forecast.is_exact and forecast.rows <= session.SHORT_WRITE),
        )
    st.query_params["ingestion"] = job.id
    st.session_state["ingestion_of"] = chosen.identity
    session.choose_collection(plan.collection)
    st.rerun()  # the progress takes the button's place

job_now = session.job(st.query_params.get("ingestion"))
if job_now is not None:
    with report_slot if job_now.state in FINISHED else st.bottom:
        is_over = follow(job_now, key="ingestion", above=show_waterfall)
    if is_over and st.session_state.get("ingestion_seen") != job_now.id:
        st.session_state["ingestion_seen"] = job_now.id
        # Not to who opens the page of an ingestion that ended before.
        if job_now.result is not None and "ingestion_of" in st.session_state:
            told.tell(outcome_of(job_now.result))
        st.rerun()
    if is_over and job_now.result is not None:
        remember_rate(model, job_now.result)
        with report_slot:
            show_report(job_now.result)

if chosen is not None and forecast is not None and forecast.rows:
    offer_tuning(opened, model, chosen, plan)
snippet(
    lambda: ingestion(
        here(opened, model),
        (forecast.first_rows() if forecast else ()) or EXAMPLE_ROWS,
        batch_size=plan.batch_size,
        concurrency=plan.concurrency,
        method=plan.method,
    ),
    key="ingestion_code",
)
