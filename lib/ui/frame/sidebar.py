"""The sidebar below the places: one line says which Milvus, which collection, how many rows."""

import time
from datetime import UTC, datetime

import streamlit as st

from lib import jobs
from lib.errors import EmbeddingFailed, LabError, StoreBusy
from lib.milvus.connection import Connection, Description
from lib.milvus.territory import Territory, is_scratch
from lib.ui.frame import corpus
from lib.ui.visitor import memory, presence, session, tab, visitor
from lib.ui.widgets import connect, uploads
from lib.ui.widgets.links import RUN_PARAMETER
from lib.ui.widgets.progress import follow
from lib.ui.widgets.text import literal
from lib.words import counted, shown_name

REFRESH_S = 2.0
MISHAP_SHOWN_S = 300.0


def show(page: str) -> None:
    """Draw the status on every page; a page that needs what failed says it again."""
    session.frame_is_drawn(page)
    tab.ask()
    connect.stop_if_lost()
    with st.sidebar:
        # The recorded runs can be read there while a hosted app sleeps.
        if gallery := session.host_settings().gallery_url:
            st.page_link(gallery, label="Recorded runs, also while this app sleeps")
        visitor.give_cookie(session.host_settings())
        presence.here(visitor.owner())
        tab.remember(connect.chosen_elsewhere(), collection=_chosen_by_visitor())
        uploads.bound()
        try:
            opened = session.connection()
            description = session.description(opened)
            model = session.model()
            names = _existing_collections(description)
        except LabError as error:
            kinds = {EmbeddingFailed: "No embedding", StoreBusy: "Busy"}
            st.badge(
                kinds.get(type(error), "Not connected"), icon=":material/cloud_off:", color="red"
            )
            st.caption(error.what)
            connect.connect_button()
            return
        facts, loading, problem = None, None, None
        try:
            facts, loading = corpus.facts_unless_loading(opened)
            problem = facts.problem if facts else None
        except LabError as error:
            # The collection alone is the matter: another one can be chosen.
            problem = error
        rows = loading.progress.done if loading else facts.rows if facts else 0
        _show_mishap(opened)
        with st.popover(
            _status(opened, rows), type="tertiary", key="status", width="stretch", wrap=True
        ):
            _choose_collection(opened, names)
            with st.container(horizontal=True, gap="medium"):
                st.metric("Rows", f"{rows:,}", width="content")
                st.metric("Dimensions", f"{model.dimension:,}", width="content")
            st.caption(
                f"{opened.label} · {opened.address} · version {description.version}  \n"
                f"Embedding: {model.label}"
            )
            if opened.territory is not None:
                _show_limits(opened.territory)
        if problem:
            st.caption(f":material/warning: {literal(problem.what)}")
        if loading and follow(loading, key="first_load") and not loading.error:
            st.rerun()  # it ended while this was drawn
        connect.connect_button()
        _running_benchmark()


def _status(opened: Connection, rows: int) -> str:
    """Return the one line: which Milvus, which collection, how many rows."""
    name = literal(shown_name(session.current_collection()))
    milvus = opened.label.removesuffix(" (embedded)")
    return f":green[●] **{milvus}** · {name} · {counted(rows, 'row')}"


def _chosen_by_visitor() -> str:
    """Return the collection that the tab may keep, as it is shown; empty for the host's own."""
    if before := tab.collection():
        return before
    chosen = session.current_collection()
    return "" if chosen == session.current_settings().collection else shown_name(chosen)


def _choose_collection(opened: Connection, names: list[str]) -> None:
    key = session.collection_widget()
    st.selectbox(
        "Collection",
        names,
        index=names.index(session.current_collection()),
        key=key,
        on_change=lambda: session.pick_collection(st.session_state[key]),
        format_func=lambda name: (
            shown_name(name) if opened.may_write(name) else f"{name} (read only)"
        ),
    )


def _show_mishap(opened: Connection) -> None:
    """Say for some minutes that Milvus Lite ended and was started again."""
    mishap = opened.mishap
    if mishap is not None and time.monotonic() - mishap.at < MISHAP_SHOWN_S:
        st.warning(mishap.sentence, icon=":material/restart_alt:")


def _existing_collections(description: Description) -> list[str]:
    """Return the names to choose from; if the chosen one is gone, choose the host's own."""
    own = session.current_settings().collection
    names = sorted({*description.collections, own})
    names = [name for name in names if name == own or not is_scratch(name)]
    if before := tab.collection():
        # A refresh: the tab knows it as it is shown.
        session.use_collection(next((name for name in names if shown_name(name) == before), None))
        tab.collection_is_chosen()
    if st.session_state.get(session.NEXT_KEY) in names:
        session.use_collection(st.session_state.pop(session.NEXT_KEY))
    elif session.current_collection() not in names:
        session.use_collection(None)
    return names


def _running_benchmark() -> None:
    """Draw a link to the benchmark that runs now; it follows the queue by itself."""
    if jobs.shared().running("benchmark") is None:
        return

    @st.fragment(run_every=REFRESH_S, key="sidebar_benchmark")
    def _link() -> None:
        running = jobs.shared().running("benchmark")
        if running is not None and running.owner != session.share().owner:
            # A visitor's run is shown to nobody else.
            st.caption(":material/speed: A benchmark is running.")
        elif running is not None:
            st.page_link(
                "pages/benchmark.py",
                label=f"Running: {running.label}",
                icon=":material/speed:",
                query_params={RUN_PARAMETER: running.id},
            )

    _link()


def _show_limits(territory: Territory) -> None:
    """Say what a visitor may do here, before a limit strikes."""
    limits = session.host_settings()
    until = datetime.fromtimestamp(territory.expires, UTC)
    st.caption(f"Your own collections and runs are dropped at {until:%H:%M} UTC.")
    with st.expander("Limits here", icon=":material/info:"):
        st.markdown(
            "\n".join(
                f"- {name}: {value}"
                for name, value in {
                    "The host's collections": "read only",
                    "Your collections": f"{limits.max_collections:,}",
                    "Rows in them": f"{limits.max_kept_rows:,}",
                    "Your runs": f"{limits.max_runs:,}",
                    "Rows in one ingestion": f"{limits.max_rows:,}",
                    "Kept and deleted runs": f"{limits.max_runs_mb:,} MB",
                    "A file": f"{limits.max_upload_mb:,} MB",
                    "Your uploaded files": f"{limits.max_uploads_mb:,} MB",
                    "An archive, unpacked": f"{limits.max_unpacked_mb:,} MB",
                    "Pasted text": f"{limits.max_text_chars:,} characters",
                    "Calls in one trial": f"{limits.max_calls:,}",
                    "Calls at once": f"{limits.max_concurrency:,}",
                    "Your jobs at a time": f"{limits.max_jobs:,}",
                    "One job": f"{limits.max_run_s:,} s",
                    "All visitors' files": f"{limits.max_disk_mb:,} MB",
                }.items()
            )
        )
    st.caption(f"Memory: {memory.lately_used_mb():,.0f} of {limits.max_memory_mb:,} MB")
