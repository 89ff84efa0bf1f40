"""The progress of jobs on a page."""

import streamlit as st
from streamlit.testing.v1 import AppTest

from lib.jobs import Job


def follow_two() -> None:
    """Look at two jobs in turn, as a page that follows both; the second has news each time."""
    from lib.ui.widgets.progress import _silent_s

    quiet, busy = st.session_state["jobs"]
    busy.progress.done += 1
    st.session_state["silent"] = [_silent_s(quiet), _silent_s(busy)]


def test_news_of_one_job_does_not_end_the_silence_of_another() -> None:
    app = AppTest.from_function(_script)
    app.session_state["jobs"] = [Job("A", "a"), Job("B", "b")]
    silent = []
    for _ in range(3):
        app.run()
        assert not app.exception
        silent.append(app.session_state["silent"])
    assert silent[0] == [0.0, 0.0]
    assert 0 < silent[1][0] < silent[2][0]
    assert [busy for _, busy in silent] == [0.0, 0.0, 0.0]


def _script() -> None:
    from tests.pages.test_progress import follow_two

    follow_two()
