"""The race as a picture that plays in the browser: nothing is asked of the server meanwhile."""

from pathlib import Path
from typing import Any

import streamlit as st

from lib.charts import theme
from lib.ui.visitor.component import component

FOLDER = Path(__file__).parent
JS = (FOLDER / "race.js").read_text("utf-8")
CSS = (FOLDER / "race.css").read_text("utf-8")
MOUNT = """
let stop = () => {};
export default function ({ data, parentElement }) {
  const place = parentElement.querySelector("#race");
  // A rerun of the page hands in the same once more: what plays goes on.
  const drawn = JSON.stringify(data);
  if (place.drawn === drawn) return stop;
  place.drawn = drawn;
  stop();
  stop = race(place, data[0]);
  return stop;
}
"""


def show_race(picture: dict[str, Any], *, key: str) -> None:
    """Draw the race of `charts.race_picture`; it plays once, and again at a press."""
    # In a list: Streamlit would load pandas to look for tables among the values of a dict.
    component("race", html='<div id="race"></div>', css=CSS, js=JS + MOUNT)(
        key=key, data=[with_colours(picture, colour_mode())]
    )


def with_colours(picture: dict[str, Any], mode: str) -> dict[str, Any]:
    """Return a picture of lanes with their colours in 'light' or 'dark'."""
    lanes = [
        lane | {"colour": theme.family_colour(lane["family"], mode)} for lane in picture["lanes"]
    ]
    return picture | {"lanes": lanes}


def colour_mode() -> str:
    """Return 'light' or 'dark', as the visitor sees the page."""
    return "dark" if st.context.theme.type == "dark" else "light"
