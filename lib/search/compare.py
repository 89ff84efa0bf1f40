"""One search's candidates as two lists, similarity's and MMR's, at one λ."""

from dataclasses import dataclass

from lib.search import mmr
from lib.search.ask import Candidates
from lib.search.charts import BOTH, CANDIDATE, ONLY_MMR, ONLY_SIMILARITY


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both lists at one λ, as indexes into the candidates."""

    found: Candidates
    lambda_mult: float
    similar: tuple[int, ...]
    chosen: tuple[int, ...]

    @property
    def brought_in(self) -> int:
        """How many rows MMR brings in that similarity does not show."""
        return len(set(self.chosen) - set(self.similar))

    def fate(self, index: int) -> str:
        """Say what became of a candidate."""
        return {
            (True, True): BOTH,
            (False, True): ONLY_MMR,
            (True, False): ONLY_SIMILARITY,
            (False, False): CANDIDATE,
        }[index in self.similar, index in self.chosen]

    def spread(self, indexes: tuple[int, ...]) -> mmr.Spread:
        """Return the relevance and redundancy of a list."""
        return mmr.spread(self.found.space, indexes)

    def sources(self, indexes: tuple[int, ...]) -> int:
        """Count the distinct sources of a list."""
        return len({self.found.hits[index].source for index in indexes})


def compare(found: Candidates, lambda_mult: float) -> Comparison:
    """Re-rank the fetched candidates; nothing is asked of Milvus."""
    k = min(found.question.k, len(found.hits))
    return Comparison(
        found=found,
        lambda_mult=lambda_mult,
        similar=tuple(range(k)),
        chosen=mmr.order(found.space, k, lambda_mult),
    )
