"""What this tab worked with, kept by the tab itself so that a refresh does not lose it.

A refresh starts a new session, and the session before it had the credentials and the choice of a
collection. The tab keeps address and collection in its `sessionStorage`, never a secret. A cookie
without content tells the server that some tab of this browser keeps something, so that only those
wait for the answer.
"""

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from lib.ui.visitor.component import component

# What the tab may keep: never the token or the key of the embedding provider.
REMEMBERED = (
    "milvus_uri",
    "milvus_database",
    "embedding_provider",
    "openai_base_url",
    "openai_model",
    "openai_http_client",
)
MAX_CHARS = 500
COOKIE = "lab_connected_elsewhere"
LOST_KEY = "tab_was_connected_to"
COLLECTION_KEY = "tab_had_chosen"
WRITTEN_KEY = "tab_has_written"

JS = """
const KEY = "milvus-async-lab-connection";
export default function ({ data, setStateValue }) {
  if (data.keep) {
    sessionStorage.setItem(KEY, data.keep);
    document.cookie = data.cookie + "=1; path=/; SameSite=Lax";
  } else if (data.forget) {
    sessionStorage.removeItem(KEY);
  } else if (data.ask) {
    setStateValue("found", sessionStorage.getItem(KEY) || "nothing");
  }
}
"""


def has_note() -> bool:
    """Say whether a tab of this browser may know of a connection that this session lost."""
    return bool(lost()) or _is_to_be_asked()


def _is_to_be_asked() -> bool:
    return LOST_KEY not in st.session_state and st.context.cookies.get(COOKIE) == "1"


def ask() -> None:
    """Ask the tab once a session what it was connected to, and end the run until it answers.

    `lost` returns the answer. Without the cookie nothing is asked.
    """
    if not _is_to_be_asked():
        return
    answer = component("tab_memory", js=JS)(
        key="tab_ask", data={"ask": True}, on_found_change=lambda: None, default={"found": None}
    )
    if answer.found is None:
        st.stop()
    kept = _checked(answer.found) or {}
    st.session_state[LOST_KEY] = kept if kept.get("milvus_uri") else None
    st.session_state[COLLECTION_KEY] = "" if kept.get("milvus_uri") else kept.get("collection", "")
    st.session_state[WRITTEN_KEY] = bool(kept)


def lost() -> dict[str, str] | None:
    """Return what the tab was connected to before the refresh; None once the visitor has chosen."""
    found: dict[str, str] | None = st.session_state.get(LOST_KEY)
    return found


def collection() -> str:
    """Return the collection that the tab had chosen before a refresh, until it is chosen again."""
    return str(st.session_state.get(COLLECTION_KEY, ""))


def collection_is_chosen() -> None:
    """Note that the tab's collection was chosen again, or is gone."""
    st.session_state[COLLECTION_KEY] = ""


def remember(
    chosen: Mapping[str, Any] | None, *, collection: str = "", key: str = "tab_keep"
) -> None:
    """Let the tab keep what this session is connected to and its chosen collection.

    None is the host's Milvus, an empty collection the host's own; with both the tab forgets. Call
    it in every run of a page.
    """
    if chosen or collection:
        kept = {
            name: _without_credentials(str((chosen or {}).get(name, ""))) for name in REMEMBERED
        } | {"collection": collection}
        component("tab_memory", js=JS)(key=key, data={"keep": json.dumps(kept), "cookie": COOKIE})
        st.session_state[WRITTEN_KEY] = True
    elif st.session_state.get(WRITTEN_KEY):
        component("tab_memory", js=JS)(key=key, data={"forget": True})


def decided() -> None:
    """Note that the visitor has chosen anew."""
    # The tab's own note is replaced or removed in the next run.
    st.session_state[WRITTEN_KEY] = True
    st.session_state[LOST_KEY] = None


def _without_credentials(text: str) -> str:
    """Return an address without the user and password that may stand in it."""
    scheme, separator, rest = text.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else text


def _checked(text: str) -> dict[str, str] | None:
    """Return what a tab says it kept, or None when that is not what this app wrote."""
    try:
        kept = json.loads(text)
    except ValueError:
        return None
    if not isinstance(kept, dict):
        return None
    values = {name: kept.get(name, "") for name in (*REMEMBERED, "collection")}
    usable = all(isinstance(value, str) and len(value) <= MAX_CHARS for value in values.values())
    return values if usable else None
