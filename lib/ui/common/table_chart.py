"""Show a chart whose specification stays while its data change.

Building an Altair chart and checking it against its schema takes 60 to 100 ms, sending a table a
few. So the specification is made once from the table's columns, and the browser, which sees the
same one again, only exchanges the data.
"""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from lib.charts.charts import AnyChart, readable
from lib.charts.theme import text_colour

Draw = Callable[[pd.DataFrame], AnyChart]

# The same for all visitors: a function, the columns it draws and light or dark decide it.
_specifications: dict[tuple[Draw, tuple[str, ...], str], dict[str, Any]] = {}


def show_table_chart(
    draw: Draw, table: pd.DataFrame, *, height: int, alt: str, key: str, selectable: bool = False
) -> Any:
    """Draw a table with texts that can be read in light and in dark; return the selection."""
    specification = _specification(draw, table) | {"height": height}
    return st.vega_lite_chart(
        table,
        specification,
        key=key,
        alt=alt,
        on_select="rerun" if selectable else "ignore",
    )


def _specification(draw: Draw, table: pd.DataFrame) -> dict[str, Any]:
    mode = "dark" if st.context.theme.type == "dark" else "light"
    known = (draw, tuple(table.columns), mode)
    if known not in _specifications:
        chart: Any = readable(draw(table.iloc[:0]))
        colour = text_colour(mode)
        made: dict[str, Any] = (
            chart.configure_text(color=colour).configure_rule(color=colour).to_dict()
        )
        _specifications[known] = {
            name: part for name, part in made.items() if name not in ("data", "datasets")
        }
    return _specifications[known]
