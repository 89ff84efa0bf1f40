"""Code tabs: the sync and the async version of what was just done."""

import streamlit as st

from lib.milvus.snippets import Snippet


def snippet(code: Snippet, *, key: str, title: str = "The code for this") -> None:
    """Draw the two versions beside each other in tabs, each copyable."""
    with st.expander(title, icon=":material/code:", key=key):
        sync_tab, async_tab = st.tabs(["Sync", "Async"])
        sync_tab.code(code.sync, language="python")
        async_tab.code(code.asynchronous, language="python")
