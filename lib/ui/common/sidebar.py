"""The sidebar: which Milvus, which collection, how many rows, which embedding."""

from datetime import UTC, datetime

import streamlit as st

from lib import jobs
from lib.errors import LabError
from lib.milvus.addresses import check_allowed
from lib.milvus.connection import Description
from lib.milvus.territory import Territory, is_scratch, shown_name
from lib.settings import check_uri
from lib.ui.common import corpus, memory, session
from lib.ui.common.errors import error_box
from lib.ui.common.progress import follow


def show() -> None:
    """Draw the status on every page; a failure is said here and again on the page that needs it."""
    session.frame_is_drawn()
    with st.sidebar:
        try:
            opened = session.connection()
            description = session.description(opened)
            model = session.model()
            names = _existing_collections(description)
            facts, loading = corpus.facts_unless_loading(opened)
        except LabError as error:
            st.badge("Not connected", icon=":material/cloud_off:", color="red")
            st.caption(error.what)
            _connect_button()
            return
        st.badge(description.label, icon=":material/database:", color="green")
        st.caption(f"{description.address} · version {description.version}")
        st.selectbox(
            "Collection",
            names,
            key=session.COLLECTION_KEY,
            format_func=lambda name: (
                shown_name(name) if opened.may_write(name) else f"{name} (read only)"
            ),
        )
        rows_slot, embedding_slot = st.columns(2)
        rows = loading.progress.done if loading else facts.rows if facts else 0
        rows_slot.metric("Rows", f"{rows:,}")
        embedding_slot.metric("Dimensions", f"{model.dimension:,}")
        st.caption(f"Embedding: {model.label}")
        if loading and follow(loading, key="first_load") and not loading.error:
            st.rerun()  # it ended while this was drawn
        if opened.territory is not None:
            _show_limits(opened.territory)
        _connect_button()
        _running_benchmark()


def _existing_collections(description: Description) -> list[str]:
    """Return the names to choose from; a choice that is gone falls back to the host's own."""
    own = session.current_settings().collection
    names = sorted({*description.collections, own})
    names = [name for name in names if not is_scratch(name)]
    chosen = session.current_collection()
    following = st.session_state.get(session.NEXT_KEY)
    if following in names:
        chosen = st.session_state.pop(session.NEXT_KEY)
    st.session_state[session.COLLECTION_KEY] = chosen if chosen in names else own
    return names


def _running_benchmark() -> None:
    running = jobs.shared().running("benchmark")
    if running is not None:
        own = running.owner == session.share().owner
        label = f": {running.label}" if own else "."
        st.caption(f":material/speed: A benchmark is running{label}")


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
                    "Rows in one ingestion": f"{limits.max_rows:,}",
                    "A file": f"{limits.max_upload_mb:,} MB",
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
    st.caption(f"Memory: {memory.used_mb():,.0f} of {limits.max_memory_mb:,} MB")


def _connect_button() -> None:
    if st.button("Connect to another Milvus", icon=":material/settings:", width="stretch"):
        _connect()


@st.dialog("Connect")
def _connect() -> None:
    current = session.current_settings()
    is_hosts = current.public and not session.is_overridden()
    with st.form("connect", border=False):
        uri = st.text_input(
            "Milvus URI",
            value="" if current.is_embedded or is_hosts else current.milvus_uri,
            placeholder="http://localhost:19530 or https://….zillizcloud.com",
            help="Milvus Standalone, a cluster, or Zilliz Cloud.",
        )
        token = st.text_input("Token", type="password", help="user:password, or an API key.")
        database = st.text_input(
            "Database",
            # What the host set for its own address is nobody else's to see.
            value="" if is_hosts else str(current.milvus_database),
            placeholder="default",
        )
        provider = st.radio(
            "Embedding",
            ["bundled", "openai"],
            format_func={"bundled": "Bundled model", "openai": "OpenAI-compatible"}.get,
            index=["bundled", "openai"].index(current.embedding_provider),
            horizontal=True,
        )
        key = st.text_input("OpenAI key", type="password")
        base_url = st.text_input(
            "OpenAI base URL", value="" if is_hosts else current.openai_base_url
        )
        openai_model = st.text_input("OpenAI model", value=current.openai_model)
        submitted = st.form_submit_button("Connect", type="primary")
    st.caption("Credentials stay in this session and are forgotten when the tab is closed.")
    if submitted:
        try:
            chosen = current.pointed_at(
                session.host_settings(),
                milvus_uri=_visitor_address(uri) or current.milvus_uri,
                milvus_token=token.strip(),
                milvus_database=database.strip(),
                embedding_provider=provider,
                openai_base_url=_visitor_address(base_url, "The OpenAI base URL")
                or current.openai_base_url,
                openai_api_key=key.strip(),
                openai_model=openai_model.strip() or current.openai_model,
            )
            session.check(chosen)
        except LabError as error:
            error_box(error)
        else:
            session.use(chosen)
            st.rerun()
    if session.is_overridden() and st.button("Back to the host's own store"):
        session.use(None)
        st.rerun()


def _visitor_address(typed: str, name: str = "The Milvus URI") -> str:
    """Return an address that a visitor may use, empty for none. Raises LabError."""
    address = typed.strip()
    if not address:
        return ""
    # First of all, so that no other message tells one refused address from another.
    check_allowed(address, session.host_settings())
    if "://" not in check_uri(address, name=name):
        raise LabError(
            "A file on the host can only be chosen with MILVUS_URI.",
            next_step="Give an http(s) address here.",
        )
    return address
