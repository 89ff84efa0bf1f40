"""Office files: the XML parts of DOCX, PPTX, XLSX, ODT, ODP, ODS and EPUB → their words.

All of them are ZIPs of XML. Which parts are read follows from what the file itself says of them,
never from their names, and each is read as a stream of events (`markup`).
"""

import datetime as dt
import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote

from lib.documents import archives
from lib.documents.markup import (
    LINE,
    PARAGRAPH,
    HtmlReader,
    Lines,
    Piece,
    Reader,
    cut,
    pieces,
    xhtml_pieces,
)
from lib.errors import InvalidInput

# Lists of parts and of what belongs to them; a file of ten thousand parts has one of this size.
MAX_INDEX_BYTES = 1 << 21
# Words of all parts together. One text may be named by many cells.
MAX_CHARACTERS = archives.MAX_XML_BYTES
MAX_DEPTH = 500
DECLARATION = re.compile(r"\A\s{0,99}<\?xml[^>]{0,200}\?>")


def _value(attributes: Mapping[str, str], name: str) -> str:
    """Return an attribute by its name without a namespace."""
    for key, value in attributes.items():
        if key == name or key.endswith("}" + name):
            return value
    return ""


class XmlReader:
    """What all readers of office XML share: the names of the open elements, and what is skipped."""

    SKIPPED: frozenset[str] = frozenset()
    most_events = 1_000_000

    def __init__(self, left_out: Counter[str], lines: Lines | None = None) -> None:
        self.lines, self.left_out = lines or Lines(), left_out
        self.events = 0
        self.open: list[str] = ["", ""]
        self._skipped = 0

    def start(self, tag: str, attrib: Mapping[str, str]) -> None:
        """Begin an element."""
        self.events += 1
        name = tag.rpartition("}")[2]
        self.open.append(name)
        if len(self.open) > MAX_DEPTH:
            raise InvalidInput(f"it is nested more than {MAX_DEPTH} levels deep")
        if self._skipped or name in self.SKIPPED:
            self._skipped += 1
        else:
            self.begin(name, attrib)

    def end(self, tag: str) -> None:
        """End an element."""
        self.events += 1
        if self._skipped:
            self._skipped -= 1
        else:
            self.finish(self.open[-1])
        self.open.pop()

    def data(self, text: str) -> None:
        """Take text."""
        self.events += 1
        if not self._skipped:
            self.words(text)

    def comment(self, text: str) -> None:
        """Pass over a comment."""
        self.events += 1

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        """Refuse definitions: no office file needs them, and they can grow without end."""
        raise InvalidInput("its XML defines entities of its own, which are not read")

    def close(self) -> None:
        """End the part."""

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin an element that is not skipped."""

    def finish(self, name: str) -> None:
        """End one."""

    def words(self, text: str) -> None:
        """Take text that is not skipped."""


class Element(NamedTuple):
    """An element of a part's index: its name without the namespace, and its attributes."""

    name: str
    attributes: Mapping[str, str]


class _Index(XmlReader):
    """Collects a small part's elements."""

    def __init__(self) -> None:
        super().__init__(Counter())
        self.elements: list[Element] = []

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        self.elements.append(Element(name, dict(attributes)))


class Package:
    """The parts of an office file and how they are connected; `left_out` counts what has no words.

    Raises InvalidInput for a file that would take too much time or memory.
    """

    def __init__(self, file: BinaryIO) -> None:
        archives.check_office(file)
        self._archive = zipfile.ZipFile(file)
        self._names = {name.lower().lstrip("/"): name for name in self._archive.namelist()}
        self._unread, self._characters, self._events = archives.MAX_XML_BYTES, MAX_CHARACTERS, 0
        self.left_out: Counter[str] = Counter()

    def has(self, part: str) -> bool:
        """Say whether there is such a part."""
        return part.lower() in self._names

    def content(self, part: str, most: int = archives.MAX_XML_BYTES) -> bytes:
        """Return a part's bytes. Whatever it is called, all that is read counts."""
        info = self._archive.getinfo(self._names[part.lower()])
        if info.flag_bits & 1:
            raise InvalidInput("it is encrypted; save it without a password first")
        self._unread -= info.file_size
        if info.file_size > most or self._unread < 0:
            raise archives.too_much(max(info.file_size, archives.MAX_XML_BYTES - self._unread))
        return self._archive.read(info)

    def words(self, part: str, reader: XmlReader) -> list[Piece]:
        """Return the words of a part."""
        return self.counted(
            pieces(self._continued(reader), self._blocks(self.content(part))), reader
        )

    def counted(self, found: Iterable[Piece], reader: Reader) -> list[Piece]:
        """Return words, unless those of all parts are too many."""
        kept = []
        for piece in found:
            self._characters -= len(piece.text)
            if self._characters < 0:
                raise InvalidInput(f"its text has more than {MAX_CHARACTERS:,} characters")
            kept.append(piece)
        self._events = reader.events
        return kept

    def index(self, part: str) -> list[Element]:
        """Return a small part's elements; none where there is no such part."""
        reader = _Index()
        if self.has(part):
            content = self.content(part, MAX_INDEX_BYTES)
            self.counted(pieces(self._continued(reader), self._blocks(content)), reader)
        return reader.elements

    def related(self, part: str = "") -> list[tuple[str, str, str]]:
        """Return id, kind and name of the parts that a part of an OOXML file names, as it does."""
        folder, name = posixpath.split(part)
        found = []
        for each in self.index(posixpath.join(folder, "_rels", f"{name}.rels")):
            target = unquote(_value(each.attributes, "Target"))
            path = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            if _value(each.attributes, "TargetMode") != "External" and self.has(path):
                kind = _value(each.attributes, "Type").rpartition("/")[2]
                found.append((_value(each.attributes, "Id"), kind, path))
        return found

    def main(self, kind: str) -> str:
        """Return the part with which an OOXML file begins. Raises InvalidInput for another kind."""
        start = next(path for _, of, path in self.related() if of == "officeDocument")
        types = {
            _value(each.attributes, "PartName").lstrip("/").lower(): each.attributes
            for each in self.index("[Content_Types].xml")
            if each.name == "Override"
        }
        if kind not in _value(types.get(start.lower(), {}), "ContentType").lower():
            raise InvalidInput("it is another kind of file than its name says")
        return start

    def _continued(self, reader: XmlReader) -> XmlReader:
        reader.events = self._events
        return reader

    @staticmethod
    def _blocks(content: bytes) -> Iterator[str]:
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        return cut(DECLARATION.sub("", content.decode(encoding, "replace")))


class OoxmlReader(XmlReader):
    """Text of Word and PowerPoint, of drawings, charts, notes and comments."""

    # What is kept for older programs, what was deleted, the code of fields, readings of words.
    SKIPPED = frozenset((
        "Fallback", "del", "moveFrom", "instrText", "delText", "delInstrText", "rPh",
    ))  # fmt: skip
    LEFT_OUT: Mapping[str, str] = {
        "blip": "pictures",
        "imagedata": "pictures",
        "oleObj": "embedded objects",
        "OLEObject": "embedded objects",
        "altChunk": "embedded documents",
        "control": "ActiveX controls",
        "numPr": "numbers of list entries",
    }

    def __init__(self, left_out: Counter[str], border: str, *, is_layout: bool = False) -> None:
        super().__init__(left_out)
        self._border = border
        self._is_layout = is_layout
        self._hidden = self._is_label = self._is_placeholder = False
        self._choices: list[str] = []
        self._chosen = 0

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        parent = self.open[-2]
        if name == "r":
            self._hidden = False
        elif name == "vanish" and parent == "rPr" and self.open[-3] == "r":
            self._hidden = _value(attributes, "val") not in {"0", "false", "off"}
        elif name == "tab" and parent == "r":
            self.lines.write("\t")
        elif name in {"br", "cr"} and parent in {"r", "p"}:
            self.lines.write("\n")
        elif name == "noBreakHyphen":
            self.lines.write("\u2011")
        elif name in {"strCache", "strDim"}:
            self._is_label = True
        elif name == "sp":
            self._is_placeholder = False
        elif name == "ph":
            self._is_placeholder = True
        elif name == "listEntry":
            self._choices.append(_value(attributes, "val"))
        elif name == "result" and parent == "ddList":
            self._chosen = int(_value(attributes, "val") or 0)
        elif name in self.LEFT_OUT:
            self.left_out[self.LEFT_OUT[name]] += 1

    def finish(self, name: str) -> None:
        """End an element."""
        if name == "p":
            self.lines.end(self._border)
        elif name == "tc":
            self.lines.end_cell()
        elif name == "tr":
            self.lines.end_row()
        elif name in {"tbl", "txBody", "comment", "cm"}:
            self.lines.end(PARAGRAPH)
        elif name in {"v", "pt"} and self._is_label:
            self.lines.end(LINE)
        elif name in {"strCache", "strDim"}:
            self._is_label = False
        elif name == "ddList":
            if 0 <= self._chosen < len(self._choices):
                self.lines.write(self._choices[self._chosen])
            self._choices, self._chosen = [], 0

    def words(self, text: str) -> None:
        """Take text where it is shown."""
        name, parent = self.open[-1], self.open[-2]
        if (
            (name == "t" and not self._hidden)
            or (name in {"v", "pt"} and self._is_label)
            or (name == "text" and parent in {"cm", "threadedComment"})
        ) and not (self._is_layout and self._is_placeholder):
            self.lines.write(text)


# What belongs to a document or a slide and holds words, by the name of its relation.
DOCUMENT_PARTS = (
    "footnotes", "endnotes", "comments", "chart", "chartEx", "diagramData", "header", "footer",
)  # fmt: skip
SLIDE_PARTS = ("chart", "chartEx", "diagramData", "notesSlide", "comments")
SHOWN_AS = {
    "notesSlide": "notes", "diagramData": "diagram", "chartEx": "chart",
    "threadedComment": "comments",
}  # fmt: skip


def _named(found: list[Piece], **metadata: str | int) -> list[Piece]:
    return [Piece(metadata, piece.text) for piece in found]


def docx_pieces(package: Package) -> Iterator[Piece]:
    """Yield a document's text, then its notes, comments, charts, headers and footers."""
    main = package.main("word")
    yield from package.words(main, OoxmlReader(package.left_out, PARAGRAPH))
    related = package.related(main)
    seen = set()
    for wanted in DOCUMENT_PARTS:
        for part in dict.fromkeys(path for _, kind, path in related if kind == wanted):
            found = package.words(part, OoxmlReader(package.left_out, PARAGRAPH))
            text = "".join(piece.text for piece in found)
            if text not in seen:  # a document has headers of first, odd and even pages
                yield from _named(found, part=SHOWN_AS.get(wanted, wanted))
            seen.add(text)


def pptx_pieces(package: Package) -> Iterator[Piece]:
    """Yield the slides in their order, each with its charts and notes, then the layouts' text."""
    main = package.main("presentation")
    related = package.related(main)
    paths = {key: path for key, _, path in related}
    layouts: dict[str, None] = {}
    slides = [each for each in package.index(main) if each.name == "sldId"]
    for number, slide in enumerate(slides, 1):
        own = next((value for key, value in slide.attributes.items() if key.endswith("}id")), "")
        if own not in paths:
            raise InvalidInput(f"slide {number} is missing in it")
        reader = OoxmlReader(package.left_out, LINE)
        yield from _named(package.words(paths[own], reader), slide=number)
        belonging = package.related(paths[own])
        for wanted in SLIDE_PARTS:
            for part in (path for _, kind, path in belonging if kind == wanted):
                found = package.words(part, OoxmlReader(package.left_out, LINE))
                yield from _named(found, slide=number, part=SHOWN_AS.get(wanted, wanted))
        layouts.update((path, None) for _, kind, path in belonging if kind == "slideLayout")
    masters = (
        path for part in layouts for _, of, path in package.related(part) if of == "slideMaster"
    )
    for part in dict.fromkeys([*layouts, *masters]):
        reader = OoxmlReader(package.left_out, LINE, is_layout=True)
        yield from _named(package.words(part, reader), part="layout")


DATE_FORMATS = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
# What is quoted, escaped, or in brackets (colours and conditions) is no part of a date.
FORMAT_NOISE = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
EXCEL_EPOCH = dt.datetime(1899, 12, 30)
HEADERS = frozenset(f"{page}{place}" for page in ("odd", "even", "first") for place in ("Header", "Footer"))  # fmt: skip  # noqa: E501
# Codes for places, fonts and sizes in a sheet's header; the letters of the date and so on too.
HEADER_CODE = re.compile(r'&(?:"[^"]*"|\d+|K[0-9A-Fa-f]{6}|[A-Za-z])')


class _SharedTexts(XmlReader):
    """Collects the texts that cells share."""

    SKIPPED = frozenset(["rPh"])

    def __init__(self) -> None:
        super().__init__(Counter())
        self.texts: list[str] = []
        self._parts: list[str] = []

    def words(self, text: str) -> None:
        if self.open[-1] == "t":
            self._parts.append(text)

    def finish(self, name: str) -> None:
        if name == "si":
            self.texts.append("".join(self._parts))
            self._parts = []


class SheetReader(XmlReader):
    """A sheet's rows; cells of dates become dates, other numbers stay as they are stored."""

    SKIPPED = frozenset(["f", "rPh"])

    def __init__(self, left_out: Counter[str], texts: list[str], dates: frozenset[int]) -> None:
        super().__init__(left_out)
        self._texts, self._dates = texts, dates
        self._kind, self._is_date = "", False
        self._parts: list[str] = []

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin a cell."""
        if name == "c":
            self._kind = attributes.get("t", "n")
            style = attributes.get("s", "")
            self._is_date = style.isdecimal() and int(style[:9]) in self._dates
            self._parts = []

    def words(self, text: str) -> None:
        """Take a cell's value, or a header."""
        if self.open[-1] in {"v", "t"}:
            self._parts.append(text)
        elif self.open[-1] in HEADERS:
            self.lines.write(HEADER_CODE.sub(" ", text))

    def finish(self, name: str) -> None:
        """End a cell, a row or a header."""
        if name == "c":
            if shown := self._shown("".join(self._parts)):
                self.lines.write(shown)
            self.lines.end_cell()
        elif name == "row":
            self.lines.end_row()
        elif name in HEADERS:
            self.lines.end(LINE)

    def _shown(self, value: str) -> str:
        if self._kind == "s":
            place = int(value) if value.isdecimal() and len(value) < 10 else -1
            return self._texts[place] if 0 <= place < len(self._texts) else ""
        if self._kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        if self._kind == "n" and self._is_date:
            try:
                moment = EXCEL_EPOCH + dt.timedelta(days=float(value))
            except (ValueError, OverflowError):
                return value
            if float(value) < 1:
                return f"{moment:%H:%M:%S}"
            return f"{moment:%Y-%m-%d}" if float(value).is_integer() else f"{moment:%Y-%m-%d %H:%M}"
        return value


def _date_styles(elements: list[Element]) -> frozenset[int]:
    """Return the numbers of the cell formats that show a date or a time."""
    own, formats, is_cell = {}, [], False
    for each in elements:
        if each.name == "numFmt":
            code = FORMAT_NOISE.sub("", _value(each.attributes, "formatCode"))
            own[_value(each.attributes, "numFmtId")] = bool(
                re.search("[ymdhs]", code, re.IGNORECASE)
            )
        elif each.name in {"cellXfs", "cellStyleXfs", "cellStyles", "dxfs"}:
            is_cell = each.name == "cellXfs"
        elif each.name == "xf" and is_cell:
            formats.append(_value(each.attributes, "numFmtId"))
    return frozenset(
        place
        for place, number in enumerate(formats)
        if own.get(number, number.isdecimal() and int(number[:9]) in DATE_FORMATS)
    )


def xlsx_pieces(package: Package) -> Iterator[Piece]:
    """Yield the sheets, each with its header, comments, text boxes and charts."""
    main = package.main("sheet")
    related = package.related(main)
    paths = {key: path for key, _, path in related}
    shared = _SharedTexts()
    for path in (path for _, kind, path in related if kind == "sharedStrings"):
        package.words(path, shared)
    styles = next((path for _, kind, path in related if kind == "styles"), "")
    dates = _date_styles(package.index(styles))
    for sheet in (each for each in package.index(main) if each.name == "sheet"):
        own = next((value for key, value in sheet.attributes.items() if key.endswith("}id")), "")
        name = sheet.attributes.get("name", "")
        if own not in paths:
            raise InvalidInput(f"its sheet {name!r} is missing in it")
        reader = SheetReader(package.left_out, shared.texts, dates)
        yield from _named(package.words(paths[own], reader), sheet=name)
        belonging = package.related(paths[own])
        drawings = [path for _, kind, path in belonging if kind == "drawing"]
        charts = [each for path in drawings for each in package.related(path)]
        for _, kind, path in belonging + charts:
            if kind in {
                "comments",
                "threadedComment",
                "drawing",
                "chart",
                "chartEx",
                "diagramData",
            }:
                found = package.words(path, OoxmlReader(package.left_out, LINE))
                shown = SHOWN_AS.get(kind, {"threadedComment": "comments"}.get(kind, kind))
                yield from _named(found, sheet=name, part=shown)


class OdfReader(XmlReader):
    """Text of OpenDocument: documents, slides and sheets, with notes and comments apart."""

    SKIPPED = frozenset(["tracked-changes", "note-citation", "hidden-text", "binary-data"])
    CONTROLS = frozenset((
        "text", "textarea", "formatted-text", "number", "date", "time", "combobox", "listbox",
        "option", "item", "checkbox", "radio", "button", "fixed-text",
    ))  # fmt: skip
    MATHEMATICS = frozenset(["mi", "mn", "mo", "mtext"])
    DECLARED = frozenset(["header-decl", "footer-decl", "date-time-decl"])

    def __init__(self, left_out: Counter[str]) -> None:
        super().__init__(left_out)
        self.apart = {"note": Lines(part="footnotes"), "annotation": Lines(part="comments")}
        self.objects: list[str] = []
        self._outer: list[Lines] = []
        self._text_depth = self._form_depth = self._slide = 0

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        parent = self.open[-2]
        if name in {"p", "h"}:
            self._text_depth += 1
        elif name == "s" and self._text_depth:
            count = _value(attributes, "c")
            self.lines.write(" " * min(int(count) if count.isdecimal() else 1, 100))
        elif name in {"tab", "line-break"} and self._text_depth:
            self.lines.write("\t" if name == "tab" else "\n")
        elif name in self.apart:
            self._outer.append(self.lines)
            self.lines = self.apart[name]
        elif name == "table" and parent == "spreadsheet":
            self.lines.mark(sheet=_value(attributes, "name"))
        elif name == "page" and parent == "presentation":
            self._slide += 1
            self.lines.mark(slide=self._slide)
        elif name == "notes" and parent == "page":
            self.lines.mark(slide=self._slide, part="notes")
        elif name == "forms":
            self._form_depth += 1
        elif self._form_depth and name in self.CONTROLS:
            shown = [_value(attributes, key) for key in ("label", "current-value", "value")]
            for text in dict.fromkeys(filter(None, shown)):
                self.lines.write(text)
                self.lines.end(LINE)
        elif name == "object":
            self.objects.append(_value(attributes, "href"))
        elif name == "image":
            self.left_out["pictures"] += 1
        elif name == "object-ole":
            self.left_out["embedded objects"] += 1
        elif name == "list-item":
            self.left_out["numbers of list entries"] += 1

    def finish(self, name: str) -> None:
        """End an element."""
        if name in {"p", "h"}:
            self._text_depth -= 1
            self.lines.end(PARAGRAPH if self._slide == 0 else LINE)
        elif name in {"table-cell", "covered-table-cell"}:
            self.lines.end_cell()
        elif name == "table-row":
            self.lines.end_row()
        elif name == "table":
            self.lines.end(PARAGRAPH)
        elif name in self.apart and self._outer:
            self.lines.end(PARAGRAPH)
            self.lines = self._outer.pop()
        elif name == "notes" and self.open[-2] == "page":
            self.lines.mark(slide=self._slide)
        elif name == "forms":
            self._form_depth -= 1
        elif name in self.DECLARED:
            self.lines.end(LINE)

    def words(self, text: str) -> None:
        """Take text of paragraphs; who wrote a comment and when is none of it."""
        name = self.open[-1]
        if "annotation" in self.open[-2:-1] and name not in {"p", "h"}:
            return
        if self._text_depth or name in self.MATHEMATICS or name in self.DECLARED:
            self.lines.write(text)


class _OdfPages(OdfReader):
    """The headers and footers that an OpenDocument file keeps with its page styles."""

    def words(self, text: str) -> None:
        if "master-styles" in self.open:
            super().words(text)


def odf_pieces(package: Package) -> Iterator[Piece]:
    """Yield a document's text, then notes, comments, charts, and headers and footers."""
    manifest = package.index("META-INF/manifest.xml")
    if any(each.name == "encryption-data" for each in manifest):
        raise InvalidInput("it is encrypted; save it without a password first")
    reader = OdfReader(package.left_out)
    yield from package.words("content.xml", reader)
    for lines in reader.apart.values():
        yield from lines.take()
    for href in dict.fromkeys(reader.objects):
        part = posixpath.normpath(posixpath.join(unquote(href), "content.xml"))
        if package.has(part):
            yield from _named(package.words(part, OdfReader(package.left_out)), part="chart")
        else:
            package.left_out["embedded objects"] += 1
    if package.has("styles.xml"):
        found = package.words("styles.xml", _OdfPages(Counter()))
        yield from _named(found, part="headers and footers")


def epub_pieces(package: Package) -> Iterator[Piece]:
    """Yield the chapters of a book in the order in which they are read."""
    roots = [each for each in package.index("META-INF/container.xml") if each.name == "rootfile"]
    if not roots:
        raise InvalidInput("it is damaged or no EPUB")
    opf = _value(roots[0].attributes, "full-path")
    items, order = {}, []
    for each in package.index(opf):
        if each.name == "item":
            items[_value(each.attributes, "id")] = unquote(_value(each.attributes, "href"))
        elif each.name == "itemref":
            order.append(_value(each.attributes, "idref"))
    for number, name in enumerate(dict.fromkeys(order), 1):
        part = posixpath.normpath(posixpath.join(posixpath.dirname(opf), items.get(name, "?")))
        if not package.has(part):
            raise InvalidInput(f"chapter {number} is missing in it")
        reader = HtmlReader()
        found = package.counted(xhtml_pieces(package.content(part), reader), reader)
        package.left_out["pictures"] += reader.pictures
        title = " ".join(reader.title.split())
        yield from _named(found, chapter=number, **({"title": title} if title else {}))
