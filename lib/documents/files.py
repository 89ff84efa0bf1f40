"""Files: what a person uploaded, parsed once for all who read it."""

import hashlib
import itertools
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from langchain_core.documents import Document

from lib.documents.archives import MAX_UNPACKED_BYTES
from lib.documents.columns import documents
from lib.documents.loaders import LOADERS, read
from lib.documents.problems import Problems
from lib.documents.sources import MEGABYTE, Part, Reading, Upload, with_distinct_names
from lib.errors import InvalidInput
from lib.workers.work import Limits

# What all files of one person may take in memory, as parsed.
KEPT_BYTES = 16 * MEGABYTE
SAMPLE_ROWS = 5


class ParsedFile:
    """One file and the parts parsed from it so far; `problems` are those of parsing.

    Parts are parsed when somebody asks for them, and kept while they fit into `kept_bytes`. What
    comes after them is parsed for one reader, and once more for the next.
    """

    def __init__(
        self,
        upload: Upload,
        max_bytes: int,
        kept_bytes: int = KEPT_BYTES,
        limits: Limits | None = None,
        max_unpacked: int = MAX_UNPACKED_BYTES,
    ) -> None:
        self.upload = upload
        self.problems = Problems()
        self.is_whole = False
        self._given = (max_bytes, limits, max_unpacked)
        self._room = kept_bytes
        self._kept: list[Part] = []
        self._rest: Iterator[Part] | None = read(upload, self.problems, *self._given)
        self._lock = threading.Lock()

    @cached_property
    def identity(self) -> tuple[str, str]:
        """The file's name and a hash of its bytes: equal for the same file, uploaded again too."""
        if self.upload.digest:
            return self.upload.name, self.upload.digest
        with self.upload.open() as file:
            return self.upload.name, hashlib.sha256(file.read()).hexdigest()

    @property
    def is_table(self) -> bool:
        """Say whether its parts are rows."""
        loader = LOADERS.get(self.upload.ending)
        return loader is not None and loader.is_table

    def head(self) -> Iterator[Part]:
        """Yield the parts that are kept or can be, from any thread."""
        for place in itertools.count():
            part = self._keep(place)
            if part is None:
                return
            yield part

    def parts(self) -> Iterator[Part]:
        """Yield all parts, from any thread."""
        yield from self.head()
        if not self.is_whole:
            yield from self._beyond(len(self._kept))

    def _keep(self, place: int) -> Part | None:
        """Return a part that is kept or can be; None at the end or where the room ends."""
        with self._lock:
            if place < len(self._kept):
                return self._kept[place]
            if self.is_whole or self._room <= 0 or self._rest is None:
                return None
            part = next(self._rest, None)
            self.is_whole = part is None
            if part is not None:
                self._kept.append(part)
                self._room -= sum(map(_bytes_of, part.values.values())) + sys.getsizeof(part.values)
            return part

    def _beyond(self, place: int) -> Iterator[Part]:
        with self._lock:
            rest, self._rest = self._rest, None
            if rest is None:
                self.problems = Problems()
                anew = read(self.upload, self.problems, *self._given)
                rest = itertools.islice(anew, place, None)
        yield from rest

    def sample(self) -> list[dict[str, Any]]:
        """Return a table's first rows, an empty list for other files."""
        first = itertools.islice(self.head(), SAMPLE_ROWS) if self.is_table else ()
        return [part.values for part in first]

    def documents(
        self, parts: Iterator[Part], reading: Reading, problems: Problems
    ) -> Iterator[Document]:
        """Yield documents of its parts; `problems` gets what could not be parsed or used."""
        try:
            yield from documents(parts, reading, problems)
        except InvalidInput as problem:
            problems.add(self.upload.name, "", problem.what)
        finally:
            problems.include(self.problems)


def parsed(
    uploads: Sequence[Upload],
    max_bytes: int,
    kept_bytes: int = KEPT_BYTES,
    limits: Limits | None = None,
    max_unpacked: int = MAX_UNPACKED_BYTES,
) -> tuple[ParsedFile, ...]:
    """Return the files, to be parsed once; they share the room in memory.

    `limits` is what reading one of them may take, in a worker; without it this process reads.
    `max_unpacked` are the bytes that an archive may unpack to.
    """
    return tuple(
        ParsedFile(upload, max_bytes, kept_bytes // len(uploads), limits, max_unpacked)
        for upload in with_distinct_names(uploads)
    )


def _bytes_of(value: Any) -> int:
    if isinstance(value, list):  # the numbers of a vector
        return sys.getsizeof(value) + 32 * len(value)
    return int(getattr(value, "nbytes", 0)) or sys.getsizeof(value)
