"""The first screen: headline, lanes, caveat and the button, drawn before anything heavy is loaded.

It reads a few kilobytes that were kept ready and needs no Milvus, no langchain and no pandas.
"""

import streamlit as st

from lib.runs import front
from lib.ui.widgets.lanes import show_lanes
from lib.ui.widgets.links import present_link

MEASURE_KEY = "o_measure"
WITHOUT_RUNS = """
The app makes the same calls one by one, in threads, awaited together and as one batch, checks that
all bring the same rows, and tells the times with their interval. No recorded run is here to show:
the button below makes one.
"""


def show() -> None:
    """Draw the recorded runs in one screen; a click on the button is for the page to follow."""
    shown = front.read()
    if shown:
        show_lanes(shown.positions, shown.neighbour, key="o_lanes")
    else:
        st.title("What does async buy you?", anchor=False)
        st.markdown(WITHOUT_RUNS)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Measure it here, in ten seconds",
            icon=":material/speed:",
            type="primary",
            key=MEASURE_KEY,
        )
        if shown:
            with st.popover("How this was measured", type="tertiary"):
                st.markdown(shown.method)
                for label, run_ids in (
                    ("The recorded run", shown.last["run_id"]),
                    ("The recorded service", shown.neighbour.get("run_id")),
                    ("Bare wait, real client and the published figures", shown.tutorial),
                ):
                    if run_ids:
                        st.page_link(
                            "pages/runs.py",
                            label=label,
                            icon=":material/bar_chart:",
                            query_params={"r_runs": run_ids},
                        )
            present_link(shown.last["run_id"])
    if shown:
        st.caption(shown.here)
