"""The bridge between pages and lib: the only part of lib that imports Streamlit.

What pages use most can be imported from here. It is loaded when it is asked for: the first screen
needs none of it, and the session brings pymilvus and langchain.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
_ELSEWHERE = {"show_error": "errors", "follow": "progress", "snippet": "snippet"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"lib.ui.common.{_ELSEWHERE.get(name, 'session')}"), name)
