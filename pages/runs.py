"""Runs: recorded, measured here and imported; to compare, rename, annotate and export."""

import streamlit as st

from lib.errors import InvalidInput
from lib.ui.runs.list import choose, edit, import_form, is_folded, undo_deletion
from lib.ui.runs.saved import run_store
from lib.ui.runs.view import comparison_view, run_view
from lib.ui.widgets.links import share
from lib.ui.widgets.text import literal
from lib.words import counted

st.title("Runs", anchor=False)
store = run_store()

undo_deletion(store)
folded = st.expander("All runs", icon=":material/list:", key="runs_list") if is_folded() else None
with folded or st.container():
    import_form(store)
    entries, unreadable = store.listing()
    chosen = choose(entries) if entries else []
    if unreadable:
        st.caption(
            f":material/warning: Left out, because unreadable: {counted(len(unreadable), 'file')} "
            f"in the folder of runs ({literal(', '.join(unreadable[:5]))})."
        )
if not entries:
    st.info(
        "Measure something on the Benchmark page, or import a run.",
        title="No runs yet",
        icon=":material/inbox:",
    )
    st.page_link("pages/benchmark.py", label="Go to Benchmark", icon=":material/speed:")
    st.stop()

if not chosen:
    st.info("Tick one run to see it, two to four to compare.", icon=":material/touch_app:")
    st.stop()

try:
    loaded = [(entry, entry.load()) for entry in chosen]
except (InvalidInput, OSError) as error:
    st.error(str(error), title="A run cannot be read", icon=":material/error:")
    st.stop()

if len(loaded) == 1:
    entry, run = loaded[0]
    run_view(run, run_id=entry.id, origin=entry.origin.value, key="r", store=store)
    edit(store, entry)
else:
    share("runs", key="r_share", r_runs=",".join(entry.id for entry in chosen))
    comparison_view([(entry.card.name, run) for entry, run in loaded], key="r")
