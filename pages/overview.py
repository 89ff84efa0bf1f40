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
lines = [
    f"| `{each.name}` | {each.summary} | {'yes' if each.embeds else ''} |"
    for each in OPERATIONS.values()
]
# As text: the grid of st.dataframe takes the browser a third of a second.
st.markdown("\n".join(["| Sync | What it does | Embeds |", "| --- " * 3 + "|", *lines]))

load_scripts()
