"""Archives: the files in a ZIP, each checked before a byte of it is unpacked."""

import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import IO, BinaryIO

from lib.documents.problems import Problems
from lib.errors import InvalidInput

MAX_ENTRIES = 5_000
MAX_UNPACKED_BYTES = 1 << 30
MAX_XML_BYTES = 16 << 20
# Text packs to a tenth, seldom to a fiftieth. What packs to a thousandth was made to do harm.
MAX_RATIO = 200
# Below this size any ratio is harmless.
SMALL_BYTES = 1 << 20
COPY_BYTES = 1 << 16
KEPT_IN_MEMORY_BYTES = 8 << 20
# What macOS and Windows leave in archives; nobody means to ingest these.
CLUTTER = {"__MACOSX", ".DS_Store", "Thumbs.db"}
# What `zipfile` raises for a damaged file; its three packers pass on errors of their own.
UNREADABLE = (
    *(zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError),
    *(zlib.error, lzma.LZMAError),
)


@dataclass(frozen=True)
class ArchivedFile:
    """One file of an archive, unpacked; `file` can be read and sought until the next one.

    `before` and `share` say how much of the archive's bytes stand before it and are its own.
    """

    name: str
    size: int
    file: IO[bytes]
    before: float
    share: float


def check_office(file: BinaryIO) -> None:
    """Raise InvalidInput for an office file whose text and layout would take too long to read."""
    # What is no XML is a picture or the like, which nobody parses.
    endings = (".xml", ".rels")
    entries = check_archive(file)
    xml = sum(each.file_size for each in entries if each.filename.lower().endswith(endings))
    if xml > MAX_XML_BYTES:
        raise too_much(xml)


def too_much(size: int) -> InvalidInput:
    """Say that an office file has too many bytes to read."""
    return InvalidInput(
        f"it holds {size / 2**20:,.0f} MB of text and layout, at most "
        f"{MAX_XML_BYTES / 2**20:,.0f} MB are taken"
    )


def check_archive(file: BinaryIO) -> list[zipfile.ZipInfo]:
    """List what is in a ZIP; raise InvalidInput where it unpacks to too much or is unreadable."""
    entries = _listed(file)
    if len(entries) > MAX_ENTRIES:
        raise InvalidInput(f"it holds {len(entries):,} files, at most {MAX_ENTRIES:,} are taken")
    total = sum(entry.file_size for entry in entries)
    if total > MAX_UNPACKED_BYTES:
        raise InvalidInput(
            f"it would unpack to {total / 2**20:,.0f} MB, at most "
            f"{MAX_UNPACKED_BYTES / 2**20:,.0f} MB are taken"
        )
    for entry in entries:
        if entry.file_size > max(SMALL_BYTES, MAX_RATIO * max(entry.compress_size, 1)):
            raise InvalidInput(
                f"{entry.filename!r} in it would unpack to more than {MAX_RATIO} times its size, "
                "as in a ZIP bomb"
            )
    return entries


def check_unpacked(file: BinaryIO, most: int) -> None:
    """Raise InvalidInput for a ZIP of whatever kind that says it unpacks to more bytes."""
    try:
        size = sum(entry.file_size for entry in _listed(file))
    except InvalidInput:
        return  # whether it should be a ZIP is its loader's matter
    if size > most:
        raise InvalidInput(
            f"it would unpack to {size / 2**20:,.0f} MB; {most / 2**20:,.0f} MB are taken here"
        )


def _listed(file: BinaryIO) -> list[zipfile.ZipInfo]:
    """Return what a ZIP says it holds. Raises InvalidInput for one that cannot be read."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.infolist()
    except UNREADABLE as error:
        raise InvalidInput("it is damaged or no ZIP file") from error
    finally:
        file.seek(0)


def entries(file: BinaryIO, source: str, problems: Problems) -> Iterator[ArchivedFile]:
    """Yield the files of a checked ZIP; one that is unsafe or unreadable is reported instead."""
    check_archive(file)
    unpacked = packed = 0
    with zipfile.ZipFile(file) as archive:
        total = sum(info.compress_size for info in archive.infolist()) or 1
        for info in archive.infolist():
            before, share = packed / total, info.compress_size / total
            packed += info.compress_size
            # A name that begins with a zero byte is read as an empty one.
            if (
                not info.filename
                or info.is_dir()
                or CLUTTER & set(PurePosixPath(info.filename).parts)
            ):
                continue
            if not is_inside(info.filename):
                problems.add(source, repr(info.filename), "its name leads out of the archive")
                continue
            if info.flag_bits & 0x1:
                problems.add(source, info.filename, "it is encrypted")
                continue
            with tempfile.SpooledTemporaryFile(max_size=KEPT_IN_MEMORY_BYTES) as unpacking:
                try:
                    size = _unpack(archive, info, unpacking, MAX_UNPACKED_BYTES - unpacked)
                except InvalidInput as problem:
                    problems.add(source, info.filename, problem.what)
                    continue
                except UNREADABLE:
                    problems.add(source, info.filename, "it is damaged in the archive")
                    continue
                unpacked += size
                unpacking.seek(0)
                name = str(PurePosixPath(info.filename))
                yield ArchivedFile(name, size, unpacking, before, share)


def is_inside(name: str) -> bool:
    """Say whether an entry's name stays in the archive's own folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    return not (
        path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\0" in name
    )


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: IO[bytes], room: int) -> int:
    """Unpack one file; the sizes an archive states are a claim, so the bytes are counted."""
    allowed = min(room, max(SMALL_BYTES, MAX_RATIO * max(info.compress_size, 1)))
    size = 0
    with archive.open(info) as packed:
        while block := packed.read(COPY_BYTES):
            size += len(block)
            if size > allowed:
                raise InvalidInput("it unpacks to more than the archive may hold")
            target.write(block)
    return size
