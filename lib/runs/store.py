"""Runs that are kept: recorded ones that ship with the app, this host's own, and imported files.

A run's file is never changed. Its name and notes stand in a small card beside it, so that renaming
a run of ten thousand calls writes a hundred bytes. What a list shows of it stands in a summary.
"""

import contextlib
import json
import re
import secrets
import shutil
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from lib.errors import InvalidInput
from lib.results import findings, run_file
from lib.results.analysis import Analysis, analyse
from lib.results.findings import Beside, Digest
from lib.results.trials import ENDPOINT_MS, About, Run
from lib.runs import front
from lib.settings import PROJECT_ROOT, Settings
from lib.words import counted, plain
from lib.workers import work as workers
from lib.workers.work import Limits

RECORDED_DIR = PROJECT_ROOT / "assets" / "runs"
ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# What two runs must have in common to be of the same experiments.
EXPERIMENT = ("operations", "counts", "rows", "k", "delete_by", "delete_consistency")
DELETES = ("rows", "delete_by")
MILVUS = ("backend_label", "milvus_version", "distance")
MAX_NAME_CHARS = 80
MAX_NOTES_CHARS = 2_000
# What was deleted can be had back until this many later deletions, or until its room is needed.
KEPT_DELETIONS = 20
SUFFIXES = (".json", ".card", ".summary")
MEGABYTE = 1 << 20
# What reading a file from elsewhere may take where nobody says otherwise.
READING = Limits(seconds=20, memory_mb=512, done="read")
# Two imports at once must not take the same room.
_keeping = threading.Lock()


class Origin(Enum):
    """Where a run comes from; said beside every figure of it."""

    RECORDED = "recorded"
    SAVED = "measured here"
    IMPORTED = "imported"


@dataclass(frozen=True)
class Card:
    """What a person may change about a run, and where it came from."""

    name: str
    notes: str = ""
    origin: str = Origin.SAVED.name
    saved_at: str = ""


@dataclass(frozen=True)
class Entry:
    """One kept run: its card, its digest, and where its file lies."""

    id: str
    card: Card
    digest: Digest
    path: Path

    @property
    def origin(self) -> Origin:
        """Where the run comes from."""
        return Origin[self.card.origin]

    @property
    def is_recorded(self) -> bool:
        """Say whether it ships with the app and cannot be changed."""
        return self.origin is Origin.RECORDED

    @property
    def title(self) -> str:
        """Its name with its origin: 'Tutorial (recorded)'."""
        return f"{self.card.name} ({self.origin.value})"

    def load(self) -> Run:
        """Read the run. Raises InvalidInput when the file was damaged meanwhile."""
        return _read(self.path, self.path.stat().st_mtime_ns)

    @property
    def about(self) -> About:
        """The run's settings and environment, for which no trial is read."""
        return _summary(self.path, self.path.stat().st_mtime_ns)[1]


# A run takes several times its file in memory: kept are the one that a page draws again and again
# and the two beside it.
@lru_cache(maxsize=3)
def _read(path: Path, changed_ns: int) -> Run:
    return run_file.read(path)


@lru_cache(maxsize=512)
def _summary(path: Path, changed_ns: int) -> tuple[Digest, About]:
    """Return a run's digest, and what it was made on: kept beside the file, or read."""
    # One of another version of the app is made anew.
    with contextlib.suppress(LookupError, TypeError):
        if kept := front.summary_of(path):
            known = kept["digest"] | {"operations": tuple(kept["digest"]["operations"])}
            return Digest(**known), About(kept["about"]["environment"], kept["about"]["settings"])
    run = run_file.read(path)
    return findings.digest(analyse(run)), About(run.environment, run.settings)


def _import(data: bytes, filename: str, path: Path) -> None:
    """Read a run from elsewhere, and write its file and its summary."""
    run = run_file.read(data, filename, run_file.MAX_IMPORTED_CALLS)
    if all(trial.warmup for trial in run.trials):
        raise InvalidInput(f"{filename} holds no trial.", next_step="Choose another file.")
    _write(run, path)


def summary(run: Run, path: Path) -> dict[str, Any]:
    """Return what a list shows of a run that was written to this file, for `front.summary_of`."""
    about = {name: getattr(run, name) for name in ("environment", "settings", "partial", "note")}
    digest = asdict(findings.digest(analyse(run)))
    return {"bytes": path.stat().st_size, "digest": digest, "about": about}


def _write(run: Run, path: Path) -> None:
    """Write a run's file and its summary. Raises InvalidInput."""
    run_file.write(run, path)
    with contextlib.suppress(OSError):  # it is made again from the file
        path.with_suffix(".summary").write_text(json.dumps(summary(run, path)), encoding="utf-8")


def _digest(path: Path) -> Digest:
    return _summary(path, path.stat().st_mtime_ns)[0]


def _same(one: dict[str, Any], other: dict[str, Any], names: Sequence[str]) -> bool:
    """Say whether two records agree in these values; one that is missing is one left empty."""
    return all((one.get(name) or "") == (other.get(name) or "") for name in names)


@dataclass(frozen=True)
class Room:
    """How much may be kept: runs in a folder, and megabytes in it and below another one.

    What was deleted counts while it can be had back.
    """

    most: int = 1_000
    most_mb: int = 10_000
    everybody: Path | None = None  # the folder that holds everybody's
    everybodys_mb: int = 0

    @classmethod
    def of(cls, settings: Settings, everybody: Path) -> "Room":
        """Return what the settings allow."""
        return cls(settings.max_runs, settings.max_runs_mb, everybody, settings.max_all_runs_mb)


class RunStore:
    """The runs in one folder, with the recorded ones beside them."""

    def __init__(
        self, folder: Path, recorded: Path = RECORDED_DIR, room: Room | None = None
    ) -> None:
        self._folder = folder
        self._room = room or Room()
        self._recorded = recorded
        self._deleted = folder / "deleted"

    def entries(self) -> tuple[Entry, ...]:
        """Return all readable runs: recorded ones by name, then the newest first."""
        return self.listing()[0]

    def listing(self) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
        """Return all readable runs as `entries` does, and the names of unreadable files."""
        found = {path: self._entry(path, is_recorded=False) for path in self._own_files()}
        own = [entry for entry in found.values() if entry is not None]
        own.sort(key=lambda entry: entry.card.saved_at, reverse=True)
        unreadable = tuple(sorted(path.name for path, entry in found.items() if entry is None))
        return (*self._recorded_entries("*.json"), *own), unreadable

    def featured(self) -> Entry | None:
        """Return the run to show to somebody who has measured nothing yet.

        The recorded run through a provider's client comes first, the one with the longest wait, as
        on the first screen; then one of the tutorial's experiments; any other kept run is better
        than an empty page. Reads no more files than it must.
        """
        if through_client := self.through_client():
            return through_client[-1]
        return self.recorded_of("tutorial") or next(iter(self.entries()), None)

    def recorded_of(self, preset: str) -> Entry | None:
        """Return the recorded run of a preset; None for none.

        Of several it is one through a provider's client, which people really get; else the one with
        the largest figure.
        """
        mine = [
            entry
            for entry in self._recorded_entries("*.json")
            if entry.about.settings.get("preset") == preset and not entry.digest.partial
        ]
        return max(
            mine,
            key=lambda entry: (
                ENDPOINT_MS in entry.about.environment,
                entry.digest.speedup or 0.0,
            ),
            default=None,
        )

    def through_client(self) -> list[Entry]:
        """Return the recorded runs that embed by a provider's client, by the length of the wait."""
        found = self._recorded_entries("client-*.json")
        return sorted(found, key=lambda entry: entry.about.environment[ENDPOINT_MS])

    def beside(self, found: Analysis) -> Beside:
        """Return the recorded runs without which this one's figures would mislead."""
        run, plain, bounded = found.run, None, None
        if run.environment.get("simulated_latency_ms"):
            plain = self._like(run, "*tutorial*.json", EXPERIMENT, plain=True)
        if found.deletes_wait:
            bounded = self._like(run, "delete-bounded*.json", DELETES)
        return Beside(
            plain=analyse(plain) if plain else None, bounded=analyse(bounded) if bounded else None
        )

    def _like(
        self, run: Run, pattern: str, settings: Sequence[str], *, plain: bool = False
    ) -> Run | None:
        """Return the recorded run with these settings of a run and its Milvus.

        A `plain` one waits for no embedding.
        """
        for entry in self._recorded_entries(pattern):
            other = entry.about
            slow = other.environment.get("simulated_latency_ms") or ENDPOINT_MS in other.environment
            same = _same(other.settings, run.settings, settings)
            if same and not (plain and slow) and _same(other.environment, run.environment, MILVUS):
                return entry.load()
        return None

    def get(self, run_id: str | None) -> Entry | None:
        """Return the run with this id, or None."""
        if not run_id or not ID.fullmatch(run_id):
            return None
        path = self._folder / f"{run_id}.json"
        if path.is_file():
            return self._entry(path, is_recorded=False)
        for recorded in sorted(self._recorded.glob("*.json")):
            if _recorded_id(recorded) == run_id:
                return self._entry(recorded, is_recorded=True)
        return None

    def save(self, run: Run, *, name: str, run_id: str = "") -> Entry:
        """Keep a run of this host. Raises InvalidInput when it cannot be written."""
        return self._keep(run, _checked_name(name), Origin.SAVED, run_id)

    def _own_files(self) -> list[Path]:
        return [path for path in self._folder.glob("*.json") if ID.fullmatch(path.stem)]

    def check_room(self, size: int = 0) -> None:
        """Raise InvalidInput when as many runs are kept as may be, or no bytes are left for more.

        Where it takes their room, what was deleted goes for good, the oldest first.
        """
        room = self._room
        if len(self._own_files()) >= room.most:
            raise InvalidInput(
                f"{counted(room.most, 'run')} may be kept here, and there are as many.",
                next_step="Delete one first.",
            )
        if not _fits(self._folder, size, room.most_mb, self._folder.glob("deleted/*.json")):
            raise InvalidInput(
                f"Your runs may take {room.most_mb:,} MB here, and there is no room for this one.",
                kept="Nothing was changed.",
                next_step="Delete a run first.",
            )
        every = room.everybody
        if every is not None and not _fits(
            every, size, room.everybodys_mb, every.glob("**/deleted/*.json")
        ):
            raise InvalidInput(
                f"The runs of all visitors take the {room.everybodys_mb:,} MB that they may here.",
                kept="Nothing was changed.",
                next_step="Try again in an hour, when those of others are gone.",
            )

    def import_(self, data: bytes, filename: str, limits: Limits = READING) -> Entry:
        """Keep an uploaded run, which is read in a worker.

        Raises InvalidInput with the one reason it cannot be used, Ended and NotStarted.
        """
        stem = plain(Path(filename).stem).strip()[:MAX_NAME_CHARS] or "Imported run"
        run_id = secrets.token_hex(16)
        with _keeping:
            self.check_room(len(data))
            path = self._with_card(run_id, stem, Origin.IMPORTED)
            try:
                workers.run(_import, data, plain(filename), path, limits=replace(limits, what=stem))
            except BaseException as error:
                _forget(path)
                if isinstance(error, workers.Ended):
                    raise type(error)(
                        f"{error.what}.", kept="Nothing was changed.", next_step="Choose another."
                    ) from error
                raise
        return Entry(run_id, self._read_card(run_id), _digest(path), path)

    def import_all(self, data: bytes, filename: str, limits: Limits = READING) -> list[Entry]:
        """Keep the run of an uploaded file, or each of a sequence of them.

        Raises what `import_` raises; the runs before the one that cannot be used are kept.
        """
        parts = run_file.parts(data)
        if len(parts) == 1:
            return [self.import_(parts[0], filename, limits)]
        kept: list[Entry] = []
        for place, part in enumerate(parts, 1):
            try:
                entry = self.import_(part, filename, limits)
            except InvalidInput as error:
                raise InvalidInput(
                    f"Run {place} of {len(parts)}: {error.what}",
                    kept=f"{counted(len(kept), 'run')} before it were imported." if kept else "",
                    next_step=error.next_step,
                ) from error
            name = f"{entry.digest.backend}: {entry.digest.title}"[:MAX_NAME_CHARS]
            kept.append(self.rename(entry, name, ""))
        return kept

    def rename(self, entry: Entry, name: str, notes: str) -> Entry:
        """Give a run another name and notes. Raises InvalidInput for one that cannot be changed."""
        _check_is_own(entry)
        if len(notes) > MAX_NOTES_CHARS:
            raise InvalidInput(f"Notes may have at most {MAX_NOTES_CHARS:,} characters.")
        card = replace(entry.card, name=_checked_name(name), notes=plain(notes).strip())
        self._write_card(entry.id, card)
        return replace(entry, card=card)

    def delete(self, entry: Entry) -> None:
        """Put a run aside, from where `restore` brings it back."""
        _check_is_own(entry)
        self._deleted.mkdir(parents=True, exist_ok=True)
        for suffix in SUFFIXES:
            source = self._folder / f"{entry.id}{suffix}"
            if source.exists():
                shutil.move(source, self._deleted / source.name)
        (self._deleted / f"{entry.id}.json").touch()  # its age counts from the deletion
        by_age = sorted(self._deleted.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in by_age[:-KEPT_DELETIONS]:
            _forget(path)

    def restore(self, run_id: str) -> Entry | None:
        """Bring back a deleted run; None when it is gone for good."""
        if not ID.fullmatch(run_id) or not (self._deleted / f"{run_id}.json").exists():
            return None
        for suffix in SUFFIXES:
            source = self._deleted / f"{run_id}{suffix}"
            if source.exists():
                shutil.move(source, self._folder / source.name)
        return self.get(run_id)

    def _recorded_entries(self, pattern: str) -> list[Entry]:
        paths = sorted(self._recorded.glob(pattern))
        entries = (self._entry(path, is_recorded=True) for path in paths)
        return [entry for entry in entries if entry is not None]

    def _entry(self, path: Path, *, is_recorded: bool) -> Entry | None:
        try:
            digest = _digest(path)
        except (InvalidInput, OSError):
            return None  # a half-written or foreign file in the folder is no run
        if not is_recorded:
            return Entry(path.stem, self._read_card(path.stem), digest, path)
        card = Card(name=digest.title, origin=Origin.RECORDED.name, saved_at=digest.time)
        return Entry(_recorded_id(path), card, digest, path)

    def _keep(self, run: Run, name: str, origin: Origin, run_id: str) -> Entry:
        run_id = run_id or secrets.token_hex(16)
        path = self._with_card(run_id, name, origin)
        _write(run, path)
        return Entry(run_id, self._read_card(run_id), findings.digest(analyse(run)), path)

    def _with_card(self, run_id: str, name: str, origin: Origin) -> Path:
        """Return the path of a run's file, beside which its card was written."""
        if not ID.fullmatch(run_id):
            raise InvalidInput("A run's id consists of lower-case letters, digits and dashes.")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(
                f"The folder for runs cannot be made: {error.strerror}.",
                next_step="Check LAB_DATA_DIR.",
            ) from error
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._write_card(run_id, Card(name=name, origin=origin.name, saved_at=now))
        return self._folder / f"{run_id}.json"

    def _write_card(self, run_id: str, card: Card) -> None:
        path = self._folder / f"{run_id}.card"
        try:
            path.write_text(json.dumps(asdict(card), ensure_ascii=False), encoding="utf-8")
        except UnicodeEncodeError as error:
            raise InvalidInput("The name or the notes are not valid Unicode text.") from error
        except OSError as error:
            raise InvalidInput(f"The run's card cannot be written: {error.strerror}.") from error

    def _read_card(self, run_id: str) -> Card:
        try:
            card = Card(**json.loads((self._folder / f"{run_id}.card").read_text(encoding="utf-8")))
            Origin[card.origin]
        except (OSError, ValueError, TypeError, KeyError):
            return Card(name=run_id)  # the run itself is whole; only its name is lost
        return card


def _fits(folder: Path, size: int, most_mb: int, deleted: Iterable[Path]) -> bool:
    """Say whether so many bytes more fit into a folder, without what was deleted if need be."""
    room = most_mb * MEGABYTE - size - _bytes_below(folder)
    if room >= 0:
        return True
    sizes = {path: path.stat().st_size for path in deleted}
    for path in sorted(sizes, key=lambda each: each.stat().st_mtime_ns):
        if room >= 0 or room + sum(sizes.values()) < 0:
            break
        _forget(path)
        room += sizes.pop(path)
    return room >= 0


def _bytes_below(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            size += path.stat().st_size
    return size


def _forget(path: Path) -> None:
    """Delete a run's file and what stands beside it."""
    for suffix in SUFFIXES:
        path.with_suffix(suffix).unlink(missing_ok=True)


def _recorded_id(path: Path) -> str:
    return "recorded-" + re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:48]


def _checked_name(name: str) -> str:
    name = " ".join(plain(name).split())
    if not name or len(name) > MAX_NAME_CHARS:
        raise InvalidInput(f"A name has between 1 and {MAX_NAME_CHARS} characters.")
    return name


def _check_is_own(entry: Entry) -> None:
    if entry.is_recorded:
        raise InvalidInput("A recorded run ships with the app and cannot be changed.")
