"""Where this visitor's runs are kept."""

import uuid

import streamlit as st

from lib.runs.store import RunStore
from lib.settings import Settings


def run_store(settings: Settings) -> RunStore:
    """Return the host's runs; on a public host each visitor has a folder of their own.

    There all visitors share one process, and nobody may read, rename or delete another's runs.
    """
    folder = settings.data_dir / "runs"
    if settings.public:
        folder /= st.session_state.setdefault("runs_folder", f"visitor-{uuid.uuid4().hex}")
    return RunStore(folder)
