"""Loaders: files of many kinds → their parts: pages, slides, sections or rows.

`LOADERS` is the registry: a new kind of file is one function and one entry in it. A loader yields
parts as it reads, so that a file of any length goes through in little memory. Formats whose
libraries need the whole file at once have a bound of their own. An upload is read in a worker.
"""

import contextlib
import io
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import IO, BinaryIO, cast

from lib.documents import archives, mail, markup, office, pdf, rtf, tables, text_encoding
from lib.documents.markup import Piece
from lib.documents.problems import Problems
from lib.documents.sources import DEFAULT_MAX_BYTES, MEGABYTE, Part, Upload
from lib.errors import InvalidInput
from lib.words import plain
from lib.workers import work
from lib.workers.work import Limits

# A part of a long text: short enough for a splitter to be quick about it.
SECTION_CHARACTERS = 50_000
BLOCK_CHARACTERS = 1 << 16
# Files that hold other files. One inside another is not opened.
CONTAINERS = frozenset([".zip", ".eml"])
# What people try although it is read in another form only.
OLD_FORMATS = {
    ".doc": "DOCX", ".dot": "DOCX", ".xls": "XLSX", ".ppt": "PPTX", ".pps": "PPTX", ".msg": "EML",
    ".pages": "DOCX", ".numbers": "XLSX", ".key": "PPTX", ".mobi": "EPUB", ".djvu": "PDF",
}  # fmt: skip
# pypdf writes every oddity of a file to standard error. What matters is among the problems.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)

Load = Callable[[BinaryIO, str, Problems], Iterator[Part]]


# What reading one file may take where nobody says otherwise.
READING = Limits(seconds=20, memory_mb=512, what="it", done="read")


@dataclass(frozen=True)
class Loader:
    """How one kind of file is called and read, and how large it may be."""

    label: str
    load: Load
    # Whether its parts are rows, of which a person chooses the columns.
    is_table: bool = False
    # Bytes; 0 when it is read piece by piece and only the upload's own bound counts.
    max_bytes: int = 0
    # What it imports when it reads.
    modules: tuple[str, ...] = ()


class _Told(Problems):
    """Problems that are told to another process, one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.untold: list[tuple[str, tuple[str, ...]]] = []

    def add(self, source: str, place: str, what: str) -> None:
        super().add(source, place, what)
        self.untold.append(("add", (source, place, what)))

    def note_once(self, source: str, what: str) -> None:
        super().note_once(source, what)
        self.untold.append(("note_once", (source, what)))

    def told(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield what was not told yet: a method and its arguments."""
        untold, self.untold = self.untold, []
        yield from untold


def read(
    upload: Upload,
    problems: Problems,
    max_bytes: int,
    limits: Limits | None = None,
    max_unpacked: int = archives.MAX_UNPACKED_BYTES,
) -> Iterator[Part]:
    """Yield a file's parts. What cannot be read is reported and ends that file only.

    With limits it is read in a worker, where nothing that it holds can hurt. `max_unpacked` are the
    bytes that an archive may unpack to.
    """
    if limits is None:
        yield from read_here(upload, problems, max_bytes, max_unpacked)
        return
    try:
        loader = _loader_for(upload, max_bytes)
        with upload.open() as file:
            content = file.read()
        for said in work.stream(
            _parts_and_problems, upload.name, content, max_bytes, max_unpacked,
            limits=limits, modules=loader.modules,
        ):  # fmt: skip
            if isinstance(said, Part):
                yield said
            else:
                method, arguments = said
                getattr(problems, method)(*arguments)
    except (InvalidInput, work.Ended, work.NotStarted) as problem:
        problems.add(upload.name, "", problem.what)


def _parts_and_problems(
    name: str, content: bytes, max_bytes: int, max_unpacked: int
) -> Iterator[Part | tuple[str, tuple[str, ...]]]:
    problems, upload = _Told(), Upload.of_bytes(name, content)
    try:
        # Whatever a loader did not think of ends this file only.
        with _opened_as(_loader_for(upload, max_bytes).label):
            for part in read_here(upload, problems, max_bytes, max_unpacked):
                yield from problems.told()
                yield part
    except InvalidInput as problem:
        problems.add(name, "", problem.what)
    yield from problems.told()


def read_here(
    upload: Upload,
    problems: Problems,
    max_bytes: int,
    max_unpacked: int = archives.MAX_UNPACKED_BYTES,
) -> Iterator[Part]:
    """Yield a file's parts, read in this process."""
    try:
        loader = _loader_for(upload, max_bytes)
        empty, problems_before = True, problems.total
        with upload.open() as file:
            archives.check_unpacked(file, max_unpacked)
            for part in loader.load(file, upload.name, problems):
                empty = False
                if not part.share:
                    # A file that was read to its end as text is closed by then.
                    share = 1.0 if file.closed else file.tell() / upload.size
                    part = part._replace(share=share)
                yield part
        if empty and problems.total == problems_before:
            raise InvalidInput("it holds no rows" if loader.is_table else "it holds no text")
    except InvalidInput as problem:
        problems.add(upload.name, "", problem.what)
    except UnicodeDecodeError as error:
        problems.add(upload.name, "", f"it cannot be read as {error.encoding}")


def _loader_for(upload: Upload, max_bytes: int) -> Loader:
    loader = LOADERS.get(upload.ending)
    if loader is None:
        other = OLD_FORMATS.get(upload.ending)
        hint = f"; save it as {other} first" if other else ""
        raise InvalidInput(f"files ending in {upload.ending or 'nothing'} cannot be read{hint}")
    limit = min(loader.max_bytes or max_bytes, max_bytes)
    if upload.size > limit:
        raise InvalidInput(
            f"it has {upload.size / MEGABYTE:,.0f} MB, at most {limit / MEGABYTE:,.0f} MB of "
            f"{loader.label} are taken"
        )
    if upload.size == 0:
        raise InvalidInput("it is empty")
    return loader


def _sections(blocks: Iterable[str]) -> Iterator[str]:
    """Cut a stream of text at paragraphs, lines, or spaces into sections of bounded length."""
    rest = ""
    for block in blocks:
        text, start = rest + block, 0
        while len(text) - start > SECTION_CHARACTERS:
            end = start + _cut(text[start : start + SECTION_CHARACTERS])
            yield text[start:end]
            start = end
        rest = text[start:]
    yield rest


def _cut(window: str) -> int:
    for border in ("\n\n", "\n", ". ", " "):
        found = window.rfind(border)
        if found > SECTION_CHARACTERS // 2:
            return found + len(border)
    return SECTION_CHARACTERS


def _parts(found: Iterable[Piece], source: str) -> Iterator[Part]:
    """Cut the words of places into parts that know how much of them they end."""
    places = list(found)
    total, done = sum(len(piece.text) for piece in places) or 1, 0
    for metadata, own in itertools.groupby(places, lambda piece: piece.metadata):
        place = ", ".join(
            str(value) if name == "part" else f"{name} {value}"
            for name, value in metadata.items()
            if name != "title"
        )
        for section in _sections(piece.text for piece in own):
            done += len(section)
            if section.strip():
                yield Part(source, place, {"text": section, **metadata}, min(done / total, 1.0))


def _say_left_out(problems: Problems, source: str, left_out: Mapping[str, int]) -> None:
    named = ", ".join(f"{name} ({count:,})" for name, count in left_out.items() if count)
    if named:
        problems.note_once(source, f"what holds no text is left out: {named}")


def _load_text(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    with text_encoding.opened(file) as text:
        for section in _sections(iter(partial(text.read, BLOCK_CHARACTERS), "")):
            if section.strip():
                yield Part(source, "", {"text": section})


@contextlib.contextmanager
def _opened_as(label: str) -> Iterator[None]:
    """Report whatever a library raises in the block as a damaged file.

    Bytes that are not what the file's name says make these libraries raise anything: there is no
    list of exceptions to catch.
    """
    try:
        yield
    except (InvalidInput, MemoryError):
        raise
    except Exception as error:
        raise InvalidInput(f"it is damaged or no {label}") from error


def _load_html(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    reader = markup.HtmlReader()
    found = list(markup.html_pieces(file.read(), reader))
    title = " ".join(reader.title.split())
    _say_left_out(problems, source, {"pictures": reader.pictures})
    if title:
        found = [Piece({"title": title}, piece.text) for piece in found]
    return _parts(found, source)


def _load_pdf(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    with _opened_as("PDF"):
        document = pdf.Document(file, size)
    empty, pictures = [], 0
    for number in range(1, document.pages + 1):
        try:
            with _opened_as("page"):
                text = document.text(number)
                pictures += document.pictures(number)
        except pdf.TooMuch:
            raise
        except InvalidInput as problem:
            problems.add(source, f"page {number}", problem.what)
            continue
        if text.strip():
            values = {"text": text, "page": number}
            yield Part(source, f"page {number}", values, number / document.pages)
        else:
            empty.append(number)
    _say_left_out(problems, source, {"pictures": pictures})
    if empty:
        first = ", ".join(map(str, empty[:10])) + (" …" if len(empty) > 10 else "")
        note = f"{len(empty):,} of {document.pages:,} pages hold no text, as scans do: {first}"
        problems.note_once(source, note)


def _load_office(
    file: BinaryIO,
    source: str,
    problems: Problems,
    label: str,
    pieces: Callable[[office.Package], Iterator[Piece]],
) -> Iterator[Part]:
    with _opened_as(label):
        package = office.Package(file)
        found = list(pieces(package))
    if label in {"XLSX", "ODS"}:
        problems.note_once(source, "numbers stand as they are stored, without their formats")
    _say_left_out(problems, source, package.left_out)
    return _parts(found, source)


def _load_rtf(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    left_out: Counter[str] = Counter()
    text = rtf.text_of(file.read(), left_out)
    _say_left_out(problems, source, left_out)
    return _parts([Piece({}, text)], source)


def _load_mail(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    shown, subject, parts = mail.parsed(file.read())
    texts, attached = [shown], []
    for part in parts:
        ending = PurePosixPath(part.name).suffix.lower()
        if part.name and (ending in LOADERS or not part.kind.startswith("text/")):
            attached.append(part)
        elif part.kind == "text/html":
            html = markup.html_pieces(part.content, markup.HtmlReader(), part.charset)
            texts.append("".join(piece.text for piece in html))
        elif part.kind.startswith("text/"):
            texts.append(markup.decoded(part.content, part.charset))
        else:
            problems.note_once(source, f"a part of the kind {part.kind} is left out")
    title = {"title": subject} if subject else {}
    yield from _parts([Piece(title, "\n\n".join(texts))], source)
    for part in attached:
        name = f"{source}/{plain(PurePosixPath(part.name).name)}"
        upload = Upload.of_bytes(name, part.content)
        if upload.ending in CONTAINERS or upload.ending not in LOADERS:
            problems.note_once(source, f"the attached file {part.name!r} is left out")
        else:
            yield from (
                each._replace(share=1.0) for each in read_here(upload, problems, DEFAULT_MAX_BYTES)
            )


def _same(file: IO[bytes]) -> BinaryIO:
    return cast(BinaryIO, file)


def _load_zip(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    for entry in archives.entries(file, source, problems):
        name = f"{source}/{plain(entry.name)}"
        upload = Upload(name, entry.size, partial(_same, entry.file))
        if upload.ending in CONTAINERS:
            problems.add(name, "", "an archive or a mail in an archive is not opened")
            continue
        for part in read_here(upload, problems, DEFAULT_MAX_BYTES):
            yield part._replace(share=entry.before + entry.share * part.share)


def _office(label: str, pieces: Callable[[office.Package], Iterator[Piece]]) -> Loader:
    load = partial(_load_office, label=label, pieces=pieces)
    return Loader(label, load, max_bytes=50 * MEGABYTE)


_TEXT = Loader("text", _load_text)
_MARKDOWN = Loader("Markdown", _load_text)
_HTML = Loader("HTML", _load_html, max_bytes=20 * MEGABYTE)
_JSON_LINES = Loader("JSON lines", tables.json_line_rows, is_table=True)
_DOCX, _PPTX = _office("DOCX", office.docx_pieces), _office("PPTX", office.pptx_pieces)
_XLSX = _office("XLSX", office.xlsx_pieces)

LOADERS: dict[str, Loader] = {
    ".txt": _TEXT,
    ".text": _TEXT,
    ".log": _TEXT,
    ".rst": _TEXT,
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".html": _HTML,
    ".htm": _HTML,
    ".xhtml": _HTML,
    ".pdf": Loader("PDF", _load_pdf, max_bytes=100 * MEGABYTE, modules=("pypdf",)),
    ".docx": _DOCX,
    ".docm": _DOCX,
    ".pptx": _PPTX,
    ".pptm": _PPTX,
    ".xlsx": _XLSX,
    ".xlsm": _XLSX,
    ".odt": _office("ODT", office.odf_pieces),
    ".odp": _office("ODP", office.odf_pieces),
    ".ods": _office("ODS", office.odf_pieces),
    ".epub": _office("EPUB", office.epub_pieces),
    ".rtf": Loader("RTF", _load_rtf, max_bytes=20 * MEGABYTE),
    ".eml": Loader("mail", _load_mail, max_bytes=20 * MEGABYTE),
    ".csv": Loader("CSV", tables.csv_rows, is_table=True),
    ".tsv": Loader("TSV", partial(tables.csv_rows, delimiter="\t"), is_table=True),
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
    ".json": Loader("JSON", tables.json_rows, is_table=True, max_bytes=50 * MEGABYTE),
    ".parquet": Loader("Parquet", tables.parquet_rows, is_table=True, modules=("pyarrow.parquet",)),
    ".zip": Loader("ZIP", _load_zip),
}
