"""The list of kept runs: filter, choose, import, rename, annotate, delete and undo."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from lib.results.comparison import MAX_RUNS
from lib.results.run_file import MAX_BYTES
from lib.runs.store import MAX_NAME_CHARS, MAX_NOTES_CHARS, READING, Entry, Origin, RunStore
from lib.ui.visitor import log, session
from lib.ui.visitor.errors import show_error
from lib.ui.visitor.memory import check_room
from lib.ui.widgets import told, uploads
from lib.ui.widgets.table import show_table
from lib.ui.widgets.text import literal

# The chosen runs in the address: /runs?r_runs=ID,ID
CHOSEN_PARAMETER = "r_runs"
DELETED_KEY = "runs_deleted"
FOLDED_KEY = "runs_folded"


def is_folded() -> bool:
    """Say whether the list is folded because the page was opened with runs in its address."""
    if FOLDED_KEY not in st.session_state or session.arrived():
        st.session_state[FOLDED_KEY] = CHOSEN_PARAMETER in st.query_params
    return bool(st.session_state[FOLDED_KEY])


def import_form(store: RunStore) -> None:
    """Draw the uploader; a file that cannot be used gets one message and changes nothing."""
    with st.expander("Import runs", icon=":material/upload:", key="runs_import"):
        with st.form("import", clear_on_submit=True, border=False):
            chosen = st.file_uploader(
                "Run files (JSON)",
                accept_multiple_files=True,
                max_upload_size=min(MAX_BYTES // 1024**2, session.host_settings().max_upload_mb),
                help="Exported here, or written by `python -m lib.benchmark`: one run, or several "
                "by its `record`.",
                key="runs_files",
            )
            submitted = st.form_submit_button("Import", icon=":material/upload:")
        if submitted and not chosen:
            st.info("Choose a file first.")
        host = session.host_settings()
        limits = replace(READING, seconds=host.max_read_s, memory_mb=host.max_read_mb)
        for upload in uploads.taken(chosen) if submitted and chosen else []:
            with show_error(ends_page=False):
                check_room(host)
                entries = store.import_all(upload.getvalue(), upload.name, limits)
                log.by_visitor("run_imported", bytes=upload.size)
                said = entries[0].card.name if len(entries) == 1 else f"{len(entries)} runs"
                was = "was" if len(entries) == 1 else "were"
                st.success(literal(f"{said} {was} imported."), icon=":material/check:")


def choose(entries: Sequence[Entry]) -> list[Entry]:
    """Draw the filters and the table, and return the runs that are ticked, at most four."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Filter", key="r_filter", bind="query-params", placeholder="name, operation, backend …"
        )
        origins = st.pills(
            "From",
            [origin.name for origin in Origin],
            format_func=lambda name: Origin[name].value,
            selection_mode="multi",
            key="r_origin",
            bind="query-params",
        )
    newest_first = sorted(entries, key=lambda entry: entry.digest.time, reverse=True)
    shown = [
        entry
        for entry in newest_first
        if (not origins or entry.card.origin in origins) and _matches(entry, text)
    ]
    if not shown:
        st.info("No run matches the filter.")
        return []
    linked = st.query_params.get(CHOSEN_PARAMETER, "").split(",")
    event = show_table(
        _table(shown),
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={
            "selection": {"rows": [i for i, one in enumerate(shown) if one.id in linked]}
        },
        key=table_key([entry.id for entry in shown]),
        column_config={
            "Result": st.column_config.TextColumn(
                help="The gain that the run's headline names, or what the run advises", width=105
            ),
            "When": st.column_config.DatetimeColumn(format="YYYY-MM-DD", width=95),
            "Wait": st.column_config.TextColumn(
                help="Simulated: added to each embedding, as a remote provider would take",
                width=65,
            ),
            "Backend": st.column_config.TextColumn(width=130),
            "From": st.column_config.TextColumn(width=110),
        },
        alt="The kept runs; tick one to look at it, two to four to compare them",
    )
    ticked = [shown[row] for row in event.selection.rows if row < len(shown)]
    _link([entry.id for entry in ticked])
    if len(ticked) > MAX_RUNS:
        st.warning(f"At most {MAX_RUNS} runs can be compared; the first {MAX_RUNS} are shown.")
    return ticked[:MAX_RUNS]


def table_key(run_ids: Sequence[str]) -> str:
    """Return a key for the table of these runs in this order.

    A tick is a row's number, so each list has a key of its own: no tick moves to another run.
    """
    return "r_table_" + hashlib.sha256("\n".join(run_ids).encode()).hexdigest()


def _link(chosen: list[str]) -> None:
    """Put the chosen runs into the address."""
    now = st.query_params.get(CHOSEN_PARAMETER, "")
    if not chosen and now:
        del st.query_params[CHOSEN_PARAMETER]
    elif chosen and now != ",".join(chosen):
        st.query_params[CHOSEN_PARAMETER] = ",".join(chosen)


def _matches(entry: Entry, text: str) -> bool:
    digest = entry.digest
    haystack = " ".join(
        [entry.card.name, entry.card.notes, digest.headline, digest.backend, *digest.operations]
    ).lower()
    return all(word in haystack for word in text.lower().split())


def _table(entries: Sequence[Entry]) -> pd.DataFrame:
    table = pd.DataFrame(
        [
            {
                "Name": entry.card.name,
                "Result": entry.digest.result,
                "When": pd.to_datetime(entry.digest.time, errors="coerce", utc=True),
                "Wait": f"{entry.digest.latency_ms:g} ms" if entry.digest.latency_ms else "",
                "Backend": entry.digest.backend.replace(" (embedded)", ""),
                "From": entry.origin.value + (", partial" if entry.digest.partial else ""),
                "Notes": entry.card.notes,
            }
            for entry in entries
        ]
    )
    return table if table["Notes"].any() else table.drop(columns="Notes")


def edit(store: RunStore, entry: Entry) -> None:
    """Draw name, notes and Delete of a run of this host; a recorded run cannot be changed."""
    if entry.is_recorded:
        return
    with st.expander("Name and notes", icon=":material/edit:", key="r_edit"):
        with st.form(f"edit_{entry.id}", border=False):
            name = st.text_input("Name", entry.card.name, max_chars=MAX_NAME_CHARS)
            notes = st.text_area("Notes", entry.card.notes, max_chars=MAX_NOTES_CHARS)
            saved = st.form_submit_button("Save", icon=":material/save:")
        if saved:
            with show_error(ends_page=False):
                store.rename(entry, name, notes)
                told.tell("Saved.")
                st.rerun()
        if st.button("Delete", icon=":material/delete:", key=f"r_delete_{entry.id}"):
            store.delete(entry)
            log.by_visitor("run_deleted")
            st.session_state[DELETED_KEY] = (entry.id, entry.card.name)
            told.tell(literal(f"“{entry.card.name}” was deleted."))
            st.rerun()


def undo_deletion(store: RunStore) -> None:
    """Offer to bring back the run that was deleted last."""
    deleted = st.session_state.get(DELETED_KEY)
    if not deleted:
        return
    run_id, name = deleted
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(literal(f"“{name}” was deleted."), icon=":material/delete:")
        undo = st.button("Undo", icon=":material/undo:", key="r_undo")
    if undo:
        del st.session_state[DELETED_KEY]
        if store.restore(run_id) is None:
            st.warning("It is gone for good.")
        else:
            st.rerun()
