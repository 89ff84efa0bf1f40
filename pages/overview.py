"""Overview: what async buys, as one picture; below it the fourteen method pairs."""

import streamlit as st

from lib.results.catalogue import OPERATIONS
from lib.runs import front
from lib.ui.frame.first_screen import MEASURE_KEY


def _run_link(title: str, run_id: str, said: str) -> None:
    """Draw a link to a recorded run, and what it found."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(
            "pages/runs.py",
            label=title,
            icon=":material/bar_chart:",
            query_params={"r_runs": run_id},
        )
        st.markdown(said)


# app.py has drawn the first screen already, with the button.
if st.session_state.get(MEASURE_KEY):
    from lib.results.plan import PRESETS
    from lib.ui.benchmark.form import start

    start(PRESETS["quick"])

if shown := front.read():
    st.header("Where async does not help", anchor=False)
    for limit in shown.limits:
        _run_link(limit["title"], limit["run_id"], limit["said"])

st.header("Fourteen method pairs", anchor=False)
st.caption("The async method has an a in front of its name.")
if audited := front.audit_sentence():
    st.page_link(
        "pages/benchmark.py",
        label=f"Are they really async? {audited}",
        icon=":material/fact_check:",
        query_params={"b_view": "Audit"},
    )
# A list and no table: the grid of st.dataframe takes the browser a third of a second, and a phone
# has no room for columns.
st.markdown(
    "\n".join(
        f"- `{each.name}`: {each.summary}"
        + " Embeds." * (each.embeds and "Embeds" not in each.summary)
        for each in OPERATIONS.values()
    )
)
