"""Overview: what async buys, as one picture; below it the fourteen method pairs."""

import streamlit as st

from lib.results.catalogue import OPERATIONS
from lib.runs import front
from lib.ui.common.browser_ahead import load_scripts
from lib.ui.common.front import MEASURE_KEY

# The recorded run of a service, which says what others wait meanwhile.
SERVICE = ("service-server",)
# Recorded runs of all operations, which say where async gains nothing.
ALL_OPERATIONS = ("all-lite", "all-server")

# app.py has drawn the first screen already, with the button.
if st.session_state.get(MEASURE_KEY):
    from lib.results.plan import PRESETS
    from lib.ui.benchmark.form import start

    start(PRESETS["quick"])

for header, names in (
    ("What everybody else feels meanwhile", SERVICE),
    ("Where async does not help", ALL_OPERATIONS),
):
    recorded = {name: front.recorded_summary(name) for name in names}
    if any(recorded.values()):
        st.header(header, anchor=False)
    for name, kept in recorded.items():
        if kept is None:
            continue
        digest = kept["digest"]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link(
                "pages/runs.py",
                label=digest["title"],
                icon=":material/bar_chart:",
                query_params={"r_runs": f"recorded-{name}"},
            )
            st.markdown(digest["headline"].partition(". ")[0].removesuffix(".") + ".")

st.header("Fourteen method pairs", anchor=False)
st.caption("The async method has an a in front of its name.")
if audited := front.audit_sentence():
    st.page_link(
        "pages/benchmark.py",
        label=f"Are they really async? {audited}",
        icon=":material/fact_check:",
        query_params={"view": "Audit"},
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

load_scripts()
