"""What a program works on, and whole programs: packages, imports, the model, a body.

A program needs the packages of its first line and nothing of this app. A program that only reads
from a server works on the collection shown. Every other program makes a new collection, named
`OWN`. On the embedded store it makes a new file too, because one process can open a file of Milvus
Lite.
"""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import metadata
from pprint import pformat
from typing import Any, Protocol

from lib.latency import log_normal
from lib.programs.filling import Code, code_lines, fill, imports, literal
from lib.results.catalogue import PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD
from lib.settings import AIOHTTP, BUNDLED_MODEL_DIR, HTTP_CLIENTS, HTTPX, MORE_CONNECTIONS

OWN = "async_lab_snippet"
# The most rows of a collection that are written into a program.
CARRIED_ROWS = 200
NAMES = (PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD)
OPTION_OF = ("primary_field", "text_field", "vector_field")
NEST = """\
# pip install nest-asyncio
# A notebook already runs an event loop; asyncio.run can only start inside it after this.
import nest_asyncio

nest_asyncio.apply()
"""


class Row(Protocol):
    """A row to carry, such as a langchain document."""

    @property
    def id(self) -> str | None:
        """Its key."""

    @property
    def page_content(self) -> str:
        """Its text."""

    @property
    def metadata(self) -> Mapping[Any, Any]:
        """What else it holds."""


@dataclass(frozen=True)
class Snippet:
    """The same work as complete programs: one sync, one async, and perhaps one batched call."""

    sync: str
    asynchronous: str
    one_batch: str = ""

    @property
    def programs(self) -> dict[str, str]:
        """The programs by the name of their tab."""
        named = {"Sync": self.sync, "Async": self.asynchronous, "One batch": self.one_batch}
        return {name: program for name, program in named.items() if program}

    def notebook(self, title: str) -> str:
        """Return a Jupyter notebook (format 4.5) with a cell for each program."""
        sources = [("markdown", f"# {title}"), ("code", NEST)]
        for name, program in self.programs.items():
            sources += [("markdown", f"## {name}"), ("code", program)]
        cells: list[dict[str, Any]] = [
            {"id": f"cell-{number}", "cell_type": kind, "metadata": {}, "source": source}
            | ({"execution_count": None, "outputs": []} if kind == "code" else {})
            for number, (kind, source) in enumerate(sources)
        ]
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        return json.dumps(
            {
                "cells": cells,
                "metadata": {"kernelspec": kernel},
                "nbformat": 4,
                "nbformat_minor": 5,
            },
            indent=1,
        )


@dataclass(frozen=True)
class Place:
    """What a program works on: which Milvus, which collection and which embedding model.

    `uri` is an http(s) address, or "" for a Milvus Lite file of the program's own. `model_path` is
    where the bundled model lies. `rows` are put into a collection that the program makes, and
    `about_rows` says where they come from. `names` are those of the key, the text and the vector.
    Times are in milliseconds.
    """

    model: str
    uri: str = ""
    database: str = ""
    collection: str = OWN
    metric: str = "COSINE"
    model_path: str = str(BUNDLED_MODEL_DIR)
    http_client: str = ""  # of OpenAI's async client, one of HTTP_CLIENTS; its default when empty
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    rows: Sequence[Row] = field(default=(), repr=False)
    about_rows: str = ""
    from_environment: bool = False  # whether the variable MILVUS_URI names the address
    # Its type and the code of its parameters; the backend's plain one when empty.
    index: tuple[str, Code] | None = None
    names: tuple[str, str, str] = NAMES
    is_dynamic: bool = True

    @property
    def is_lite(self) -> bool:
        """Say whether the program has a Milvus Lite of its own."""
        return not self.uri

    @property
    def is_bundled(self) -> bool:
        """Say whether it embeds with the bundled model."""
        return not self.model.startswith("openai/")

    @property
    def is_over_aiohttp(self) -> bool:
        """Say whether its async side embeds over aiohttp."""
        return not self.is_bundled and self.http_client == AIOHTTP

    @property
    def is_own(self) -> bool:
        """Say whether the program makes its collection."""
        return self.collection == OWN

    def own(self, rows: Sequence[Row] = (), about_rows: str = "") -> "Place":
        """Return the same Milvus with a collection of the program's own."""
        return replace(
            self,
            collection=OWN,
            names=NAMES,
            is_dynamic=True,
            rows=rows,
            about_rows=about_rows,
        )


def model_path(hide_paths: bool) -> str:
    """Return where a program finds the bundled model; its folder alone where paths are hidden."""
    return BUNDLED_MODEL_DIR.name if hide_paths else str(BUNDLED_MODEL_DIR)


@lru_cache(maxsize=16)  # reading a version takes two milliseconds
def _pinned(package: str, extra: str = "") -> str:
    """Return a package as pip takes it, in the version that is installed here."""
    pinned = f"{package}{extra}=={metadata.version(package)}"
    return f'"{pinned}"' if extra else pinned


def snippet(place: Place, *, sync: str, asynchronous: str, one_batch: str = "") -> Snippet:
    """Return whole programs: what each needs, its imports, the model, and the body given here."""
    bodies = (sync, asynchronous, one_batch)
    return Snippet(*(body and _program(place, body) for body in bodies))


def _program(place: Place, body: str) -> str:
    is_async = "asyncio.run(" in body
    model: str = _model(place, is_async=is_async)
    if is_async and place.is_over_aiohttp:
        model = f"{model}\n\n\n{fill('closing')}\n\n"
        body = body.replace("asyncio.run(main())", "asyncio.run(closing(main()))")
    code = f"{model}\n{body}\n"
    blank = "\n" * (2 if code.startswith("class") else 1)
    return f"{_head(place, is_async=is_async)}\n{imports(code)}\n{blank}{code}"


def _head(place: Place, *, is_async: bool) -> str:
    """Return the comment lines that a program begins with: its packages, and what to know."""
    lite, bundled = place.is_lite, place.is_bundled
    packages = [
        _pinned("langchain-milvus"),
        _pinned("pymilvus", "[milvus-lite]" if lite else ""),
        _pinned("model2vec" if bundled else "langchain-openai"),
        *([_pinned("openai", "[aiohttp]")] if is_async and place.is_over_aiohttp else []),
    ]
    notes = []
    if lite:
        notes += [
            f"Milvus Lite lets one process open a file, so this program has its own: {OWN}.db.",
            f"Its collection {OWN} is made anew.",
        ]
    elif place.is_own:
        notes.append(f"It makes the collection {OWN} anew and leaves yours as they are.")
    notes.append(place.about_rows)
    if not lite:
        notes.append("Set MILVUS_TOKEN first if your Milvus asks for one.")
    if not bundled:
        notes.append("Set OPENAI_API_KEY first, and OPENAI_API_BASE for another service.")
    elif "/" not in place.model_path and "\\" not in place.model_path:
        notes.append("Copy the app's folder assets/embedding-model beside this file first.")
    else:
        notes.append("The path of the embedding model is one of this machine.")
    if place.latency_ms:
        varied = f" on average, by {place.jitter_ms:g} ms more or less" if place.jitter_ms else ""
        notes.append(
            f"Each embedding call waits {place.latency_ms:g} ms{varied}: simulated latency."
        )
    text = " ".join(filter(None, notes))
    about = textwrap.fill(text, 78, initial_indent="# ", subsequent_indent="# ")
    return f"# pip install {' '.join(packages)}\n{about}"


def _model(place: Place, *, is_async: bool) -> str:
    """Return the lines that make the embedding model, with the simulated wait if there is one."""
    seconds = Code(f"{place.latency_ms / 1000:g}") if place.latency_ms else None
    before = ""
    if place.latency_ms and place.jitter_ms:
        mu, sigma = log_normal(place.latency_ms / 1000, place.jitter_ms / 1000)
        seconds = Code(f"waits.lognormvariate({mu:.6g}, {sigma:.6g})")
        before = f"{fill('waits')}\n\n\n"
    if not place.is_bundled:
        made = _openai(place, "SlowEmbeddings" if seconds else "OpenAIEmbeddings", is_async)
        if seconds is None:
            return made
        name = "openai slow"
    else:
        made, name = fill("bundled model"), "bundled"
    code = fill(name, PATH=place.model_path, SECONDS=seconds)
    if is_async:
        code = Code(f"{code}\n\n{indent(fill(f'{name} async', SECONDS=seconds))}")
    return f"{before}{code}\n\n\n{made}"


def _openai(place: Place, kind: str, is_async: bool) -> Code:
    """Return the lines that make OpenAI's embeddings; async with the client that is measured."""
    made = {"CLASS": Code(kind), "NAME": place.model.partition("/")[2]}
    if not is_async:
        return fill("openai model", **made)
    chosen = place.http_client if place.http_client in HTTP_CLIENTS else HTTPX
    return fill(
        "openai model async",
        **made,
        OTHER_CLIENT=None if chosen == AIOHTTP else fill("other client"),
        HTTP_CLIENT=fill(f"client {chosen}", CONNECTIONS=MORE_CONNECTIONS),
    )


def options(place: Place) -> Code:
    """Return the keyword arguments, one a line, that open the place's collection or make it."""
    uri: str = place.uri
    if place.from_environment and not place.is_lite:
        uri = fill("address of the environment", URI=uri)
    fields = [
        f"{option}={literal(name)},"
        for option, usual, name in zip(OPTION_OF, NAMES, place.names, strict=True)
        if name != usual
    ]
    own = None
    if place.is_own:
        plain = ("FLAT" if place.is_lite else "AUTOINDEX", Code("{}"))
        kind, parameters = place.index or plain
        made = fill("options own", METRIC=place.metric, INDEX_TYPE=kind, PARAMS=parameters)
        own = _inside(made)
    database = f'"db_name": {literal(place.database)}' if place.database else ""
    return _inside(
        fill(
            f"options {'lite' if place.is_lite else 'server'}",
            FILE=f"{OWN}.db",
            URI=uri,
            DATABASE=Code(database),
            COLLECTION=place.collection,
            IS_DYNAMIC=place.is_dynamic,
            FIELDS=Code("\n".join(fields)) if fields else None,
            OWN_OPTIONS=own,
        )
    )


def _inside(call: str) -> Code:
    """Return the arguments of a call that has a line for each."""
    return Code(textwrap.dedent("\n".join(call.split("\n")[1:-1])))


def opening(place: Place) -> Code:
    """Return the lines that open a store, and fill its collection when it is the program's own."""
    opened = fill("store", OPTIONS=options(place))
    if not place.is_own or not place.rows:
        return opened
    return Code(f"{carried(place.rows)}\n{opened}\n{fill('filled')}")


def carried(rows: Sequence[Row]) -> Code:
    """Return rows as the literal of a program: keys, texts and metadata, a line each."""
    return fill(
        "carried",
        ROWS=code_lines(
            (
                str(row.id),
                row.page_content,
                {name: _plain(each) for name, each in row.metadata.items()},
            )
            for row in rows
        ),
    )


def _plain(value: Any) -> Any:
    """Return what Milvus would store of a value, as what `repr` writes as Python."""
    return json.loads(json.dumps(value, default=str), parse_constant=str)


def indent(lines: str) -> str:
    """Return lines of code four spaces deeper, without the last line break."""
    return textwrap.indent(lines.rstrip("\n"), "    ")


def arguments_code(arguments: Mapping[str, Any]) -> Code:
    """Return arguments, one a line. A vector has a name, because it takes many lines."""
    written = {
        name: "vector" if name == "embedding" else pformat(value, width=80, compact=True)
        for name, value in arguments.items()
        if name == "embedding" or value not in (None, "")
    }
    return Code("\n" + "".join(f"    {name}={text},\n" for name, text in written.items()))
