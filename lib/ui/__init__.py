"""The bridge between pages and lib: the only part of lib that imports Streamlit."""

from lib.ui.common.errors import show_error
from lib.ui.common.progress import follow
from lib.ui.common.session import (
    collection_or_stop,
    connection_or_stop,
    current_collection,
    current_settings,
    model_or_stop,
    rows_changed,
)
from lib.ui.common.snippet import snippet

__all__ = [
    "collection_or_stop",
    "connection_or_stop",
    "current_collection",
    "current_settings",
    "follow",
    "model_or_stop",
    "rows_changed",
    "show_error",
    "snippet",
]
