"""Template files → the text of programs: the one place where a value becomes code.

A template is valid Python, so that an editor highlights it and a linter checks it. It consists of
cells, each of which begins with a line `# %% name`, as in an editor's notebook. What it imports
from `blanks` is not there: a name in capitals is a blank to fill, any other is made by another
cell.
"""

import ast
import re
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

TEMPLATES = Path(__file__).with_name("templates")
CELL = re.compile(r"^ *# %% (.+)\n", re.MULTILINE)
# In the text of an f-string nothing may end the string or begin an expression.
PLAIN = re.compile(r"[^'\"\\{}\n]*")


class Code(str):
    """Text that is code already: it is put in as it stands, any other value as its literal."""

    __slots__ = ()


Value = Code | str | int | float | bool | None


@dataclass(frozen=True)
class Template:
    """One file: its cells by name, its blanks, and the module of each name that it imports."""

    cells: dict[str, str]
    blanks: frozenset[str]
    modules: dict[str, str]  # "" for a module itself


@lru_cache(maxsize=1)
def _templates() -> tuple[Template, ...]:
    return tuple(read(path) for path in sorted(TEMPLATES.glob("*.py")))


def read(path: Path) -> Template:
    """Read a template file."""
    head, *rest = CELL.split(path.read_text(encoding="utf-8"))
    modules: dict[str, str] = {}
    blanks: set[str] = set()
    for node in ast.parse(head).body:
        if isinstance(node, ast.Import):
            modules |= {each.name: "" for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {each.name for each in node.names}
            if node.module == "blanks":
                blanks |= {name for name in names if name.isupper()}
            else:
                modules |= dict.fromkeys(names, str(node.module))
    cells = {
        name: textwrap.dedent(text).strip("\n")
        for name, text in zip(rest[::2], rest[1::2], strict=True)
    }
    return Template(cells, frozenset(blanks), modules)


def fill(cell: str, **values: Value) -> Code:
    """Return the code of a cell with its blanks filled. Raises KeyError for one without a value.

    A blank alone on its line takes lines of code, which are put in as deep as it stands. None takes
    the whole line away, with the empty lines above it, and an empty Code takes its comma. In the
    text of an f-string `{BLANK}` is filled with plain words or numbers.
    """
    template = next(each for each in _templates() if cell in each.cells)
    blank = "|".join(sorted(template.blanks, key=len, reverse=True))
    found = re.compile(rf"\{{({blank})\}}|(, )?\**\b({blank})\b(?!\w)")
    lines: list[str] = []
    for line in template.cells[cell].split("\n"):
        names = [first or second for first, _, second in found.findall(line)]
        if any(values[name] is None for name in names):
            while lines and not lines[-1]:
                lines.pop()
            continue
        margin = line[: len(line) - len(line.lstrip())]
        if names and re.fullmatch(rf" *({names[0]}|\*+{names[0]},)", line):
            lines += textwrap.indent(str(values[names[0]]).rstrip("\n"), margin).split("\n")
            continue
        lines.append(found.sub(lambda match: _put_in(match, values, margin), line))  # noqa: B023
    return Code("\n".join(lines).strip("\n"))


def _put_in(match: re.Match[str], values: dict[str, Value], margin: str) -> str:
    in_text, comma, name = match.groups()
    if in_text:
        words = str(values[in_text])
        if not PLAIN.fullmatch(words):
            raise ValueError(f"{words!r} cannot stand in a text")
        return words
    code = written(values[name]).replace("\n", f"\n{margin}")
    return f"{comma or ''}{code}" if code else ""


def written(value: Value) -> str:
    """Return a value as Python writes it; code as it stands."""
    if isinstance(value, Code):
        return value
    return literal(value) if isinstance(value, str) else repr(value)


def literal(text: str) -> str:
    """Return a text as Python writes it, in double quotes where nothing has to be escaped."""
    made = repr(text)
    return made if '"' in made or "\\" in made else f'"{text}"'


def code_lines(values: Iterable[object]) -> Code:
    """Return values as the items of a list, a line each."""
    return Code("\n".join(f"{value!r}," for value in values))


@lru_cache(maxsize=64)  # pages show the same programs again and again
def imports(code: str) -> str:
    """Return the import lines of the names that a program uses, Python's own modules first."""
    known = {name: module for each in _templates() for name, module in each.modules.items()}
    names = names_in(code)
    modules: dict[str, list[str]] = {}
    for name in sorted(names & known.keys()):
        modules.setdefault(known[name], []).append(name)
    own: list[str] = []
    others: list[str] = []
    for name in modules.pop("", []):
        (own if name in sys.stdlib_module_names else others).append(f"import {name}")
    for module, found in sorted(modules.items()):
        lines = own if module in sys.stdlib_module_names else others
        lines.append(f"from {module} import {', '.join(found)}")
    return "\n".join([*own, *[""][: len(own)], *others])


def names_in(code: str) -> set[str]:
    """Return the names that code uses."""
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
