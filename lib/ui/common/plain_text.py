"""Show a document's text as text: nothing in it may become markup."""

import re
from typing import Any

MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~:$&^=])")
WORD = re.compile(r"\w{3,}")


def plain(value: Any) -> str:
    """Return a value as Markdown in one line in which nothing is markup."""
    return MARKDOWN.sub(r"\\\1", " ".join(str(value).split()))


def highlighted(text: str, query: str) -> str:
    """Return text as one paragraph in which nothing is markup but the query's words, marked."""
    words = {_singular(word) for word in WORD.findall(query)}
    parts = []
    for piece in re.split(r"(\w+)", " ".join(text.split())):
        escaped = MARKDOWN.sub(r"\\\1", piece)
        is_asked = _singular(piece) in words
        parts.append(f":orange-background[{escaped}]" if is_asked else escaped)
    return "".join(parts)


def _singular(word: str) -> str:
    return word.lower().removesuffix("s")
