"""Problems: what went wrong with a part of the input while the rest went in."""

import threading
from collections import Counter
from dataclasses import dataclass

MAX_KEPT = 500


@dataclass(frozen=True)
class Problem:
    """One thing a person should know: the source, the place in it, and what is the matter."""

    source: str
    place: str
    what: str

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.source, self.place) if part)
        return f"{where}: {self.what}" if where else self.what


class Problems:
    """Collects problems from any thread. The first 500 are kept, all are counted."""

    def __init__(self) -> None:
        self._kept: list[Problem] = []
        self._seen: set[tuple[str, str]] = set()
        self._by_source: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, source: str, place: str, what: str) -> None:
        """Note that a part of a source did not go in."""
        with self._lock:
            self._by_source[source] += 1
            if len(self._kept) < MAX_KEPT:
                self._kept.append(Problem(source, place, what))

    def note_once(self, source: str, what: str) -> None:
        """Note something about a whole source, once, that keeps nothing of it out."""
        with self._lock:
            if (source, what) not in self._seen and len(self._kept) < MAX_KEPT:
                self._seen.add((source, what))
                self._kept.append(Problem(source, "", what))

    def spoiled(self, source: str) -> bool:
        """Say whether a part of this source is missing."""
        with self._lock:
            return self._by_source[source] > 0

    @property
    def total(self) -> int:
        """How many parts did not go in."""
        with self._lock:
            return self._by_source.total()

    @property
    def kept(self) -> tuple[Problem, ...]:
        """The first problems and notes, in the order they came."""
        with self._lock:
            return tuple(self._kept)
