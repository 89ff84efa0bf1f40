"""Overview: what async buys, as one picture; below it the fourteen method pairs."""

import pandas as pd
import streamlit as st

from lib.benchmark.workload import PRESETS
from lib.milvus.operations import OPERATIONS
from lib.runs import story
from lib.ui import current_settings
from lib.ui.benchmark.form import start
from lib.ui.common.race import show_race
from lib.ui.common.text import literal
from lib.ui.present import present_link
from lib.ui.runs.saved import run_store
from lib.ui.runs.view import conditions

store = run_store(current_settings())
shown = store.featured()

st.markdown("**:material/compare_arrows: Milvus Async Lab**")
if shown and shown.is_recorded:
    run = shown.load()
    race = story.steps(run, store.beside(run))[1]
    st.title(literal(race.statement), anchor=False)
    st.markdown(literal(story.line(run)))
    if race.frame is not None and not race.frame.empty:
        show_race(race.frame, key="o_race")
    st.markdown(literal(story.caveat(run, store.beside(run))))
else:
    st.title("What does async buy you?", anchor=False)

with st.container(horizontal=True, vertical_alignment="center"):
    if st.button("Measure it here, in ten seconds", icon=":material/speed:", type="primary"):
        start(PRESETS["quick"])
    if shown and shown.is_recorded:
        st.page_link(
            "pages/runs.py", label="How this was measured", query_params={"r_runs": shown.id}
        )
        present_link(shown.id)
if shown and shown.is_recorded:
    st.caption(conditions(run, "Recorded run"))

st.header("Fourteen method pairs", anchor=False)
st.caption("The async method has an a in front of its name. Every pair can be measured.")
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
