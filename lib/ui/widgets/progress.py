"""Follow a job on a page: live progress, Stop, and one full rerun when it ends."""

import time
from collections.abc import Callable

import streamlit as st

from lib import jobs
from lib.jobs import FINISHED, Job, State
from lib.ui.visitor import visitor
from lib.ui.visitor.errors import error_box
from lib.ui.widgets import connect, told
from lib.ui.widgets.text import literal
from lib.words import counted

# How often a job is looked at while it runs, and at the end of a long queue.
REFRESH_S, MOST_REFRESH_S = 0.4, 1.5
SILENT_S = 8.0
NEWS_KEY = "lab_job_news"


def follow(job: Job, *, key: str, above: Callable[[Job], None] | None = None) -> bool:
    """Draw a job's progress and return whether it has ended.

    While it runs, only a fragment is redrawn, and `above` in it; when it ends, the whole page
    reruns once.
    """
    if job.state in FINISHED:
        if job.error:
            error_box(job.error)
        return True

    is_queued = job.state is State.QUEUED

    @st.fragment(run_every=refresh_s(job), key=f"{key}_follow")
    def _live() -> None:
        rerun_when(job, is_queued=is_queued)
        if above is not None:
            above(job)
        show_state(job)
        silent_s = 0.0 if job.state is State.QUEUED else _silent_s(job)
        if silent_s > SILENT_S:
            st.caption(
                f"Nothing new for {silent_s:.0f} s. A call without an answer ends by itself, and "
                "what was written before is kept."
            )
        # Only the owner of a job can stop it.
        if job.owner == visitor.owner():
            stop_button(job, "Stop", key=f"{key}_stop")

    _live()
    return False


def show_state(job: Job) -> None:
    """Draw what a waiting job waits for, or how far a running one is."""
    if job.state is State.QUEUED:
        st.info(_waiting_for(job), title="Queued", icon=":material/hourglass:")
    else:
        st.progress(job.progress.fraction, text=_describe(job))


def stop_button(job: Job, label: str, *, key: str) -> None:
    """Draw the button that stops a job; call it in a fragment."""
    if st.button(label, key=key, icon=":material/stop:", disabled=job.is_cancelled):
        jobs.shared().cancel(job)
        st.rerun(scope="fragment")


def refresh_s(job: Job) -> float:
    """Return how often to look at a job, in s: the more stand before it, the less happens."""
    return min(REFRESH_S * max(len(jobs.shared().ahead(job)), 1), MOST_REFRESH_S)


def rerun_when(job: Job, *, is_queued: bool) -> None:
    """Run the whole page anew once the job has left the queue in which the page drew it, or ended.

    But not beneath an open dialog.
    """
    if connect.is_open():
        return
    if is_queued and job.state is State.RUNNING:
        st.rerun()
    if job.state in FINISHED:
        if job.state is State.STOPPED:
            told.tell(f"Stopped “{literal(job.label)}”.")
        st.rerun()


def _silent_s(job: Job) -> float:
    """Return how long a job's progress has not changed, in seconds."""
    now, news = time.monotonic(), (job.progress.done, job.progress.message)
    # By job: a page may follow two of them.
    told: dict[str, tuple[object, float]] = st.session_state.setdefault(NEWS_KEY, {})
    seen, since = told.get(job.id, (None, now))
    if seen != news:
        since = now
        told[job.id] = news, now
    return now - since


def _waiting_for(job: Job) -> str:
    """Say what a waiting job waits for, without the label of another visitor's job."""
    ahead = jobs.shared().ahead(job)
    if not ahead:
        return "It begins now."
    first = ahead[0]
    # Everybody may see the host's own jobs, such as the first load.
    is_known = first.owner in ("", visitor.owner())
    what = literal(_describe(first)) if is_known else "another visitor's job"
    others = f" {counted(len(ahead) - 1, 'more job')} before this one." if len(ahead) > 1 else ""
    if job.is_short:
        return f"Behind “{what}”.{others} It goes between two trials, or soon beside one."
    return f"Behind “{what}”.{others} Jobs run one at a time to keep timings fair."


def _describe(job: Job) -> str:
    """Say in one line how far a running job is."""
    progress = job.progress
    parts = [job.label]
    if progress.total:
        parts.append(f"{progress.done:,} of {progress.total:,} {progress.unit}")
    elif progress.done:
        parts.append(f"{progress.done:,} {progress.unit}")
    if files := progress.detail.get("files"):
        parts.append(str(files))
    if progress.message:
        parts.append(progress.message)
    if job.elapsed_s > 0.5 and (pace := round(progress.done / job.elapsed_s)):
        parts.append(f"{pace:,} {progress.unit}/s")
    if job.time_left_s is not None:
        parts.append(f"about {job.time_left_s:,.0f} s left")
    if job.state in FINISHED:
        parts.append("ended")
    elif job.is_cancelled:
        parts.append("stopping …")
    return " · ".join(parts)
