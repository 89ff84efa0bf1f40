"""Presentation mode: a run in slides on the whole screen, which needs no server afterwards."""

import base64
from dataclasses import asdict
from pathlib import Path
from typing import Any

import streamlit as st

from lib.charts.charts import CHARTS
from lib.results import findings
from lib.results.analysis import analyse
from lib.runs import pictures, story
from lib.runs.store import Entry, RunStore
from lib.runs.story import Slide
from lib.ui.runs.downloads import drawing_limits
from lib.ui.runs.list import CHOSEN_PARAMETER
from lib.ui.runs.saved import run_store
from lib.ui.visitor.component import component
from lib.ui.visitor.errors import show_error
from lib.ui.visitor.session import frame_is_drawn
from lib.ui.widgets.lanes import CSS as LANES_CSS
from lib.ui.widgets.lanes import JS as LANES_JS
from lib.ui.widgets.links import WHICH_PARAMETER, go_back
from lib.ui.widgets.race import colour_mode, with_colours
from lib.workers.work import Limits

FOLDER = Path(__file__).parent
CSS = LANES_CSS + (FOLDER / "present.css").read_text("utf-8")
JS = LANES_JS + (FOLDER / "present.js").read_text("utf-8")


def show(page: str) -> None:
    """Draw the presentation of the run in the address, or of the one to show first."""
    frame_is_drawn(page)
    store = run_store()
    entry = store.get(st.query_params.get(WHICH_PARAMETER)) or store.featured()
    if entry is None:
        st.info("There is no run to present yet.", icon=":material/inbox:")
        return
    limits = drawing_limits()
    with show_error():
        data = _told(entry.id, entry.path.stat().st_mtime_ns, colour_mode(), entry, store, limits)
    result = component("presentation", html='<div id="stage"></div>', css=CSS, js=JS)(
        key="presentation",
        data=data,
        on_closed_change=lambda: None,
    )
    if result.closed:
        go_back("runs", **{CHOSEN_PARAMETER: entry.id})


@st.cache_data(show_spinner="Preparing the presentation …", max_entries=8)
def _told(
    run_id: str, changed_ns: int, mode: str, _entry: Entry, _store: RunStore, _limits: Limits
) -> dict[str, Any]:
    found = analyse(_entry.load())
    slides = [
        {
            "statement": slide.statement,
            "lines": slide.lines,
            "notes": slide.notes,
            **_picture(slide, mode, _limits),
        }
        for slide in story.slides(found, _store.beside(found))
    ]
    return {
        "run": run_id,
        "slides": slides,
        "source": f"{_entry.origin.value.capitalize()} · {findings.note(found.run)}",
    }


def _picture(slide: Slide, mode: str, limits: Limits) -> dict[str, Any]:
    if slide.bars:
        lanes = [asdict(bar) for bar in slide.bars]
        return with_colours({"lanes": lanes, "heads": list(slide.heads) or None}, mode)
    if slide.frame is None or not slide.chart:
        return {}
    svg = pictures.slide_picture(CHARTS[slide.chart], slide.frame, mode, limits)
    return {"image": f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"}
