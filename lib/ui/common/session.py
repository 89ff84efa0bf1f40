"""What a page works with: settings, connection, embedding model, the chosen collection."""

import dataclasses
import itertools
import time
from typing import Any

import streamlit as st

from lib import event_loop, jobs, settings
from lib.errors import LabError, SettingsError
from lib.milvus import collections as milvus_collections
from lib.milvus.collections import Collection
from lib.milvus.connection import Connection, Description, open_connection
from lib.milvus.embeddings import EmbeddingModel, open_model
from lib.settings import Settings
from lib.ui.common.errors import error_box, show_error

# The web process keeps asyncio as it is; only notebooks may nest loops.
event_loop.shared().forbid_nesting()

COLLECTION_KEY = "lab_collection"
OVERRIDE_KEY = "lab_connection_override"
FRAME_KEY = "lab_frame"
FAILURE_KEY = "lab_connection_failure"
FAILURE_HOLDS_S = 3.0


@st.cache_resource(show_spinner=False)
def _host_settings() -> Settings | SettingsError:
    try:
        secrets = dict(st.secrets)
    except (FileNotFoundError, st.errors.StreamlitSecretNotFoundError):
        secrets = {}
    try:
        return settings.load(secrets=secrets)
    except SettingsError as error:
        return error


def frame_is_drawn() -> None:
    """Note that app.py runs in this session, with its navigation around the page."""
    st.session_state[FRAME_KEY] = True


def _require_frame() -> None:
    """Run again under app.py when a page was run by itself.

    The first script of a process that is asked for by a deep link, as after a night's sleep of a
    hosted app, is run by Streamlit's discovery of `pages/` and without app.py; the next is not.
    """
    if FRAME_KEY not in st.session_state:
        st.session_state[FRAME_KEY] = False
        # Calling st.navigation is what switches the discovery off for the whole process.
        pages = sorted((settings.PROJECT_ROOT / "pages").glob("*.py"))
        st.navigation([st.Page(page) for page in pages], position="hidden")
        st.rerun()


def current_settings() -> Settings:
    """Return the host's settings with what this visitor typed; stop the page if they are wrong."""
    _require_frame()
    loaded = _host_settings()
    if isinstance(loaded, SettingsError):
        error_box(loaded)
        st.stop()
    override: dict[str, Any] = st.session_state.get(OVERRIDE_KEY, {})
    return dataclasses.replace(loaded, **override)


def use(**override: Any) -> None:
    """Point this visitor's session at another Milvus or embedding provider."""
    st.session_state[OVERRIDE_KEY] = override
    st.session_state.pop(FAILURE_KEY, None)
    st.session_state.pop(COLLECTION_KEY, None)


def check(override: dict[str, Any]) -> None:
    """Try a visitor's connection and embedding before using them. Raises LabError."""
    loaded = _host_settings()
    if isinstance(loaded, SettingsError):
        raise loaded
    tried = dataclasses.replace(loaded, **override)
    open_model(tried)
    if tried.milvus_uri != loaded.milvus_uri:
        open_connection(tried).close()


def is_overridden() -> bool:
    """Say whether this visitor chose a connection of their own."""
    return bool(st.session_state.get(OVERRIDE_KEY))


@st.cache_resource(show_spinner=False, max_entries=16, on_release=lambda opened: opened.close())
def _open_connection(uri: str, token: str, database: str, _settings: Settings) -> Connection:
    return open_connection(_settings)


@st.cache_resource(show_spinner=False, max_entries=16)
def _open_model(
    provider: str, key: str, base_url: str, model: str, _settings: Settings
) -> EmbeddingModel:
    return open_model(_settings)


def connection() -> Connection:
    """Return the open connection of this visitor's settings. Raises ConnectionFailed."""
    chosen = current_settings()
    key = (chosen.milvus_uri, chosen.milvus_token, chosen.milvus_database)
    failed_at, failure = st.session_state.get(FAILURE_KEY, (0.0, None))
    if failure is not None and time.monotonic() - failed_at < FAILURE_HOLDS_S:
        raise failure
    try:
        opened = _open_connection(*key, chosen)
        if not opened.is_lite or opened.closed:
            opened.ping()
    except LabError as error:
        # Forget the connection, so that the next try opens a fresh one instead of failing for ever;
        # remember the failure for a moment, so that sidebar and page wait for it only once.
        _open_connection.clear(*key, chosen)
        st.session_state[FAILURE_KEY] = time.monotonic(), error
        raise
    return opened


def model() -> EmbeddingModel:
    """Return the embedding model of this visitor's settings. Raises EmbeddingFailed."""
    chosen = current_settings()
    return _open_model(
        chosen.embedding_provider,
        chosen.openai_api_key,
        chosen.openai_base_url,
        chosen.openai_model,
        chosen,
    )


def connection_or_stop() -> Connection:
    """Return the open connection, or show why there is none and end the page."""
    with show_error(), st.spinner("Connecting to Milvus …"):
        return connection()


def model_or_stop() -> EmbeddingModel:
    """Return the embedding model, or show why there is none and end the page."""
    with show_error(), st.spinner("Loading the embedding model …"):
        return model()


def current_collection() -> str:
    """Return the name of the collection that the pages work on."""
    return str(st.session_state.get(COLLECTION_KEY) or current_settings().collection)


@st.cache_data(ttl=15, show_spinner=False)
def _facts(connection_id: str, name: str, _connection: Connection) -> Collection | None:
    return (
        milvus_collections.describe(_connection, name)
        if milvus_collections.exists(_connection, name)
        else None
    )


def collection_facts(opened: Connection, name: str = "") -> Collection | None:
    """Return a collection's facts, at most 15 s old, or None when it does not exist.

    Without a name it is the chosen one.
    """
    return _facts(opened.id, name or current_collection(), opened)


@st.cache_data(ttl=5, show_spinner=False)
def _description(connection_id: str, _connection: Connection) -> Description:
    return _connection.describe()


def description(opened: Connection) -> Description:
    """Return who answers and which collections there are, at most 5 s old."""
    return _description(opened.id, opened)


_versions = itertools.count(1)
_version = 0


def rows_version() -> int:
    """Return a number that changes whenever rows were changed."""
    return _version


def rows_changed() -> None:
    """Forget remembered row counts and collections after something was written."""
    global _version  # noqa: PLW0603 - one number for the process
    _version = next(_versions)
    _facts.clear()
    _description.clear()


def collection_or_stop(opened: Connection) -> Collection:
    """Return the chosen collection, or say how to fill one and end the page."""
    with show_error():
        facts = collection_facts(opened)
    if facts is None or facts.rows == 0:
        loading = jobs.shared().running(f"ingest:{current_collection()}")
        if loading is not None:
            st.info(
                "This page goes on by itself as soon as the rows are there.",
                title=loading.label,
                icon=":material/hourglass:",
            )
            st.stop()
        st.info(
            "Load the standard library's docstrings or your own documents first.",
            title="There is nothing to search yet",
            icon=":material/inbox:",
        )
        st.page_link("pages/ingestion.py", label="Go to Ingestion", icon=":material/upload_file:")
        st.stop()
    with show_error():
        chosen = model()
        milvus_collections.check_fits(opened, facts, chosen.dimension, embedding=chosen.model)
    return facts
