"""A part of a page that is made when it is unfolded."""

from collections.abc import Callable

import streamlit as st


@st.fragment
def folded(title: str, draw: Callable[[], None], *, icon: str, key: str) -> None:
    """Draw an expander, and what is in it once it is open.

    Few visitors open one, and what it holds would cost all of them: tables and coloured code take
    the browser scripts of 1.5 MB each.
    """
    place = st.expander(title, icon=icon, key=key, on_change="rerun")
    if place.open:
        with place:
            draw()
