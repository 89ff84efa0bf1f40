"""Text encoding: bytes of unknown encoding → text, a block at a time."""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

import charset_normalizer

from lib.errors import InvalidInput

BLOCK_BYTES = 1 << 20
# Enough to tell encodings apart, and quick.
SAMPLE_BYTES = 1 << 16
MAX_LINE_CHARACTERS = 16_000_000
# The longer mark first: UTF-32's begins like UTF-16's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
COMMON_ENCODING = "cp1252"
# Control characters that no text has; tab, line ends, form feed and escape are left out.
CONTROLS = bytes(code for code in range(32) if code not in (7, 8, 9, 10, 12, 13, 26, 27))
MOST_CONTROLS = 0.02


def detect(file: BinaryIO) -> str:
    """Return the name of a file's encoding and leave the file at its beginning.

    A byte order mark decides; then UTF-8, if the whole file is valid; then charset-normalizer's
    guess. Raises InvalidInput for what is not text.
    """
    sample = file.read(SAMPLE_BYTES)
    file.seek(0)
    for mark, name in BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            return name
    if b"\0" in sample:
        return _utf16_without_mark(sample)
    if len(sample) - len(sample.translate(None, CONTROLS)) > MOST_CONTROLS * len(sample):
        raise InvalidInput("it holds binary data, not text")
    odd = _first_bytes_that_are_not_utf8(file)
    if odd is None:
        return "utf-8"
    # What made it not UTF-8 may come late in the file: judge by the bytes around it.
    guesses = charset_normalizer.from_bytes(odd)
    best = guesses.best()
    if best is None:
        raise InvalidInput("its character encoding cannot be recognised")
    # Western European texts are as likely by its measures in several encodings; one is common.
    is_western = any(
        COMMON_ENCODING in guess.could_be_from_charset
        and (guess.chaos, guess.coherence) == (best.chaos, best.coherence)
        for guess in guesses
    )
    return COMMON_ENCODING if is_western else best.encoding


def blocks(file: BinaryIO, encoding: str) -> Iterator[str]:
    """Decode a file block by block. Raises InvalidInput where it cannot be decoded."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    offset = 0
    while True:
        block = file.read(BLOCK_BYTES)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"it cannot be read as {encoding} near byte {offset + error.start:,}"
            ) from error
        if text:
            yield text
        if not block:
            return
        offset += len(block)


def lines(file: BinaryIO, encoding: str) -> Iterator[str]:
    """Yield the lines of a file, each ending in a line feed whatever it ended in.

    Raises InvalidInput for a line of more than 16 million characters.
    """
    ends = io.IncrementalNewlineDecoder(None, translate=True)
    rest: list[str] = []
    length = 0
    for block in blocks(file, encoding):
        *whole, last = ends.decode(block).split("\n")
        if whole:
            yield "".join([*rest, whole[0], "\n"])
            yield from (f"{line}\n" for line in whole[1:])
            rest, length = [], 0
        rest.append(last)
        length += len(last)
        if length > MAX_LINE_CHARACTERS:
            raise InvalidInput(f"a line of it is longer than {MAX_LINE_CHARACTERS:,} characters")
    if length:
        yield "".join(rest)


def _utf16_without_mark(sample: bytes) -> str:
    """Return the byte order of UTF-16, in which every other byte of Latin text is zero."""
    zeros = [sample[start::2].count(0) / len(sample) for start in (0, 1)]
    if max(zeros) < 0.15 or min(zeros) > 0.01:
        raise InvalidInput("it holds binary data, not text")
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def _first_bytes_that_are_not_utf8(file: BinaryIO) -> bytes | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    before = b""
    try:
        while block := file.read(BLOCK_BYTES):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                around = before[-SAMPLE_BYTES // 2 :] + block
                start = len(around) - len(block) + error.start
                return around[max(start - SAMPLE_BYTES // 2, 0) : start + SAMPLE_BYTES // 2]
            before = block
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return before[-SAMPLE_BYTES:]
        return None
    finally:
        file.seek(0)
