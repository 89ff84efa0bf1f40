"""Overview: what async buys, as one picture; below it the fourteen method pairs."""

import streamlit as st

from lib.milvus.operations import OPERATIONS
from lib.ui.common.browser_ahead import load_scripts
from lib.ui.common.front import MEASURE_KEY, show_limits

# app.py has drawn the first screen already, with the button.
if st.session_state.get(MEASURE_KEY):
    from lib.benchmark.workload import PRESETS
    from lib.ui.benchmark.form import start

    start(PRESETS["quick"])

show_limits()

st.header("Fourteen method pairs", anchor=False)
st.caption("The async method has an a in front of its name.")
# A list and no table: the grid of st.dataframe takes the browser a third of a second, and a phone
# has no room for columns.
st.markdown(
    "\n".join(
        f"- `{each.name}`: {each.summary}"
        + " Embeds." * (each.embeds and "Embeds" not in each.summary)
        for each in OPERATIONS.values()
    )
)

load_scripts()
