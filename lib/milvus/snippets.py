"""Operation and parameters → complete programs, sync and async, that a reader can run.

A program needs the packages of its first line and nothing of this app. One that only reads a server
works on the collection shown; every other one makes a collection of its own, named `OWN`, and on
the embedded store a file of its own, because Milvus Lite lets one process open a file.
"""

import ast
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import metadata
from pprint import pformat
from typing import Any

from langchain_core.documents import Document

from lib.milvus.connection import Connection
from lib.milvus.embeddings import BUNDLED_MODEL_DIR, EmbeddingModel
from lib.milvus.fields import PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD
from lib.milvus.filters import quote
from lib.milvus.operations import OPERATIONS

OWN = "async_lab_snippet"
# How many rows of a collection a program carries at most.
CARRIED_ROWS = 200
# Where a name that a program uses comes from.
IMPORTS = {
    "asyncio": "",
    "os": "",
    "Random": "random",
    "shorten": "textwrap",
    "perf_counter": "time",
    "sleep": "time",
    "Document": "langchain_core.documents",
    "Embeddings": "langchain_core.embeddings",
    "Milvus": "langchain_milvus",
    "OpenAIEmbeddings": "langchain_openai",
    "StaticModel": "model2vec",
}
STANDARD = {"random", "textwrap", "time"}
NEST = """\
# pip install nest-asyncio
# A notebook already runs an event loop; asyncio.run can only start inside it after this.
import nest_asyncio

nest_asyncio.apply()
"""


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
        cells = [_cell(0, "markdown", f"# {title}"), _cell(1, "code", NEST)]
        for name, program in self.programs.items():
            cells.append(_cell(len(cells), "markdown", f"## {name}"))
            cells.append(_cell(len(cells), "code", program))
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


def _cell(number: int, kind: str, source: str) -> dict[str, Any]:
    cell = {"id": f"cell-{number}", "cell_type": kind, "metadata": {}, "source": source}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


@dataclass(frozen=True)
class Place:
    """What a program works on: which Milvus, which collection and which embedding model.

    `uri` is an http(s) address, or "" for a Milvus Lite file of the program's own. `model_path` is
    where the bundled model lies. `rows` are what a collection of the program's own begins with, and
    `about_rows` says where they come from. Times are in milliseconds.
    """

    model: str
    uri: str = ""
    database: str = ""
    collection: str = OWN
    metric: str = "COSINE"
    model_path: str = str(BUNDLED_MODEL_DIR)
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    rows: Sequence[Document] = field(default=(), repr=False)
    about_rows: str = ""
    from_environment: bool = False  # whether the variable MILVUS_URI names the address

    @property
    def is_lite(self) -> bool:
        """Say whether the program has a Milvus Lite of its own."""
        return not self.uri

    @property
    def is_own(self) -> bool:
        """Say whether the program makes its collection."""
        return self.collection == OWN

    def own(self, rows: Sequence[Document] = (), about_rows: str = "") -> "Place":
        """Return the same Milvus with a collection of the program's own."""
        return replace(self, collection=OWN, rows=rows, about_rows=about_rows)


def place_of(
    connection: Connection,
    model: EmbeddingModel,
    collection: str,
    metric: str = "COSINE",
    *,
    hide_paths: bool = False,
) -> Place:
    """Return where the reader works now. `hide_paths` names no folder of the host."""
    uri = str(connection.arguments["uri"])
    scheme = "https" if uri.startswith("https:") else "http"
    return Place(
        model=model.model,
        uri="" if connection.is_lite else f"{scheme}://{connection.address}",
        database=str(connection.arguments.get("db_name", "")),
        collection=OWN if connection.is_lite else collection,
        metric=metric,
        model_path=BUNDLED_MODEL_DIR.name if hide_paths else str(BUNDLED_MODEL_DIR),
        latency_ms=model.simulated_latency_ms,
    )


@lru_cache(maxsize=16)  # reading it takes two milliseconds
def version(package: str) -> str:
    """Return the installed version of a package."""
    return metadata.version(package)


def program(place: Place, body: str) -> str:
    """Return a whole program: what it needs, its imports, the model, and the `body`."""
    is_async = "asyncio.run(" in body
    code = f"{_model(place, is_async=is_async)}\n{body.strip()}\n"
    blank = "\n" * (2 if code.startswith("class") else 1)
    return f"{_head(place)}\n{_imports(code)}\n{blank}{code}"


@lru_cache(maxsize=64)  # pages show the same programs again and again
def _imports(code: str) -> str:
    """Return the import lines of the names that a program uses, Python's own modules first."""
    names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    modules: dict[str, list[str]] = {}
    for name in sorted(names & IMPORTS.keys()):
        modules.setdefault(IMPORTS[name], []).append(name)
    plain = [f"import {name}" for name in modules.pop("", [])]
    lines = {
        module: f"from {module} import {', '.join(found)}"
        for module, found in sorted(modules.items())
    }
    own = plain + [line for module, line in lines.items() if module in STANDARD]
    others = [line for module, line in lines.items() if module not in STANDARD]
    return "\n".join([*own, *[""][: len(own)], *others])


def _head(place: Place) -> str:
    """Return the comment lines that a program begins with: its packages, and what to know."""
    lite, bundled = place.is_lite, not place.model.startswith("openai/")
    packages = [
        f"langchain-milvus=={version('langchain-milvus')}",
        f'"pymilvus[milvus-lite]=={version("pymilvus")}"'
        if lite
        else f"pymilvus=={version('pymilvus')}",
        f"model2vec=={version('model2vec')}"
        if bundled
        else f"langchain-openai=={version('langchain-openai')}",
    ]
    lines = [f"# pip install {' '.join(packages)}"]
    if lite:
        notes = [
            f"Milvus Lite lets one process open a file, so this program has its own: {OWN}.db.",
            f"Its collection {OWN} is made anew.",
        ]
    elif place.is_own:
        notes = [f"It makes the collection {OWN} anew and leaves yours as they are."]
    else:
        notes = []
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
        notes.append(f"Each embedding call waits {place.latency_ms:g} ms: simulated latency.")
    text = " ".join(filter(None, notes))
    return "\n".join(
        [*lines, *textwrap.wrap(text, 78, initial_indent="# ", subsequent_indent="# ")]
    )


def _model(place: Place, *, is_async: bool) -> str:
    """Return the class that embeds, with the simulated wait where there is one, and one of it."""
    wait = f"{place.latency_ms / 1000:g}"
    before = ""
    if place.jitter_ms:
        wait, before = (
            f"max(waits.gauss({wait}, {place.jitter_ms / 1000:g}), 0)",
            ("waits = Random(7)\n\n\n"),
        )
    is_slow = bool(place.latency_ms or place.jitter_ms)
    if place.model.startswith("openai/"):
        made = f"(model={literal(place.model.partition('/')[2])}, check_embedding_ctx_length=False)"
        if not is_slow:
            return f"model = OpenAIEmbeddings{made}"
        return before + (
            "class SlowEmbeddings(OpenAIEmbeddings):\n"
            f"    def embed_documents(self, texts, **more):\n        sleep({wait})\n"
            "        return super().embed_documents(texts, **more)\n\n"
            "    def embed_query(self, text, **more):\n"
            "        return self.embed_documents([text], **more)[0]\n"
            + (
                "\n    async def aembed_documents(self, texts, **more):\n"
                f"        await asyncio.sleep({wait})\n"
                "        return await super().aembed_documents(texts, **more)\n\n"
                "    async def aembed_query(self, text, **more):\n"
                "        return (await self.aembed_documents([text], **more))[0]\n"
            )
            * is_async
            + f"\n\nmodel = SlowEmbeddings{made}"
        )
    sync_wait = f"        sleep({wait})\n" if is_slow else ""
    async_wait = f"        await asyncio.sleep({wait})\n" if is_slow else ""
    return before + (
        "class BundledModel(Embeddings):\n"
        f"    static = StaticModel.from_pretrained({literal(place.model_path)})\n\n"
        f"    def embed_documents(self, texts):\n{sync_wait}"
        "        return self.static.encode(texts).tolist()\n\n"
        "    def embed_query(self, text):\n        return self.embed_documents([text])[0]\n"
        + (
            f"\n    async def aembed_documents(self, texts):\n{async_wait}"
            "        return self.static.encode(texts).tolist()\n\n"
            "    async def aembed_query(self, text):\n"
            "        return (await self.aembed_documents([text]))[0]\n"
        )
        * is_async
        + "\n\nmodel = BundledModel()"
    )


def options(place: Place, index: str = "") -> str:
    """Return the keyword arguments, one a line, that open the place's collection or make it."""
    address = literal(place.uri or f"{OWN}.db")
    if place.from_environment and not place.is_lite:
        address = f'os.environ.get("MILVUS_URI", {address})'
    token = "" if place.is_lite else ', "token": os.environ.get("MILVUS_TOKEN", "")'
    database = f', "db_name": {literal(place.database)}' if place.database else ""
    lines = [
        f"collection_name={literal(place.collection)},",
        f'connection_args={{"uri": {address}{token}{database}}},',
        "enable_dynamic_field=True,",
    ]
    if place.is_own:
        kind = index or f'"{"FLAT" if place.is_lite else "AUTOINDEX"}",\n    "params": {{}}'
        metric = f'"metric_type": {literal(place.metric)},\n    "index_type": {kind},'
        lines.append(f"index_params={{\n    {metric}\n}},")
        lines.append("drop_old=True,")
    return "\n".join(lines)


def opening(place: Place, index: str = "") -> str:
    """Return the lines that open a store, and fill its collection when it is the program's own."""
    opened = f"store = Milvus(\n    embedding_function=model,\n{indent(options(place, index))}\n)\n"
    if not place.is_own or not place.rows:
        return opened
    return f"{carried(place.rows)}{opened}store.add_texts(\n    {COLUMNS.format(rows='rows')},\n)\n"


# A row is a key, a text and metadata.
COLUMNS = (
    "[text for _, text, _ in {rows}],\n"
    "    metadatas=[metadata for _, _, metadata in {rows}],\n"
    "    ids=[key for key, _, _ in {rows}]"
)


def carried(rows: Sequence[Document]) -> str:
    """Return rows as the literal of a program: keys, texts and metadata, a line each."""
    lines = "".join(f"    {_row(row)!r},\n" for row in rows)
    return f"rows = [  # key, text, metadata\n{lines}]\n"


def _row(row: Document) -> tuple[str, str, dict[str, Any]]:
    metadata = {
        name: _plain(value)
        for name, value in row.metadata.items()
        if name not in (PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD)
    }
    return str(row.id or row.metadata[PRIMARY_FIELD]), row.page_content, metadata


def literal(text: str) -> str:
    """Return a text as Python writes it, in double quotes where nothing has to be escaped."""
    written = repr(text)
    return written if '"' in written or "\\" in written else f'"{text}"'


def _plain(value: Any) -> Any:
    """Return what Milvus would store of a value, as what `repr` writes as Python."""
    return json.loads(json.dumps(value, default=str), parse_constant=str)


@dataclass(frozen=True)
class Name:
    """An argument that is written as a variable's name, not as its value."""

    text: str


# What a search or a lookup prints, as its page shows it.
SHOW_SCORED = """\
for rank, (document, score) in enumerate({found}, 1):
    print(rank, document.metadata["pk"], f"{{score:.4f}}", shorten(document.page_content, 80))
"""
SHOW_DOCUMENTS = """\
for rank, document in enumerate({found}, 1):
    print(rank, document.metadata["pk"], shorten(document.page_content, 80))
"""
SHOW_FIELDS = """\
for rank, document in enumerate({found}, 1):
    print(rank, document.metadata["pk"], document.metadata)
"""
SHOW_KEYS = """\
print(len({found}), "keys")
for key in {found}:
    print(key)
"""


def _show(operation: str, found: str) -> str:
    if operation == "get_pks":
        return SHOW_KEYS.format(found=found)
    if operation == "search_by_metadata":
        return SHOW_FIELDS.format(found=found)
    scored = "with_score" in operation
    return (SHOW_SCORED if scored else SHOW_DOCUMENTS).format(found=found)


def call(operation: str, arguments: dict[str, Any], place: Place, *, before: str = "") -> Snippet:
    """Return one reading call of an operation with its real parameters; it prints what it finds.

    `before` are lines that come after the store is opened. They make the variables that a `Name`
    among the arguments stands for.
    """
    pair = OPERATIONS[operation]
    written = _arguments(arguments)
    start, show = opening(place) + before, _show(operation, "found")
    return Snippet(
        sync=program(place, f"{start}\nfound = store.{pair.name}({written})\n{show}"),
        asynchronous=program(
            place,
            f"{start}\n\nasync def main():\n    return await store.{pair.async_name}"
            f"({_indented(written)})\n\n\nfound = asyncio.run(main())\n{show}",
        ),
    )


def subject(query: str, like: str) -> tuple[dict[str, Any], str]:
    """Return what a search is about as an argument, and the lines that make it.

    That is the question, or the vector of the row whose key is `like`.
    """
    if not like:
        return {"query": query}, ""
    lines = (
        "\n[row] = store.client.query(\n    store.collection_name,\n"
        f"    filter={f'{PRIMARY_FIELD} == {quote(like)}'!r},\n"
        f"    output_fields=[{literal(VECTOR_FIELD)}],\n)\nvector = row[{literal(VECTOR_FIELD)}]\n"
    )
    return {"embedding": Name("vector")}, lines


def vector_lines(vector: Sequence[float]) -> str:
    """Return the line that makes a pasted vector."""
    return f"\nvector = {pformat(list(vector), width=96, compact=True)}\n"


def similarity_and_mmr(
    similarity: tuple[str, dict[str, Any]],
    mmr: tuple[str, dict[str, Any]],
    place: Place,
    *,
    before: str = "",
) -> Snippet:
    """Return both searches, one after the other as sync code, at the same time as async code."""
    pairs = [
        (OPERATIONS[operation], _arguments(arguments)) for operation, arguments in (similarity, mmr)
    ]
    names = ("similar", "diverse")
    at_once = "".join(
        f"        store.{pair.async_name}({_indented(_indented(written))}),\n"
        for pair, written in pairs
    )
    show = "".join(
        f"print({literal(title)})\n{_show(pair.name, name)}"
        for title, name, (pair, _) in zip(("Nearest", "With variety"), names, pairs, strict=True)
    )
    start = opening(place) + before
    one_by_one = "".join(
        f"{name} = store.{pair.name}({written})\n"
        for name, (pair, written) in zip(names, pairs, strict=True)
    )
    return Snippet(
        sync=program(place, f"{start}\n{one_by_one}\n{show}"),
        asynchronous=program(
            place,
            f"{start}\n\nasync def main():\n    return await asyncio.gather(\n{at_once}    )\n"
            f"\n\n{', '.join(names)} = asyncio.run(main())\n{show}",
        ),
    )


TIMED = """\
started = perf_counter()
{work}
print(f"{{len(questions)}} questions, {way}: {{perf_counter() - started:.2f}} s")
"""
ANSWERS = """\
for question, found in zip(questions, answers):
    print(shorten(question, 60), "→", *[{key} for {item} in found])
"""


def retriever(
    questions: Sequence[str],
    search_type: str,
    search_kwargs: dict[str, Any],
    place: Place,
    *,
    concurrency: int,
) -> Snippet:
    """Return a store used as a retriever: a loop and `batch`, a gather and `abatch`."""
    start = (
        f"{opening(place)}retriever = store.as_retriever(\n"
        f"    search_type={literal(search_type)},\n    search_kwargs={search_kwargs!r},\n)\n"
        f"{_questions(questions)}"
        f'limit = {{"max_concurrency": {concurrency}}}\n\n'
    )
    show = ANSWERS.format(key='document.metadata["pk"]', item="document")
    return Snippet(
        sync=program(
            place,
            start
            + TIMED.format(
                work="answers = [retriever.invoke(question) for question in questions]",
                way="invoke one after another",
            )
            + TIMED.format(
                work="answers = retriever.batch(questions, config=limit)", way="batch, in threads"
            )
            + show,
        ),
        asynchronous=program(
            place,
            start
            + _gathered(
                "retriever.ainvoke(question)",
                f"ainvoke, at most {concurrency} at once",
                concurrency,
                then=TIMED.format(
                    work="answers = await retriever.abatch(questions, config=limit)", way="abatch"
                ),
            )
            + show,
        ),
    )


def _gathered(call: str, way: str, concurrency: int, *, then: str = "") -> str:
    """Return the lines that make a call for each question in a gather with a bound."""
    gather = TIMED.format(
        work="answers = await asyncio.gather(*[ask(question) for question in questions])", way=way
    )
    return (
        f"in_flight = asyncio.Semaphore({concurrency})\n\n\n"
        f"async def ask(question):\n    async with in_flight:\n        return await {call}\n\n\n"
        "async def main():\n    await ask(questions[0])  # connects\n"
        f"{indent(gather + then)}\n    return answers\n\n\nanswers = asyncio.run(main())\n"
    )


def many_searches(questions: Sequence[str], k: int, place: Place, *, concurrency: int) -> Snippet:
    """Return many searches as a loop, as a limited gather, and as one batched request."""
    start = f"{opening(place)}{_questions(questions)}"
    show = ANSWERS.format(key='document.metadata["pk"]', item="document, _")
    search = f"similarity_search_with_score(question, k={k})"
    return Snippet(
        sync=program(
            place,
            start
            + TIMED.format(
                work=f"answers = [store.{search} for question in questions]",
                way="one after another",
            )
            + show,
        ),
        asynchronous=program(
            place,
            start
            + _gathered(f"store.a{search}", f"at most {concurrency} at once", concurrency)
            + show,
        ),
        one_batch=program(
            place,
            start
            + "\n# langchain-milvus has no method for many questions; the store's client has.\n"
            + TIMED.format(
                work="vectors = store.embeddings.embed_documents(questions)\n"
                "answers = store.client.search(\n    store.collection_name,\n    data=vectors,\n"
                f"    anns_field={literal(VECTOR_FIELD)},\n    limit={k},\n"
                f"    output_fields=[{literal(PRIMARY_FIELD)}, {literal(TEXT_FIELD)}],\n)",
                way="one request",
            )
            + ANSWERS.format(key=f"hit[{literal(PRIMARY_FIELD)}]", item="hit"),
        ),
    )


def _questions(questions: Sequence[str]) -> str:
    return "questions = [\n" + "".join(f"    {question!r},\n" for question in questions) + "]\n"


COUNT = """\
def count(expr=""):
    answer = store.client.query(
        store.collection_name,
        filter=expr,
        output_fields=["count(*)"],
        consistency_level="Strong",
    )
    return answer[0]["count(*)"]
"""
# How each method takes a batch of rows.
BATCHES = {
    "add_texts": COLUMNS,
    "add_documents": "documents({rows}), ids=[key for key, _, _ in {rows}]",
    "upsert": "ids=[key for key, _, _ in {rows}], documents=documents({rows})",
    "add_embeddings": "[text for _, text, _ in {rows}],\n    vectors,\n"
    + COLUMNS.partition("\n")[2],
    "from_texts": COLUMNS,
}
DOCUMENTS = """\
def documents(rows):
    return [Document(id=key, page_content=text, metadata=metadata) for key, text, metadata in rows]


"""


def ingestion(
    place: Place,
    rows: Sequence[Document],
    *,
    batch_size: int,
    concurrency: int,
    method: str = "add_documents",
) -> Snippet:
    """Return the batched ingestion of these rows: a loop, gathered batches, and one call.

    The programs write into a collection of their own, so that nothing is added twice to another.
    """
    place = place.own(about_rows="Put your own rows in the place of these.")
    start = carried(rows) + (DOCUMENTS if "documents" in BATCHES[method] else "")
    cut = f"batches = [rows[i : i + {batch_size}] for i in range(0, len(rows), {batch_size})]\n"
    written = (
        'print(f"{count()} rows in {len(batches)} batches, {perf_counter() - started:.2f} s")\n'
    )
    if method == "from_texts":
        return _creation(place, start + cut, written, concurrency)
    embed = "vectors = {call}([text for _, text, _ in {rows}])\n"
    by_vector = method == "add_embeddings"
    open_ = opening(place)
    if method == "upsert":
        # Unlike the other methods, upsert does not make a missing collection.
        open_ += (
            "store.add_documents(documents(rows[:1]), ids=[rows[0][0]])  # makes the collection\n"
        )
    sync = f"store.{method}({_call_of(method, 'batch')})\n"
    asynchronous = f"await store.a{method}({_call_of(method, 'batch')})\n"
    whole = f"store.{method}({_call_of(method, 'rows')})\n"
    if by_vector:
        sync = embed.format(call="model.embed_documents", rows="batch") + sync
        asynchronous = (
            embed.format(call="await model.aembed_documents", rows="batch") + asynchronous
        )
        whole = embed.format(call="model.embed_documents", rows="rows") + whole
    return Snippet(
        sync=program(
            place,
            f"{start}{cut}{open_}\n\n{COUNT}\n\nstarted = perf_counter()\nfor batch in batches:\n"
            f"{indent(sync)}\n{written}",
        ),
        asynchronous=program(
            place,
            f"{start}{cut}{open_}limit = asyncio.Semaphore({concurrency})\n\n\n{COUNT}\n\n"
            f"async def add(batch):\n    async with limit:\n{indent(indent(asynchronous))}\n\n\n"
            "async def main():\n    await add(batches[0])  # makes the collection\n"
            "    await asyncio.gather(*[add(batch) for batch in batches[1:]])\n\n\n"
            f"started = perf_counter()\nasyncio.run(main())\n{written}",
        ),
        one_batch=program(
            place,
            f"{start}{open_}\n\n{COUNT}\n\nstarted = perf_counter()\n{whole}"
            'print(f"{count()} rows in one call, {perf_counter() - started:.2f} s")\n',
        ),
    )


def _call_of(method: str, rows: str) -> str:
    arguments = BATCHES[method].format(rows=rows)
    return f"\n    {arguments},\n" if "\n" in arguments else arguments


def _creation(place: Place, start: str, written: str, concurrency: int) -> Snippet:
    """Return from_texts for the first batch, which makes the collection, and the rest added."""
    columns = COLUMNS.format(rows="batches[0]")
    making = f"(\n    {columns},\n    embedding=model,\n{indent(options(place))}\n)"
    adding = f"add_texts({_call_of('add_texts', 'batch')})"
    return Snippet(
        sync=program(
            place,
            f"{start}started = perf_counter()\nstore = Milvus.from_texts{making}\n"
            f"for batch in batches[1:]:\n{indent(f'store.{adding}')}\n\n\n{COUNT}\n\n{written}",
        ),
        asynchronous=program(
            place,
            f"{start}limit = asyncio.Semaphore({concurrency})\n\n\n"
            f"async def add(store, batch):\n    async with limit:\n"
            f"{indent(indent(f'await store.a{adding}'))}\n\n\n"
            f"async def main():\n{indent(f'store = await Milvus.afrom_texts{making}')}\n"
            "    await asyncio.gather(*[add(store, batch) for batch in batches[1:]])\n"
            "    return store\n\n\nstarted = perf_counter()\nstore = asyncio.run(main())\n\n\n"
            f"{COUNT}\n\n{written}",
        ),
    )


EXAMPLE_ROWS = (
    Document(id="a", page_content="A text of an old file", metadata={"source": "old.txt"}),
    Document(id="b", page_content="A text to change", metadata={"source": "new.txt"}),
    Document(id="c", page_content="A text to keep", metadata={"source": "new.txt"}),
)
CHANGED = 'Document(page_content="The new text", metadata={"source": "new.txt"})'


def row_changes(place: Place) -> Snippet:
    """Return the calls that change and delete rows: upsert by key, delete by expression."""
    own = place.own(EXAMPLE_ROWS)
    expr = "source == 'old.txt'"
    show = (
        f'print(count(), "rows,", count("{expr}"), "of old.txt")\n'
        "print(*store.client.query(\n    store.collection_name,\n    filter=\"pk == 'b'\",\n"
        '    output_fields=["text"],\n    consistency_level="Strong",\n))\n'
    )
    return Snippet(
        sync=program(
            own,
            f'{opening(own)}\n\n{COUNT}\n\nstore.upsert(ids=["b"], documents=[{CHANGED}])\n'
            f'store.delete(expr="{expr}")\n{show}',
        ),
        asynchronous=program(
            own,
            f"{opening(own)}\n\n{COUNT}\n\nasync def main():\n"
            f'    await store.aupsert(ids=["b"], documents=[{CHANGED}])\n'
            "    # True even when the expression is wrong: the count below is the proof.\n"
            f'    await store.adelete(expr="{expr}")\n\n\nasyncio.run(main())\n{show}',
        ),
    )


def indent(lines: str) -> str:
    """Return lines of code four spaces deeper, without the last line break."""
    return textwrap.indent(lines.rstrip("\n"), "    ")


def _arguments(arguments: dict[str, Any]) -> str:
    parts = []
    for name, value in arguments.items():
        if value is None or value == "":
            continue
        text = value.text if isinstance(value, Name) else pformat(value, width=80, compact=True)
        parts.append(f"    {name}={text},")
    return "\n" + "\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
