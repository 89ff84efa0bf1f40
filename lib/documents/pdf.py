"""PDF → pages: their text, the values of form fields, and the comments on them."""

from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO

from lib.errors import InvalidInput

# Drawing commands and what they draw with, of one page; a dense map has a tenth. 10 µs each.
MAX_PAGE_COMMANDS = 150_000
MAX_STREAM_BYTES = 16 << 20
# Commands of all pages: these and one for each byte of the file. Pages may share what they draw.
FREE_COMMANDS = 50_000
MAX_PARENTS = 32
MAX_ANNOTATIONS = 2_000
# Annotations whose words a reader shows; those of the others are their own looks.
COMMENTS = {"/FreeText", "/Text", "/Highlight", "/Underline", "/StrikeOut", "/Squiggly"}


class TooMuch(InvalidInput):
    """The file draws more than its size explains."""


class Document:
    """A PDF and what its pages hold. Raises whatever pypdf raises for a damaged file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        import pypdf

        self._limited = partial(
            pypdf.apply_configuration,
            stream_parsing_work_maximum_count=MAX_PAGE_COMMANDS,
            zlib_maximum_output_length=MAX_STREAM_BYTES,
            lzw_maximum_output_length=MAX_STREAM_BYTES,
            run_length_maximum_output_length=MAX_STREAM_BYTES,
            array_based_stream_maximum_output_length=MAX_STREAM_BYTES,
        )
        with self._limited():
            self._open(pypdf.PdfReader(file))
        self._room = FREE_COMMANDS + size

    def _open(self, reader: Any) -> None:
        # A file may be encrypted only for what one may do with it: then the password is empty.
        if reader.is_encrypted and not reader.decrypt(""):
            raise InvalidInput("it is encrypted; save it without a password first")
        self._reader = reader
        self.pages = len(reader.pages)

    def text(self, number: int) -> str:
        """Return the words of a page, counted from 1, then its fields and comments, a line each."""
        from pypdf.errors import LimitReachedError

        with self._limited():
            page = self._reader.pages[number - 1]
            try:
                drawn = page.extract_text(visitor_operand_before=self._count)
            except LimitReachedError as error:
                raise InvalidInput(
                    f"it draws with more than {MAX_PAGE_COMMANDS:,} commands and numbers, "
                    "so its text is not read"
                ) from error
            noted = list(_annotated(page))
        return "\n".join(part for part in (drawn, *noted) if part.strip())

    def pictures(self, number: int) -> int:
        """Return how many pictures a page names."""
        resources = _direct(self._reader.pages[number - 1].get("/Resources")) or {}
        named = _direct(resources.get("/XObject")) or {}
        return sum(
            _direct(each).get("/Subtype") == "/Image" for each in list(named.values())[:1_000]
        )

    def _count(self, *_: Any) -> None:
        self._room -= 1
        if self._room < 0:
            raise TooMuch("its pages draw far more than its size explains")


def _direct(value: Any) -> Any:
    return value.get_object() if value is not None else None


def _inherited(field: Any, name: str) -> Any:
    for _ in range(MAX_PARENTS):
        if name in field:
            return _direct(field[name])
        if "/Parent" not in field:
            return None
        field = _direct(field["/Parent"])
    return None


def _annotated(page: Any) -> Iterator[str]:
    for reference in list(_direct(page.get("/Annots")) or ())[:MAX_ANNOTATIONS]:
        annotation = _direct(reference)
        kind = annotation.get("/Subtype") if hasattr(annotation, "get") else None
        if kind in COMMENTS:
            yield str(_direct(annotation.get("/Contents")) or "")
        elif kind == "/Widget":
            value = _inherited(annotation, "/V")
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
            shown = shown.removeprefix("/") if _inherited(annotation, "/FT") == "/Btn" else shown
            name = _inherited(annotation, "/TU") or _inherited(annotation, "/T") or ""
            if shown and shown != "Off":
                yield f"{name}: {shown}" if name else shown
