"""Styles that the theme cannot set: what is chosen or has the focus is seen, a bar in view."""

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
CLOSE_HEADING = "<style>.st-key-{key} :is(h1, h2) {{padding: 0;}}</style>"
# Streamlit marks the focus by a shade that some have at rest too, or not at all; of what one types
# into, by a border that is a pixel wide at rest too.
FOCUS = (
    "<style>:focus-visible:not(input, textarea), :has(> :is(input, textarea):focus-visible) "
    "{{outline: 3px solid {colour} !important; outline-offset: -2px;}}</style>"
)


def make_readable() -> None:
    """Give chosen segments and the values of sliders the colour of links, in dark.

    Streamlit writes white on the primary colour in buttons, and the primary colour on the page
    there. No one colour has a contrast of 4.5 both ways on a dark page. What has the keyboard's
    focus is outlined everywhere.
    """
    st.html(FOCUS.format(colour=colours(colour_mode())["linkColor"]))
    if colour_mode() == "dark":
        st.html(CHOSEN.format(colour=colours("dark")["linkColor"]))


def in_view(key: str) -> DeltaGenerator:
    """Return a container that sticks to the top of the page while what is below it scrolls."""
    st.html(IN_VIEW.format(key=key, background=colours(colour_mode())["backgroundColor"]))
    return st.container(key=key)


def close_heading(key: str) -> DeltaGenerator:
    """Return a container whose heading has no space of its own above and below."""
    st.html(CLOSE_HEADING.format(key=key))
    return st.container(key=key)
