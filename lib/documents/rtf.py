"""RTF → its words: a stream of control words, groups and text, read once from front to end."""

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lib.documents.markup import LINE, PARAGRAPH, Lines
from lib.errors import InvalidInput

MAX_DEPTH = 1_000
TOKEN = re.compile(
    r"\\(?P<word>[A-Za-z]{1,32})(?P<number>-?\d{1,10})?[ ]?|\\'(?P<hex>[0-9A-Fa-f]{2})|"
    r"\\(?P<symbol>[^A-Za-z])|(?P<brace>[{}])|[\r\n]+|(?P<text>[^\\{}\r\n]+)",
    re.DOTALL,
)
# Groups without words of the document: tables of fonts and styles, codes of fields, pictures.
SKIPPED = frozenset((
    "fonttbl", "colortbl", "stylesheet", "info", "pict", "nonshppict", "fldinst", "themedata",
    "colorschememapping", "datastore", "object", "objdata", "listtable", "listoverridetable",
    "rsidtbl", "generator", "xmlnstbl", "filetbl", "sp", "revtbl", "latentstyles", "bkmkstart",
    "bkmkend", "ftnsep", "ftnsepc", "ftncn", "aftnsep", "aftnsepc", "aftncn", "atnid",
    "atnauthor", "atndate", "atnref", "atrfstart", "atrfend", "xe", "tc", "template",
))  # fmt: skip
# Groups that a reader may pass over, marked by \*, and that hold words nevertheless.
KEPT_ALTHOUGH_MARKED = frozenset(["shpinst", "annotation", "shptxt", "fldrslt"])
APART = frozenset((
    "header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf",
    "footnote", "annotation",
))  # fmt: skip
BREAKS = {
    "par": PARAGRAPH, "sect": PARAGRAPH, "page": PARAGRAPH, "line": LINE, "row": LINE,
    "nestrow": LINE,
}  # fmt: skip
CHARACTERS = {
    "tab": "\t", "emdash": "—", "endash": "–", "emspace": "\u2003", "enspace": "\u2002",
    "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
}  # fmt: skip
SYMBOLS = {"~": "\u00a0", "_": "\u2011", "\\": "\\", "{": "{", "}": "}", "\t": "\t"}
# Character sets of fonts, where they are not what the document says.
CHARSETS = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 134: "gbk", 136: "big5", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251",
    222: "cp874", 238: "cp1250",
}  # fmt: skip


@dataclass(frozen=True)
class _State:
    """What a group inherits."""

    is_skipped: bool = False
    is_hidden: bool = False
    is_fonts: bool = False
    after_unicode: int = 1
    encoding: str = ""


def text_of(content: bytes, left_out: Counter[str]) -> str:
    """Return the words, headers, notes and comments where they stand in the file."""
    text = content.decode("latin-1")
    if not text.startswith("{\\rtf"):
        raise InvalidInput("it is damaged or no RTF")
    lines = Lines()
    for token in _shown(text, lines, left_out):
        lines.write(token)
    return "".join(piece.text for piece in lines.take())


def _shown(text: str, lines: Lines, left_out: Counter[str]) -> Iterator[str]:
    groups: list[tuple[_State, bool]] = []
    state, document_encoding = _State(), "cp1252"
    fonts: dict[int, str] = {}
    font, to_skip, is_marked, is_apart = 0, 0, False, False
    waiting = bytearray()  # bytes of letters of which several may be one character
    place = 0
    while match := TOKEN.match(text, place):
        place = match.end()
        kind, value = match.lastgroup, match.group()
        if kind != "hex" and waiting:
            yield waiting.decode(state.encoding or document_encoding, "replace")
            waiting.clear()
        unseen = state.is_skipped or state.is_hidden
        if kind == "brace" and value == "{":
            if len(groups) >= MAX_DEPTH:
                raise InvalidInput(f"it is nested more than {MAX_DEPTH:,} levels deep")
            groups.append((state, is_apart))
            is_marked = is_apart = False
        elif kind == "brace":
            if is_apart:
                lines.end(PARAGRAPH)
            state, is_apart = groups.pop() if groups else (_State(), False)
            to_skip, is_marked = 0, False
        elif kind == "hex":
            if to_skip:
                to_skip -= 1
            elif not unseen:
                waiting.append(int(match["hex"], 16))
        elif kind == "text":
            shown = value[to_skip:]
            to_skip = max(to_skip - len(value), 0)
            if shown and not unseen:
                yield (
                    shown
                    if shown.isascii()
                    else shown.encode("latin-1").decode(
                        state.encoding or document_encoding, "replace"
                    )
                )
        elif kind == "symbol":
            symbol = match["symbol"]
            if symbol == "*":
                is_marked = True
            elif to_skip:
                to_skip -= 1
            elif not unseen and symbol in SYMBOLS:
                yield SYMBOLS[symbol]
            elif not unseen and symbol in "\r\n":
                lines.end(PARAGRAPH)
        elif kind in {"word", "number"}:
            word, number = match["word"], int(match["number"] or 1)
            if word == "bin":
                place += max(int(match["number"] or 0), 0)
            elif word == "pict" and not state.is_skipped:
                left_out["pictures"] += 1
            elif word == "object" and not state.is_skipped:
                left_out["embedded objects"] += 1
            if word == "fonttbl":
                state = replace(state, is_skipped=True, is_fonts=True)
            elif word in SKIPPED or (is_marked and word not in KEPT_ALTHOUGH_MARKED | APART):
                state = replace(state, is_skipped=True)
            elif word == "ansicpg":
                document_encoding = _codec(f"cp{number}") or document_encoding
            elif word == "mac":
                document_encoding = "mac_roman"
            elif word == "f":
                font = number if match["number"] else 0
                if not state.is_fonts:
                    state = replace(state, encoding=fonts.get(font, ""))
            elif word == "fcharset" and state.is_fonts and len(fonts) < 10_000:
                fonts[font] = CHARSETS.get(number if match["number"] else 0, "")
            elif word == "plain":
                state = replace(state, is_hidden=False)
            elif word in {"v", "deleted"}:
                state = replace(state, is_hidden=match["number"] != "0")
            elif word == "uc":
                state = replace(state, after_unicode=min(max(int(match["number"] or 1), 0), 16))
            elif word == "u" and not state.is_skipped:
                code = number % 0x10000
                to_skip = state.after_unicode
                if not state.is_hidden:
                    yield chr(code)
            elif word in APART:
                lines.end(PARAGRAPH)
                is_apart = True
            elif not unseen and word in CHARACTERS:
                yield CHARACTERS[word]
            elif word in {"cell", "nestcell"}:
                lines.end_cell()
            elif word in {"row", "nestrow"}:
                lines.end_row()
            elif word in BREAKS and not unseen:
                lines.end(BREAKS[word])
            is_marked = False
    if waiting:
        yield waiting.decode(state.encoding or document_encoding, "replace")


def _codec(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return ""
