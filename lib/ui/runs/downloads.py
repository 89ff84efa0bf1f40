"""Everything a person can take away from a run: small files at once, drawn ones from a job."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from lib.charts.charts import Chart
from lib.jobs import Job
from lib.results.findings import Beside
from lib.results.trials import Run
from lib.runs import pictures, reports
from lib.runs.card import Card
from lib.runs.reports import EXPORTS, Export
from lib.ui.visitor import session
from lib.ui.visitor.errors import show_error
from lib.ui.widgets import exports
from lib.workers.work import Limits

PARAMETER = "file"


def drawing_limits() -> Limits:
    """Return what drawing a picture, or making a file of them, may take here."""
    host = session.host_settings()
    return replace(pictures.DRAWING, seconds=host.max_draw_s, resident_mb=host.max_draw_mb)


def downloads(run: Run, *, key: str, beside: Beside, stem: str) -> None:
    """Draw the menu that exports the whole run; the files' names begin with `stem`."""
    subject = f"{stem}:{run.environment.get('time', '')}"

    @st.fragment
    def _menu() -> None:
        for export in EXPORTS.values():
            if export.is_slow:
                _start_button(run, beside, export, stem, subject, key=f"{key}_make_{export.name}")
            else:
                exports.download(
                    export.label,
                    partial(export.make, run, beside),
                    f"{stem}{export.suffix}",
                    export.mime,
                    key=f"{key}_get_{export.name}",
                    width="stretch",
                )
        exports.offer(subject=subject, parameter=PARAMETER)

    with st.popover("Export", icon=":material/download:"):
        _menu()


def _start_button(
    run: Run, beside: Beside, export: Export, stem: str, subject: str, *, key: str
) -> None:
    if not st.button(export.label, key=key, icon=":material/draw:", width="stretch"):
        return
    limits = drawing_limits()

    def write(path: Path, job: Job) -> str:
        def step(done: int, total: int) -> None:
            job.progress.done, job.progress.total = done, total

        job.progress.unit = "pictures"
        reports.write(export, run, beside, path, limits=limits, check=job.check, step=step)
        return export.label

    with show_error(ends_page=False):
        exports.start(
            f"Making {export.label}",
            f"{stem}{export.suffix}",
            write,
            subject=subject,
            parameter=PARAMETER,
            is_short=True,
        )


def chart_downloads(told: Card, chart: Chart, frame: pd.DataFrame, *, key: str) -> None:
    """Draw the buttons that export one chart as a picture."""
    stem = f"{told.stem}-{chart.name}"
    limits = drawing_limits()
    with st.container(horizontal=True):
        for suffix, mime in ((".png", "image/png"), (".svg", "image/svg+xml")):
            exports.download(
                suffix[1:].upper(),
                partial(pictures.picture, told.note, chart, frame, suffix, limits),
                f"{stem}{suffix}",
                mime,
                key=f"{key}_get_{suffix[1:]}",
            )
