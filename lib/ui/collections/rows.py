"""Browse the rows of a collection a page at a time; change cells, delete rows, undo."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lib.errors import LabError
from lib.ingestion.batches import checked_text
from lib.jobs import Job
from lib.milvus import milvus_collections, rows
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.filters import equals_any
from lib.milvus.milvus_collections import Collection
from lib.milvus.reading import Row, layout
from lib.milvus.rows import Browser, Change, Edit, Matching
from lib.milvus.undo import Undoable, UndoFolder
from lib.ui.collections import list as collection_list
from lib.ui.visitor import log, session, visitor
from lib.ui.visitor.cleaner import undo_folder
from lib.ui.visitor.errors import error_box, show_error, worded
from lib.ui.widgets import exports, told, typed_filter
from lib.ui.widgets.text import literal
from lib.words import counted, shown_name

PAGE_ROWS = 50
KEY_PIXELS = 160  # room for a key of twenty characters, and for the text beside it on a phone
ROOM = 0.9  # the share of what an undo may hold that an estimate may fill
UNDO_KEY = "rows_undo"
FOUND_KEY = "rows_undo_found"  # whether it was read from the disk
VERSION_KEY = "rows_version"
FINAL_PARAMETER = "final"  # in the address: the file of rows that no undo could put back
NEW_KEYS = "an undo would put the rows back under new keys. A download holds the old ones."
READ_ONLY = "They belong to the host of this public app. Ingest something to have your own."
FAILED_KEY = "rows_failed"  # why a change ended halfway
DROPS_KEY = "collections_dropped"  # how many in this session


def browse(opened: Connection, model: EmbeddingModel, facts: Collection) -> None:
    """Draw a filter, a page of rows that can be changed, and what is about to be saved."""
    if facts.problem:
        _offer_repair(opened, facts, facts.problem)
        if not opened.is_lite:
            return
    typed = typed_filter.filter_input("Filter", opened, model, facts, key="rows_filter")
    try:
        # Kept while the rows are the same: it knows where each page begins.
        browser = typed_filter.found_once(
            opened,
            facts.name,
            typed,
            lambda on_read: Browser(opened, facts.name, typed, PAGE_ROWS, on_read),
            key="rows_filter",
            also=st.session_state.get(VERSION_KEY, 0),
        )
        typed_filter.say(browser.meant, key="rows_filter")
        number = _choose_page(browser)
        page = browser.page(number)
    except LabError as error:
        error_box(error)
        return
    if not page:
        st.info(
            typed_filter.nothing_found(browser.meant, opened, model, facts),
            icon=":material/search_off:",
        )
        return
    why = _why_read_only(opened, facts)
    if why:
        st.info(why, title="These rows can only be read", icon=":material/lock:")
    shape = browser.layout
    fixed = {shape.key.name, *_fixed_columns(page)}
    if not why and (keys_made := rows.why_fixed(opened, shape)):
        # Nothing can be changed, only deleted.
        fixed |= {shape.text, *(name for row in page for name in row)}
        st.caption(f"{keys_made}: no cell can be changed, and {NEW_KEYS}")
    if shape.text and (other := _other_model(facts, model)):
        fixed.add(shape.text)
        if not why:
            st.caption(f"The column {literal(shape.text)} is fixed: {literal(other)}")
    # Here, because the table's toolbar covers what is directly above it.
    st.caption(
        "Hover over the table to search or enlarge it."
        if why
        else "Double-click a cell to change it; tick rows and press Delete. Nothing is written "
        "before you save, and leaving the page loses the changes."
    )
    frame = _frame(page, browser)
    key = f"rows_{facts.name}_{number}_{typed}_{st.session_state.get(VERSION_KEY, 0)}"
    st.data_editor(
        frame,
        key=key,
        num_rows="fixed" if why else "delete",
        disabled=True if why else list(fixed),
        hide_index=True,
        column_config={
            shape.key.name: st.column_config.TextColumn(pinned=True, width=KEY_PIXELS),
        }
        | ({shape.text: st.column_config.TextColumn(width="large")} if shape.text else {}),
        alt=f"Rows of {shown_name(facts.name)}",
    )
    if not why:
        _offer_save(opened, model, facts, browser, page, st.session_state.get(key, {}))


def delete_many(opened: Connection, model: EmbeddingModel, facts: Collection) -> None:
    """Draw a delete by expression or by keys: first the count, then the button."""
    # After a drop the zone is another one: closed, and with nothing typed for what is gone.
    round_ = st.session_state.get(DROPS_KEY, "")
    with st.expander("Delete many", icon=":material/delete_sweep:", key=f"delete_many{round_}"):
        how = st.segmented_control(
            "Which rows",
            ["expression", "keys"],
            format_func={"expression": "By expression", "keys": "By keys"}.__getitem__,
            default="expression",
            required=True,
            key=f"delete_how{round_}",
        )
        settings = session.current_settings()
        most_bytes = settings.undo_mb << 20
        expr, keys = "", []
        if how == "expression":
            expr = st.text_input(
                "Expression",
                placeholder=typed_filter.example(opened, model, facts),
                key=f"delete_expr{round_}",
            )
        else:
            typed = st.text_area("Keys, one a line", height=120, key=f"delete_keys{round_}")
            keys = [line.strip() for line in typed.splitlines() if line.strip()]
        if not (expr.strip() or keys):
            return
        try:
            shape = layout(opened, facts.name)
            which: dict[str, Any] = {"keys": [shape.parse_key(key) for key in keys], "expr": expr}
            matching = rows.matching(opened, facts.name, **which)
        except LabError as error:
            error_box(error)
            return
        st.markdown(f"Matching: **{matching.rows:,}** of {counted(facts.rows, 'row')}.")
        why = _why_not_undone(matching, most_bytes)
        if matching.rows and not why:
            most = most_bytes // max(matching.row_bytes, 1)
            st.caption(f"An undo holds about {most:,} such rows ({settings.undo_mb:,} MB).")
        if matching.new_keys:
            st.warning(f"{matching.new_keys}: {NEW_KEYS}", icon=":material/key:")
        if why or matching.new_keys:
            _offer_file(opened, facts, equals_any(shape.key.name, which["keys"]) if keys else expr)
        is_confirmed = True
        if why:
            st.warning(
                f"These rows cannot be put back: {literal(why)}. Download them first.",
                icon=":material/warning:",
            )
            name = st.text_input(
                "Type the collection's name to delete them", key=f"delete_name_{facts.name}"
            )
            is_confirmed = name == shown_name(facts.name)
        if st.button(
            f"Delete {counted(matching.rows, 'row')}",
            icon=":material/delete:",
            disabled=not matching.rows or not is_confirmed,
            key="delete_start",
        ):
            bar = st.progress(0.0)

            def show(kept: int) -> None:
                bar.progress(min(kept / matching.rows, 1.0), f"Keeping {kept:,} rows for an undo")

            def delete(keep: Callable[[Change], None]) -> None:
                rows.delete(
                    opened,
                    opened.store(facts.name, model.embeddings),
                    facts.name,
                    **which,
                    keep=keep,
                    most_bytes=0 if why else most_bytes,
                    on_progress=show,
                )

            _write(delete)


def _why_not_undone(matching: Matching, most_bytes: int) -> str:
    # With some room, because the rows of the sample may be shorter than the others.
    if matching.undo_bytes > ROOM * most_bytes:
        most = most_bytes // max(matching.row_bytes, 1)
        return (
            f"an undo holds {most_bytes / 2**20:,.0f} MB, about {most:,} such rows, and these take "
            f"more than {matching.undo_bytes / 2**20:,.0f} MB"
        )
    return matching.why_final


def _offer_file(opened: Connection, facts: Collection, expr: str) -> None:
    """Make a file of the rows that are about to go, in the format that Ingestion takes."""
    subject = f"{facts.name}:delete"
    if st.button("Download these rows", icon=":material/download:", key="delete_download"):

        def write(path: Path, job: Job) -> str:
            return counted(rows.export(opened, facts.name, path, expr=expr, job=job), "row")

        with show_error(ends_page=False):
            exports.start(
                "Exporting rows",
                f"{shown_name(facts.name)}_deleted.jsonl",
                write,
                subject=subject,
                parameter=FINAL_PARAMETER,
                is_short=facts.rows <= session.SHORT_READ,
                opened=opened,
            )
    exports.offer(subject=subject, parameter=FINAL_PARAMETER)


def _offer_repair(opened: Connection, facts: Collection, problem: LabError) -> None:
    """Say why a collection cannot be read or searched, and offer to mend that."""
    st.warning(literal(problem.what), icon=":material/build:")
    unindexed = facts.schema.unindexed
    label = "Build the index" if unindexed else "Load the collection"
    if opened.may_write(facts.name) and st.button(label, icon=":material/build:", key="repair"):
        mend = milvus_collections.build_indexes if unindexed else milvus_collections.load
        with show_error(ends_page=False), st.spinner(f"{label} …"):
            mend(opened, facts.name)
            _read_anew()


def _write(change_rows: Callable[[Callable[[Change], None]], None]) -> None:
    """Change rows and keep for an undo what was changed, even when a part failed.

    If nothing was changed, the earlier undo stays.
    """
    done: list[Change] = []
    try:
        with session.in_turn("Changing rows", subject="change"):
            change_rows(done.append)
    except (LabError, TimeoutError) as error:
        failure = worded(error)
        if not done:
            error_box(failure)
            return
        kept = "What stands below was done before that."
        st.session_state[FAILED_KEY] = LabError(
            failure.what, kept=kept, next_step=failure.next_step
        )
    log.by_visitor("rows_changed", rows=sum(each.count for each in done))
    undoable = Undoable(session.current_settings().milvus_id, tuple(done))
    st.session_state[UNDO_KEY], st.session_state[FOUND_KEY] = undoable, False
    _kept_on_disk().keep(visitor.owner(), undoable)
    _read_anew(f"{', '.join(map(_in_words, done))}.")


def _kept_on_disk() -> UndoFolder:
    host = session.host_settings()
    return UndoFolder(undo_folder(host), host.undo_mb << 20)


def _last_change() -> Undoable | None:
    """Return what this session changed last, or else what its owner did before a restart."""
    mine: Undoable | None = st.session_state.get(UNDO_KEY)
    kept = _kept_on_disk()
    is_known = kept.has(visitor.owner())
    if st.session_state.get(FOUND_KEY) and not is_known:
        # It was put back or forgotten in another tab.
        st.session_state.pop(UNDO_KEY, None)
        mine = None
    if mine is None and is_known:
        mine = st.session_state[UNDO_KEY] = kept.find(visitor.owner())
        st.session_state[FOUND_KEY] = mine is not None
    return mine


def _forget_change() -> None:
    told.tell("")
    st.session_state.pop(UNDO_KEY, None)
    _kept_on_disk().forget(visitor.owner())


def offer_undo(opened: Connection) -> None:
    """Say what was done and offer its undo, at the bottom of the window: in view everywhere."""
    if failed := st.session_state.pop(FAILED_KEY, None):
        with st.bottom:
            error_box(failed)
    done = _last_change()
    # Rows of one Milvus are never put back into another that has a collection of the same name.
    milvus = session.current_settings().milvus_id
    if done is None or not done.changes or done.milvus != milvus:
        return
    changes = done.changes
    with st.bottom, st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/check: {', '.join(map(_in_words, changes))}.", width="stretch")
        left_s = min(change.left_s for change in changes)
        if all(change.can_be_undone for change in changes) and st.button(
            "Undo",
            icon=":material/undo:",
            help=f"Possible for {max(left_s / 60, 1):.0f} more minutes.",
            key="rows_undo_start",
        ):
            with show_error(ends_page=False):
                try:
                    with session.in_turn("Putting rows back", subject="change"):
                        back = sum(rows.undo(opened, change) for change in changes)
                except LabError:
                    _kept_on_disk().keep(visitor.owner(), done)  # what is back is not kept
                    raise
                _forget_change()
                _read_anew(f"Put back {counted(back, 'row')}.")
        if all(change.can_be_undone for change in changes):
            exports.download(
                "Download the rows as they were",
                lambda: b"".join(change.as_json_lines() for change in changes),
                f"{shown_name(changes[0].collection)}_before.jsonl",
                "application/jsonl",
                key="rows_undo_download",
                type="tertiary",
            )
        if st.button("Dismiss", key="rows_undo_forget", type="tertiary"):
            _forget_change()
            st.rerun()


def _in_words(change: Change) -> str:
    number, name = counted(change.count, "row"), literal(shown_name(change.collection))
    return {
        "deleted": f"Deleted {number} from “{name}”",
        "changed": f"Changed {number} of “{name}”",
    }[change.kind]


def _choose_page(browser: Browser) -> int:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(counted(browser.total, "row", bold=True), width="content")
        if browser.total < browser.stored:
            st.caption(
                f"{browser.stored:,} rows are stored under {browser.total:,} keys; Milvus shows "
                "one row of each key."
            )
        number = st.pagination(
            browser.pages, key=f"rows_page_{browser.name}_{browser.pages}", width="stretch"
        )
        if st.button("Refresh", icon=":material/refresh:", key="rows_refresh", type="tertiary"):
            _read_anew()
    return int(number)


def _why_read_only(opened: Connection, facts: Collection) -> str:
    if not opened.may_write(facts.name):
        return READ_ONLY
    return facts.problem.what if facts.problem else ""


def _other_model(facts: Collection, model: EmbeddingModel) -> str:
    """Return why a changed text could not be embedded as the others were, "" when it can."""
    try:
        milvus_collections.check_fits(facts, model.dimension, embedding=model.model)
    except LabError as error:
        return error.what
    return ""


def _frame(page: list[Row], browser: Browser) -> pd.DataFrame:
    shape = browser.layout
    names = dict.fromkeys(filter(None, [shape.key.name, shape.text]))
    for row in page:
        names |= dict.fromkeys(shape.metadata_of(row))
    # A key is shown as a text, also where it is a number.
    fixed = _fixed_columns(page) | {shape.key.name}
    return pd.DataFrame(
        {
            name: [
                str(value) if name in fixed and value is not None else value
                for value in (row.get(name) for row in page)
            ]
            for name in names
        }
    )


def _fixed_columns(page: list[Row]) -> set[str]:
    """Return the columns that no cell editor can hold: lists, objects, and mixed kinds."""
    kinds: dict[str, set[type]] = {}
    for row in page:
        for name, value in row.items():
            if value is not None:
                kinds.setdefault(name, set()).add(type(value))
    plain = ({str}, {bool}, {int}, {float}, {int, float})
    return {name for name, seen in kinds.items() if seen not in plain}


def _offer_save(
    opened: Connection,
    model: EmbeddingModel,
    facts: Collection,
    browser: Browser,
    page: list[Row],
    edits: Any,
) -> None:
    gone = {int(i) for i in edits.get("deleted_rows", [])}
    deleted = [page[i][browser.layout.key.name] for i in sorted(gone)]
    edited = {int(i): dict(cells) for i, cells in dict(edits.get("edited_rows", {})).items()}
    changed = {i: cells for i, cells in edited.items() if i not in gone}
    if not (changed or deleted):
        return
    parts = [f"change {counted(len(changed), 'row')}"] if changed else []
    parts += [f"delete {counted(len(deleted), 'row')}"] if deleted else []
    # Beside the changed cell, wherever in a long table it is.
    with st.bottom, st.container(horizontal=True, vertical_alignment="center"):
        saved = st.button(
            f"Save: {', '.join(parts)}", type="primary", icon=":material/save:", key="rows_save"
        )
        if st.button("Discard", key="rows_discard"):
            _read_anew()
    if not saved:
        return

    def save(keep: Callable[[Change], None]) -> None:
        store = opened.store(facts.name, model.embeddings)
        if changed:
            edits = [_edited(page[i], cells, browser) for i, cells in changed.items()]
            rows.update(opened, store, edits, keep=keep)
        if deleted:
            rows.delete(opened, store, facts.name, keys=deleted, keep=keep)

    _write(save)


def _edited(row: Row, cells: dict[str, Any], browser: Browser) -> Edit:
    shape = browser.layout
    if shape.text in cells:
        cells = cells | {shape.text: checked_text(str(cells[shape.text] or ""))}
    return Edit(row[shape.key.name], cells)


def _read_anew(done: str = "") -> None:
    """Show the rows as they are now; the editor forgets its edits."""
    st.session_state[VERSION_KEY] = st.session_state.get(VERSION_KEY, 0) + 1
    collection_list.draw_anew(done)
