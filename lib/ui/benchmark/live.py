"""A benchmark while it runs: a counter of calls and trials, and Stop.

While trials run the page draws no chart: it shares the processors with what is measured.
"""

import streamlit as st

from lib.jobs import Job, State
from lib.results.trials import Run
from lib.ui.common.links import copy_link, present_link
from lib.ui.common.progress import rerun_at_end, show_state, stop_button
from lib.ui.common.style import in_view
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
            finished = sum(not trial.warmup for trial in job.result.trials)
            st.markdown(
                f"**{counted(finished, 'trial')} finished.** The picture comes at the end, because "
                "drawing would slow what is measured."
            )

    _live()
