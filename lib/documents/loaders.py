"""Loaders: files of many kinds → a stream of documents, with what could not be read.

A loader yields documents as it reads, so that a file of any length goes through in little memory;
formats whose libraries need the whole file at once have a bound of their own.
"""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, BinaryIO, cast

from langchain_core.documents import Document

from lib.documents import archives, tables, text_encoding
from lib.documents.problems import Problems
from lib.documents.sources import MEGABYTE, Reading, Upload
from lib.errors import InvalidInput

# A document of a long text file: short enough for a splitter to be quick about it.
SECTION_CHARACTERS = 50_000
# It tells standard error of every oddity in a file; what matters is among the problems.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)

Load = Callable[[BinaryIO, str, Reading], Iterator[Document]]
Records = Callable[[BinaryIO, str, Reading], Iterator[tuple[str, tables.Record]]]


@dataclass(frozen=True)
class Loader:
    """How one kind of file is called and read, and how large it may be."""

    label: str
    load: Load
    # For tables: how to look at the rows before a text column is chosen.
    records: Records | None = None
    # Bytes; 0 when it is read piece by piece and only the upload's own bound counts.
    max_bytes: int = 0


def read(upload: Upload, reading: Reading) -> Iterator[Document]:
    """Yield a file's documents. What cannot be read is reported and ends that file only."""
    loader = LOADERS.get(upload.ending)
    if loader is None:
        reading.problems.add(
            upload.name, "", f"files ending in {upload.ending or 'nothing'} cannot be read"
        )
        return
    limit = min(loader.max_bytes or reading.max_bytes, reading.max_bytes)
    if upload.size > limit:
        reading.problems.add(
            upload.name,
            "",
            f"it has {upload.size / MEGABYTE:,.0f} MB, at most {limit / MEGABYTE:,.0f} MB of "
            f"{loader.label} are taken",
        )
        return
    if upload.size == 0:
        reading.problems.add(upload.name, "", "it is empty")
        return
    with upload.open() as file:
        is_outermost = reading.current is None
        if is_outermost:
            reading.current = file
        try:
            yield from loader.load(file, upload.name, reading)
        except InvalidInput as problem:
            reading.problems.add(upload.name, "", problem.what)
        finally:
            if is_outermost:
                reading.current = None


def read_all(uploads: Sequence[Upload], reading: Reading) -> Iterator[Document]:
    """Yield the documents of files, one file after another."""
    for upload in uploads:
        yield from read(upload, reading)
        reading.bytes_done += upload.size


def sample(upload: Upload) -> tables.Sample | None:
    """Look at a table's columns and first rows; None for what is no table or cannot be read."""
    loader = LOADERS.get(upload.ending)
    if loader is None or loader.records is None or not upload.size:
        return None
    with upload.open() as file:
        try:
            return tables.sample_of(loader.records(file, upload.name, Reading(Problems())))
        except InvalidInput:
            return None


def sections(blocks: Iterator[str]) -> Iterator[str]:
    """Cut a stream of text at paragraphs, lines, or spaces into sections of bounded length."""
    rest = ""
    for block in blocks:
        rest += block
        while len(rest) > SECTION_CHARACTERS:
            cut = _cut(rest)
            yield rest[:cut]
            rest = rest[cut:]
    if rest:
        yield rest


def _cut(text: str) -> int:
    window = text[:SECTION_CHARACTERS]
    for border in ("\n\n", "\n", ". ", " "):
        found = window.rfind(border)
        if found > SECTION_CHARACTERS // 2:
            return found + len(border)
    return SECTION_CHARACTERS


def _load_text(file: BinaryIO, source: str, reading: Reading) -> Iterator[Document]:
    encoding = text_encoding.detect(file)
    empty = True
    for text in sections(text_encoding.blocks(file, encoding)):
        if text.strip():
            empty = False
            yield Document(page_content=text, metadata={"source": source})
    if empty:
        raise InvalidInput("it holds no text")


@contextlib.contextmanager
def _opened_as(label: str) -> Iterator[None]:
    """Report whatever a library raises in the block as a damaged file.

    Given bytes that are not what the file's name says, these libraries raise whatever the bytes
    lead them to: there is no list of exceptions to catch.
    """
    try:
        yield
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(f"it is damaged or no {label} ({type(error).__name__})") from error


def _load_html(file: BinaryIO, source: str, reading: Reading) -> Iterator[Document]:
    import bs4

    content = file.read()
    with _opened_as("HTML"), warnings.catch_warnings():
        # A page without markup is a text; one with XML's is read well enough as HTML.
        warnings.simplefilter("ignore", bs4.MarkupResemblesLocatorWarning)
        warnings.simplefilter("ignore", bs4.XMLParsedAsHTMLWarning)
        soup = bs4.BeautifulSoup(content, "html.parser")
    for unseen in soup(["script", "style", "noscript", "template"]):
        unseen.decompose()
    title = soup.title.get_text(strip=True) if soup.title else ""
    text = (soup.body or soup).get_text("\n", strip=True)
    if not text:
        raise InvalidInput("it holds no text")
    metadata = {"source": source} | ({"title": title} if title else {})
    for section in sections(iter([text])):
        yield Document(page_content=section, metadata=dict(metadata))


def _load_pdf(file: BinaryIO, source: str, reading: Reading) -> Iterator[Document]:
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
            reading.problems.add(source, f"page {number}", problem.what)
            continue
        if not text.strip():
            empty.append(number)
            continue
        yield Document(page_content=text, metadata={"source": source, "page": number})
    if empty:
        first = ", ".join(map(str, empty[:10])) + (" …" if len(empty) > 10 else "")
        reading.problems.note_once(
            source, f"{len(empty):,} of {pages:,} pages hold no text, as scans do: {first}"
        )


def _load_docx(file: BinaryIO, source: str, reading: Reading) -> Iterator[Document]:
    import docx

    archives.check_archive(file)
    with _opened_as("DOCX"):
        document = docx.Document(file)
        blocks = [
            block.text
            if hasattr(block, "text")
            else "\n".join(" | ".join(cell.text for cell in row.cells) for row in block.rows)
            for block in document.iter_inner_content()
        ]
    text = "\n\n".join(block for block in blocks if block.strip())
    if not text:
        raise InvalidInput("it holds no text")
    for section in sections(iter([text])):
        yield Document(page_content=section, metadata={"source": source})


def _load_pptx(file: BinaryIO, source: str, reading: Reading) -> Iterator[Document]:
    import pptx

    archives.check_archive(file)
    with _opened_as("PPTX"):
        slides = [
            "\n".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame)
            for slide in pptx.Presentation(file).slides
        ]
    for number, text in enumerate(slides, 1):
        if text.strip():
            yield Document(page_content=text, metadata={"source": source, "slide": number})


def _same(file: IO[bytes]) -> BinaryIO:
    return cast(BinaryIO, file)


def _load_zip(file: BinaryIO, source: str, reading: Reading) -> Iterator[Document]:
    for entry in archives.entries(file, source, reading.problems):
        name = f"{source}/{entry.name}"
        upload = Upload(name, entry.size, partial(_same, entry.file))
        if upload.ending == ".zip":
            reading.problems.add(name, "", "an archive in an archive is not opened")
            continue
        yield from read(upload, reading)


_TEXT = Loader("text", _load_text)
_MARKDOWN = Loader("Markdown", _load_text)
_HTML = Loader("HTML", _load_html, max_bytes=20 * MEGABYTE)
_JSON_LINES = Loader("JSON lines", tables.load_json_lines, tables.json_line_records)

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
    ".csv": Loader("CSV", tables.load_csv, tables.csv_records),
    ".tsv": Loader("TSV", tables.load_csv, tables.csv_records),
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
    ".json": Loader("JSON", tables.load_json, tables.json_records, max_bytes=50 * MEGABYTE),
    ".parquet": Loader("Parquet", tables.load_parquet, tables.parquet_records),
    ".zip": Loader("ZIP", _load_zip),
}
