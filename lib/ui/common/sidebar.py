"""The sidebar: which Milvus, which collection, how many rows, which embedding."""

import streamlit as st

from lib import jobs
from lib.errors import LabError
from lib.milvus.collections import SCRATCH_PREFIX
from lib.milvus.connection import Description
from lib.settings import check_uri
from lib.ui.common import corpus, session
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
        st.selectbox("Collection", names, key=session.COLLECTION_KEY)
        rows_slot, embedding_slot = st.columns(2)
        rows = loading.progress.done if loading else facts.rows if facts else 0
        rows_slot.metric("Rows", f"{rows:,}")
        embedding_slot.metric("Dimensions", f"{model.dimension:,}")
        st.caption(f"Embedding: {model.label}")
        if loading and follow(loading, key="first_load") and not loading.error:
            st.rerun()  # it ended while this was drawn
        _connect_button()
        _running_benchmark()


def _existing_collections(description: Description) -> list[str]:
    """Return the names to choose from; a choice that is gone falls back to the host's own."""
    own = session.current_settings().collection
    names = sorted({*description.collections, own})
    names = [name for name in names if not name.startswith(SCRATCH_PREFIX)]
    chosen = session.current_collection()
    st.session_state[session.COLLECTION_KEY] = chosen if chosen in names else own
    return names


def _running_benchmark() -> None:
    running = jobs.shared().running("benchmark")
    if running is not None:
        st.caption(f":material/speed: A benchmark is running: {running.label}")


def _connect_button() -> None:
    if st.button("Connect to another Milvus", icon=":material/settings:", width="stretch"):
        _connect()


@st.dialog("Connect")
def _connect() -> None:
    current = session.current_settings()
    with st.form("connect", border=False):
        uri = st.text_input(
            "Milvus URI",
            value="" if current.is_embedded else current.milvus_uri,
            placeholder="http://localhost:19530 or https://….zillizcloud.com",
            help="Milvus Standalone, a cluster, or Zilliz Cloud.",
        )
        token = st.text_input("Token", type="password", help="user:password, or an API key.")
        database = st.text_input("Database", value=current.milvus_database, placeholder="default")
        provider = st.radio(
            "Embedding",
            ["bundled", "openai"],
            format_func={"bundled": "Bundled model", "openai": "OpenAI-compatible"}.get,
            index=["bundled", "openai"].index(current.embedding_provider),
            horizontal=True,
        )
        key = st.text_input("OpenAI key", type="password")
        base_url = st.text_input("OpenAI base URL", value=current.openai_base_url)
        openai_model = st.text_input("OpenAI model", value=current.openai_model)
        submitted = st.form_submit_button("Connect", type="primary")
    st.caption("Credentials stay in this session and are forgotten when the tab is closed.")
    if submitted:
        try:
            if uri.strip():
                override = {
                    "milvus_uri": _visitor_uri(uri),
                    "milvus_token": token.strip(),
                    "milvus_database": database.strip(),
                }
            else:
                override = {}
            override |= {
                "embedding_provider": provider,
                "openai_base_url": base_url.strip(),
                "openai_model": openai_model.strip() or current.openai_model,
            }
            # The host's key is never sent to an address that a visitor typed.
            if key.strip() or base_url.strip() != current.openai_base_url:
                override["openai_api_key"] = key.strip()
            session.check(override)
        except LabError as error:
            error_box(error)
        else:
            session.use(**override)
            st.rerun()
    if session.is_overridden() and st.button("Back to the host's own store"):
        session.use()
        st.rerun()


def _visitor_uri(uri: str) -> str:
    checked = check_uri(uri)
    if checked.endswith(".db"):
        raise LabError(
            "A file on the host can only be chosen with MILVUS_URI.",
            next_step="Give an http(s) address here.",
        )
    return checked
