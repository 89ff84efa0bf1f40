"""Problems: what went wrong with a part of the input while the rest went in."""

import textwrap
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

MAX_KEPT = 500
MOST_REASONS = 2
MOST_REASON_CHARACTERS = 80


@dataclass(frozen=True)
class Problem:
    """One thing a person should know: the source, the place in it, and what is the matter."""

    source: str
    place: str
    what: str
    is_loss: bool = True  # whether something did not go in

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.source, self.place) if part)
        return f"{where}: {self.what}" if where else self.what


def reasons(problems: Sequence[Problem], total: int) -> str:
    """Say in a few words why so many parts did not go in, the most frequent reason first."""
    seen = Counter(
        textwrap.shorten(
            problem.what.removeprefix("it has "), MOST_REASON_CHARACTERS, placeholder=" …"
        )
        for problem in problems
        if problem.is_loss
    )
    if len(seen) == 1 and seen.total() == total:
        return next(iter(seen))
    told = seen.most_common(MOST_REASONS)
    parts = [f"{what}: {number:,}" for what, number in told]
    if rest := total - sum(number for _, number in told):
        parts.append(f"other reasons: {rest:,}")
    return ", ".join(parts)


class Problems:
    """Collects problems from any thread. The first 500 are kept, all are counted."""

    def __init__(self) -> None:
        self._kept: dict[Problem, None] = {}
        self._by_source: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, source: str, place: str, what: str) -> None:
        """Note that a part of a source did not go in."""
        self._keep(Problem(source, place, what))
        with self._lock:
            self._by_source[source] += 1

    def note_once(self, source: str, what: str) -> None:
        """Note something about a whole source, once, that keeps nothing of it out."""
        self._keep(Problem(source, "", what, is_loss=False))

    def include(self, others: "Problems") -> None:
        """Add the problems that somebody else collected."""
        for problem in others.kept:
            self._keep(problem)
        counts = others.counts()
        with self._lock:
            self._by_source.update(counts)

    def _keep(self, problem: Problem) -> None:
        with self._lock:
            if len(self._kept) < MAX_KEPT:
                self._kept[problem] = None

    def spoiled(self, source: str) -> bool:
        """Say whether a part of this source is missing."""
        with self._lock:
            return self._by_source[source] > 0

    def counts(self) -> dict[str, int]:
        """Return how many parts of each source did not go in."""
        with self._lock:
            return dict(self._by_source)

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
