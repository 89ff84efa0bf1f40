"""Corpora: documents that need no download, made the same way every time.

`CORPORA` is the registry. Every document has an `id` (a string, unique in its corpus, to be used
as the primary key) and the same metadata keys as every other document of its corpus.
"""

import functools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document

from lib.settings import PROJECT_ROOT

TUTORIAL_SIZE = 1_000
# Made by `python -m scripts.model.gather`, on Python 3.11 for Linux.
STANDARD_LIBRARY = PROJECT_ROOT / "assets" / "standard_library.jsonl"


@dataclass(frozen=True)
class Corpus:
    """One source of documents, as the pages and the benchmark offer it."""

    name: str
    label: str
    description: str
    documents: Callable[[int | None, int], list[Document]]
    """(size, seed) -> documents; a size of None gives all there are, or a thousand."""
    count: Callable[[], int] | None = None
    """How many documents there are; None when any number can be made."""

    @property
    def max_size(self) -> int | None:
        """How many documents there are, or None when any number can be made."""
        return self.count() if self.count else None


def tutorial_documents(size: int | None = None, seed: int = 0) -> list[Document]:
    """Make the documents of the tutorial, their random numbers drawn from `seed`.

    Raises ValueError for a negative size. A size of None makes 1,000.
    """
    size = _checked(size) if size is not None else TUTORIAL_SIZE
    generator = random.Random(seed)
    return [
        Document(
            id=f"doc_{i}",
            page_content=(
                f"This is test document {i} with some random content: {generator.random()}"
            ),
            metadata={"id": f"doc_{i}", "score": generator.random(), "category": f"cat_{i % 5}"},
        )
        for i in range(size)
    ]


def standard_library_documents(size: int | None = None, seed: int = 0) -> list[Document]:
    """Return how the docstrings of Python's standard library begin, sorted by qualified name.

    A `size` below the number available takes a sample drawn with `seed`; with one seed a larger
    sample contains every smaller one. A larger `size`, or None, gives all there are. Raises
    ValueError for a negative size.
    """
    rows = _standard_library()
    if size is not None and _checked(size) < len(rows):
        order = list(range(len(rows)))
        random.Random(seed).shuffle(order)
        rows = tuple(rows[i] for i in sorted(order[:size]))
    return [
        Document(
            id=row["name"],
            page_content=f"{row['name']}: {row['text']}",
            metadata={name: row[name] for name in ("module", "kind", "name", "length")},
        )
        for row in rows
    ]


@functools.cache
def _standard_library() -> tuple[dict[str, Any], ...]:
    with STANDARD_LIBRARY.open(encoding="utf-8") as lines:
        return tuple(map(json.loads, lines))


CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            name="standard_library",
            label="Python's standard library",
            description=(
                "How the docstrings of the modules, classes, functions and methods of Python "
                "3.11 begin: real text, with many near-duplicates."
            ),
            documents=standard_library_documents,
            count=lambda: len(_standard_library()),
        ),
        Corpus(
            name="tutorial",
            label="Tutorial documents",
            description=(
                "The generated documents of the LangChain Milvus async tutorial: one sentence "
                "with a number, in five categories."
            ),
            documents=tutorial_documents,
        ),
    )
}


def _checked(size: int) -> int:
    """Return `size`, or raise ValueError when it is negative."""
    if size < 0:
        raise ValueError(f"A corpus cannot have {size} documents; ask for 0 or more.")
    return size
