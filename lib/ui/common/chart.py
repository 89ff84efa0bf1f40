"""Show a chart in the page's colours."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from lib.charts.charts import AnyChart, readable
from lib.charts.theme import text_colour
from lib.ui.common.race import colour_mode

Draw = Callable[[pd.DataFrame], AnyChart]

# The same for all visitors: a function, the columns it draws and light or dark decide it.
_specifications: dict[tuple[Draw, tuple[str, ...], str], dict[str, Any]] = {}


def show_chart(chart: Any, *, alt: str, key: str) -> None:
    """Draw a chart with texts that can be read in light and in dark.

    `alt` is what a screen reader says of the chart: a sentence with its values.
    """
    st.altair_chart(_coloured(chart, colour_mode()), key=key, alt=alt)


def show_table_chart(
    draw: Draw, table: pd.DataFrame, *, height: int, alt: str, key: str, selectable: bool = False
) -> Any:
    """Draw a table as a chart whose specification stays while its data change.

    Making a specification takes 60 to 100 ms and sending a table a few, so it is made once from
    the table's columns. Returns the selection.
    """
    known = (draw, tuple(table.columns), colour_mode())
    if known not in _specifications:
        made = _coloured(draw(table.iloc[:0]), colour_mode()).to_dict()
        _specifications[known] = {
            name: part for name, part in made.items() if name not in ("data", "datasets")
        }
    return st.vega_lite_chart(
        table,
        _specifications[known] | {"height": height},
        key=key,
        alt=alt,
        on_select="rerun" if selectable else "ignore",
    )


def _coloured(chart: Any, mode: str) -> Any:
    """Give texts the page's colour: Streamlit's theme leaves text marks black and axes too faint.

    Vega would describe each mark by the names of its fields; the chart's own sentence is enough.
    """
    made: Any = readable(chart)
    config = made.config
    colour = text_colour(mode)
    for part in (config.axis, config.legend):
        part.labelColor = part.titleColor = colour
    config.title.color = config.title.subtitleColor = colour
    return made.configure_text(color=colour).configure_rule(color=colour).configure_mark(aria=False)
