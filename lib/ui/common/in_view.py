"""A container that stays in view while what is below it scrolls."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lib.charts.theme import colours
from lib.ui.common.race import colour_mode

# The class is the container's key, which Streamlit documents; the header is above it.
STYLE = (
    "<style>:has(> .st-key-{key}) {{position: sticky; top: 3.5rem; z-index: 9; "
    "background: {background};}}</style>"
)


def in_view(key: str) -> DeltaGenerator:
    """Return a container that sticks to the top of the page."""
    st.html(STYLE.format(key=key, background=colours(colour_mode())["backgroundColor"]))
    return st.container(key=key)
