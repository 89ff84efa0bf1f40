"""The first screen's lanes: what each way took, and a control for how long an embedding takes."""

from pathlib import Path
from typing import Any

from lib.charts import theme
from lib.ui.common.component import component
from lib.ui.common.race import colour_mode, with_colours

FOLDER = Path(__file__).parent
JS = (FOLDER / "lanes.js").read_text("utf-8")
CSS = (FOLDER / "lanes.css").read_text("utf-8")
MOUNT = """
let stop = () => {};
let drawn = "";
export default function ({ data, parentElement }) {
  const place = parentElement.querySelector("#lanes");
  // A rerun of the page hands in the same once more: what plays goes on.
  if (drawn === JSON.stringify(data) && place.childElementCount) return stop;
  drawn = JSON.stringify(data);
  stop();
  stop = lanesScreen(place, data[0]);
  return stop;
}
"""


def show_lanes(positions: list[dict[str, Any]], *, key: str) -> None:
    """Draw the positions of `lib.runs.front.Front`, the last one first."""
    mode = colour_mode()
    look = theme.colours(mode)
    data = {
        "positions": [with_colours(position, mode) for position in positions],
        "colours": {
            "ink": look["textColor"],
            "paper": look["backgroundColor"],
            "line": look["borderColor"],
            "focus": look["linkColor"],
        },
    }
    # In a list: Streamlit would load pandas to look for tables among the values of a dict.
    component("lanes", html='<div id="lanes"></div>', css=CSS, js=JS + MOUNT)(key=key, data=[data])
