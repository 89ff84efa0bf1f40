"""Chunking: long documents → chunks that one vector can stand for, each with its place."""

import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document
from langchain_text_splitters import RecursiveCharacterTextSplitter, TextSplitter

from lib.documents.sources import VectorDocument
from lib.errors import InvalidInput

MIN_SIZE, MAX_SIZE = 50, 15_000
# A heading of the first four levels; its closing marks are taken off by hand.
HEADING = re.compile(r" {0,3}(#{1,4})[ \t]+(\S.*)")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
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
        is_first = True
        for piece in splitter.split_text(document.page_content):
            if text := trimmed(piece, begins_line=is_first):
                yield Document(page_content=text, metadata=dict(document.metadata))
            is_first = False

    return split


def trimmed(text: str, *, begins_line: bool = True) -> str:
    """Take off blank lines and what stands at the end; the first line keeps its indentation."""
    blank = BLANK_LINES.match(text)
    if blank:
        text = text[blank.end() :]
    elif not begins_line:
        text = text.lstrip()
    return text.rstrip()


def _by_size(chunking: Chunking, **more: Any) -> RecursiveCharacterTextSplitter:
    return RecursiveCharacterTextSplitter(
        chunk_size=chunking.size,
        chunk_overlap=chunking.overlap,
        strip_whitespace=False,
        **more,
    )


def _sentences(chunking: Chunking) -> Split:
    # Kept at the end, a separator comes back as it was; else its pattern would be joined.
    ends = {"separators": SENTENCE_ENDS, "is_separator_regex": True, "keep_separator": "end"}
    return _whole_pieces(_by_size(chunking, **ends))


def _markdown(chunking: Chunking) -> Split:
    by_size = _whole_pieces(_by_size(chunking))

    def split(document: Document) -> Iterator[Document]:
        for path, text in _under_headings(document.page_content):
            metadata = document.metadata | ({"heading": " › ".join(path)} if path else {})
            yield from by_size(Document(page_content=text, metadata=metadata))

    return split


def _under_headings(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield each heading's path and the text from it to the next one, as it was.

    Langchain's splitter rebuilds the lines: it takes off indentation and drops what Python cannot
    print, and a line of `#` takes it the square of its length.
    """
    above: dict[int, str] = {}
    lines: list[str] = []
    fence = ""
    for line in io.StringIO(text):
        opened = FENCE.match(line)
        heading = None if fence or opened else HEADING.match(line)
        if opened and not fence:
            fence = opened[1]
        elif opened and opened[1].startswith(fence):
            fence = ""
        if heading:
            if lines:
                yield list(above.values()), "".join(lines)
            level = len(heading[1])
            above = {each: name for each, name in above.items() if each < level}
            name = heading[2].rstrip()
            bare = name.rstrip("#")
            above[level] = bare.rstrip() if bare.endswith((" ", "\t")) else name
            lines = []
        lines.append(line)
    yield list(above.values()), "".join(lines)


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
            text = trimmed(document.page_content)
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
