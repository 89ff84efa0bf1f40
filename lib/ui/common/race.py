"""The race as a picture that loops in the browser: nothing is asked of the server meanwhile."""

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lib.charts import charts, theme
from lib.ui.common.chart import colour_mode

FOLDER = Path(__file__).parent
JS = (FOLDER / "race.js").read_text(encoding="utf-8")
CSS = (FOLDER / "race.css").read_text(encoding="utf-8")
MOUNT = """
let stop = () => {};
export default function ({ data, parentElement }) {
  stop();
  stop = race(parentElement.querySelector("#race"), data);
  return stop;
}
"""


def show_race(frame: pd.DataFrame, *, key: str) -> None:
    """Draw the race of `chart_data.race`; it starts over by itself."""
    _component()(key=key, data=race_data(frame, colour_mode()))


def race_data(frame: pd.DataFrame, mode: str) -> dict[str, Any]:
    """Return what race.js draws: lanes with a cell a call, [start, end, number], in seconds."""
    lanes: list[dict[str, Any]] = [
        {
            "label": label,
            "colour": theme.family_colour(str(mine["family"].iloc[0]), mode),
            "wall": float(mine["wall_s"].iloc[0]),
            "total": int(mine["to_call"].max()),
            "cells": [
                [round(row.start_s, 4), round(row.end_s, 4), int(row.to_call)] for row in rows
            ],
        }
        for label, mine in frame.groupby("lane", sort=False)
        for rows in [list[Any](mine.itertuples())]
    ]
    # The winner stands on top: it is what the picture is about.
    lanes.sort(key=lambda lane: lane["wall"])
    return {"lanes": lanes, "finding": charts.race_finding(frame)}


@st.cache_resource(show_spinner=False)
def _component() -> Any:
    return st.components.v2.component(
        "race",
        html='<div id="race"></div>',
        css=CSS,
        js=JS.replace("export function race", "function race") + MOUNT,
    )
