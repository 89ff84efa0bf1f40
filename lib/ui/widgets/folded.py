"""A part of a page that is made when it is unfolded."""

from collections.abc import Callable

import streamlit as st


@st.fragment
def folded(title: str, draw: Callable[[], None], *, icon: str, key: str) -> None:
    """Draw an expander, and its content only while it is open.

    Tables and coloured code need scripts of 1.5 MB each, and few visitors open an expander.
    """
    place = st.expander(title, icon=icon, key=key, on_change="rerun")
    if place.open:
        with place:
            draw()
