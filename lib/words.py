"""Numbers as words: counted nouns, durations and ratios, written the same way everywhere."""

import math
import re
from collections.abc import Callable
from typing import Any

from lib.errors import VISITORS_PREFIX

# What a spreadsheet takes for the beginning of a formula.
FORMULA = re.compile(r"\s*[=+\-@\t]")


# What XML, Vega and Markdown cannot hold. A vertical tab and a page's end are line ends.
CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")


def plain(text: str) -> str:
    """Return a text without control characters; halves of characters become U+FFFD."""
    text = text.replace("\x0b", "\n").replace("\x0c", "\n")
    return CONTROLS.sub(lambda found: "\ufffd" if "\ud800" <= found[0] <= "\udfff" else "", text)


def duration_text(seconds: float) -> str:
    """Return a duration with three digits: '45.2 s', '0.53 s', '0.004 s'."""
    digits = 1 if seconds >= 10 else 2 if seconds >= 0.1 else 3
    return f"{seconds:,.{digits}f} s"


def ms_text(ms: float) -> str:
    """Return a latency with three digits: '0.42 ms', '12.3 ms', '5,580 ms'."""
    return f"{ms:,.3g} ms" if ms < 999.5 else f"{ms:,.0f} ms"


def rate_text(per_s: float) -> str:
    """Return a rate with four digits, or all before the point: '0.4567', '229.8', '12,346'."""
    return f"{per_s:,.4g}" if per_s < 999.95 else f"{per_s:,.0f}"


def _digits(ratio: float) -> int:
    return 0 if ratio >= 20 else 1 if ratio >= 2 else 2


def ratio_text(ratio: float) -> str:
    """Return a ratio with two to three digits: '41×', '9.3×', '0.84×'."""
    return f"{ratio:,.{_digits(ratio)}f}×"


def bounds_text(low: float, high: float) -> str:
    """Return an interval of a ratio: '38–44', '0.93–1.10'.

    It is rounded outwards, so that it contains what `ratio_text` writes of a ratio inside.
    """
    ends = (_rounded(low, math.floor), _rounded(high, math.ceil))
    return "–".join(f"{end:,.{_digits(end)}f}" for end in ends)


def _rounded(ratio: float, to: Callable[[float], int]) -> float:
    # What lies within a millionth of a round number is that number.
    scale = 10 ** _digits(ratio)
    end: float = to(round(ratio * scale, 6)) / scale
    return end


def counted(number: int, noun: str, plural: str = "", *, bold: bool = False) -> str:
    """Return a number with its noun, in the plural unless there is one of it."""
    shown = f"**{number:,}**" if bold else f"{number:,}"
    return f"{shown} {noun if number == 1 else plural or noun + 's'}"


def inert(value: Any) -> Any:
    """Return a value of a table as CSV may hold it: a text that is a formula gets an apostrophe."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r", " ")  # left unquoted, it would end the line
    return f"'{text}" if FORMULA.match(text) else text


def shown_name(collection: str) -> str:
    """Return a collection's name without the prefix of a visitor."""
    found = VISITORS_PREFIX.match(collection)
    return (found and collection[found.end() :]) or collection


def heading_and_rest(text: str) -> tuple[str, str]:
    """Return the first statement of a text without its stop, and all that follows."""
    heading, _, rest = re.sub(r"[.;] ", "\n", text, count=1).partition("\n")
    return heading.removesuffix("."), rest[:1].upper() + rest[1:]
