"""Loaders: files of many kinds → their parts: pages, slides, sections or rows.

`LOADERS` is the registry: a new kind of file is one function and one entry in it. A loader yields
parts as it reads, so that a file of any length goes through in little memory. Formats whose
libraries need the whole file at once have a bound of their own.
"""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, BinaryIO, cast

from lib.documents import archives, tables, text_encoding
from lib.documents.problems import Problems
from lib.documents.sources import DEFAULT_MAX_BYTES, MEGABYTE, Part, Upload
from lib.errors import InvalidInput

# A part of a long text: short enough for a splitter to be quick about it.
SECTION_CHARACTERS = 50_000
BLOCK_CHARACTERS = 1 << 16
# The parser takes 10 µs and a kilobyte for each.
MAX_TAGS = 100_000
# pypdf writes every oddity of a file to standard error. What matters is among the problems.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)

Load = Callable[[BinaryIO, str, Problems], Iterator[Part]]


@dataclass(frozen=True)
class Loader:
    """How one kind of file is called and read, and how large it may be."""

    label: str
    load: Load
    # Whether its parts are rows, of which a person chooses the columns.
    is_table: bool = False
    # Bytes; 0 when it is read piece by piece and only the upload's own bound counts.
    max_bytes: int = 0


def read(upload: Upload, problems: Problems, max_bytes: int) -> Iterator[Part]:
    """Yield a file's parts. What cannot be read is reported and ends that file only."""
    try:
        loader = _loader_for(upload, max_bytes)
        empty, problems_before = True, problems.total
        with upload.open() as file:
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
        raise InvalidInput(f"files ending in {upload.ending or 'nothing'} cannot be read")
    limit = min(loader.max_bytes or max_bytes, max_bytes)
    if upload.size > limit:
        raise InvalidInput(
            f"it has {upload.size / MEGABYTE:,.0f} MB, at most {limit / MEGABYTE:,.0f} MB of "
            f"{loader.label} are taken"
        )
    if upload.size == 0:
        raise InvalidInput("it is empty")
    return loader


def _sections(blocks: Iterator[str]) -> Iterator[str]:
    """Cut a stream of text at paragraphs, lines, or spaces into sections of bounded length."""
    rest = ""
    for block in blocks:
        rest += block
        while len(rest) > SECTION_CHARACTERS:
            cut = _cut(rest)
            yield rest[:cut]
            rest = rest[cut:]
    yield rest


def _cut(text: str) -> int:
    window = text[:SECTION_CHARACTERS]
    for border in ("\n\n", "\n", ". ", " "):
        found = window.rfind(border)
        if found > SECTION_CHARACTERS // 2:
            return found + len(border)
    return SECTION_CHARACTERS


def _whole_text(text: str, source: str, **metadata: str) -> Iterator[Part]:
    """Cut a text into parts that know how much of it they end."""
    done = 0
    for section in _sections(iter([text])):
        done += len(section)
        if section.strip():
            yield Part(source, "", {"text": section, **metadata}, done / len(text))


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
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(f"it is damaged or no {label}") from error


def _load_html(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    import bs4

    content = file.read()
    if content.count(b"<") > MAX_TAGS:
        raise InvalidInput(f"it has more than {MAX_TAGS:,} tags")
    with _opened_as("HTML"), warnings.catch_warnings():
        # A page without markup is a text. One of XML is read well enough as HTML.
        warnings.simplefilter("ignore", bs4.MarkupResemblesLocatorWarning)
        warnings.simplefilter("ignore", bs4.XMLParsedAsHTMLWarning)
        soup = bs4.BeautifulSoup(content, "html.parser")
    for unseen in soup(["script", "style", "noscript", "template"]):
        unseen.decompose()
    title = soup.title.get_text(strip=True) if soup.title else ""
    text = (soup.body or soup).get_text("\n", strip=True)
    return _whole_text(text, source, **({"title": title} if title else {}))


def _load_pdf(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    import pypdf

    with _opened_as("PDF"):
        document = pypdf.PdfReader(file)
        if document.is_encrypted and not document.decrypt(""):
            raise InvalidInput("it is encrypted; save it without a password first")
        pages = len(document.pages)
    empty = []
    for number in range(1, pages + 1):
        try:
            with _opened_as("page"):
                text = document.pages[number - 1].extract_text()
        except InvalidInput as problem:
            problems.add(source, f"page {number}", problem.what)
            continue
        if text.strip():
            yield Part(source, f"page {number}", {"text": text, "page": number}, number / pages)
        else:
            empty.append(number)
    if empty:
        first = ", ".join(map(str, empty[:10])) + (" …" if len(empty) > 10 else "")
        note = f"{len(empty):,} of {pages:,} pages hold no text, as scans do: {first}"
        problems.note_once(source, note)


def _load_docx(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    import docx

    archives.check_office(file)
    with _opened_as("DOCX"):
        blocks = [
            block.text
            if hasattr(block, "text")
            else "\n".join(" | ".join(cell.text for cell in row.cells) for row in block.rows)
            for block in docx.Document(file).iter_inner_content()
        ]
    return _whole_text("\n\n".join(block for block in blocks if block.strip()), source)


def _load_pptx(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    import pptx

    archives.check_office(file)
    with _opened_as("PPTX"):
        slides = [
            "\n".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame)
            for slide in pptx.Presentation(file).slides
        ]
    for number, text in enumerate(slides, 1):
        if text.strip():
            values = {"text": text, "slide": number}
            yield Part(source, f"slide {number}", values, number / len(slides))


def _same(file: IO[bytes]) -> BinaryIO:
    return cast(BinaryIO, file)


def _load_zip(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    for entry in archives.entries(file, source, problems):
        name = f"{source}/{entry.name}"
        upload = Upload(name, entry.size, partial(_same, entry.file))
        if upload.ending == ".zip":
            problems.add(name, "", "an archive in an archive is not opened")
            continue
        for part in read(upload, problems, DEFAULT_MAX_BYTES):
            yield part._replace(share=entry.before + entry.share * part.share)


_TEXT = Loader("text", _load_text)
_MARKDOWN = Loader("Markdown", _load_text)
_HTML = Loader("HTML", _load_html, max_bytes=20 * MEGABYTE)
_JSON_LINES = Loader("JSON lines", tables.json_line_rows, is_table=True)

LOADERS: dict[str, Loader] = {
    ".txt": _TEXT,
    ".text": _TEXT,
    ".log": _TEXT,
    ".rst": _TEXT,
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".html": _HTML,
    ".htm": _HTML,
    ".pdf": Loader("PDF", _load_pdf, max_bytes=100 * MEGABYTE),
    ".docx": Loader("DOCX", _load_docx, max_bytes=50 * MEGABYTE),
    ".pptx": Loader("PPTX", _load_pptx, max_bytes=50 * MEGABYTE),
    ".csv": Loader("CSV", tables.csv_rows, is_table=True),
    ".tsv": Loader("TSV", partial(tables.csv_rows, delimiter="\t"), is_table=True),
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
    ".json": Loader("JSON", tables.json_rows, is_table=True, max_bytes=50 * MEGABYTE),
    ".parquet": Loader("Parquet", tables.parquet_rows, is_table=True),
    ".zip": Loader("ZIP", _load_zip),
}
