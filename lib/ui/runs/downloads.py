"""Everything a person can take away from a run, made when the button is clicked."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from lib.benchmark.trials import Run
from lib.charts.charts import Chart
from lib.runs import reports
from lib.runs.findings import ALONE, Beside
from lib.runs.reports import DECK, EXPORTS


def downloads(run: Run, *, key: str, beside: Beside = ALONE) -> None:
    """Draw the buttons that export the whole run."""
    st.markdown("### Take it away")
    stem = reports.stem(run)

    @st.fragment
    def _buttons() -> None:
        with st.container(horizontal=True):
            for export in (*EXPORTS.values(), DECK):
                _button(
                    export.label,
                    partial(export.make, run, beside),
                    f"{stem}{export.suffix}",
                    export.mime,
                    key=f"{key}_get_{export.name}",
                )

    _buttons()


def chart_downloads(run: Run, chart: Chart, frame: pd.DataFrame, *, key: str) -> None:
    """Draw the buttons that export one chart as a picture."""
    stem = f"{reports.stem(run)}-{chart.name}"
    with st.container(horizontal=True):
        for suffix, mime in ((".png", "image/png"), (".svg", "image/svg+xml")):
            _button(
                suffix[1:].upper(),
                partial(reports.picture, run, chart, frame, suffix),
                f"{stem}{suffix}",
                mime,
                key=f"{key}_get_{suffix[1:]}",
            )


def _button(label: str, make: Callable[[], Any], name: str, mime: str, *, key: str) -> None:
    st.download_button(
        label, make, name, mime, key=key, icon=":material/download:", on_click="ignore"
    )
