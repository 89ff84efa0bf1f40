"""A benchmark while it runs: progress per call and per cell, a chart that grows, Stop."""

import streamlit as st

from lib import jobs
from lib.benchmark.trials import Run
from lib.charts import charts
from lib.charts import data as chart_data
from lib.jobs import FINISHED, Job, State
from lib.runs import store as runs
from lib.ui.common.chart import show_chart
from lib.ui.common.progress import describe
from lib.words import counted

REFRESH_S = 0.5


def live(job: Job) -> None:
    """Draw a job that waits or runs; the page reruns once when it ends."""

    @st.fragment(run_every=REFRESH_S, key="benchmark_live")
    def _live() -> None:
        if job.state in FINISHED:
            st.rerun()
        if job.state is State.QUEUED:
            ahead = jobs.shared().position(job)
            st.info(
                f"{ahead} before this one: one benchmark runs at a time, so that none disturbs "
                "another.",
                title="Waiting in the queue",
                icon=":material/hourglass:",
            )
        else:
            _progress(job)
        label = "Stop the run" if job.state is State.RUNNING else "Leave the queue"
        if st.button(label, key="b_stop", icon=":material/stop:", disabled=job.is_cancelled):
            jobs.shared().cancel(job)
            st.rerun(scope="fragment")
        if isinstance(job.result, Run):
            _chart(job.result)

    _live()


def _progress(job: Job) -> None:
    detail = job.progress.detail
    st.progress(job.progress.fraction, text=describe(job))
    if detail.get("cells_total"):
        with st.grid(3):
            st.metric("Calls", f"{job.progress.done:,} of {job.progress.total:,}")
            st.metric("Cells finished", f"{detail['cells_done']} of {detail['cells_total']}")
            left = job.time_left_s
            st.metric("Time left", "…" if left is None else f"about {left:,.0f} s")


def _chart(run: Run) -> None:
    plan = runs.plan_of(run)
    frame = chart_data.finished_trials(run, plan.cells() if plan else ())
    if frame.empty:
        return
    finished = int(frame["wall_s"].notna().sum())
    st.markdown(f"**{counted(finished, 'trial')} finished**, each a dot; a cross failed its check.")
    show_chart(
        charts.live(frame),
        key="b_live_chart",
        alt=f"Wall times of the {finished} trials finished so far",
    )
