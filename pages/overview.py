"""Overview: what async buys, as one picture; below it the fourteen method pairs."""

import pandas as pd
import streamlit as st

from lib.milvus.operations import OPERATIONS
from lib.ui.common.front import MEASURE_KEY, show_limits

# app.py has drawn the first screen already, with the button.
if st.session_state.get(MEASURE_KEY):
    from lib.benchmark.workload import PRESETS
    from lib.ui.benchmark.form import start

    start(PRESETS["quick"])

show_limits()

st.header("Fourteen method pairs", anchor=False)
st.caption("The async method has an a in front of its name.")
pairs = pd.DataFrame(
    [
        {
            "Sync": operation.name,
            "Async": operation.async_name,
            "Operation": operation.label,
            "What it does": operation.summary,
            "Embeds": operation.embeds,
        }
        for operation in OPERATIONS.values()
    ]
)
st.dataframe(
    pairs, hide_index=True, height="content", alt="The fourteen sync and async method pairs"
)
