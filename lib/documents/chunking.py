"""Chunking: long documents → chunks that one vector can stand for, each with its place."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document
from langchain_text_splitters import (
    MarkdownHeaderTextSplitter,
    RecursiveCharacterTextSplitter,
    TextSplitter,
)

from lib.documents.sources import VectorDocument
from lib.errors import InvalidInput

MIN_SIZE, MAX_SIZE = 50, 15_000
HEADINGS = [("#" * level, f"h{level}") for level in range(1, 5)]
# The end of a sentence is a mark, perhaps a closing quote, and a space.
SENTENCE_ENDS = [r"\n\s*\n", r"""(?<=[.!?…])["'”’)\]]*\s+""", r"(?<=[。！？])", r"\s+", ""]
# A run without a space is cut by length when it is this many chunks long.
LONG_RUN = 2


@dataclass(frozen=True)
class Chunking:
    """How to cut. `size` and `overlap` count characters; four bytes each fit Milvus's field."""

    splitter: str = "recursive"
    size: int = 800
    overlap: int = 80

    def check(self) -> None:
        """Raise InvalidInput for what cannot be cut."""
        if self.splitter not in SPLITTERS:
            raise InvalidInput(f"There is no splitter {self.splitter!r}.")
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise InvalidInput(f"The chunk size must be between {MIN_SIZE} and {MAX_SIZE:,}.")
        if not 0 <= self.overlap <= self.size // 2:
            raise InvalidInput("The overlap must be at most half of the chunk size.")


Split = Callable[[Document], Iterable[Document]]


@dataclass(frozen=True)
class Splitter:
    """One way to find the borders."""

    name: str
    label: str
    summary: str
    build: Callable[[Chunking], Split]


def _whole_pieces(splitter: TextSplitter) -> Split:
    def split(document: Document) -> Iterator[Document]:
        for text in splitter.split_text(document.page_content):
            yield Document(page_content=text, metadata=dict(document.metadata))

    return split


def _by_size(chunking: Chunking, **more: Any) -> RecursiveCharacterTextSplitter:
    return RecursiveCharacterTextSplitter(
        chunk_size=chunking.size, chunk_overlap=chunking.overlap, **more
    )


def _sentences(chunking: Chunking) -> Split:
    # Kept at the end, a separator comes back as it was; else its pattern would be joined.
    ends = {"separators": SENTENCE_ENDS, "is_separator_regex": True, "keep_separator": "end"}
    return _whole_pieces(_by_size(chunking, **ends))


def _markdown(chunking: Chunking) -> Split:
    by_heading = MarkdownHeaderTextSplitter(HEADINGS, strip_headers=False)
    by_size = _by_size(chunking)

    def split(document: Document) -> Iterator[Document]:
        for section in by_heading.split_text(document.page_content):
            path = " › ".join(
                section.metadata[name] for _, name in HEADINGS if name in section.metadata
            )
            metadata = document.metadata | ({"heading": path} if path else {})
            for text in by_size.split_text(section.page_content):
                yield Document(page_content=text, metadata=dict(metadata))

    return split


SPLITTERS: dict[str, Splitter] = {
    splitter.name: splitter
    for splitter in (
        Splitter(
            "recursive",
            "Recursive",
            "At paragraphs, else lines, else words: good for most texts.",
            lambda chunking: _whole_pieces(_by_size(chunking)),
        ),
        Splitter(
            "markdown",
            "Markdown",
            "At headings first; each chunk knows the headings above it.",
            _markdown,
        ),
        Splitter(
            "sentence",
            "Sentences",
            "At the ends of sentences, so that no chunk begins in the middle of one.",
            _sentences,
        ),
    )
}


def chunks(documents: Iterable[Document], chunking: Chunking) -> Iterator[Document]:
    """Cut a stream of documents; each chunk's metadata tells its position in its source.

    Positions count from 0 through all of a source's documents. A document with an id or a vector
    of its own passes whole, because both stand for the whole text.
    """
    chunking.check()
    split = SPLITTERS[chunking.splitter].build(chunking)
    positions: dict[str, int] = defaultdict(int)
    for document in documents:
        source = str(document.metadata.get("source", ""))
        if document.id is not None:
            yield document
            continue
        if isinstance(document, VectorDocument):
            parts: Iterable[Document] = [document]
        elif len(document.page_content) <= chunking.size and chunking.splitter != "markdown":
            text = document.page_content.strip()
            parts = [Document(page_content=text, metadata=document.metadata)] if text else []
        else:
            parts = _split_runs(document, split, chunking)
        for part in parts:
            part.metadata["position"] = positions[source]
            positions[source] += 1
            yield part


def _split_runs(document: Document, split: Split, chunking: Chunking) -> Iterator[Document]:
    """Cut runs without a space by length, the text between them with the splitter.

    A splitter takes such a run apart character by character: seconds for a megabyte.
    """
    text = document.page_content
    longest = LONG_RUN * chunking.size
    if max(map(len, text.split()), default=0) <= longest:
        yield from split(document)
        return
    done = 0
    for run in re.finditer(r"\S+", text):
        if run.end() - run.start() <= longest:
            continue
        if text[done : run.start()].strip():
            yield from split(
                Document(page_content=text[done : run.start()], metadata=document.metadata)
            )
        word, step = run.group(), chunking.size - chunking.overlap
        for start in range(0, max(len(word) - chunking.overlap, 1), step):
            piece = word[start : start + chunking.size]
            yield Document(page_content=piece, metadata=dict(document.metadata))
        done = run.end()
    if text[done:].strip():
        yield from split(Document(page_content=text[done:], metadata=document.metadata))


def overlap_of(before: str, after: str, most: int) -> int:
    """Return how many characters at the end of one chunk begin the next."""
    for length in range(min(most, len(before), len(after)), 0, -1):
        if before.endswith(after[:length]):
            return length
    return 0
