"""Mail: an EML file → its headers, its text, and the files attached to it."""

import email
import email.header
import email.message
from collections.abc import Iterator
from dataclasses import dataclass

from lib.errors import InvalidInput

SHOWN_HEADERS = ("Subject", "From", "To", "Cc", "Date")
MAX_HEADER_CHARACTERS = 10_000
MAX_PARTS = 1_000
MAX_NESTING = 50


@dataclass(frozen=True)
class MailPart:
    """One part of a mail: its kind, such as text/html, its file's name if it has one, its bytes."""

    kind: str
    name: str
    charset: str
    content: bytes


def parsed(content: bytes) -> tuple[str, str, list[MailPart]]:
    """Return the headers as lines, the subject, and the parts with words; of alternatives one.

    Raises InvalidInput for what is no mail, or nested beyond what a mail is.
    """
    # Each level of nesting is one call of the parser within another.
    if content.lower().count(b"multipart/") + content.lower().count(b"message/") > MAX_PARTS:
        raise InvalidInput(f"it has more than {MAX_PARTS:,} parts")
    # The standard library's newer policy takes the square of a header's length.
    try:
        message = email.message_from_bytes(content)
    except RecursionError as error:
        raise InvalidInput(f"it is nested more than {MAX_NESTING} levels deep") from error
    headers = {name: _header(message, name) for name in SHOWN_HEADERS}
    if not any(headers.values()):
        raise InvalidInput("it is damaged or no mail")
    shown = "\n".join(f"{name}: {value}" for name, value in headers.items() if value)
    return shown, headers["Subject"], list(_parts(message, 0))


def _header(message: email.message.Message, name: str) -> str:
    raw = str(message.get(name, ""))[:MAX_HEADER_CHARACTERS]
    try:
        text = str(email.header.make_header(email.header.decode_header(raw)))
    except (LookupError, UnicodeError, email.errors.HeaderParseError, ValueError):
        text = raw
    return " ".join(text.split())


def _parts(message: email.message.Message, depth: int) -> Iterator[MailPart]:
    if depth > MAX_NESTING:
        raise InvalidInput(f"it is nested more than {MAX_NESTING} levels deep")
    payload = message.get_payload()
    if isinstance(payload, list):
        inner = [part for part in payload if isinstance(part, email.message.Message)]
        if message.get_content_subtype() == "alternative":
            inner = _one_of(inner)
        for part in inner:
            yield from _parts(part, depth + 1)
        return
    body = message.get_payload(decode=True)
    name = message.get_filename() or ""
    if isinstance(body, bytes) and body:
        charset = str(message.get_content_charset() or "")
        yield MailPart(message.get_content_type(), name, charset, body)


def _one_of(alternatives: list[email.message.Message]) -> list[email.message.Message]:
    """Take the plain text if there is one: the others say the same."""
    plain = [part for part in alternatives if part.get_content_type() == "text/plain"]
    return plain[:1] or alternatives[-1:]
