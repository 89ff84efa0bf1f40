"""The figures that the tutorial published, and why ours differ. Data, for charts and tables."""

from dataclasses import dataclass
from typing import Any

from lib.benchmark.trials import Run

SOURCE = "the tutorial “Asynchronous Functions in LangChain Milvus Integration”"


@dataclass(frozen=True)
class PublishedFigure:
    """Wall times in seconds of N calls, one run each, as the tutorial prints them."""

    operation: str
    count: int
    async_s: float
    sync_s: float

    @property
    def speedup(self) -> float:
        """How many times faster the async side was."""
        return self.sync_s / self.async_s


PUBLISHED: dict[tuple[str, int], PublishedFigure] = {
    (figure.operation, figure.count): figure
    for figure in (
        PublishedFigure("add_documents", 10, 1.74, 5.36),
        PublishedFigure("add_documents", 100, 2.77, 65.60),
        PublishedFigure("similarity_search", 10, 2.31, 6.07),
        PublishedFigure("similarity_search", 100, 3.72, 54.22),
        PublishedFigure("delete", 10, 0.58, 2.82),
        PublishedFigure("delete", 100, 0.61, 29.21),
    )
}


def reasons(run: Run) -> list[str]:
    """Return why this run's figures differ from the published ones, the weightiest first."""
    environment: dict[str, Any] = run.environment
    simulated = environment.get("simulated_latency_ms") or 0
    embedding = environment.get("embedding_label") or environment.get("embedding") or "unknown"
    here = (
        f"with {simulated:g} ms of waiting per call, simulated"
        if simulated
        else "without a network in between"
    )
    return [
        "There, each call waits for OpenAI's embedding service over the network, whose rate limits "
        f"hold back many calls at once. Here, embedding is “{embedding}”, {here}.",
        "There, the first timing contains creating the collection. Here, setup is outside the "
        "clock and warm-up trials are thrown away.",
        "There, one run each, async always first. Here, repeats alternate in shuffled order, and "
        "the speed-up has an interval.",
        "There, the deletes of 100 name ten rows that were already gone. Here, every delete hits a "
        "row that exists, and the effect is checked.",
        f"The Milvus differs: here {environment.get('backend_label', 'unknown')} "
        f"{environment.get('milvus_version', '')}, {environment.get('distance', '')}".rstrip(" ,")
        + ".",
    ]
