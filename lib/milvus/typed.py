"""A filter as somebody typed it: an expression, or words that the text must hold.

Milvus is asked which of the two it is. What it takes for no expression is looked for as words, by
Milvus where it can look inside a text, otherwise by the app over a bounded number of rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lib.errors import InvalidInput
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.filters import Field, FieldKind, Typed, combine, contains, equals_any, names
from lib.milvus.reading import layout, walk

MAX_WORDS = 50
MAX_NAMES = 5
# So many rows are read where Milvus cannot look inside a text; it takes a second or two.
MOST_READ = 10_000
READ_AT_ONCE = 1_000

OnRead = Callable[[int], None]


@dataclass(frozen=True)
class Meant:
    """The expression that a typed filter stands for.

    `refusal` is why Milvus takes it for no expression. Where the app itself looked for the words,
    `read` of `rows` rows were read, and the expression names the keys of those that match.
    """

    expr: str = ""
    is_words: bool = False
    refusal: str = ""
    read: int | None = None
    rows: int = 0


def meant(
    connection: Connection, name: str, typed: Typed, on_read: OnRead = lambda rows: None
) -> Meant:
    """Ask Milvus what a typed filter is, and return the expression that it stands for.

    `on_read` gets how many rows the app has read so far, where it has to; what it raises ends the
    reading. Raises InvalidInput for what is said to be an expression and is none, ConnectionFailed
    when Milvus does not answer.
    """
    typed = replace(typed, text=typed.text.strip())
    if not typed.text:
        return Meant()
    typed.check()
    refusal = "" if typed.is_words else _refusal(connection, name, typed.text)
    if not (typed.is_words or refusal):
        return Meant(typed.text)
    if typed.is_words is False:
        raise milvus_collections.unusable(refusal)
    return _words(connection, name, typed.text, refusal, on_read)


def unknown_fields(connection: Connection, name: str, expr: str) -> tuple[str, ...]:
    """Return what an expression names that no row has: Milvus takes it for metadata that is absent.

    Raises LabError.
    """
    schema = connection.schema(name)
    asked = [each for each in names(expr) if not schema.field(each)][:MAX_NAMES]
    fields = [Field(each, FieldKind.OTHER, dynamic=True) for each in asked]
    return tuple(
        each.name
        for each in fields
        if not any(walk(connection, name, f"exists {each.expression}", most=1, shape=schema))
    )


def _refusal(connection: Connection, name: str, text: str) -> str:
    """Return why Milvus takes a text for no expression, "" if it takes it for one.

    Raises what Milvus says to any expression, such as that the collection cannot be searched.
    """
    if not milvus_collections.refusal(connection, name, text):
        return ""
    shape = layout(connection, name)  # loads it: what is not loaded refuses everything
    milvus_collections.check_expression(connection, name, equals_any(shape.key.name, []))
    return milvus_collections.refusal(connection, name, text)


def _words(connection: Connection, name: str, text: str, refusal: str, on_read: OnRead) -> Meant:
    words, schema = list(dict.fromkeys(text.split())), connection.schema(name)
    why = f"{name!r} has no text field to look for words in." if not schema.text else ""
    if len(words) > MAX_WORDS:
        why = f"{len(words):,} words cannot be looked for at once, at most {MAX_WORDS}."
    if why and refusal:
        raise InvalidInput(f"Milvus cannot use this filter: {refusal}", next_step=why)
    if why:
        raise InvalidInput(why)
    found = Meant(is_words=True, refusal=refusal)
    if "\\" not in text:  # Milvus Lite and servers read it differently inside `like`
        expr = combine(
            combine((contains(schema.text, each) for each in _writings(word)), "or")
            for word in words
        )
        # Milvus before 2.4 looks at the beginning of a text only.
        if not milvus_collections.refusal(connection, name, expr):
            return replace(found, expr=expr)
    return _read(connection, name, words, found, on_read)


def _read(
    connection: Connection, name: str, words: list[str], found: Meant, on_read: OnRead
) -> Meant:
    """Look for the words in the first rows, in the order of their keys."""
    shape = layout(connection, name)
    rows = milvus_collections.count(connection, name)
    keys, read, wanted = [], 0, [_writings(word) for word in words]
    for part in walk(
        connection,
        name,
        fields=[shape.key.name, shape.text_column],
        page_rows=READ_AT_ONCE,
        most=MOST_READ,
        shape=shape,
    ):
        keys += [
            row[shape.key.name]
            for row, text in zip(part, map(shape.text_of, part), strict=True)
            if all(any(each in text for each in writings) for writings in wanted)
        ]
        read += len(part)
        on_read(read)
    return replace(found, expr=equals_any(shape.key.name, keys), read=read, rows=rows)


def _writings(word: str) -> list[str]:
    """Return how a word may stand in a text: Milvus compares letter by letter."""
    return list(dict.fromkeys([word, word.lower(), word.capitalize()]))
