"""The first screen: headline, race, caveat and the button, drawn before anything heavy is loaded.

It reads a few kilobytes that were kept ready and needs no Milvus, no langchain and no pandas.
"""

import streamlit as st

from lib.runs import front
from lib.ui.common.links import present_link
from lib.ui.common.race import show_race

MEASURE_KEY = "o_measure"


def show() -> None:
    """Draw the recorded run in one screen; a click on the button is for the page to follow."""
    shown = front.read()
    st.markdown(
        "**:material/compare_arrows: Milvus Async Lab** · "
        "what the async methods gain in `langchain-milvus`"
    )
    if shown:
        st.title(shown.statement, anchor=False)
        st.markdown(shown.line)
        show_race(shown.race, key="o_race")
        st.markdown(shown.caveat)
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
                query_params={"r_runs": shown.run_id},
            )
            present_link(shown.run_id)
    if shown:
        st.caption(f"{shown.conditions}. {shown.here}")
