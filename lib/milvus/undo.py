"""What can be put back, kept on disk too, so that it outlives the app and a lost connection.

Each owner has one file: what they changed last, for as long as an undo. The first line says what
was done and how the rows' fields are; each further line is a row as it was.
"""

import base64
import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from lib.milvus.fields import Schema
from lib.milvus.reading import Row
from lib.milvus.rows import UNDO_S, Change

# The files of all owners together take at most so many times what one undo may.
OWNERS = 4
_SCHEMA = TypeAdapter(Schema)


@dataclass(frozen=True)
class Undoable:
    """The changes of one press of a button, and where they were made."""

    milvus: str
    changes: tuple[Change, ...]


class UndoFolder:
    """The files of what can be put back; `most_bytes` is what one undo may take."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def keep(self, owner: str, done: Undoable) -> None:
        """Keep an owner's changes instead of the earlier ones; on a full disk in memory alone."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self.forget(owner)
            path = self._folder / f"{secrets.token_hex(8)}.part"
            try:
                path.touch(0o600)
                with path.open("w", encoding="ascii") as file:
                    file.writelines(f"{line}\n" for line in _lines(done))
                path.rename(self._path(owner))
            finally:
                path.unlink(missing_ok=True)
            self.drop_old()

    def has(self, owner: str) -> bool:
        """Say whether something is kept for an owner, for as long as an undo."""
        try:
            return time.time() - self._path(owner).stat().st_mtime < UNDO_S
        except OSError:
            return False

    def find(self, owner: str) -> Undoable | None:
        """Return what is kept for an owner; None for nothing, and for what an undo cannot take."""
        try:
            with self._path(owner).open(encoding="ascii") as file:
                found = _read(file)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if all(change.can_be_undone for change in found.changes) else None

    def forget(self, owner: str) -> None:
        """Delete what is kept for an owner."""
        with contextlib.suppress(OSError):
            self._path(owner).unlink(missing_ok=True)

    def drop_old(self) -> None:
        """Delete what no undo can take any more, and the oldest where all take too much."""
        taken = 0
        with contextlib.suppress(OSError):
            found = [(path.stat(), path) for path in self._folder.iterdir()]
            for about, path in sorted(found, key=lambda each: each[0].st_mtime, reverse=True):
                taken += about.st_size
                is_old = time.time() - about.st_mtime >= UNDO_S
                if is_old or taken > OWNERS * self._most_bytes:
                    path.unlink(missing_ok=True)

    def _path(self, owner: str) -> Path:
        return self._folder / f"{hashlib.sha256(owner.encode()).hexdigest()}.jsonl"


def _lines(done: Undoable) -> Iterator[str]:
    head = {
        "milvus": done.milvus,
        "changes": [
            {
                "kind": change.kind,
                "collection": change.collection,
                "count": change.count,
                "rows": len(change.rows),
                "schema": asdict(change.schema),
                "at": time.time() - (UNDO_S - change.left_s),
            }
            for change in done.changes
        ],
    }
    yield json.dumps(head)
    yield from (json.dumps(_coded(row)) for change in done.changes for row in change.rows)


def _read(lines: Iterator[str]) -> Undoable:
    head = json.loads(next(lines, ""))
    changes = []
    for each in head["changes"]:
        rows: tuple[Row, ...] = tuple(
            _decoded(json.loads(next(lines, ""))) for _ in range(each["rows"])
        )
        schema = _SCHEMA.validate_python(each["schema"])
        change = Change(each["kind"], each["collection"], each["count"], rows, schema)
        # The time goes on while nobody looks.
        change.at = time.monotonic() - max(time.time() - each["at"], 0.0)
        changes.append(change)
    return Undoable(head["milvus"], tuple(changes))


def _coded(value: Any) -> Any:
    """Return a value as JSON holds it; what JSON has no kind for becomes an object of one name."""
    match value:
        case np.ndarray():
            raw = base64.b64encode(value.tobytes()).decode("ascii")
            return {"array": [value.dtype.str, list(value.shape), raw]}
        case np.generic():
            return _coded(np.asarray(value))
        case bytes():
            return {"bytes": base64.b64encode(value).decode("ascii")}
        case dict():
            return {"dict": [[_coded(key), _coded(each)] for key, each in value.items()]}
        case None | str() | bool() | int() | float():
            return value
    return [_coded(each) for each in value]


def _decoded(value: Any) -> Any:
    match value:
        case {"array": [str(kind), list(shape), str(raw)]}:
            array = np.frombuffer(base64.b64decode(raw), dtype=kind).reshape(shape)
            return array[()] if not shape else array
        case {"bytes": str(raw)}:
            return base64.b64decode(raw)
        case {"dict": list(pairs)}:
            return {_decoded(key): _decoded(each) for key, each in pairs}
        case list():
            return [_decoded(each) for each in value]
    return value
