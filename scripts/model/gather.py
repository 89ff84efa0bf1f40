"""Write `assets/standard_library.jsonl`: how the docstrings of Python's standard library begin.

    python3.11 -m scripts.model.gather

Needed once, and never by the app, so that everybody has the same rows, whatever their Python. A
line is one documented object: its qualified name, its module, its kind, the length of its docstring
and the text of its document behind the name.
"""

import functools
import importlib
import inspect
import json
import pkgutil
import re
import sys
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lib.documents.corpora import STANDARD_LIBRARY

# How much of a docstring becomes a document's text; `length` in the metadata counts all of it.
OPENING_CHARACTERS = 200

ObjectKind = Literal["module", "class", "function", "method"]


@dataclass(frozen=True)
class Entry:
    """One documented object of the standard library."""

    name: str
    module: str
    kind: ObjectKind
    docstring: str


def row(entry: Entry, about_module: str) -> dict[str, str | int]:
    """Return an object's line: the docstring's opening, and what its module is about.

    The opening, because a static model averages over all words and a long list of parameters
    drowns the sentence that says what the thing does; the module's line, because that sentence
    often leaves unsaid what everything around it is about.
    """
    context = f"\n{about_module}" if about_module and entry.kind != "module" else ""
    return {
        "name": entry.name,
        "module": entry.module,
        "kind": entry.kind,
        "length": len(entry.docstring),
        "text": opening(entry.docstring) + context,
    }


def opening(docstring: str) -> str:
    """Return the first characters of a docstring, cut at a word and marked where it is cut."""
    if len(docstring) <= OPENING_CHARACTERS:
        return docstring
    return docstring[:OPENING_CHARACTERS].rsplit(None, 1)[0] + " …"


def _first_line(docstring: str, name: str) -> str:
    """Return a module's first sentence without its own name before it."""
    line = re.split(r"\n|\. ", docstring.strip())[0]
    return re.sub(rf"^{re.escape(name)}\s*(-|:|--)\s*", "", line)


# The formatter would put each name on a line of its own.
# fmt: off
# Importing some of these opens a browser window, prints a text, or changes the terminal. Others are
# test suites and examples.
_SKIPPED = frozenset((
    "antigravity", "idlelib", "lib2to3", "pydoc_data", "readline", "rlcompleter", "test", "this",
    "tkinter", "turtle", "turtledemo", "xxlimited", "xxlimited_35", "xxsubtype",
))
# Deprecated, most of them gone in 3.13: without them every version offers nearly the same.
_DEPRECATED = frozenset((
    "aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils",
    "imghdr", "imp", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "pipes", "smtpd",
    "sndhdr", "spwd", "sre_compile", "sre_constants", "sre_parse", "sunau", "telnetlib", "uu",
    "xdrlib",
))
# People know the first two as os.path. The codecs are a hundred copies of three classes and have no
# docstrings of their own.
_HIDDEN = frozenset(("posixpath", "ntpath", "genericpath", "encodings"))
# These packages export everything that is public; their submodules are internal.
_WITHOUT_SUBMODULES = frozenset((
    "asyncio", "concurrent.futures", "ctypes", "importlib.metadata", "importlib.resources",
))
# fmt: on


@functools.cache
def entries_of_python() -> tuple[Entry, ...]:
    """Collect every documented public object, one entry for each, sorted by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modules = dict(_public_modules())
        named = [pair for name, module in modules.items() for pair in _public_objects(name, module)]
    entries = {
        name: Entry(name, name, "module", docstring)
        for name, module in modules.items()
        if (docstring := _docstring(module))
    }
    seen: set[int] = set()
    # The object's own name before an alias (OSError, not IOError), and the shortest path to it
    # before the file that defines it (asyncio.Queue, not asyncio.queues.Queue).
    for name, home, value in sorted(named, key=_preference):
        if id(value) in seen:
            continue
        seen.add(id(value))
        for entry in _object_entries(name, home, value):
            entries.setdefault(entry.name, entry)
    return tuple(entries[name] for name in sorted(entries))


def _public_modules() -> Iterator[tuple[str, types.ModuleType]]:
    """Import the public modules of the standard library that this Python and platform have."""
    names = sorted(name for name in sys.stdlib_module_names if _is_public(name))
    for name in names:
        yield from _with_submodules(name)
    yield "os.path", importlib.import_module("os.path")


def _with_submodules(name: str) -> Iterator[tuple[str, types.ModuleType]]:
    """Import a module and, of a package, its public submodules."""
    try:
        module = importlib.import_module(name)
    except ImportError:  # made for another platform, or left out of this build of Python
        return
    yield name, module
    if name in _WITHOUT_SUBMODULES:
        return
    for found in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if _is_public(found.name) and found.name not in ("test", "tests"):
            yield from _with_submodules(f"{name}.{found.name}")


def _is_public(name: str) -> bool:
    """Tell whether a module is one to read about."""
    return not name.startswith("_") and name not in _SKIPPED | _DEPRECATED | _HIDDEN


def _public_objects(name: str, module: types.ModuleType) -> Iterator[tuple[str, str, object]]:
    """Yield (qualified name, module, object) of a module's public classes and functions."""
    exported = getattr(module, "__all__", None)
    for attribute in sorted(vars(module) if exported is None else exported):
        value = getattr(module, attribute, None)
        if attribute.startswith("_") or not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        # Without __all__ an import looks like a definition: only the object knows where it is from
        # (its C part has the same name with an underscore in front).
        home = getattr(value, "__module__", None) or ""
        if exported is not None or home.lstrip("_") == name:
            yield (attribute if name == "builtins" else f"{name}.{attribute}"), name, value


def _preference(named: tuple[str, str, object]) -> tuple[bool, int, str]:
    """Order the names of one object, the one people know first."""
    name = named[0]
    is_alias = getattr(named[2], "__name__", "") != name.rpartition(".")[2]
    return is_alias, name.count("."), name


def _object_entries(name: str, module: str, value: object) -> Iterator[Entry]:
    """Yield the entry of a function, or those of a class and of the methods it adds."""
    if not inspect.isclass(value):
        if docstring := _docstring(value):
            yield Entry(name, module, "function", docstring)
        return
    initializer = vars(value).get("__init__")
    docstring = _docstring(value)
    if not docstring and inspect.isfunction(initializer):  # C's says "Initialize self." each time
        docstring = _docstring(initializer)
    if docstring and not _is_echo(value.__name__, docstring):
        yield Entry(name, module, "class", docstring)
    for attribute in sorted(vars(value)):
        if not attribute.startswith("_") and _is_new_method(value, attribute):
            docstring = _docstring(getattr(value, attribute))
            if docstring:
                yield Entry(f"{name}.{attribute}", module, "method", docstring)


def _is_new_method(owner: type, attribute: str) -> bool:
    """Tell whether a class has a method that none of its public bases has described before."""
    raw = vars(owner)[attribute]
    is_method = inspect.isroutine(raw) or isinstance(raw, classmethod | staticmethod)
    return is_method and not any(
        _docstring(vars(base)[attribute])
        for base in owner.__mro__[1:]
        if attribute in vars(base) and "._" not in f"{base.__module__}.{base.__name__}"
    )


def _is_echo(name: str, docstring: str) -> bool:
    """Tell whether a docstring was generated and says no more than "Name(field, field)"."""
    signature = rf"{re.escape(name)}(\(.*\))?"
    return docstring == "An enumeration." or re.fullmatch(signature, docstring) is not None


def _docstring(value: object) -> str:
    """Return an object's own docstring without its indentation, or an empty string.

    `inspect.getdoc` alone would answer with the words of a base class where there are none.
    """
    if not isinstance(getattr(value, "__doc__", None), str):
        return ""
    return (inspect.getdoc(value) or "").strip()


def main() -> None:
    """Write the file, sorted by name."""
    entries = entries_of_python()
    about = {
        entry.name: _first_line(entry.docstring, entry.name)
        for entry in entries
        if entry.kind == "module"
    }
    lines = (json.dumps(row(entry, about.get(entry.module, ""))) for entry in entries)
    STANDARD_LIBRARY.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
