"""What visitors have uploaded, bounded together: the files of one, and those of all.

Streamlit takes every file into memory before a page hears of it. One that does not fit is taken as
an empty one, and the page says why. Files count for as long as Streamlit or work that was begun
with them holds them.
"""

import itertools
import threading
import weakref
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit import config, runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.typing import UploadedFile

from lib.documents.sources import MEGABYTE, Upload
from lib.settings import Settings
from lib.ui.visitor import session
from lib.ui.widgets.text import literal
from lib.words import plain

SHOWN_NAMES = 3


@dataclass(frozen=True)
class _Counted:
    file_id: str
    owner: str
    size: int


class Uploads:
    """The uploaded files of one Streamlit."""

    def __init__(self, files: MemoryUploadedFileManager, limits: Settings) -> None:
        self._files = files
        self._limits = limits
        self._lock = threading.RLock()
        self._owners: dict[str, str] = {}  # of sessions; one that is not known is its own
        self._in_work: dict[int, _Counted] = {}
        self._numbers = itertools.count()
        self._refused: dict[str, str] = {}  # why, by the file's id
        self._add = files.add_file
        files.add_file = self.add  # type: ignore[method-assign]  # the server calls it by its name

    def belongs(self, session_id: str, owner: str) -> None:
        """Count a session's files as this owner's."""
        with self._lock:
            if session_id not in self._owners:  # those that ended are forgotten
                alive = runtime.get_instance().is_active_session
                self._owners = {each: of for each, of in self._owners.items() if alive(each)}
            self._owners[session_id] = owner or session_id

    def add(self, session_id: str, file: UploadedFileRec) -> None:
        """Take a file of a session, or an empty one in its place."""
        with self._lock:
            why = self._refusal(session_id, len(file.data))
            if why:
                self._forget_old()
                self._refused[file.file_id] = why
                file = file._replace(data=b"")
            self._add(session_id, file)

    def refusal(self, file_id: str) -> str:
        """Return why a file was not taken, "" for one that was."""
        return self._refused.get(file_id, "")

    def note(self, session_id: str, file_id: str, upload: Upload) -> None:
        """Count a session's file for as long as something can open it."""
        number = next(self._numbers)
        owner = self._owners.get(session_id, session_id)
        self._in_work[number] = _Counted(file_id, owner, upload.size)
        weakref.finalize(upload.open, self._in_work.pop, number, None)

    def held(self) -> Iterable[_Counted]:
        """Return every file that is held, once."""
        with self._lock:
            stored = [
                _Counted(each.file_id, self._owners.get(session, session), len(each.data))
                for session, files in list(self._files.file_storage.items())
                for each in list(files.values())
            ]
            in_work = list(self._in_work.values())
        return {each.file_id: each for each in (*in_work, *stored)}.values()

    def _refusal(self, session_id: str, size: int) -> str:
        limits, owner = self._limits, self._owners.get(session_id, session_id)
        held = self.held()
        if size > limits.max_upload_mb * MEGABYTE:
            return f"A file may have {limits.max_upload_mb:,} MB here."
        own = sum(each.size for each in held if each.owner == owner)
        if own + size > limits.max_uploads_mb * MEGABYTE:
            return (
                f"Your files may have {limits.max_uploads_mb:,} MB together here. Take others out "
                "of the list, or wait until they are ingested, and add it again."
            )
        if sum(each.size for each in held) + size > limits.max_all_uploads_mb * MEGABYTE:
            return (
                f"The files of all visitors have the {limits.max_all_uploads_mb:,} MB that they "
                "may have here. Add it again in a few minutes."
            )
        return ""

    def _forget_old(self) -> None:
        known = {each for files in self._files.file_storage.values() for each in files}
        self._refused = {each: why for each, why in self._refused.items() if each in known}


_of: weakref.WeakKeyDictionary[MemoryUploadedFileManager, Uploads] = weakref.WeakKeyDictionary()
_making = threading.Lock()


def bound() -> Uploads | None:
    """Return the uploads of this script's Streamlit, which are bounded from then on.

    This session's files count as its visitor's, without a cookie as its address's. None where no
    server runs.
    """
    context = get_script_run_ctx()
    if context is None or not runtime.exists():
        return None
    files, limits = context.uploaded_file_mgr, session.host_settings()
    if not isinstance(files, MemoryUploadedFileManager):
        return None
    with _making:
        if files not in _of:
            # The server refuses what is larger while it arrives.
            config.set_option("server.maxUploadSize", limits.max_upload_mb)
            _of[files] = Uploads(files, limits)
    share = session.share()
    _of[files].belongs(context.session_id, share.place or share.owner)
    return _of[files]


def taken(chosen: Sequence[UploadedFile]) -> list[UploadedFile]:
    """Return the chosen files that were taken, and say of the others why they were not."""
    uploads = bound()
    refused: dict[str, list[str]] = defaultdict(list)
    for file in chosen:
        if uploads is not None and (why := uploads.refusal(file.file_id)):
            refused[why].append(file.name)
    for why, names in refused.items():
        were = "was" if len(names) == 1 else "were"
        st.warning(literal(f"{listed(names)} {were} not taken. {why}"), icon=":material/block:")
    return [file for file in chosen if uploads is None or not uploads.refusal(file.file_id)]


def upload_of(file: UploadedFile) -> Upload:
    """Return a file that was taken, to be read; it counts while it can be."""
    uploads, context = bound(), get_script_run_ctx()
    upload = Upload.of_bytes(plain(file.name), file.getvalue())
    if uploads is not None and context is not None:
        uploads.note(context.session_id, file.file_id, upload)
    return upload


def listed(names: Sequence[str]) -> str:
    """Name some files, and count those beyond."""
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more:,} more" if more > 0 else "")
