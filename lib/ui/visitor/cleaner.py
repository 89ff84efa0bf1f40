"""Drops what nobody uses any more: at the start, and on a public host every minute."""

import logging
import re
import shutil
import threading
import time
from pathlib import Path

from lib.errors import LabError
from lib.milvus import leftovers
from lib.milvus.connection import Pool
from lib.milvus.territory import expiry
from lib.milvus.undo import UndoFolder
from lib.settings import Settings

EVERY_S = 60.0
# How long a file that a job made can be downloaded.
EXPORT_KEPT_S = 3_600.0
_VISITORS_FOLDER = re.compile(r"visitor-(?P<expires>[0-9a-f]{8,16})-[0-9a-f]{32}")


class Cleaner:
    """A thread that cleans once, and goes on cleaning while strangers come and go."""

    def __init__(self, pool: Pool, host: Settings) -> None:
        self._pool = pool
        self._host = host
        self._stopped = threading.Event()
        self._due = 0.0  # when a visitor's collection may next be dropped
        threading.Thread(target=self._run, name="lab-cleaner", daemon=True).start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()

    def _run(self) -> None:
        while True:
            try:
                self.clean()
            except (LabError, OSError) as error:
                logging.getLogger(__name__).warning("Cleaning failed: %s", type(error).__name__)
            if not self._host.public or self._stopped.wait(EVERY_S):
                return

    def clean(self) -> None:
        """Drop dead collections and the run folders of visitors who are gone."""
        drop_expired_folders(self._host.data_dir / "runs")
        drop_old_exports(exports_folder(self._host))
        UndoFolder(undo_folder(self._host), self._host.undo_mb << 20).drop_old()
        # The store is not opened when nobody is connected and nothing is due.
        if not self._pool.users and self._due > time.time():
            return
        with self._pool.lease(self._host) as opened:
            leftovers.clean(opened)
            times = (expiry(each.name) for each in leftovers.find(opened))
            self._due = min((each for each in times if each is not None), default=float("inf"))


def exports_folder(host: Settings) -> Path:
    """Return where jobs put files to download; each is found by its job alone."""
    return host.data_dir / "exports"


def undo_folder(host: Settings) -> Path:
    """Return where the rows of an undo are kept; each file is found by its owner alone."""
    return host.data_dir / "undo"


def drop_old_exports(folder: Path) -> None:
    """Delete the files that nobody can find any more."""
    for path in folder.glob("*"):
        if time.time() - path.stat().st_mtime > EXPORT_KEPT_S:
            path.unlink(missing_ok=True)


def drop_expired_folders(folder: Path) -> None:
    """Delete the run folders whose names say that their visitor's time is over."""
    for path in folder.glob("visitor-*"):
        named = _VISITORS_FOLDER.fullmatch(path.name)
        if named and int(named["expires"], 16) < time.time():
            shutil.rmtree(path, ignore_errors=True)
