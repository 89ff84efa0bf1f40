"""Show a table, as such or as a chart in the page's colours."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from lib.charts.charts import AnyChart, specification
from lib.charts.theme import coloured
from lib.ui.widgets.race import colour_mode


@st.cache_data(max_entries=64, show_spinner=False)
def _specification(name: str, table: pd.DataFrame, _draw: Callable[[], AnyChart]) -> dict[str, Any]:
    """Return a chart's specification, made once for all visitors: it takes tens of milliseconds."""
    return specification(_draw())


def show_chart(
    name: str,
    table: pd.DataFrame,
    draw: Callable[[], AnyChart],
    *,
    alt: str,
    key: str,
    height: int | None = None,
) -> None:
    """Draw a table as a chart with texts that can be read in light and in dark.

    `name` tells charts of one table apart. `alt` is what a screen reader says of the chart: a
    sentence with its values. `height` in pixels, where not the chart's own, is without its axis.
    """
    spec = coloured(_specification(name, table, draw), colour_mode())
    spec |= {"height": height} if height else {}
    st.vega_lite_chart(spec=spec, key=key, alt=alt)


def show_table_chart(
    draw: Callable[[pd.DataFrame], AnyChart],
    table: pd.DataFrame,
    *,
    height: int,
    alt: str,
    key: str,
    selectable: bool = False,
) -> Any:
    """Draw a table as a chart whose specification stays while its data change.

    Sending a table takes a few milliseconds. Returns the selection.
    """
    columns = table.iloc[:0]
    spec = _specification(draw.__name__, columns, lambda: draw(columns))
    spec = coloured(spec, colour_mode())
    return st.vega_lite_chart(
        table,
        {name: part for name, part in spec.items() if name not in ("data", "datasets")}
        | {"height": height},
        key=key,
        alt=alt,
        on_select="rerun" if selectable else "ignore",
    )
