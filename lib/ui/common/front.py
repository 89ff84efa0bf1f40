"""The first screen: headline, lanes, caveat and the button, drawn before anything heavy is loaded.

It reads a few kilobytes that were kept ready and needs no Milvus, no langchain and no pandas.
"""

import streamlit as st

from lib.runs import front
from lib.ui.common.lanes import show_lanes
from lib.ui.common.links import present_link

MEASURE_KEY = "o_measure"


def show() -> None:
    """Draw the recorded runs in one screen; a click on the button is for the page to follow."""
    shown = front.read()
    if shown:
        show_lanes(shown.positions, key="o_lanes")
    else:
        st.title("What does async buy you?", anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Measure it here, in ten seconds",
            icon=":material/speed:",
            type="primary",
            key=MEASURE_KEY,
        )
        if shown:
            st.page_link(
                "pages/runs.py",
                label="How this was measured",
                query_params={"r_runs": shown.last["run_id"]},
            )
            present_link(shown.last["run_id"])
    if shown:
        st.caption(shown.here)
