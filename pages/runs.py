"""Runs: recorded, measured here and imported; to compare, rename, annotate and export."""

from collections.abc import Callable

import streamlit as st

from lib.errors import InvalidInput
from lib.ui.runs.list import choose, edit, import_form, is_folded, undo_deletion
from lib.ui.runs.saved import run_store
from lib.ui.runs.view import comparison_view, run_view
from lib.ui.widgets.links import bring_into_view, share
from lib.ui.widgets.text import literal
from lib.words import counted

SHOWN = "r_shown"

store = run_store()
title_slot = st.empty()
was_linked = is_folded()
if not was_linked:
    title_slot.title("Runs", anchor=False)

undo_deletion(store)
folded = st.expander("All runs", icon=":material/list:", key="runs_list") if was_linked else None
with folded or st.container():
    import_form(store)
    entries, unreadable = store.listing()
    chosen = choose(entries) if entries else []
    if unreadable:
        st.caption(
            f":material/warning: Left out, because unreadable: {counted(len(unreadable), 'file')} "
            f"in the folder of runs ({literal(', '.join(unreadable[:5]))})."
        )
# The one run that a link leads to is what the page is about: its headline is the title.
is_about_one = was_linked and len(chosen) == 1
if was_linked and not is_about_one:
    title_slot.title("Runs", anchor=False)
if not entries:
    st.info(
        "Measure something on the Benchmark page, or import a run.",
        title="No runs yet",
        icon=":material/inbox:",
    )
    st.page_link("pages/benchmark.py", label="Go to Benchmark", icon=":material/speed:")
    st.stop()

if not was_linked and not chosen:
    bring_into_view(SHOWN, "")
if not chosen:
    st.info("Tick one run to see it, two to four to compare.", icon=":material/touch_app:")
    st.stop()

try:
    loaded = [(entry, entry.load()) for entry in chosen]
except (InvalidInput, OSError) as error:
    st.error(str(error), title="A run cannot be read", icon=":material/error:")
    st.stop()

with st.container(key=SHOWN):
    if len(loaded) == 1:
        entry, run = loaded[0]
        more: dict[str, Callable[[], None]] | None = {} if is_about_one else None
        run_view(run, run_id=entry.id, origin=entry.origin.value, key="r", store=store, more=more)
        edit(store, entry)
    else:
        share("runs", key="r_share", r_runs=",".join(entry.id for entry in chosen))
        named = [(f"{entry.card.name} ({entry.origin.value})", run) for entry, run in loaded]
        comparison_view(named, key="r")
if not was_linked:
    # What was ticked is drawn below the list.
    bring_into_view(SHOWN, ",".join(entry.id for entry in chosen))
