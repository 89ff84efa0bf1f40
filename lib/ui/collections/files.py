"""Take a collection's rows away as a file, and drop the collection."""

import secrets
import time
from pathlib import Path

import streamlit as st

from lib.errors import LabError
from lib.jobs import Job
from lib.milvus import collections as milvus_collections
from lib.milvus import filters, rows
from lib.milvus.collections import Collection
from lib.milvus.connection import Connection
from lib.milvus.territory import shown_name
from lib.ui.collections import list as collection_list
from lib.ui.common import session
from lib.ui.common.errors import error_box
from lib.ui.common.progress import follow
from lib.ui.common.text import literal
from lib.words import counted

EXPORT_PARAMETER = "export"
KEPT_S = 3_600.0
FORMATS = {".parquet": "Parquet", ".jsonl": "JSON lines"}


def offer_export(opened: Connection, facts: Collection) -> None:
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
        typed = filter_slot.text_input(
            "Only rows that match", help="Words to look for, or an expression.", key="export_filter"
        )
        expr = filters.from_typed(typed)
        if st.button("Prepare the file", icon=":material/save:", key="export_start"):
            _start(opened, facts.name, ending, expr)
        job = session.job(st.query_params.get(EXPORT_PARAMETER))
        if job is not None and follow(job, key="export") and isinstance(job.result, tuple):
            path, written = job.result
            if path.is_file():
                st.download_button(
                    f"Download {counted(written, 'row')} ({path.stat().st_size / 1e6:,.1f} MB)",
                    data=lambda: path.open("rb"),  # read when it is pressed, not at every rerun
                    file_name=f"{shown_name(facts.name)}{path.suffix}",
                    mime="application/octet-stream",
                    type="primary",
                    icon=":material/download:",
                    on_click="ignore",
                    key="export_download",
                )
        st.caption("Holds keys, texts, vectors and metadata. To import it, upload it on Ingestion.")
        st.page_link(
            "pages/ingestion.py",
            label="Import on Ingestion",
            icon=":material/upload_file:",
        )


def _start(opened: Connection, name: str, ending: str, expr: str) -> None:
    try:
        milvus_collections.check_expression(opened, name, expr)
    except LabError as error:
        error_box(error)
        return
    folder = session.current_settings().data_dir / "exports"

    def work(job: Job) -> tuple[Path, int]:
        folder.mkdir(parents=True, exist_ok=True)
        _forget_old(folder)
        path = folder / f"{name}_{secrets.token_hex(4)}{ending}"
        return path, rows.export(opened, name, path, expr=expr, job=job)

    try:
        job = session.submit(
            f"Exporting {shown_name(name)}", work, subject=f"export:{name}", opened=opened
        )
    except LabError as error:
        error_box(error)
        return
    st.query_params[EXPORT_PARAMETER] = job.id


def _forget_old(folder: Path) -> None:
    for path in folder.iterdir():
        if path.suffix in FORMATS and time.time() - path.stat().st_mtime > KEPT_S:
            path.unlink(missing_ok=True)


def offer_drop(opened: Connection, facts: Collection) -> None:
    """Drop the collection once its name has been typed."""
    if not opened.may_write(facts.name):
        return
    name = shown_name(facts.name)
    with st.expander("Drop this collection", icon=":material/delete_forever:"):
        st.markdown(
            f"“{literal(name)}” with {counted(facts.rows, 'row')} and its index will be "
            "gone. This cannot be undone."
        )
        typed = st.text_input("Type its name to confirm", key=f"drop_name_{facts.name}")
        if st.button(
            "Drop",
            icon=":material/delete_forever:",
            type="primary",
            disabled=typed != name,
            key="drop_start",
        ):
            try:
                milvus_collections.drop(opened, facts.name)
            except LabError as error:
                error_box(error)
                return
            # The host's own collection is the one to go on with.
            st.session_state.pop(session.COLLECTION_KEY, None)
            collection_list.draw_anew(f"Dropped “{literal(name)}”.")
