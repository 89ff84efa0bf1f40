"""Parts of a page that are our own JavaScript."""

from typing import Any

import streamlit as st


@st.cache_resource(show_spinner=False)
def component(name: str, *, js: str, html: str | None = None, css: str | None = None) -> Any:
    """Return a component of Streamlit, registered once in a process."""
    return st.components.v2.component(name, html=html, css=css, js=js)
