"""What was done just now, as a toast: saved, deleted, dropped, stopped."""

import time

import streamlit as st

KEY = "lab_told"
# As long as Streamlit shows a toast.
SHOWN_S = 4.0


def tell(done: str) -> None:
    """Say this once the page has been drawn anew, because a toast before that is lost.

    An empty text takes back what was told.
    """
    st.session_state[KEY] = done, time.monotonic()


def show() -> None:
    """Say what was told last, also in the runs that follow at once: one toast is seen of it."""
    done, told_at = st.session_state.get(KEY, ("", 0.0))
    if done and time.monotonic() - told_at < SHOWN_S:
        st.toast(done, icon=":material/check_circle:")
