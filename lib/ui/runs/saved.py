"""Where this visitor's runs are kept."""

import time
from pathlib import Path

import streamlit as st

from lib.runs.store import RunStore, remove_expired
from lib.settings import Settings
from lib.ui.common import visitor


def run_store(settings: Settings) -> RunStore:
    """Return the host's runs; on a public host each visitor has a folder of their own.

    There all visitors share one process, and nobody may read, rename or delete another's runs.
    """
    folder = settings.data_dir / "runs"
    who = visitor.current(settings)
    if who is not None:
        _clean(str(folder))
        folder /= who.run_folder
    return RunStore(folder)


@st.cache_data(ttl=60, show_spinner=False)
def _clean(folder: str) -> int:
    """Delete what visitors of before have left, at most once a minute."""
    return remove_expired(Path(folder), time.time())
