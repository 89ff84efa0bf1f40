"""Files to download: made at once, or by a job and forgotten after an hour."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from lib import jobs
from lib.jobs import Job, State
from lib.milvus.connection import Connection
from lib.ui.common import session
from lib.ui.common.cleaner import drop_old_exports, exports_folder
from lib.ui.common.progress import follow

# How the subject of an export's job begins; a name that a visitor typed may follow.
SUBJECT = "export:"
# The files that a visitor of a public app may have at a time.
MOST_FILES = 3


@dataclass(frozen=True)
class Made:
    """One file: where it lies, what it is called when it is downloaded, and what is in it."""

    path: Path
    name: str
    what: str


def download(label: str, data: Any, name: str, mime: str, *, key: str, **more: Any) -> None:
    """Draw a button that downloads a file and leaves the page as it is."""
    more = {"icon": ":material/download:"} | more
    st.download_button(label, data, name, mime, key=key, on_click="ignore", **more)


def start(
    label: str,
    name: str,
    write: Callable[[Path, Job], str],
    *,
    subject: str,
    parameter: str,
    opened: Connection | None = None,
) -> None:
    """Queue the making of a file; `write` returns what is in it. The address keeps the job's id.

    Raises InvalidInput when this visitor has too many jobs, NoRoom when memory or disk run out.
    """
    place = exports_folder(session.host_settings())

    def work(job: Job) -> Made:
        place.mkdir(parents=True, exist_ok=True)
        _forget_earlier(job)
        drop_old_exports(place)
        path = place / f"{secrets.token_hex(16)}{Path(name).suffix}"
        try:
            return Made(path, name, write(path, job))
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    job = session.submit(label, work, subject=SUBJECT + subject, opened=opened)
    st.query_params[parameter] = job.id


def _forget_earlier(job: Job) -> None:
    """Delete a visitor's earlier files, so that one visitor cannot fill the disk with them."""
    made = [
        each.result.path
        for each in jobs.shared().all()
        if job.owner and each.owner == job.owner and isinstance(each.result, Made)
    ]
    for path in made[: len(made) - MOST_FILES + 1]:
        path.unlink(missing_ok=True)


def offer(*, subject: str, parameter: str) -> None:
    """Follow the job that the address names, and offer its file for download when it is done."""
    job = session.job(st.query_params.get(parameter))
    if job is None or job.subject != SUBJECT + subject or not follow(job, key=parameter):
        return
    made = job.result
    if isinstance(made, Made) and made.path.is_file():
        download(
            f"Download {made.what} ({made.path.stat().st_size / 1e6:,.1f} MB)",
            lambda: made.path.open("rb"),  # read when it is pressed, not at every rerun
            made.name,
            "application/octet-stream",
            key=f"{parameter}_download",
            type="primary",
        )
    elif job.state is State.STOPPED and not job.error:
        st.info("Stopped. There is no file.", icon=":material/stop_circle:")
