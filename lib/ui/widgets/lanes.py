"""The ways of one work as bars with time and gain; on the first screen with a control over them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.ui.visitor.component import component
from lib.ui.widgets.race import colour_mode, with_colours

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
  const [{ positions, lanes, heads }] = data;
  stop = positions ? lanesScreen(place, data[0]) : lanesAlone(place, lanes, false, heads);
  return stop;
}
"""


def show_lanes(positions: list[dict[str, Any]], neighbour: dict[str, Any], *, key: str) -> None:
    """Draw the positions of `lib.runs.front.Front`, the last one first, and its neighbour below."""
    mode = colour_mode()
    drawn = [with_colours(position, mode) for position in positions]
    beside = with_colours(neighbour, mode) if neighbour else None
    _draw({"positions": drawn, "neighbour": beside}, key)


def show_bars(bars: list[dict[str, Any]], *, heads: Sequence[str] = (), key: str) -> None:
    """Draw the ways of a run, each a `lib.runs.card.Bar` as a dict, at rest.

    `heads` say what its two columns of numbers are, where they are no times and gains.
    """
    _draw(with_colours({"lanes": bars, "heads": list(heads) or None}, colour_mode()), key)


def _draw(data: dict[str, Any], key: str) -> None:
    # In a list: Streamlit would load pandas to look for tables among the values of a dict.
    component("lanes", html='<div id="lanes"></div>', css=CSS, js=JS + MOUNT)(key=key, data=[data])
