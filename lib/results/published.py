"""The figures that the tutorial published, and why ours differ. Data, for charts and tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SOURCE = "the tutorial “Asynchronous Functions in LangChain Milvus Integration”"


@dataclass(frozen=True)
class PublishedFigure:
    """Wall times in seconds of N calls, one run each, as the tutorial prints them."""

    async_s: float
    sync_s: float

    @property
    def speedup(self) -> float:
        """How many times faster the async side was."""
        return self.sync_s / self.async_s


PUBLISHED: dict[tuple[str, int], PublishedFigure] = {
    ("add_documents", 10): PublishedFigure(1.74, 5.36),
    ("add_documents", 100): PublishedFigure(2.77, 65.60),
    ("similarity_search", 10): PublishedFigure(2.31, 6.07),
    ("similarity_search", 100): PublishedFigure(3.72, 54.22),
    ("delete", 10): PublishedFigure(0.58, 2.82),
    ("delete", 100): PublishedFigure(0.61, 29.21),
}


def published_s(operation: str, count: int, strategy: str) -> float | None:
    """Return the seconds that the tutorial printed for a cell, None for what it did not measure."""
    figure = PUBLISHED.get((operation, count))
    sides = {"sync_loop": figure.sync_s, "gather": figure.async_s} if figure else {}
    return sides.get(strategy)


def reasons(environment: Mapping[str, Any]) -> list[str]:
    """Return why a run's figures differ from the published ones, the weightiest first."""
    simulated = environment.get("simulated_latency_ms") or 0
    embedding = environment.get("embedding_label") or environment.get("embedding") or "unknown"
    here = f"with a simulated wait of {simulated:g} ms" if simulated else "without a network"
    return [
        f"Embedding: there OpenAI, whose rate limits slow many calls. Here “{embedding}”, {here}.",
        "Clock: there creating the collection counts. Here setup and warm-up do not.",
        "Repeats: there one run, async first. Here shuffled repeats with an interval.",
        "Deletes: there 10 of 100 rows were already gone. Here every row exists.",
        f"Milvus: here {environment.get('backend_label', 'unknown')} "
        f"{environment.get('milvus_version', '')}, {environment.get('distance', '')}".rstrip(" ,")
        + ".",
    ]
