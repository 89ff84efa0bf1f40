"""Styles that the theme cannot set: what is chosen is readable in dark, a bar stays in view."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lib.charts.theme import colours
from lib.ui.widgets.race import colour_mode

# What react-aria calls a chosen segment or tab, and a slider's value.
CHOSEN = (
    "<style>[data-selected=true], [data-selected=true] *, [role=group][data-orientation] p "
    "{{color: {colour} !important;}}</style>"
)
# The class is the container's key, which Streamlit documents; the header is above it.
IN_VIEW = (
    "<style>:has(> .st-key-{key}) {{position: sticky; top: 3.5rem; z-index: 9; "
    "background: {background};}}</style>"
)


def make_readable() -> None:
    """Give chosen segments and the values of sliders the colour of links, in dark.

    Streamlit writes white on the primary colour in buttons, and the primary colour on the page
    there. No one colour has a contrast of 4.5 both ways on a dark page.
    """
    if colour_mode() == "dark":
        st.html(CHOSEN.format(colour=colours("dark")["linkColor"]))


def in_view(key: str) -> DeltaGenerator:
    """Return a container that sticks to the top of the page while what is below it scrolls."""
    st.html(IN_VIEW.format(key=key, background=colours(colour_mode())["backgroundColor"]))
    return st.container(key=key)
