"""Take a collection's rows away as a file, and drop the collection."""

from pathlib import Path

import streamlit as st

from lib.jobs import Job
from lib.milvus import milvus_collections, rows
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.milvus_collections import Collection
from lib.ui.collections import list as collection_list
from lib.ui.collections.rows import DROPS_KEY
from lib.ui.visitor import log, session
from lib.ui.visitor.errors import show_error
from lib.ui.widgets import exports, typed_filter
from lib.ui.widgets.text import literal
from lib.words import counted, shown_name

EXPORT_PARAMETER = "export"
FORMATS = {".parquet": "Parquet", ".jsonl": "JSON lines"}


def offer_export(opened: Connection, model: EmbeddingModel, facts: Collection) -> None:
    """Write a file in the background, then offer it for download."""
    with st.expander("Export and import", icon=":material/download:"):
        format_slot, filter_slot = st.columns([1, 2])
        ending = format_slot.segmented_control(
            "Format",
            list(FORMATS),
            format_func=FORMATS.__getitem__,
            default=".parquet",
            required=True,
            key="export_format",
        )
        with filter_slot:
            typed = typed_filter.filter_input(
                "Only rows that match", opened, model, facts, key="export_filter"
            )
        found = None
        with show_error(ends_page=False):
            found = typed_filter.meaning(opened, facts.name, typed, key="export_filter")
            typed_filter.say(found, key="export_filter")
        pressed = st.button(
            "Prepare the file",
            icon=":material/save:",
            disabled=found is None,
            key="export_start",
        )
        if pressed and found is not None:
            _start(opened, facts, ending, found.expr)
        exports.offer(subject=facts.name, parameter=EXPORT_PARAMETER)
        st.caption("Holds keys, texts, vectors and metadata. To import it, upload it on Ingestion.")
        st.page_link(
            "pages/ingestion.py",
            label="Import on Ingestion",
            icon=":material/upload_file:",
        )


def _start(opened: Connection, facts: Collection, ending: str, expr: str) -> None:
    name = facts.name

    def write(path: Path, job: Job) -> str:
        written = rows.export(opened, name, path, expr=expr, job=job)
        stored = job.progress.total
        short = f" of {stored:,}: {rows.TWINS}" if written < stored else ""
        return counted(written, "row") + short

    shown = shown_name(name)
    with show_error(ends_page=False):
        exports.start(
            f"Exporting {shown}",
            f"{shown}{ending}",
            write,
            subject=name,
            parameter=EXPORT_PARAMETER,
            is_short=facts.rows <= session.SHORT_READ,
            opened=opened,
        )


def offer_drop(opened: Connection, facts: Collection) -> None:
    """Drop the collection once its name has been typed."""
    name, own = shown_name(facts.name), facts.schema.collection
    round_ = st.session_state.get(DROPS_KEY, "")
    with st.expander("Drop this collection", icon=":material/delete_forever:", key=f"drop{round_}"):
        st.markdown(
            f"“{literal(name)}” is another name of “{literal(own)}”. This name alone will be gone."
            if own != facts.name
            else f"“{literal(name)}” with {counted(facts.rows, 'row')} and its index will be "
            "gone. This cannot be undone."
        )
        typed = st.text_input("Type its name to confirm", key=f"drop_name_{facts.name}")
        pressed = st.button(
            "Drop",
            icon=":material/delete_forever:",
            type="primary",
            disabled=typed != name,
            key="drop_start",
        )
        if not pressed:
            return
        with show_error(ends_page=False):
            milvus_collections.drop(opened, facts.name)
            log.by_visitor("collection_dropped", rows=facts.rows)
            # The host's own collection is used from now on.
            session.use_collection(None)
            st.session_state[DROPS_KEY] = st.session_state.get(DROPS_KEY, 0) + 1
            collection_list.draw_anew(f"Dropped “{literal(name)}”.")
