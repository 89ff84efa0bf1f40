"""What is begun before the first screen is drawn: the process in which Milvus Lite will run."""

import threading
from functools import lru_cache

import streamlit as st

from lib import settings
from lib.errors import SettingsError
from lib.milvus import lite
from lib.settings import Settings
from lib.workers import host


@st.cache_resource(show_spinner=False)
def host_settings() -> Settings | SettingsError:
    """Return the settings that the host gave by variables or secrets, or what is wrong in them."""
    try:
        secrets = dict(st.secrets)
    except (FileNotFoundError, st.errors.StreamlitSecretNotFoundError):
        secrets = {}
    try:
        return settings.load(secrets=secrets)
    except SettingsError as error:
        return error


@lru_cache(maxsize=1)  # once in a process
def begin() -> None:
    """Let the workers' host load Milvus Lite's modules beside the drawing, if it will run here.

    They take over a second, for which the first page would wait.
    """
    found = host_settings()
    if isinstance(found, Settings) and found.is_embedded:
        threading.Thread(
            target=host.shared().warm, args=(lite.SERVER,), name="lab-store", daemon=True
        ).start()
