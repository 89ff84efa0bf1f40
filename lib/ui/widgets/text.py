"""Texts from files and visitors, shown as what they are."""

import re
from typing import Any

MARKUP = re.compile(r"([\\`*_{}\[\]<>#|$~:&@!])")
LIST_MARK = re.compile(r"^(\d*)([-+.)])")  # makes a list only at the start of a line
# What Markdown turns into a link even when it is escaped; an invisible mark inside prevents it.
LINK = re.compile(r"(:(?=//)|\bwww(?=\.)|@)", re.IGNORECASE)
APART = "\u2060"
SPACE = re.compile(r"[ \t\r\n\f\v]+")  # all but the space that must not break
WORD = re.compile(r"\w{3,}")
# Words that say nothing about a subject.
COMMON = re.compile(
    "about|after|all|also|and|any|are|because|been|before|both|but|can|does|each|every|everything|"
    "for|from|had|has|have|how|inside|into|its|many|more|most|much|not|off|one|only|other|our|out|"
    "over|same|several|should|some|something|such|than|that|the|their|them|then|there|these|they|"
    "thing|this|those|through|too|under|use|used|using|very|was|were|what|when|where|which|while|"
    "who|whose|why|will|with|without|would|you|your"
)


def literal(value: Any) -> str:
    """Return a value as Markdown in one line in which nothing is markup."""
    return LIST_MARK.sub(r"\1\\\2", _escaped(_line(value)))


def highlighted(text: str, query: str) -> str:
    """Return a text like `literal`, with the query's words that mean something marked."""
    words = _meant(query)
    parts = [
        f":orange-background[{_escaped(piece)}]" if _singular(piece) in words else _escaped(piece)
        for piece in re.split(r"(\w+)", _line(text))
    ]
    return LIST_MARK.sub(r"\1\\\2", "".join(parts))


def around(text: str, query: str, most: int) -> str:
    """Return about so many characters of a text in one line, with the query's first word in it."""
    line, words = " ".join(text.split()), _meant(query)
    if len(line) <= most:
        return line
    met = (
        found.start() for found in re.finditer(r"\w+", line) if _singular(found.group()) in words
    )
    first = next(met, 0)
    start = 0 if first < most * 3 // 4 else line.rfind(" ", 0, first - most // 4) + 1
    shown = line[start : start + most]
    is_whole = start + most >= len(line)
    shown = shown if is_whole else f"{shown.rpartition(' ')[0] or shown} …"
    return f"… {shown}" if start else shown


def _meant(query: str) -> set[str]:
    """Return the query's words that mean something, in the singular."""
    return {word for found in WORD.findall(query) if not COMMON.fullmatch(word := _singular(found))}


def _line(value: Any) -> str:
    return LINK.sub(rf"\1{APART}", SPACE.sub(" ", str(value)).strip(" "))


def _escaped(text: str) -> str:
    return MARKUP.sub(r"\\\1", text)


def _singular(word: str) -> str:
    return word.lower().removesuffix("s")
