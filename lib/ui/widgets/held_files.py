"""Files made at a press of a button, held until the browser has fetched them.

Streamlit keeps what a button's function returned until two scripts have ended, whoever's they are.
On a busy app that is before the browser asks for it. Here each such file belongs to a session that
runs no script, and the session is ended a minute later.

What the function raises is told below the button, where Streamlit says that it failed, not why.
"""

import asyncio
import itertools
import threading
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from streamlit import runtime
from streamlit.proto.BackMsg_pb2 import BackendOperationRequest
from streamlit.proto.ForwardMsg_pb2 import BackendOperationResponse
from streamlit.runtime.backend_operation_handler import DeferredFileHandler
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.scriptrunner import add_script_run_ctx

from lib.errors import LabError

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


async def _answer(
    handler: DeferredFileHandler, request: BackendOperationRequest, session_id: str
) -> BackendOperationResponse:
    """Answer the press of a button with its file's address, or with what its function raised."""
    files = runtime.get_instance().media_file_mgr
    answer = BackendOperationResponse(request_id=request.request_id)
    try:
        answer.deferred_file.url = await asyncio.to_thread(
            files.execute_deferred, request.deferred_file.file_id
        )
    except MediaFileStorageError as failure:
        if not isinstance(failure.__cause__, LabError):
            raise
        answer.error_msg = str(failure.__cause__)
    return answer


# Streamlit makes one of these for each session and has no other way to say why.
DeferredFileHandler.handle = _answer  # type: ignore[method-assign, assignment]
