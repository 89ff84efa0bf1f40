"""Filter expressions built from fields, operators and values, so that no value can change them.

An expression means the same on Milvus Lite and on Milvus servers from 2.3 on: their string literals
share the escapes for backslash, quotes, newline, carriage return and tab, and every dynamic field
can be reached as `$meta["name"]`. One difference remains: a server finds a row that lacks a field
with "is not" and "is none of", and Milvus Lite does not.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from lib.errors import InvalidInput
from lib.milvus.failures import reported

if TYPE_CHECKING:
    from langchain_milvus import Milvus

SAMPLE_ROWS = 1_000
MAX_KINDS_OF_ROWS = 6
MAX_SUGGESTIONS = 200
MAX_SUGGESTION_CHARACTERS = 80
# Milvus Lite parses by recursion and gives up near 200 levels, a server takes seconds for a
# thousand; nobody writes a hundred.
MAX_NESTING = 100
# Milvus Lite tries each place for each wildcard: with five a text of 500 letters takes minutes.
MAX_WILDCARDS = 3
# One that is escaped stands for itself.
WILDCARDS = re.compile(r"(?<!\\)%+")
# What stands before a term, each one a level.
SIGN = re.compile(r"\bnot\b|[!~+-]", re.IGNORECASE)
SIGNS = re.compile(rf"(?:(?:{SIGN.pattern})\s*)+", re.IGNORECASE)
MAX_FILTER_BYTES = 65_535
INT64 = range(-(2**63) + 1, 2**63)
LAST_CHARACTER = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)

PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Words of the expression language. A field of such a name must be written as `$meta["name"]`.
RESERVED = frozenset(("and", "or", "not", "in", "like", "exists", "is", "null", "true", "false"))
KEYWORDS = RESERVED | frozenset(
    (
        *("iso", "interval", "meta", "text_match", "phrase_match", "random_sample"),
        *("json_contains", "json_contains_all", "json_contains_any", "element_filter"),
        *("array_contains", "array_contains_all", "array_contains_any", "array_length"),
        *("st_contains", "st_within", "st_intersects", "st_isvalid", "st_dwithin"),
        *("geometry_contains", "geometry_within", "geometry_intersects"),
    )
)
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
# A literal that is not closed goes to the end of the expression. So no text is searched twice.
STRING_LITERAL = re.compile(
    r""""(?:[^"\\]|\\.)*(?:"|\\?\Z)|'(?:[^'\\]|\\.)*(?:'|\\?\Z)""", re.DOTALL
)

QUOTED_FIELD = re.compile(rf"\$meta\s*\[\s*({STRING_LITERAL.pattern})\s*\]", re.DOTALL)
# What stands before a bracket is a function, and what stands behind a dot or $ is none of its own.
BARE_NAME = re.compile(r"(?<![\w$.])[^\W\d]\w*\b(?!\s*\()")
MAX_EXAMPLE_CHARACTERS = 30
FEW_VALUES = range(2, 21)


class FieldKind(Enum):
    """What a field's values are."""

    TEXT = "text"
    NUMBER = "numbers"
    FLAG = "true or false"
    LIST = "lists"
    OTHER = "objects"


@dataclass(frozen=True)
class Field:
    """A field that a filter can name, as seen in a sample of the collection."""

    name: str
    kind: FieldKind
    dynamic: bool
    values: tuple[Any, ...] = ()  # distinct ones, the most frequent first; () when all differ

    @property
    def expression(self) -> str:
        """The field's name as an expression writes it."""
        bare = PLAIN_NAME.fullmatch(self.name) and self.name.lower() not in KEYWORDS
        return self.name if bare or not self.dynamic else f"$meta[{quote(self.name)}]"


@dataclass(frozen=True)
class Operator:
    """One comparison: for which kinds, how many values it takes, how it is written."""

    name: str
    label: str
    kinds: frozenset[FieldKind]
    values: str  # "one", "many" or "none"
    write: Callable[[str, Any], str]
    dynamic_only: bool = False


@dataclass(frozen=True)
class Condition:
    """Field, operator, value: `value` is a sequence where the operator takes many."""

    field: Field
    operator: str
    value: Any = None

    @property
    def expression(self) -> str:
        """The condition as Milvus reads it. Raises InvalidInput for an unusable value."""
        operator = OPERATORS.get(self.operator)
        if operator is None or self.field.kind not in operator.kinds:
            raise InvalidInput(f"“{self.operator}” cannot be asked of {self.field.name}.")
        return operator.write(self.field.expression, self.value)


def quote(value: Any) -> str:
    """Write a value as a literal that means exactly this value.

    Raises InvalidInput for what no literal can hold: infinities, integers beyond 64 bits, broken
    Unicode, other types.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if int(value) not in INT64:  # a range is walked for a subclass of int
            raise InvalidInput(f"{value} does not fit into 64 bits.")
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput("A filter can hold finite numbers only.")
        return repr(value)
    if isinstance(value, str):
        check_unicode(value)
        return f'"{value.translate(ESCAPES)}"'
    raise InvalidInput(f"A filter cannot hold a value of type {type(value).__name__}.")


def equals(field: str, value: Any) -> str:
    """Write that a field has this value."""
    return f"{field} == {quote(value)}"


def equals_any(field: str, values: Iterable[Any]) -> str:
    """Write that a field has one of these values."""
    return f"{field} in [{', '.join(map(quote, values))}]"


@dataclass(frozen=True)
class Typed:
    """A filter as somebody typed it, and what they said it is; None leaves that to Milvus."""

    text: str
    is_words: bool | None = None

    def check(self) -> None:
        """Raise InvalidInput for what cannot be sent: broken Unicode, too long, too deep."""
        check_unicode(self.text)
        if len(self.text.encode()) > MAX_FILTER_BYTES:
            raise InvalidInput(
                f"The filter is longer than {MAX_FILTER_BYTES:,} bytes.", next_step="Shorten it."
            )
        check_nesting(self.text)


def combine(expressions: Iterable[str], joiner: str = "and") -> str:
    """Join expressions; each keeps its meaning whatever stands inside it."""
    parts = [part.strip() for part in expressions if part.strip()]
    if len(parts) < 2:
        return "".join(parts)
    return f" {joiner} ".join(f"({part})" if _is_compound(part) else part for part in parts)


def check_nesting(expression: str) -> None:
    """Raise InvalidInput for an expression too deep, or with a pattern too wild, for Milvus."""
    _check_wildcards(expression)
    bare = STRING_LITERAL.sub('""', expression)
    depth = deepest = 0
    for character in bare:
        depth += (character in "([") - (character in ")]")
        deepest = max(deepest, depth)
    chained = max((len(SIGN.findall(run.group())) for run in SIGNS.finditer(bare)), default=0)
    if max(deepest, chained) > MAX_NESTING:
        raise InvalidInput(
            f"The filter is nested more than {MAX_NESTING} levels deep.",
            next_step="Flatten it: “in [a, b, c]” says the same as many “or”.",
        )


def _check_wildcards(expression: str) -> None:
    for literal in STRING_LITERAL.finditer(expression):
        before = expression[max(literal.start() - 40, 0) : literal.start()].rstrip()
        is_pattern = before.lower().endswith("like")
        if is_pattern and len(WILDCARDS.findall(literal.group())) > MAX_WILDCARDS:
            raise InvalidInput(
                f"A pattern may have {MAX_WILDCARDS} wildcards (%); this one has more.",
                next_step="Ask for its parts with “and” between them.",
            )


def fields(store: "Milvus") -> tuple[Field, ...]:
    """Return what a filter can name: the schema's fields and the dynamic ones of a sample."""
    schema, known_texts = store.fields, {store._primary_field, store._text_field}
    with reported("Could not read a sample of the rows."):
        rows = _sample(store, [name for name in schema if name != store._text_field])
    seen: dict[str, list[Any]] = {name: [] for name in schema}
    for row in rows:
        for name, value in row.items():
            seen.setdefault(name, []).append(value)
    found = [
        _field(name, values or [""] * (name in known_texts), dynamic=name not in schema)
        for name, values in seen.items()
    ]
    usable = [
        field
        for field in found
        if field.kind is not FieldKind.OTHER
        and field.name != "$meta"
        # No expression can name a field of the schema that is called like an operator.
        and (field.dynamic or field.name.lower() not in RESERVED)
    ]
    # People filter by metadata most, so the key and the text come last.
    return tuple(sorted(usable, key=lambda field: (not field.dynamic, field.name)))


def example(found: Sequence[Field]) -> str:
    """Return a condition with a field and a value that are there, "" where none can be named."""
    usable = [
        Condition(each, *_asked(each))
        for each in found
        if each.kind in (FieldKind.TEXT, FieldKind.NUMBER, FieldKind.FLAG)
        and each.values
        and 0 < len(str(each.values[0])) <= MAX_EXAMPLE_CHARACTERS
    ]
    # Best is a field of a few values, such as a status; its own key tells nobody how to filter.
    best = min(
        usable,
        key=lambda each: (
            not each.field.dynamic,
            len(each.field.values) not in FEW_VALUES,
            each.field.kind is not FieldKind.TEXT,
            len(each.field.values),
        ),
        default=None,
    )
    return best.expression if best else ""


def _asked(field: Field) -> tuple[str, Any]:
    """Return how to ask for some of a field's values: its most frequent one, or the larger half."""
    if field.kind is not FieldKind.NUMBER:
        return "is", field.values[0]
    return "more than", sorted(field.values)[len(field.values) // 2]


def names(expression: str) -> tuple[str, ...]:
    """Return the names of fields that an expression mentions, each once."""
    quoted = [found[1:-1] for found in QUOTED_FIELD.findall(expression) if "\\" not in found]
    bare = STRING_LITERAL.sub('""', QUOTED_FIELD.sub(" ", expression))
    plain = [name for name in BARE_NAME.findall(bare) if name.lower() not in KEYWORDS]
    return tuple(dict.fromkeys([*plain, *quoted]))


def _sample(store: "Milvus", schema: Sequence[str]) -> list[dict[str, Any]]:
    """Return a sample with rows of several kinds, found by a few queries.

    Milvus returns the oldest rows first, so one query would miss the columns of a later file. Each
    query leaves out the rows with a field that all rows of the last answer have.
    """
    sample: list[dict[str, Any]] = []
    known: list[str] = []
    for _ in range(MAX_KINDS_OF_ROWS):
        rows = store.client.query(
            store.collection_name,
            filter=combine(f"not (exists {each})" for each in known),
            limit=SAMPLE_ROWS,
            output_fields=[*schema, *(["$meta"] if store.enable_dynamic_field else [])],
        )
        sample += rows
        shared = set.intersection(*(set(row) for row in rows)) if rows else set()
        if not (dynamic := sorted(shared - {*schema, "$meta"})):
            break
        known.append(Field(dynamic[0], FieldKind.OTHER, dynamic=True).expression)
    return sample


def operators_for(field: Field) -> tuple[Operator, ...]:
    """Return the operators that can be asked of a field."""
    return tuple(
        operator
        for operator in OPERATORS.values()
        if field.kind in operator.kinds and (field.dynamic or not operator.dynamic_only)
    )


def _field(name: str, values: Sequence[Any], *, dynamic: bool) -> Field:
    kind = _kind(values)
    if kind is FieldKind.LIST:
        values = [item for value in values for item in value or ()]
    scalars = [value for value in values if isinstance(value, str | int | float | bool)]
    counted = Counter(scalars)
    all_differ = len(counted) == len(scalars) and len(scalars) > 20
    common = [
        value
        for value, _ in counted.most_common(MAX_SUGGESTIONS)
        if not isinstance(value, str) or len(value) <= MAX_SUGGESTION_CHARACTERS
    ]
    return Field(name, kind, dynamic, () if all_differ else tuple(common))


def _kind(values: Sequence[Any]) -> FieldKind:
    kinds = {kind_of(value) for value in values if value is not None}
    return kinds.pop() if len(kinds) == 1 else FieldKind.OTHER


def kind_of(value: Any) -> FieldKind:
    """Return what a filter takes a value for."""
    # A bool is an int to Python, so it is asked for first.
    for types, kind in (
        (bool, FieldKind.FLAG),
        (int | float, FieldKind.NUMBER),
        (str, FieldKind.TEXT),
        (list, FieldKind.LIST),
    ):
        if isinstance(value, types):
            return kind
    return FieldKind.OTHER


def check_unicode(text: str) -> None:
    """Raise InvalidInput for a text that holds half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("The value is not valid Unicode text.") from error


def _is_compound(expression: str) -> bool:
    """Say whether a word of the expression joins or negates, so that it needs brackets."""
    bare = STRING_LITERAL.sub('""', expression)
    return bool(re.search(r"\b(and|or|not|exists)\b|&&|\|\||!(?!=)", bare, re.IGNORECASE)) and not (
        bare.startswith("(") and _closes_at(bare) == len(bare) - 1
    )


def _closes_at(bare: str) -> int:
    depth = 0
    for index, character in enumerate(bare):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return index
    return -1


def _compare(symbol: str) -> Callable[[str, Any], str]:
    return lambda field, value: f"{field} {symbol} {quote(value)}"


def _listed(word: str, symbol: str, joiner: str) -> Callable[[str, Any], str]:
    def write(field: str, values: Any) -> str:
        if not values:
            raise InvalidInput("Choose at least one value.")
        literals = [quote(value) for value in values]
        if PLAIN_NAME.fullmatch(field):
            return f"{field} {word} [{', '.join(literals)}]"
        # Milvus Lite takes a list for a plain name only.
        return f"({f' {joiner} '.join(f'{field} {symbol} {literal}' for literal in literals)})"

    return write


def _starts_with(field: str, prefix: Any) -> str:
    text = str(prefix)
    literal = quote(text)
    if not text:
        raise InvalidInput("Type what the text should start with.")
    if not set(text) & set("%_\\"):
        return f"{field} like {literal[:-1]}%" + '"'
    # Servers disagree on how to escape a wildcard in `like`; a range says the same everywhere.
    after = _next_text(text)
    return (
        f"({field} >= {literal} and {field} < {quote(after)})" if after else f"{field} >= {literal}"
    )


def _next_text(prefix: str) -> str:
    """Return the smallest text greater than every text with this prefix, "" if there is none."""
    while prefix:
        following = ord(prefix[-1]) + 1
        if following <= LAST_CHARACTER:
            return prefix[:-1] + chr(SURROGATES.stop if following in SURROGATES else following)
        prefix = prefix[:-1]
    return ""


def contains(field: str, part: Any) -> str:
    """Write that a field's text holds a part. Raises InvalidInput for a backslash."""
    text = str(part)
    if not text:
        raise InvalidInput("Type what the text should contain.")
    if "\\" in text:
        raise InvalidInput(
            "“contains” cannot look for a backslash: Milvus Lite and Milvus servers read it "
            "differently.",
            next_step="Use “is” or “starts with”.",
        )
    escaped = text.replace("%", "\\%").replace("_", "\\_")
    return f"{field} like {quote(f'%{escaped}%')}"


TEXT, NUMBER, FLAG, LIST = FieldKind.TEXT, FieldKind.NUMBER, FieldKind.FLAG, FieldKind.LIST
OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("is", "is", frozenset({TEXT, NUMBER, FLAG}), "one", _compare("==")),
        Operator("is not", "is not", frozenset({TEXT, NUMBER, FLAG}), "one", _compare("!=")),
        Operator(
            "one of", "is one of", frozenset({TEXT, NUMBER}), "many", _listed("in", "==", "or")
        ),
        Operator(
            "none of",
            "is none of",
            frozenset({TEXT, NUMBER}),
            "many",
            _listed("not in", "!=", "and"),
        ),
        Operator("starts with", "starts with", frozenset({TEXT}), "one", _starts_with),
        Operator("contains", "contains", frozenset({TEXT}), "one", contains),
        Operator("at least", "is at least", frozenset({NUMBER}), "one", _compare(">=")),
        Operator("at most", "is at most", frozenset({NUMBER}), "one", _compare("<=")),
        Operator("more than", "is more than", frozenset({NUMBER}), "one", _compare(">")),
        Operator("less than", "is less than", frozenset({NUMBER}), "one", _compare("<")),
        Operator(
            "has",
            "has the item",
            frozenset({LIST}),
            "one",
            lambda field, value: f"json_contains({field}, {quote(value)})",
        ),
        Operator(
            "exists",
            "is there",
            frozenset({TEXT, NUMBER, FLAG, LIST}),
            "none",
            lambda field, _: f"(exists {field})",
            dynamic_only=True,
        ),
    )
}
