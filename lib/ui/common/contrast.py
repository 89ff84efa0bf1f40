"""Make what is chosen readable in dark.

Streamlit writes white on the primary colour in buttons, and the primary colour on the page in
chosen segments and beside sliders. No one colour has a contrast of 4.5 both ways on a dark page.
"""

import streamlit as st

from lib.charts.theme import colours
from lib.ui.common.race import colour_mode

# What react-aria calls a chosen segment or tab, and a slider's value.
STYLE = (
    "<style>[data-selected=true], [data-selected=true] *, [role=group][data-orientation] p "
    "{{color: {colour} !important;}}</style>"
)


def make_readable() -> None:
    """Give chosen segments and the values of sliders the colour of links, in dark."""
    if colour_mode() == "dark":
        st.html(STYLE.format(colour=colours("dark")["linkColor"]))
