"""Operation and parameters → complete programs, sync and async, that a reader can run.

A program needs the packages of its first line and nothing of this app. A program that only reads
from a server works on the collection shown. Every other program makes a new collection, named
`OWN`. On the embedded store it makes a new file too, because one process can open a file of Milvus
Lite.
"""

import ast
import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import metadata
from pprint import pformat
from typing import Any

from langchain_core.documents import Document

from lib.milvus.connection import Connection
from lib.milvus.embeddings import BUNDLED_MODEL_DIR, EmbeddingModel, log_normal
from lib.milvus.fields import Schema
from lib.milvus.filters import equals
from lib.milvus.operations import OPERATIONS
from lib.results.catalogue import PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD

OWN = "async_lab_snippet"
# The most rows of a collection that are written into a program.
CARRIED_ROWS = 200
# The module of each name that a program may use; "" for a module itself.
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
    index: str = ""  # the code of its type and parameters; the backend's plain one when empty
    schema: Schema | None = field(default=None, repr=False)  # of a collection that is there

    @property
    def names(self) -> tuple[str, str, str]:
        """The names of the key, the text and the vector."""
        if self.schema is None or self.schema.vector is None:
            return PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD
        return self.schema.key.name, self.schema.text, self.schema.vector.name

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
        return replace(self, collection=OWN, schema=None, rows=rows, about_rows=about_rows)


def model_path(hide_paths: bool) -> str:
    """Return where a program finds the bundled model; its folder alone where paths are hidden."""
    return BUNDLED_MODEL_DIR.name if hide_paths else str(BUNDLED_MODEL_DIR)


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
    is_there = collection != OWN and not connection.is_lite
    return Place(
        model=model.model,
        uri="" if connection.is_lite else f"{scheme}://{connection.address}",
        database=str(connection.arguments.get("db_name", "")),
        collection=OWN if connection.is_lite else collection,
        metric=metric,
        model_path=model_path(hide_paths),
        latency_ms=model.simulated_latency_ms,
        schema=connection.schema(collection) if is_there else None,
    )


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
    own = [f"import {name}" for name in modules.pop("", [])]
    others: list[str] = []
    for module, found in sorted(modules.items()):
        lines = own if module in sys.stdlib_module_names else others
        lines.append(f"from {module} import {', '.join(found)}")
    return "\n".join([*own, *[""][: len(own)], *others])


def _head(place: Place) -> str:
    """Return the comment lines that a program begins with: its packages, and what to know."""
    lite, bundled = place.is_lite, not place.model.startswith("openai/")
    packages = (
        _pinned("langchain-milvus"),
        _pinned("pymilvus", "[milvus-lite]" if lite else ""),
        _pinned("model2vec" if bundled else "langchain-openai"),
    )
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
    wait, before = f"{place.latency_ms / 1000:g}", ""
    if place.latency_ms and place.jitter_ms:
        mu, sigma = log_normal(place.latency_ms / 1000, place.jitter_ms / 1000)
        wait = f"waits.lognormvariate({mu:.6g}, {sigma:.6g})"
        before = "waits = Random(7)\n\n\n"
    is_slow = bool(place.latency_ms)
    vectors = avectors = "self.static.encode(texts).tolist()"
    if place.model.startswith("openai/"):
        name = literal(place.model.partition("/")[2])
        made = f"(model={name}, check_embedding_ctx_length=False)"
        if not is_slow:
            return f"model = OpenAIEmbeddings{made}"
        head, model, more = (
            "class SlowEmbeddings(OpenAIEmbeddings):\n",
            "SlowEmbeddings",
            ", **more",
        )
        vectors = f"super().embed_documents(texts{more})"
        avectors = f"await super().aembed_documents(texts{more})"
    else:
        path = literal(place.model_path)
        head = (
            f"class BundledModel(Embeddings):\n    static = StaticModel.from_pretrained({path})\n\n"
        )
        model, made, more = "BundledModel", "()", ""
    sleep, asleep = (f"        sleep({wait})\n", f"        await asyncio.sleep({wait})\n")
    code = (
        f"{before}{head}    def embed_documents(self, texts{more}):\n{sleep * is_slow}"
        f"        return {vectors}\n\n    def embed_query(self, text{more}):\n"
        f"        return self.embed_documents([text]{more})[0]\n"
    )
    if is_async:
        code += (
            f"\n    async def aembed_documents(self, texts{more}):\n{asleep * is_slow}"
            f"        return {avectors}\n\n    async def aembed_query(self, text{more}):\n"
            f"        return (await self.aembed_documents([text]{more}))[0]\n"
        )
    return f"{code}\n\nmodel = {model}{made}"


def options(place: Place) -> str:
    """Return the keyword arguments, one a line, that open the place's collection or make it."""
    address = literal(place.uri or f"{OWN}.db")
    if place.from_environment and not place.is_lite:
        address = f'os.environ.get("MILVUS_URI", {address})'
    token = "" if place.is_lite else ', "token": os.environ.get("MILVUS_TOKEN", "")'
    database = f', "db_name": {literal(place.database)}' if place.database else ""
    lines = [
        f"collection_name={literal(place.collection)},",
        f'connection_args={{"uri": {address}{token}{database}}},',
        f"enable_dynamic_field={place.schema is None or place.schema.is_dynamic},",
    ]
    options = {
        "primary_field": PRIMARY_FIELD,
        "text_field": TEXT_FIELD,
        "vector_field": VECTOR_FIELD,
    }
    for (option, usual), name in zip(options.items(), place.names, strict=True):
        if name != usual:
            lines.append(f"{option}={literal(name)},")
    if place.is_own:
        kind = place.index or f'"{"FLAT" if place.is_lite else "AUTOINDEX"}",\n    "params": {{}}'
        metric = f'"metric_type": {literal(place.metric)},\n    "index_type": {kind},'
        lines.append(f"index_params={{\n    {metric}\n}},")
        lines.append("drop_old=True,")
    return "\n".join(lines)


def opening(place: Place) -> str:
    """Return the lines that open a store, and fill its collection when it is the program's own."""
    opened = f"store = Milvus(\n    embedding_function=model,\n{indent(options(place))}\n)\n"
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
    written = (
        (str(row.id), row.page_content, {name: _plain(each) for name, each in row.metadata.items()})
        for row in rows
    )
    lines = "".join(f"    {row!r},\n" for row in written)
    return f"rows = [  # key, text, metadata\n{lines}]\n"


def literal(text: str) -> str:
    """Return a text as Python writes it, in double quotes where nothing has to be escaped."""
    written = repr(text)
    return written if '"' in written or "\\" in written else f'"{text}"'


def _plain(value: Any) -> Any:
    """Return what Milvus would store of a value, as what `repr` writes as Python."""
    return json.loads(json.dumps(value, default=str), parse_constant=str)


def _show(operation: str, found: str, place: Place) -> str:
    """Return the lines that print what a search or a lookup found, as its page shows it."""
    if operation == "get_pks":
        return f'print(len({found}), "keys")\nfor key in {found}:\n    print(key)\n'
    item, shown = "document", "shorten(document.page_content, 80)"
    if operation == "search_by_metadata":
        shown = "document.metadata"
    elif "with_score" in operation:
        item, shown = "(document, score)", f'f"{{score:.4f}}", {shown}'
    return (
        f"for rank, {item} in enumerate({found}, 1):\n"
        f"    print(rank, document.metadata[{literal(place.names[0])}], {shown})\n"
    )


def call(operation: str, arguments: dict[str, Any], place: Place) -> Snippet:
    """Return one reading call of an operation with its real parameters; it prints what it finds."""
    pair, start = OPERATIONS[operation], opening(place)
    if vector := arguments.get("embedding"):
        start += f"\nvector = {pformat(list(vector), width=96, compact=True)}\n"
    written, show = _arguments(arguments), _show(operation, "found", place)
    return snippet(
        place,
        sync=f"{start}\nfound = store.{pair.name}({written})\n{show}",
        asynchronous=f"{start}\n\nasync def main():\n    return await store.{pair.async_name}"
        f"({_indented(written)})\n\n\nfound = asyncio.run(main())\n{show}",
    )


def similarity_and_mmr(
    query: str, like: str, common: dict[str, Any], mmr_only: dict[str, Any], place: Place
) -> Snippet:
    """Return both searches, one after the other as sync code, at the same time as async code.

    They search for the question, or for the vector of the row whose key is `like`.
    """
    start, by_vector = opening(place), ""
    key, _, vector = place.names
    common = ({"embedding": None} if like else {"query": query}) | common
    if like:
        by_vector = "_by_vector"
        start += (
            "\n[row] = store.client.query(\n    store.collection_name,\n"
            f"    filter={equals(key, place.schema.parse_key(like) if place.schema else like)!r},\n"
            f"    output_fields=[{literal(vector)}],\n)\n"
            f"vector = row[{literal(vector)}]\n"
        )
    one_by_one = at_once = show = ""
    for title, found, operation, arguments in (
        ("Nearest", "similar", "similarity_search_with_score", common),
        ("With variety", "diverse", "max_marginal_relevance_search", common | mmr_only),
    ):
        pair, written = OPERATIONS[f"{operation}{by_vector}"], _arguments(arguments)
        one_by_one += f"{found} = store.{pair.name}({written})\n"
        at_once += f"        store.{pair.async_name}({_indented(_indented(written))}),\n"
        show += f"print({literal(title)})\n{_show(pair.name, found, place)}"
    return snippet(
        place,
        sync=f"{start}\n{one_by_one}\n{show}",
        asynchronous=f"{start}\n\nasync def main():\n    return await asyncio.gather(\n{at_once}"
        f"    )\n\n\nsimilar, diverse = asyncio.run(main())\n{show}",
    )


def _timed(work: str, way: str) -> str:
    """Return the lines that ask all questions in one way and print how long that took."""
    said = f'print(f"{{len(questions)}} questions, {way}: {{perf_counter() - started:.2f}} s")'
    return f"started = perf_counter()\n{work}\n{said}\n"


def _answers(item: str, key: str) -> str:
    """Return the lines that print the keys of each answer."""
    keys = f"*[{key} for {item} in found]"
    return (
        "for question, found in zip(questions, answers):\n"
        f'    print(shorten(question, 60), "→", {keys})\n'
    )


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
    loop = _timed(
        "answers = [retriever.invoke(question) for question in questions]",
        "invoke one after another",
    )
    batch = _timed("answers = retriever.batch(questions, config=limit)", "batch, in threads")
    gather = _gathered(
        "retriever.ainvoke(question)",
        f"ainvoke, at most {concurrency} at once",
        concurrency,
        then=_timed("answers = await retriever.abatch(questions, config=limit)", "abatch"),
    )
    show = _answers("document", f"document.metadata[{literal(place.names[0])}]")
    return snippet(place, sync=f"{start}{loop}{batch}{show}", asynchronous=f"{start}{gather}{show}")


def _gathered(call: str, way: str, concurrency: int, *, then: str = "") -> str:
    """Return the lines that make a call for each question in a gather with a bound."""
    gather = _timed(
        "answers = await asyncio.gather(*[ask(question) for question in questions])", way
    )
    return (
        f"in_flight = asyncio.Semaphore({concurrency})\n\n\n"
        f"async def ask(question):\n    async with in_flight:\n        return await {call}\n\n\n"
        "async def main():\n    await ask(questions[0])  # connects\n"
        f"{indent(gather + then)}\n    return answers\n\n\nanswers = asyncio.run(main())\n"
    )


def many_searches(questions: Sequence[str], k: int, place: Place, *, concurrency: int) -> Snippet:
    """Return many searches as a loop, as a limited gather, and as one batched request."""
    start, names = f"{opening(place)}{_questions(questions)}", [literal(n) for n in place.names]
    show = _answers("document, _", f"document.metadata[{names[0]}]")
    search = f"similarity_search_with_score(question, k={k})"
    loop = _timed(f"answers = [store.{search} for question in questions]", "one after another")
    gather = _gathered(f"store.a{search}", f"at most {concurrency} at once", concurrency)
    request = _timed(
        "vectors = store.embeddings.embed_documents(questions)\n"
        "answers = store.client.search(\n    store.collection_name,\n    data=vectors,\n"
        f"    anns_field={names[2]},\n    limit={k},\n"
        f"    output_fields=[{names[0]}, {names[1]}],\n)",
        "one request",
    )
    return snippet(
        place,
        sync=f"{start}{loop}{show}",
        asynchronous=f"{start}{gather}{show}",
        one_batch=f"{start}\n"
        "# langchain-milvus has no method for many questions; the store's client has.\n"
        f"{request}{_answers('hit', f'hit[{names[0]}]')}",
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
    open_ = opening(place)
    if method == "upsert":
        # Upsert does not make a missing collection; the other methods do.
        open_ += (
            "store.add_documents(documents(rows[:1]), ids=[rows[0][0]])  # makes the collection\n"
        )

    def write(part: str, wait: str = "", a: str = "") -> str:
        embed = f"vectors = {wait}model.{a}embed_documents([text for _, text, _ in {part}])\n"
        call = f"{wait}store.{a}{method}({_call_of(method, part)})\n"
        return f"{embed if method == 'add_embeddings' else ''}{call}"

    in_gather = indent(indent(write("batch", "await ", "a")))
    return snippet(
        place,
        sync=f"{start}{cut}{open_}\n\n{COUNT}\n\nstarted = perf_counter()\n"
        f"for batch in batches:\n{indent(write('batch'))}\n{written}",
        asynchronous=f"{start}{cut}{open_}limit = asyncio.Semaphore({concurrency})\n\n\n{COUNT}\n\n"
        f"async def add(batch):\n    async with limit:\n{in_gather}\n\n\n"
        "async def main():\n    await add(batches[0])  # makes the collection\n"
        "    await asyncio.gather(*[add(batch) for batch in batches[1:]])\n\n\n"
        f"started = perf_counter()\nasyncio.run(main())\n{written}",
        one_batch=f"{start}{open_}\n\n{COUNT}\n\nstarted = perf_counter()\n{write('rows')}"
        'print(f"{count()} rows in one call, {perf_counter() - started:.2f} s")\n',
    )


def _call_of(method: str, rows: str) -> str:
    arguments = BATCHES[method].format(rows=rows)
    return f"\n    {arguments},\n" if "\n" in arguments else arguments


def _creation(place: Place, start: str, written: str, concurrency: int) -> Snippet:
    """Return from_texts for the first batch, which makes the collection, and the rest added."""
    columns = COLUMNS.format(rows="batches[0]")
    making = f"(\n    {columns},\n    embedding=model,\n{indent(options(place))}\n)"
    adding = f"add_texts({_call_of('add_texts', 'batch')})"
    return snippet(
        place,
        sync=f"{start}started = perf_counter()\nstore = Milvus.from_texts{making}\n"
        f"for batch in batches[1:]:\n{indent(f'store.{adding}')}\n\n\n{COUNT}\n\n{written}",
        asynchronous=f"{start}limit = asyncio.Semaphore({concurrency})\n\n\n"
        f"async def add(store, batch):\n    async with limit:\n"
        f"{indent(indent(f'await store.a{adding}'))}\n\n\n"
        f"async def main():\n{indent(f'store = await Milvus.afrom_texts{making}')}\n"
        "    await asyncio.gather(*[add(store, batch) for batch in batches[1:]])\n"
        "    return store\n\n\nstarted = perf_counter()\nstore = asyncio.run(main())\n\n\n"
        f"{COUNT}\n\n{written}",
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
    start = f"{opening(own)}\n\n{COUNT}\n\n"
    return snippet(
        own,
        sync=f'{start}store.upsert(ids=["b"], documents=[{CHANGED}])\n'
        f'store.delete(expr="{expr}")\n{show}',
        asynchronous=f"{start}async def main():\n"
        f'    await store.aupsert(ids=["b"], documents=[{CHANGED}])\n'
        "    # True even when the expression is wrong: the count below is the proof.\n"
        f'    await store.adelete(expr="{expr}")\n\n\nasyncio.run(main())\n{show}',
    )


def indent(lines: str) -> str:
    """Return lines of code four spaces deeper, without the last line break."""
    return textwrap.indent(lines.rstrip("\n"), "    ")


def _arguments(arguments: dict[str, Any]) -> str:
    """Return arguments, one a line. A vector has a name, because it takes many lines."""
    written = {
        name: "vector" if name == "embedding" else pformat(value, width=80, compact=True)
        for name, value in arguments.items()
        if name == "embedding" or value not in (None, "")
    }
    return "\n" + "".join(f"    {name}={text},\n" for name, text in written.items())


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
