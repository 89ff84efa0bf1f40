"""Who is here: the jobs of a visitor of a public app who left are stopped after a minute.

On somebody's own machine jobs have no owner, and a run goes on while no browser is open.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from lib import jobs
from lib.errors import LabError
from lib.jobs import FINISHED, Jobs

AWAY_S = 60.0
LOOK_EVERY_S = 5.0


class Presence:
    """Knows by owner which sessions were opened, and since when none of them is connected."""

    def __init__(
        self,
        registry: Jobs,
        is_connected: Callable[[str], bool],
        *,
        away_s: float = AWAY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = registry
        self._is_connected = is_connected
        self._away_s = away_s
        self._clock = clock
        self._sessions: defaultdict[str, set[str]] = defaultdict(set)
        self._left: dict[str, float] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def note(self, owner: str, session: str) -> None:
        """Note that a session of an owner is here."""
        with self._lock:
            self._sessions[owner].add(session)
            self._left.pop(owner, None)

    def look(self) -> None:
        """Stop the jobs of all who have been away for too long, waiting and running ones."""
        unfinished = [job for job in self._jobs.all() if job.owner and job.state not in FINISHED]
        now = self._clock()
        with self._lock:
            for owner in {*self._sessions, *(job.owner for job in unfinished)}:
                here = {each for each in self._sessions[owner] if self._is_connected(each)}
                self._sessions[owner] = here
                if here:
                    self._left.pop(owner, None)
                else:
                    self._left.setdefault(owner, now)
            gone = {each for each, since in self._left.items() if now - since >= self._away_s}
            for owner in gone:
                del self._left[owner], self._sessions[owner]
        for job in unfinished:
            if job.owner in gone and not job.is_cancelled:
                job.error = LabError(
                    f"Stopped: nobody was here for {self._away_s:,.0f} s.",
                    kept="What was finished is kept.",
                    next_step="Start it again.",
                )
                self._jobs.cancel(job)

    def stop(self) -> None:
        """End the thread of `go_on`."""
        self._stopped.set()

    def go_on(self) -> "Presence":
        """Look every few seconds, in a thread."""

        def run() -> None:
            while not self._stopped.wait(LOOK_EVERY_S):
                self.look()

        threading.Thread(target=run, name="lab-presence", daemon=True).start()
        return self


@st.cache_resource(show_spinner=False, on_release=Presence.stop)
def _presence() -> Presence:
    return Presence(jobs.shared(), _is_connected).go_on()


def _is_connected(session: str) -> bool:
    try:
        return runtime.get_instance().is_active_session(session)
    except RuntimeError:
        return True  # there is no server that would know


def here(owner: str) -> None:
    """Note that the session of this script is here; call it in every run of a public page."""
    context = get_script_run_ctx()
    if owner and context is not None:
        _presence().note(owner, context.session_id)
