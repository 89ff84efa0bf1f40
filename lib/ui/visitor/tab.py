"""What this tab was connected to, kept by the tab itself so that a refresh can say it.

A refresh starts a new session, and the session before it had the credentials. The tab keeps the
address in its `sessionStorage`, never a secret. A cookie without content tells the server that
some tab of this browser has such an address, so that only those wait for the answer.
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
    st.session_state[LOST_KEY] = _checked(answer.found)


def lost() -> dict[str, str] | None:
    """Return what the tab was connected to before the refresh; None once the visitor has chosen."""
    found: dict[str, str] | None = st.session_state.get(LOST_KEY)
    return found


def remember(chosen: Mapping[str, Any] | None, *, key: str = "tab_keep") -> None:
    """Let the tab keep what this session is connected to; None makes it forget.

    Call it in every run of a page.
    """
    if chosen:
        kept = {name: _without_credentials(str(chosen.get(name, ""))) for name in REMEMBERED}
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
    values = {name: kept.get(name, "") for name in REMEMBERED}
    usable = all(isinstance(value, str) and len(value) <= MAX_CHARS for value in values.values())
    return values if usable and values["milvus_uri"] else None
