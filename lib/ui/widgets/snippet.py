"""The code of what was just done, as programs to copy, to download, or to open as a notebook."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.milvus_collections import Collection
from lib.milvus.place import place_of
from lib.programs.snippet import OWN, Place, Snippet
from lib.ui.visitor.session import current_settings, is_hosts
from lib.ui.widgets.exports import download
from lib.ui.widgets.folded import folded


def here(opened: Connection, model: EmbeddingModel, collection: Collection | None = None) -> Place:
    """Return what this visitor works on, for code; a public app names no folder of its host."""
    current = current_settings()
    hidden = current.public
    of = (collection.name, collection.metric_type) if collection else (OWN,)
    place = place_of(opened, model, *of, hide_paths=hidden)
    # The name of the host's database is one of its secrets.
    return replace(place, database="") if hidden and is_hosts(current) else place


def snippet(make: Callable[[], Snippet], *, key: str, title: str = "The code for this") -> None:
    """Draw each program in a tab, to copy or download, and all of them as one notebook."""
    folded(title, lambda: _draw(make(), title, key), icon=":material/code:", key=key)


def _draw(code: Snippet, title: str, key: str) -> None:
    programs = code.programs
    for name, tab in zip(programs, st.tabs(list(programs), default="Async"), strict=True):
        word = name.lower().replace(" ", "_")
        with tab:
            st.code(programs[name], language="python")
            download(
                "Download as script",
                programs[name],
                f"{OWN}_{word}.py",
                "text/x-python",
                key=f"{key}_{word}_script",
            )
    download(
        "Open as notebook",
        code.notebook(title),
        f"{OWN}.ipynb",
        "application/x-ipynb+json",
        key=f"{key}_notebook",
        icon=":material/book:",
        help="A Jupyter notebook with all of them, a cell each.",
    )
