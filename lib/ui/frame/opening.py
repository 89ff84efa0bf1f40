"""The first screen does not wait for Milvus: the host's connection is opened beside it, once.

Loading pymilvus, starting Milvus Lite and loading the model take over a second of the first visit
of a process. Until that is done the sidebar says so, and then it is drawn.
"""

import threading
import time
from functools import lru_cache

import streamlit as st

from lib.errors import LabError
from lib.settings import Settings
from lib.ui.visitor import ahead, memory

LOOK_AGAIN_S = 0.25
# So long the connection is held for the visitor who waits for it.
HELD_S = 30.0
_opened = threading.Event()
# When it failed, and how.
_failures: list[tuple[float, LabError]] = []


def is_done() -> bool:
    """Say whether the host's connection was opened, or tried, in this process."""
    return _opened.is_set() or not isinstance(ahead.host_settings(), Settings)


def done() -> None:
    """Note that a page has opened it, or tried to."""
    _opened.set()


def tell() -> None:
    """Tell a session that waited of a failure, so that it does not wait for it once more."""
    from lib.ui.visitor import session

    for moment, error in _failures:
        session.has_failed(moment, error)


@lru_cache(maxsize=1)  # once in a process
def begin() -> None:
    """Begin to load the modules and to open the connection, in a thread."""
    threading.Thread(target=_open, name="lab-opening", daemon=True).start()


def show() -> None:
    """Say in the sidebar that Milvus is being opened; when it is, the page is drawn anew."""
    with st.sidebar:
        _wait()


@st.fragment(run_every=LOOK_AGAIN_S, key="opening")
def _wait() -> None:
    if is_done():
        st.rerun()
    st.caption(":material/hourglass_top: Opening Milvus …")


def _open() -> None:
    lease = None
    try:
        with memory.loading():
            from lib.ui.frame import sidebar  # noqa: F401  # what every page draws
            from lib.ui.visitor import session
        try:
            lease = session.open_hosts()
        except LabError as error:
            _failures.append((time.monotonic(), error))
    finally:
        _opened.set()
    if lease is not None:
        time.sleep(HELD_S)
        lease.release()
