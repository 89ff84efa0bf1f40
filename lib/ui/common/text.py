"""Texts from files and visitors, shown as what they are."""

import re
from typing import Any

MARKUP = re.compile(r"([\\`*_{}\[\]<>#|$~:&@!])")
LIST_MARK = re.compile(r"^(\d*)([-+.)])")  # makes a list only at the start of a line
SPACE = re.compile(r"[ \t\r\n\f\v]+")  # all but the space that must not break
WORD = re.compile(r"\w{3,}")


def literal(value: Any) -> str:
    """Return a value as Markdown in one line in which nothing is markup."""
    return LIST_MARK.sub(r"\1\\\2", _escaped(_line(value)))


def highlighted(text: str, query: str) -> str:
    """Return a text like `literal`, with the words of the query marked."""
    words = {_singular(word) for word in WORD.findall(query)}
    parts = [
        f":orange-background[{_escaped(piece)}]" if _singular(piece) in words else _escaped(piece)
        for piece in re.split(r"(\w+)", _line(text))
    ]
    return LIST_MARK.sub(r"\1\\\2", "".join(parts))


def _line(value: Any) -> str:
    return SPACE.sub(" ", str(value)).strip(" ")


def _escaped(text: str) -> str:
    return MARKUP.sub(r"\\\1", text)


def _singular(word: str) -> str:
    return word.lower().removesuffix("s")
