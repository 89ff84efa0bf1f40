"""Files to download: made at once, or by a job and forgotten after an hour."""

import secrets
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from lib import jobs
from lib.jobs import Job, State
from lib.milvus.connection import Connection
from lib.ui.visitor import session
from lib.ui.visitor.cleaner import drop_old_exports, exports_folder
from lib.ui.widgets import held_files
from lib.ui.widgets.progress import follow

# How the subject of an export's job begins; a name that a visitor typed may follow.
SUBJECT = "export:"
# The files that a visitor of a public app may have at a time.
MOST_FILES = 3
# A file is in memory while it is fetched. On a public app a larger one is fetched in parts.
PART_BYTES = 32 << 20


@dataclass(frozen=True)
class Made:
    """One file: where it lies, what it is called when it is downloaded, and what is in it."""

    path: Path
    name: str
    what: str


def download(label: str, data: Any, name: str, mime: str, *, key: str, **more: Any) -> None:
    """Draw a button that downloads a file and leaves the page as it is.

    `data` are bytes or a text, or a function without arguments that makes them when it is pressed.
    """
    more = {"icon": ":material/download:"} | more
    if callable(data):
        data = partial(held_files.make, data, mime, name)
    st.download_button(label, data, name, mime, key=key, on_click="ignore", **more)


def start(
    label: str,
    name: str,
    write: Callable[[Path, Job], str],
    *,
    subject: str,
    parameter: str,
    is_short: bool,
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

    job = session.submit(label, work, subject=SUBJECT + subject, opened=opened, is_short=is_short)
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
        _offer_file(made, key=f"{parameter}_download")
    elif job.state is State.STOPPED and not job.error:
        st.info("Stopped. There is no file.", icon=":material/stop_circle:")


def _offer_file(made: Made, *, key: str) -> None:
    """Draw the button of a made file, or on a public app one for each part of a large one."""
    size = made.path.stat().st_size
    parts = parts_of(size, PART_BYTES if session.host_settings().public else size)
    if len(parts) > 1:
        name = shlex.quote(made.name).replace("`", "")
        st.markdown(
            f"{made.what}, {size / 1e6:,.1f} MB in {len(parts)} parts. To put them together: "
            f"`cat {name}.* > {name}`"
        )
    with st.container(horizontal=True):
        for number, (start, end) in enumerate(parts, 1):
            is_part = len(parts) > 1
            what, suffix = (f"part {number}", f".{number:03}") if is_part else (made.what, "")
            download(
                f"Download {what} ({(end - start) / 1e6:,.1f} MB)",
                partial(read_part, made.path, start, end),  # when it is pressed, at no rerun
                made.name + suffix,
                "application/octet-stream",
                key=key + suffix,
                type="primary",
            )


def parts_of(size: int, most: int) -> list[tuple[int, int]]:
    """Return where the parts of a file begin and end, in bytes; none has more than `most`."""
    return [(start, min(start + most, size)) for start in range(0, size, max(most, 1))] or [(0, 0)]


def read_part(path: Path, start: int, end: int) -> bytes:
    """Return the bytes of a file between these two places."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)
