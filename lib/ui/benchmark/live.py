"""A benchmark while it runs: a counter of calls and trials, and Stop.

While trials run the page draws no chart: it shares the processors with what is measured.
"""

import streamlit as st

from lib.jobs import Job, State
from lib.results.trials import Run
from lib.ui.widgets.links import share
from lib.ui.widgets.progress import rerun_at_end, show_state, stop_button
from lib.ui.widgets.style import in_view
from lib.ui.widgets.text import literal
from lib.words import counted

REFRESH_S = 0.5
BAR_KEY = "run_bar"


def bar(job: Job) -> None:
    """Draw what stays in view: progress, Stop, and the link to share."""
    with in_view(BAR_KEY), st.container(horizontal=True, vertical_alignment="center"):
        show_state(job)
        label = "Stop the run" if job.state is State.RUNNING else "Leave the queue"
        stop_button(job, label, key="b_stop")
        share("benchmark", key="b_share", b_run=job.id)


def live(job: Job) -> None:
    """Draw a job that waits or runs; the page reruns once when it ends."""

    @st.fragment(run_every=REFRESH_S, key="benchmark_live")
    def _live() -> None:
        rerun_at_end(job)
        bar(job)
        st.title(literal(job.label), anchor=False)
        if isinstance(job.result, Run):
            finished = sum(not trial.warmup for trial in job.result.trials)
            st.markdown(
                f"**{counted(finished, 'trial')} finished.** The picture comes at the end, because "
                "drawing would slow what is measured."
            )

    _live()
