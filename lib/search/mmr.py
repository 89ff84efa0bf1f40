"""Maximal marginal relevance on arrays: the order, why each pick was made, the trade-off over λ.

Nothing here asks Milvus. MMR picks, one after another, the candidate i with the highest
λ · relevance(i) − (1 − λ) · redundancy(i), where relevance is the cosine similarity to the query
and redundancy the highest cosine similarity to anything picked before (Carbonell and Goldstein,
1998). langchain computes all similarities anew for every pick; for a slider they are computed
once here, and tests hold the order to the library's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NEAR_DUPLICATE = 0.85  # cosine similarity from which two texts of the bundled corpus read the same
CURVE_STEPS = 21


@dataclass(frozen=True, eq=False)
class Space:
    """Cosine similarities among n candidates: `relevance` (n,), `similarity` (n, n)."""

    relevance: Floats
    similarity: Floats

    @property
    def size(self) -> int:
        """The number of candidates."""
        return len(self.relevance)


@dataclass(frozen=True)
class Pick:
    """One step of MMR. `position` counts from 1; `candidate` and `closest` are indexes.

    The first pick has no redundancy: nothing was picked before it.
    """

    position: int
    candidate: int
    relevance: float
    redundancy: float
    closest: int | None
    score: float


@dataclass(frozen=True)
class Spread:
    """A list in two numbers: mean cosine similarity to the query, and between its members."""

    mean_relevance: float
    mean_similarity: float  # 0 for a list of one


@dataclass(frozen=True)
class CurvePoint:
    """What MMR picks at one λ."""

    lambda_mult: float
    spread: Spread
    order: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Projection:
    """Candidates (n, 2) and query (2,) in the plane, with the share of variance of each axis."""

    candidates: Floats
    query: Floats
    explained: tuple[float, float]


def space(query: Sequence[float] | Floats, candidates: Sequence[Any] | Floats) -> Space:
    """Compute all cosine similarities of a query (d,) and its candidates (n, d).

    A vector of zeros is similar to nothing, as in langchain.
    """
    rows = unit(np.asarray(candidates, dtype=np.float64))
    target = unit(np.asarray(query, dtype=np.float64)[None, :])[0]
    if rows.size == 0:
        return Space(np.zeros(0), np.zeros((0, 0)))
    return Space(relevance=rows @ target, similarity=rows @ rows.T)


def order(similarities: Space, k: int, lambda_mult: float) -> tuple[int, ...]:
    """Return the indexes of the k candidates in the order in which MMR picks them."""
    relevance, similarity = similarities.relevance, similarities.similarity
    wanted = min(k, similarities.size)
    if wanted <= 0:
        return ()
    first = int(np.argmax(relevance))
    chosen = [first]
    available = np.ones(similarities.size, dtype=bool)
    available[first] = False
    redundancy = similarity[:, first].copy()
    while len(chosen) < wanted:
        scores = lambda_mult * relevance - (1 - lambda_mult) * redundancy
        best = int(np.argmax(np.where(available, scores, -np.inf)))
        chosen.append(best)
        available[best] = False
        np.maximum(redundancy, similarity[:, best], out=redundancy)
    return tuple(chosen)


def picks(similarities: Space, chosen: Sequence[int], lambda_mult: float) -> tuple[Pick, ...]:
    """Explain an order: each pick's relevance, redundancy and score when it was made."""
    explained = []
    for place, candidate in enumerate(chosen):
        relevance = float(similarities.relevance[candidate])
        closest, redundancy = None, 0.0
        if before := list(chosen[:place]):
            closest = before[int(np.argmax(similarities.similarity[candidate, before]))]
            redundancy = float(similarities.similarity[candidate, closest])
        explained.append(
            Pick(
                position=place + 1,
                candidate=candidate,
                relevance=relevance,
                redundancy=redundancy,
                closest=closest,
                score=lambda_mult * relevance - (1 - lambda_mult) * redundancy,
            )
        )
    return tuple(explained)


def spread(similarities: Space, chosen: Sequence[int]) -> Spread:
    """Return a list's mean relevance and the mean similarity over all pairs of its members."""
    members = list(chosen)
    if not members:
        return Spread(0.0, 0.0)
    among = similarities.similarity[np.ix_(members, members)]
    pairs = len(members) * (len(members) - 1)
    return Spread(
        mean_relevance=float(similarities.relevance[members].mean()),
        mean_similarity=float((among.sum() - np.trace(among)) / pairs) if pairs else 0.0,
    )


def curve(similarities: Space, k: int, steps: int = CURVE_STEPS) -> tuple[CurvePoint, ...]:
    """Run MMR for evenly spaced λ from 0 to 1."""
    points = []
    for lambda_mult in np.linspace(0.0, 1.0, steps):
        chosen = order(similarities, k, float(lambda_mult))
        points.append(CurvePoint(float(lambda_mult), spread(similarities, chosen), chosen))
    return tuple(points)


def near_duplicates(similarities: Space, chosen: Sequence[int]) -> dict[int, tuple[int, float]]:
    """Return, for each member that repeats an earlier one, that one and their similarity."""
    return {
        pick.candidate: (pick.closest, pick.redundancy)
        for pick in picks(similarities, chosen, 1.0)
        if pick.closest is not None and pick.redundancy >= NEAR_DUPLICATE
    }


def project(query: Sequence[float] | Floats, candidates: Sequence[Any] | Floats) -> Projection:
    """Lay query and candidates into the plane by principal components of their unit vectors.

    The sign of each axis is fixed (the query lies at its positive side), so that the same data
    always give the same map.
    """
    points = unit(np.vstack([np.asarray(candidates, dtype=np.float64), query]))
    centred = points - points.mean(axis=0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    flat = np.zeros((len(points), 2))
    kept = min(2, len(singular))
    flat[:, :kept] = centred @ axes[:kept].T
    flat *= np.where(flat[-1] < 0, -1.0, 1.0)
    total = float((singular**2).sum())
    shares = [float(s**2) / total if total else 0.0 for s in singular[:2]] + [0.0, 0.0]
    return Projection(flat[:-1], flat[-1], (shares[0], shares[1]))


def unit(rows: Floats) -> Floats:
    """Return the rows with length 1; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit
