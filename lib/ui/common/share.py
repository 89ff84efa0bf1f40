"""A link to what a page shows, to be copied."""

from urllib.parse import quote, urlsplit

import streamlit as st


def copy_link(page: str, **parameters: str) -> None:
    """Draw a button that shows the address of a page with these parameters, ready to be copied."""
    shown = urlsplit(str(st.context.url or ""))
    root = f"{shown.scheme}://{shown.netloc}{shown.path.rpartition('/')[0]}"
    query = "&".join(f"{name}={quote(value, safe=',')}" for name, value in parameters.items())
    with st.popover("Copy link", icon=":material/link:"):
        st.code(f"{root}/{page}?{query}", language=None, wrap_lines=True)
