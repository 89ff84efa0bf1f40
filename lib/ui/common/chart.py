"""Show a chart in the page's colours."""

from typing import Any

import streamlit as st

from lib.charts.charts import readable
from lib.charts.theme import text_colour


def show_chart(chart: Any, *, alt: str, key: str) -> None:
    """Draw a chart with texts that can be read in light and in dark.

    Streamlit's chart theme colours axes and marks, but leaves text marks and rules black.
    """
    colour = text_colour("dark" if st.context.theme.type == "dark" else "light")
    sized: Any = readable(chart)
    st.altair_chart(
        sized.configure_text(color=colour).configure_rule(color=colour), key=key, alt=alt
    )
