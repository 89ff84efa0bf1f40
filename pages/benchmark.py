"""Benchmark: the same calls in a loop and with asyncio.gather, timed and compared."""

import streamlit as st

from lib import jobs
from lib.jobs import FINISHED, State
from lib.results.plan import PRESETS
from lib.ui.benchmark.address import PRESET_KEY
from lib.ui.benchmark.audit import AUDIT, show_audit
from lib.ui.benchmark.form import SHOWN_KEY, run_form
from lib.ui.benchmark.live import live
from lib.ui.runs.saved import run_store
from lib.ui.runs.view import show_outcome
from lib.ui.visitor import session
from lib.ui.visitor.errors import show_error
from lib.ui.visitor.session import connection, model
from lib.ui.widgets.links import RUN_PARAMETER

MORE = {AUDIT: show_audit}

store = run_store()

# Without Milvus the page still shows a recorded run.
with show_error(ends_page=False):
    with st.spinner("Connecting to Milvus …"):
        opened, embedding = connection(), model()
    run_form(opened, embedding, store)

running = jobs.shared().running("benchmark")
is_own = running is not None and running.owner == session.share().owner
if running and is_own and RUN_PARAMETER not in st.query_params:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(f"A benchmark is running: {running.label}", icon=":material/speed:")
        st.page_link(
            "pages/benchmark.py", label="Watch it", query_params={RUN_PARAMETER: running.id}
        )

# The id is in the URL, so that a refresh finds the job; the session keeps it across pages.
run_id = st.query_params.get(RUN_PARAMETER) or st.session_state.get(SHOWN_KEY)
job = session.job(run_id)
kept = None if job else store.get(run_id)
if run_id and (job or kept):
    st.session_state[SHOWN_KEY] = run_id
    st.query_params[RUN_PARAMETER] = run_id

if job and job.state not in FINISHED:
    live(job)
    st.stop()
was_stopped = job is not None and job.state is State.STOPPED
shown = show_outcome(job, kept, store, key="b", more=MORE)
if shown is None and not was_stopped:
    # Of the chosen preset, never of another one. Where no Milvus answers there is no form.
    recorded = store.recorded_of(st.session_state.get(PRESET_KEY) or next(iter(PRESETS)))
    if recorded:
        show_outcome(None, recorded, store, key="b", more=MORE)
    else:
        st.title("Benchmark", anchor=False)
        st.markdown("Nothing is recorded of this preset. Press Run to measure.")
        st.header("Which methods are really async", anchor=False)
        show_audit()
