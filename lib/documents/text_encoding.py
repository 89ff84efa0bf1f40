"""Text encoding: which encoding a file's bytes are in, and the file opened as text."""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

import charset_normalizer

from lib.errors import InvalidInput

BLOCK_BYTES = 1 << 20
# Enough to tell encodings apart. A multiple of four, so that it cuts no UTF-16 or UTF-32 letter.
SAMPLE_BYTES = 1 << 16
MAX_LINE_CHARACTERS = 16_000_000
COMMON_ENCODING = "cp1252"
# Control characters that no text has. Tabs, line ends, form feeds and escapes are left out.
CONTROLS = bytes(code for code in range(32) if code not in (7, 8, 9, 10, 12, 13, 26, 27))
MOST_CONTROLS = 0.02


def detect(file: BinaryIO) -> str:
    """Return the name of a file's encoding and leave the file at its beginning.

    A file that is UTF-8 from end to end is UTF-8. Else charset-normalizer decides. Raises
    InvalidInput for what is not text.
    """
    sample = file.read(SAMPLE_BYTES)
    file.seek(0)
    guess = charset_normalizer.from_bytes(sample).best()
    if guess is not None and (guess.bom or b"\0" in sample):
        return "utf-8-sig" if guess.encoding == "utf_8" else guess.encoding
    controls = len(sample) - len(sample.translate(None, CONTROLS))
    if b"\0" in sample or controls > MOST_CONTROLS * len(sample):
        raise InvalidInput("it holds binary data, not text")
    odd = _first_bytes_that_are_not_utf8(file)
    if odd is None:
        return "utf-8"
    guesses = charset_normalizer.from_bytes(odd)
    best = guesses.best()
    if best is None:
        raise InvalidInput("its character encoding cannot be recognised")
    # A Western European text looks equally good in several encodings. One of them is common.
    is_western = any(
        COMMON_ENCODING in guess.could_be_from_charset
        and (guess.chaos, guess.coherence) == (best.chaos, best.coherence)
        for guess in guesses
    )
    return COMMON_ENCODING if is_western else best.encoding


def opened(file: BinaryIO) -> io.TextIOWrapper:
    """Return the file as text whose line ends are all line feeds."""
    return io.TextIOWrapper(file, encoding=detect(file))


def lines(file: BinaryIO) -> Iterator[str]:
    """Yield a file's lines. Raises InvalidInput for one of more than 16 million characters."""
    with opened(file) as text:
        while line := text.readline(MAX_LINE_CHARACTERS + 1):
            if len(line) > MAX_LINE_CHARACTERS:
                limit = f"{MAX_LINE_CHARACTERS:,} characters"
                raise InvalidInput(f"a line of it is longer than {limit}")
            yield line


def _first_bytes_that_are_not_utf8(file: BinaryIO) -> bytes | None:
    """Return the bytes around the first that are not UTF-8. They may come late in the file."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while True:
            block = file.read(BLOCK_BYTES)
            decoder.decode(block, final=not block)
            if not block:
                return None
    except UnicodeDecodeError as error:
        around = slice(max(error.start - SAMPLE_BYTES // 2, 0), error.start + SAMPLE_BYTES // 2)
        return bytes(error.object[around])
    finally:
        file.seek(0)
