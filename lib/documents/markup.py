"""Markup: HTML, and the XML inside office files, read as a stream of events without a tree.

A tree takes twenty to fifty times a file's size in memory, and a parser that looks ahead for what
never comes takes the square of it in time. libxml2 tells events as it goes: both stay linear.
"""

import codecs
import html
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from lxml import etree

from lib.documents import text_encoding
from lib.errors import InvalidInput

BLOCK_CHARACTERS = 1 << 16
MAX_CHARACTERS = 20 << 20
# What stands between attributes. More of it in one tag would be a gigabyte of attributes.
SEPARATORS = re.compile(r"[\s/\"']")
MOST_SEPARATORS = 200_000
SPACES = re.compile(r"[ \t\n\r\f]+")
CHARSET = re.compile(rb"charset\s{0,9}=\s{0,9}[\"']?([\w.:-]{1,40})", re.IGNORECASE)
BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)
CHARSET_WITHIN_BYTES = 4_096
ENTITY = re.compile(r"&(?!amp;|lt;|gt;|quot;|apos;)[A-Za-z]\w{0,30};")
LINE, PARAGRAPH, CELL = "\n", "\n\n", " | "


class Piece(NamedTuple):
    """Text of one place, and what its rows carry beside it."""

    metadata: Mapping[str, Any]
    text: str


class Lines:
    """Words as they come → lines: breaks are kept back until the next word, so that none pile up.

    `mark` begins another place, such as the next slide; `take` gives what is finished.
    """

    def __init__(self, **metadata: Any) -> None:
        self.metadata: Mapping[str, Any] = metadata
        self._pieces: list[str] = []
        self._done: list[Piece] = []
        self._pending, self._room = "", MAX_CHARACTERS
        self._begins_row, self._has_begun = True, False

    def write(self, text: str) -> None:
        """Add words, after the break that was asked for."""
        if self._pending and self._has_begun:
            if self._pieces and self._pending != CELL:
                self._pieces[-1] = self._pieces[-1].rstrip(" ")
            self._pieces.append(self._pending)
        self._room -= len(text)
        if self._room < 0:  # one text may be named by many cells
            raise InvalidInput(f"its text has more than {MAX_CHARACTERS:,} characters")
        self._pieces.append(text)
        self._pending, self._begins_row, self._has_begun = "", False, True

    @property
    def ends_with_space(self) -> bool:
        """Say whether a further space would be one too many."""
        if self._pending or not self._has_begun:
            return True
        return bool(self._pieces) and self._pieces[-1][-1:].isspace()

    def end(self, border: str) -> None:
        """Ask for a line's or a paragraph's end before the next word."""
        if self._pending != PARAGRAPH:
            self._pending = border

    def end_cell(self) -> None:
        """Ask for a border of cells; it replaces the break that ended the cell's last line."""
        if not self._begins_row:
            self._pending = CELL

    def end_row(self) -> None:
        """Ask for a new line; borders of empty cells before it are left out."""
        self._pending, self._begins_row = LINE, True

    def mark(self, **metadata: Any) -> None:
        """Begin another place."""
        self._finish()
        self.metadata, self._pending = metadata, ""
        self._begins_row, self._has_begun = True, False

    def take(self) -> list[Piece]:
        """Return what was written since, and forget it."""
        self._finish()
        taken, self._done = self._done, []
        return taken

    def _finish(self) -> None:
        text = "".join(self._pieces)
        if text:
            self._done.append(Piece(self.metadata, text))
            self._pieces = []


class Reader(Protocol):
    """What gets the events of a parser. `events` counts them, `lines` has the words.

    An event, which is the beginning or the end of an element or a text, takes some 5 µs.
    """

    events: int
    most_events: int
    lines: Lines

    def start(self, tag: str, attrib: Mapping[str, str]) -> None:
        """Begin an element."""

    def end(self, tag: str) -> None:
        """End an element."""

    def data(self, text: str) -> None:
        """Take text."""

    def comment(self, text: str) -> None:
        """Pass over a comment."""

    def close(self) -> None:
        """End the document."""


def pieces(reader: Reader, blocks: Iterable[str], *, is_html: bool = False) -> Iterator[Piece]:
    """Feed a parser and yield the words as they come.

    Raises InvalidInput for a tag with too many attributes, and etree.XMLSyntaxError for bad XML.
    """
    kind = etree.HTMLParser if is_html else etree.XMLParser
    more = {} if is_html else {"resolve_entities": False, "no_network": True, "huge_tree": False}
    parser = kind(target=reader, encoding="utf-8", **more)
    separators = 0
    for block in blocks:
        before = reader.events
        parser.feed(block.encode("utf-8", "replace"))
        # The parser keeps a tag back until its end has come.
        if reader.events > reader.most_events:
            raise InvalidInput(f"it has more than {reader.most_events // 2:,} tags")
        separators = 0 if reader.events > before else separators + len(SEPARATORS.findall(block))
        if separators > MOST_SEPARATORS:
            raise InvalidInput(f"one of its tags has more than {MOST_SEPARATORS // 2:,} attributes")
        yield from reader.lines.take()
    parser.close()
    yield from reader.lines.take()


def cut(text: str) -> Iterator[str]:
    """Yield a text in blocks."""
    for start in range(0, len(text), BLOCK_CHARACTERS):
        yield text[start : start + BLOCK_CHARACTERS]


def decoded(content: bytes, encoding: str = "") -> str:
    """Return a text in the encoding that was said or is named in it, else in the likeliest."""
    named = CHARSET.search(content[:CHARSET_WITHIN_BYTES])
    if not encoding and named and not content.startswith(BYTE_ORDER_MARKS):
        encoding = named.group(1).decode("ascii")
    try:
        # A page that names UTF-16 in one byte a letter is mistaken.
        codec = codecs.lookup(encoding).name.replace("utf-16", "").replace("utf-32", "")
        return content.decode(codec) if codec else content.decode()
    except (LookupError, UnicodeError):
        with text_encoding.opened(io.BytesIO(content)) as text:
            return text.read()


class HtmlReader:
    """HTML as a browser shows it: blocks on lines of their own, inline elements in their line."""

    LINES = frozenset((
        "address", "article", "aside", "button", "caption", "center", "dd", "details", "dialog",
        "dir", "div", "dt", "fieldset", "figcaption", "footer", "form", "header", "hgroup", "hr",
        "legend", "li", "main", "nav", "optgroup", "option", "section", "select", "summary",
        "textarea", "title", "tr",
    ))  # fmt: skip
    PARAGRAPHS = frozenset((
        "blockquote", "dl", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "menu", "ol", "p",
        "pre", "table", "ul",
    ))  # fmt: skip
    UNSEEN = frozenset((
        "audio", "canvas", "datalist", "embed", "iframe", "noframes", "noscript", "object",
        "script", "style", "template", "video",
    ))  # fmt: skip
    PICTURES = frozenset((
        "img", "svg", "canvas", "video", "audio", "object", "embed", "iframe",
    ))  # fmt: skip
    HIDING = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)

    most_events = 400_000

    def __init__(self) -> None:
        self.lines = Lines()
        self.events = self.pictures = 0
        self.title = ""
        self._unseen = self._kept_spaces = 0
        self._in_title = False

    def start(self, tag: str, attrib: Mapping[str, str]) -> None:
        """Begin an element; a hidden one hides what is in it."""
        self.events += 1
        tag = tag.rpartition("}")[2].lower()
        if self._unseen:
            self._unseen += 1
            return
        self.pictures += tag in self.PICTURES
        if self._hides(tag, attrib):
            self._unseen = 1
        elif tag == "br":
            self.lines.write("\n")
        elif tag == "title":
            self._in_title = True
        elif tag == "img":
            self._words(attrib.get("alt", ""))
        elif tag == "input":
            shown = attrib.get("value") or attrib.get("placeholder") or ""
            if attrib.get("type", "").lower() not in {"hidden", "password", "checkbox", "radio"}:
                self._words(f" {shown} ")
        elif tag in self.LINES or tag in self.PARAGRAPHS:
            self.lines.end(PARAGRAPH if tag in self.PARAGRAPHS else LINE)
            self._kept_spaces += tag in {"pre", "textarea"}

    def end(self, tag: str) -> None:
        """End an element."""
        self.events += 1
        tag = tag.rpartition("}")[2].lower()
        if self._unseen:
            self._unseen -= 1
        elif tag == "title":
            self._in_title = False
        elif tag in {"td", "th"}:
            self.lines.end_cell()
        elif tag == "tr":
            self.lines.end_row()
        elif tag in self.LINES or tag in self.PARAGRAPHS:
            self.lines.end(PARAGRAPH if tag in self.PARAGRAPHS else LINE)
            self._kept_spaces -= tag in {"pre", "textarea"}

    def data(self, text: str) -> None:
        """Take text; a title is metadata."""
        self.events += 1
        if self._in_title and not self._unseen:
            if len(self.title) < 1_000:
                self.title += text[:1_000]
        elif not self._unseen:
            self._words(text)

    def comment(self, text: str) -> None:
        """Pass over a comment."""
        self.events += 1

    def close(self) -> None:
        """End the document."""

    def _words(self, text: str) -> None:
        if not self._kept_spaces:
            text = SPACES.sub(" ", text)
            if self.lines.ends_with_space:
                text = text.lstrip(" ")
        if text:
            self.lines.write(text)

    def _hides(self, tag: str, attrib: Mapping[str, str]) -> bool:
        return (
            tag in self.UNSEEN
            or "hidden" in attrib
            or (tag == "dialog" and "open" not in attrib)
            or ("style" in attrib and bool(self.HIDING.search(attrib["style"])))
        )


def html_pieces(content: bytes, reader: HtmlReader, encoding: str = "") -> Iterator[Piece]:
    """Yield the words of a page."""
    yield from pieces(reader, cut(decoded(content, encoding)), is_html=True)


def xhtml_pieces(content: bytes, reader: HtmlReader) -> list[Piece]:
    """Return the words of a page of XML; one that is no XML is read as HTML."""
    # Names such as &nbsp; are HTML's own, XML knows five.
    text = ENTITY.sub(lambda name: html.unescape(name.group()), decoded(content))
    text = re.sub(r"\A\s*<\?xml[^>]{0,200}\?>", "", text)
    try:
        return list(pieces(reader, cut(text)))
    except etree.XMLSyntaxError:
        again = HtmlReader()
        again.events = reader.events
        found = list(html_pieces(content, again))
        vars(reader).update(vars(again))  # nothing of the first try stays
        return found
