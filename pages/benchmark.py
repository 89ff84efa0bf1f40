"""Benchmark: the same calls in a loop and with asyncio.gather, timed and compared."""

import streamlit as st

from lib import jobs
from lib.jobs import FINISHED, State
from lib.results.plan import PRESETS
from lib.ui.benchmark.address import PRESET_KEY
from lib.ui.benchmark.audit import AUDIT, VIEWS, show_audit
from lib.ui.benchmark.form import run_form
from lib.ui.benchmark.live import bar, live
from lib.ui.common import session
from lib.ui.common.errors import show_error
from lib.ui.common.parameters import choice
from lib.ui.common.session import connection, model
from lib.ui.common.sidebar import RUN_PARAMETER
from lib.ui.runs.saved import run_store
from lib.ui.runs.view import show_outcome

SESSION_KEY = "benchmark_run"

st.title("Benchmark", anchor=False)
if choice("Show", VIEWS, default=VIEWS[0], key="view", label_visibility="collapsed") == AUDIT:
    show_audit()
    st.stop()
store = run_store()

# The form is folded while the page shows a run that was started. Without Milvus the page still
# shows a recorded run.
has_run = bool(st.query_params.get(RUN_PARAMETER))
form = st.expander("What to run", icon=":material/tune:") if has_run else st.container()
with form, show_error(ends_page=False):
    with st.spinner("Connecting to Milvus …"):
        opened, embedding = connection(), model()
    run_form(opened, embedding)

running = jobs.shared().running("benchmark")
is_own = running is not None and running.owner == session.share().owner
if running and is_own and RUN_PARAMETER not in st.query_params:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(f"A benchmark is running: {running.label}", icon=":material/speed:")
        st.page_link(
            "pages/benchmark.py", label="Watch it", query_params={RUN_PARAMETER: running.id}
        )

# The id is in the URL, so that a refresh finds the job; the session keeps it across pages.
run_id = st.query_params.get(RUN_PARAMETER) or st.session_state.get(SESSION_KEY)
job = session.job(run_id)
kept = None if job else store.get(run_id)
if run_id and (job or kept):
    st.session_state[SESSION_KEY] = run_id
    st.query_params[RUN_PARAMETER] = run_id

if job and job.state not in FINISHED:
    live(job)
    st.stop()
if run_id and (job or kept):
    bar(run_id)

was_stopped = job is not None and job.state is State.STOPPED
shown = show_outcome(job, kept, store, key="b")
if shown is None and not was_stopped:
    # Of the chosen preset, never of another one. Where no Milvus answers there is no form.
    recorded = store.recorded_of(st.session_state.get(PRESET_KEY) or next(iter(PRESETS)))
    if recorded:
        st.markdown(":material/history: Showing a recorded run. Press Run to measure your own.")
        show_outcome(None, recorded, store, key="b")
    else:
        st.markdown(":material/history: Nothing is recorded of this preset. Press Run to measure.")
