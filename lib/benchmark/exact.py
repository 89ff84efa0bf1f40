"""What a search must return, computed from the vectors and never by asking Milvus.

Scores are compared in 64-bit numbers. A store computes in 32 bits, so that rows whose scores are
equal up to that rounding may come in either order, and either of them may be the last.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]

# A sum of d products in 32 bits is off by about √d roundings of its terms.
ROUNDING = float(np.finfo(np.float32).eps)
# Questions and rows that are compared at once: 32 questions to 100,000 rows take 26 MB.
QUESTIONS_AT_ONCE, ROWS_AT_ONCE = 32, 8_192


@dataclass(frozen=True)
class Metric:
    """How vectors are compared. Of row vectors (n, d) and questions (q, d) it makes (n, q).

    `scores` are higher for nearer rows. `scale` is what an error of one part has to be multiplied
    with, for the lengths of rows (n,) and questions (q,).
    """

    scores: Callable[[Floats, Floats], Floats]
    scale: Callable[[Floats, Floats], Floats]


def _negative_distances(rows: Floats, questions: Floats) -> Floats:
    squares = (rows**2).sum(axis=1)[:, None] + (questions**2).sum(axis=1)
    distances: Floats = 2 * rows @ questions.T - squares
    return distances


METRICS: dict[str, Metric] = {
    "COSINE": Metric(
        scores=lambda rows, questions: directions(rows) @ directions(questions).T,
        scale=lambda rows, questions: np.ones((len(rows), len(questions))),
    ),
    "IP": Metric(scores=lambda rows, questions: rows @ questions.T, scale=np.multiply.outer),
    "L2": Metric(
        scores=_negative_distances,
        scale=lambda rows, questions: np.add.outer(rows, questions) ** 2,
    ),
}


def directions(vectors: Floats) -> Floats:
    """Return the vectors (n, d) with length 1; a vector of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit


class ExactRows:
    """All rows of a collection: their keys and vectors (n, d), as a metric compares them."""

    def __init__(self, keys: Sequence[str], vectors: npt.ArrayLike, metric: str) -> None:
        self.keys = keys
        self._row = {key: row for row, key in enumerate(keys)}
        # As the store keeps them.
        self.vectors: Singles = np.asarray(vectors, dtype=np.float32)
        self._metric = METRICS[metric]
        self.error = ROUNDING * float(np.sqrt(max(self.vectors.shape[1], 1)))

    def __len__(self) -> int:
        return len(self.keys)

    def row_of(self, key: str) -> int:
        """Return the place of a key, or -1."""
        return self._row.get(key, -1)

    def rank(self, questions: npt.ArrayLike, depth: int, noise: float = 0.0) -> Iterator["Ranking"]:
        """Yield the `depth` best rows for each question (q, d).

        `noise` is by how much a score may be off for another reason than rounding, in the scale
        of a cosine similarity.
        """
        all_questions = np.asarray(questions, dtype=np.float32).astype(np.float64)
        depth = min(depth, len(self))
        for start in range(0, len(all_questions), QUESTIONS_AT_ONCE):
            some = all_questions[start : start + QUESTIONS_AT_ONCE]
            scores = np.empty((len(self), len(some)))
            slack = np.empty_like(scores)
            for at in range(0, len(self), ROWS_AT_ONCE):
                part = slice(at, at + ROWS_AT_ONCE)
                rows = self.vectors[part].astype(np.float64)
                scores[part] = self._metric.scores(rows, some)
                slack[part] = (self.error + noise) * self._metric.scale(
                    np.linalg.norm(rows, axis=1), np.linalg.norm(some, axis=1)
                )
            for i, question in enumerate(some):
                yield self._ranking(question, scores[:, i], slack[:, i], depth)

    def _ranking(self, question: Floats, scores: Floats, slack: Floats, depth: int) -> "Ranking":
        if not depth:
            return Ranking(self, question, np.arange(0), scores[:0], slack[:0], 0)
        last = np.argpartition(-scores, depth - 1)[depth - 1]
        kept = np.flatnonzero(scores + slack >= scores[last] - slack[last])
        kept = kept[np.argsort(-scores[kept], kind="stable")]
        return Ranking(self, question, kept, scores[kept], slack[kept], depth)


@dataclass(frozen=True, eq=False)
class Ranking:
    """The best rows for one question, best first, and beyond `depth` those that tie with the last.

    `found` are their places among all rows, `slack` by how much each score may seem different.
    """

    rows: ExactRows
    question: Floats
    found: Places
    scores: Floats
    slack: Floats
    depth: int

    @cached_property
    def _in_order_of_rows(self) -> Places:
        return np.argsort(self.found)

    def is_nearest(self, answer: Sequence[str], k: int) -> bool:
        """Say whether these are the k nearest rows, the nearest first."""
        places, wanted = self._places(answer), min(k, self.depth)
        if places is None or len(places) != wanted:
            return False
        room = self.slack[places] + self.slack[:wanted]
        return bool(np.all(np.abs(self.scores[places] - self.scores[:wanted]) <= room))

    def recall(self, answer: Sequence[str], k: int) -> float:
        """Return the share of the k nearest rows that an answer has."""
        wanted = min(k, self.depth)
        if not wanted:
            return 1.0
        found = self._places_of(sorted(set(answer)))
        found = found[found >= 0]
        least = self.scores[wanted - 1] - self.slack[wanted - 1]
        hits = int(np.sum(self.scores[found] + self.slack[found] >= least))
        return min(hits, wanted) / wanted

    def is_mmr(self, answer: Sequence[str], k: int, fetch_k: int, lambda_mult: float) -> bool:
        """Say whether maximal marginal relevance picks these rows in this order.

        Among the `fetch_k` nearest, each must have the best score of those left: λ times its
        cosine similarity to the question, less 1 − λ times the highest to a row picked before.
        """
        places, candidates = self._places(answer), min(fetch_k, self.depth)
        if places is None or len(places) != min(k, candidates):
            return False
        if not candidates:
            return True
        last, slack = self.scores[candidates - 1], self.slack[candidates - 1]
        possible = np.flatnonzero(self.scores + self.slack >= last - slack)
        if not np.isin(places, possible).all():
            return False
        # Where several tie for the last place, each of them may have been no candidate.
        is_tied = len(possible) > candidates
        certain = self.scores - self.slack > last + slack if is_tied else self.scores >= last
        picks = _Picks(self, lambda_mult)
        for place in places:
            scores = picks.scores()
            best = scores[certain].max(initial=-np.inf)
            if scores[place] < best - 2 * self.rows.error:
                return False
            picks.pick(place)
        return True

    def share_found(self, answer: Sequence[str], count: int) -> float:
        """Return how many different rows of an answer are among the ranked, as a share of count."""
        wanted = min(count, self.depth)
        found = int(np.sum(self._places_of(sorted(set(answer))) >= 0))
        return min(found, wanted) / wanted if wanted else 1.0

    def _places(self, answer: Sequence[str]) -> Places | None:
        """Return where the rows of an answer stand; None if one is not there or comes twice."""
        places = self._places_of(answer)
        return places if np.all(places >= 0) and len(set(answer)) == len(places) else None

    def _places_of(self, keys: Sequence[str]) -> Places:
        rows = np.array([self.rows.row_of(key) for key in keys], dtype=np.intp)
        if not self.depth:
            return np.full(len(rows), -1)
        order = self._in_order_of_rows
        at = order[np.searchsorted(self.found, rows, sorter=order) % len(order)]
        places: Places = np.where(self.found[at] == rows, at, -1)
        return places


class _Picks:
    """The rows that maximal marginal relevance has picked so far."""

    def __init__(self, ranking: Ranking, lambda_mult: float) -> None:
        self._unit = directions(ranking.rows.vectors[ranking.found].astype(np.float64))
        self._relevance: Floats = self._unit @ directions(ranking.question[None, :])[0]
        self._redundancy = np.full(len(self._unit), -np.inf)
        self._lambda = lambda_mult
        self.picked: list[int] = []

    def scores(self) -> Floats:
        """Return the score of each row as the next pick; of those picked before, the lowest."""
        if not self.picked:
            return np.array(self._relevance)
        scores: Floats = self._lambda * self._relevance - (1 - self._lambda) * self._redundancy
        scores[self.picked] = -np.inf
        return scores

    def pick(self, place: int) -> None:
        """Pick a row."""
        self.picked.append(place)
        np.maximum(self._redundancy, self._unit @ self._unit[place], out=self._redundancy)
