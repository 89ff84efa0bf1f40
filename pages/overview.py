"""Overview: what this is, what it is connected to, and the fourteen method pairs."""

import pandas as pd
import streamlit as st

from lib.benchmark.workload import PRESETS
from lib.milvus.operations import OPERATIONS
from lib.milvus.territory import shown_name
from lib.ui import current_settings, show_error
from lib.ui.common.corpus import facts_unless_loading
from lib.ui.common.session import connection, description, model
from lib.ui.runs.saved import run_store
from lib.ui.runs.view import first_screen

st.title("What do the async methods of langchain-milvus buy you?")
st.markdown(
    "Milvus Async Lab runs the **same work twice on a real Milvus**, once as a plain loop of sync "
    "calls and once with `asyncio.gather`, checks that both did the same, and shows the difference "
    "with its uncertainty. On your data and your deployment, with the code to copy."
)

store = run_store(current_settings())
shown = store.featured()
if shown and shown.is_recorded:
    run = shown.load()
    first_screen(run, origin=f"recorded: {shown.card.name}", key="o", beside=store.beside(run))
if st.button("Measure it here, in ten seconds", icon=":material/speed:", type="primary"):
    st.switch_page("pages/benchmark.py", query_params={"b_preset": PRESETS["quick"].label})

with st.grid(3):
    with st.container(border=True, height="stretch"):
        st.markdown("**:material/upload_file: Ingest**")
        st.caption("Load a real corpus in concurrent batches and watch rows per second.")
        st.page_link("pages/ingestion.py", label="Ingestion")
    with st.container(border=True, height="stretch"):
        st.markdown("**:material/search: Search**")
        st.caption("Ask a question and see what MMR changes about the answer.")
        st.page_link("pages/search.py", label="Search and MMR")
    with st.container(border=True, height="stretch"):
        st.markdown("**:material/speed: Measure**")
        st.caption("Run the tutorial's three experiments, repeated, verified, side by side.")
        st.page_link("pages/benchmark.py", label="Benchmark")

st.subheader("Connected to")
with show_error():
    opened = connection()
    described = description(opened)
    embedding = model()
    facts, loading = facts_unless_loading(opened)
status = {
    "Milvus": f"{described.label}, version {described.version}, {described.address}",
    "Collection": f"{shown_name(facts.name)}, {facts.rows:,} rows, index {facts.index_type}, "
    f"metric {facts.metric_type}"
    if facts
    else "being loaded"
    if loading and not loading.error
    else "not created yet",
    "Embedding": f"{embedding.label}, {embedding.dimension:,} dimensions",
}
st.table(status, alt="What the app is connected to")

st.subheader("Fourteen pairs, one naming rule")
st.caption("The async twin of a method is its name with an a in front. Each pair can be measured.")
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
