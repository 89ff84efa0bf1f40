"""Files made at a press of a button, held until the browser has fetched them.

Streamlit keeps what a button's function returned until two scripts have ended, whoever's they are.
On a busy app that is before the browser asks for it. Here each such file belongs to a session that
runs no script, and the session is ended a minute later.
"""

import itertools
import threading
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from streamlit import runtime
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.scriptrunner import add_script_run_ctx

HELD_S = 60.0
# What all held files may take; beyond it the oldest goes.
MOST_BYTES = 64 << 20


class HeldFiles:
    """The held files of one Streamlit."""

    def __init__(self, files: MediaFileManager) -> None:
        self._files = files
        self._bytes: dict[str, int] = {}  # of each session that holds a file, the oldest first
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def hold(self, data: bytes, mime: str, name: str, seconds: float = HELD_S) -> None:
        """Keep a file of this content, kind and name for these seconds."""
        with self._lock:
            session = f"held-file-{next(self._numbers)}"
            self._add(session, data, mime, name)
            self._bytes[session] = len(data)
            while sum(self._bytes.values()) > MOST_BYTES and len(self._bytes) > 1:
                self._let_go(next(iter(self._bytes)))
        end = threading.Timer(seconds, self.release, [session])
        end.daemon = True
        end.start()

    def release(self, session: str) -> None:
        """Let Streamlit forget the file of a session, after two more scripts."""
        with self._lock:
            self._let_go(session)

    def _let_go(self, session: str) -> None:
        if self._bytes.pop(session, None) is not None:
            self._files.clear_session_refs(session)

    def _add(self, session: str, data: bytes, mime: str, name: str) -> None:
        """Add a file as a script of that session would; its thread says which session it is."""
        thread = threading.Thread(
            target=self._files.add,
            args=(data, mime, "", name),
            kwargs={"is_for_static_download": True},
        )
        stands_in: Any = SimpleNamespace(session_id=session)
        add_script_run_ctx(thread, stands_in)
        thread.start()
        thread.join()


@lru_cache(maxsize=1)
def _held() -> HeldFiles:
    return HeldFiles(runtime.get_instance().media_file_mgr)


def make(make_data: Callable[[], bytes | str], mime: str, name: str) -> bytes:
    """Return what the function makes, and hold it as a file of this name and kind."""
    made = make_data()
    data = made.encode() if isinstance(made, str) else made
    _held().hold(data, mime, name)
    return data
