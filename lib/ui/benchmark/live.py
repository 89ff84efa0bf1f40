"""A benchmark while it runs: progress per call and per cell, a chart that grows, Stop."""

import pandas as pd
import streamlit as st

from lib.benchmark.trials import Run
from lib.benchmark.workload import Plan
from lib.charts import charts
from lib.charts import data as chart_data
from lib.jobs import Job, State
from lib.ui.common.chart import show_chart
from lib.ui.common.links import copy_link, present_link
from lib.ui.common.progress import rerun_at_end, show_state, stop_button
from lib.ui.common.race import show_race
from lib.ui.common.style import in_view
from lib.ui.common.text import literal
from lib.words import counted

REFRESH_S = 0.5
BAR_KEY = "run_bar"


def bar(run_id: str, job: Job | None = None) -> None:
    """Draw what stays in view: progress and Stop of a running job, or the link to present a run."""
    with in_view(BAR_KEY), st.container(horizontal=True, vertical_alignment="center"):
        if job is not None:
            show_state(job)
            label = "Stop the run" if job.state is State.RUNNING else "Leave the queue"
            stop_button(job, label, key="b_stop")
        else:
            present_link(run_id)
        copy_link("benchmark", b_run=run_id)


def live(job: Job) -> None:
    """Draw a job that waits or runs; the page reruns once when it ends."""

    @st.fragment(run_every=REFRESH_S, key="benchmark_live")
    def _live() -> None:
        rerun_at_end(job)
        bar(job.id, job)
        if isinstance(job.result, Run):
            _chart(job.result)

    _live()


def _chart(run: Run) -> None:
    plan = Plan.from_settings(run.settings)
    frame = chart_data.finished_trials(run, plan.cells() if plan else ())
    if frame.empty:
        return
    cells = _race_so_far(run)
    if cells is not None:
        st.markdown(f"**{literal(charts.race_finding(cells))}**")
        show_race(charts.race_picture(cells), key="b_live_race")
    finished = int(frame["wall_s"].notna().sum())
    st.markdown(f"**{counted(finished, 'trial')} finished**, each a dot; a cross failed its check.")
    show_chart(
        "live",
        frame,
        lambda: charts.live(frame),
        key="b_live_chart",
        alt=f"Wall times of the {finished} trials finished so far",
    )


def _race_so_far(run: Run) -> pd.DataFrame | None:
    """Return the race of the first group of calls that sync and async have both finished."""
    for focus in chart_data.groups(run):
        cells = chart_data.race(run, focus)
        if cells["lane"].nunique() > 1:
            return cells
    return None
