"""Every program that the app can show runs as shown and prints what its page does.

The programs run outside the project, each in an empty folder of its own: what they import besides
their packages is not there.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from lib import settings
from lib.benchmark import runner
from lib.benchmark.endpoint import OpenAIEndpoint
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.place import place_of
from lib.programs import searching, writing
from lib.programs.snippet import Place, Snippet
from lib.results.catalogue import OPERATIONS
from lib.results.groups import Focus
from lib.results.plan import Plan
from lib.results.trials import Run
from lib.runs.measured_code import measured_code
from lib.search import ask
from lib.search.ask import METHODS, Question, Request
from lib.search.code import comparison_code, many_code, method_code
from lib.settings import BUNDLED_MODEL_DIR
from scripts.milvus_server import MilvusServer
from tests.run_builder import make_trial

pytestmark = pytest.mark.slow

NAME = "code_that_runs"
COUNT, WAIT_MS = 3, 40
# On a server, programs that make collections run in so many databases at once.
DATABASES = 6
# A reader's text is text: none of this may end a literal, a comment or a line.
HOSTILE = "\"\"\"\n'); print('owned') #\\ {0} \u2028 which text is this?"
TEXTS = [
    "Round a number to two digits.",
    "Round a decimal the way banks do.",
    "Read a text file line by line.",
    "Quote a \"text\" with 'both' quotes and a backslash \\.",
    "Write a text file.\nIt has two lines.",
    HOSTILE,
    "Sort a list of numbers.",
    "Sort a dictionary by its values.",
]
ROWS = [
    Document(id=f"row_{i}", page_content=text, metadata={"kind": ["odd", "even"][i % 2], "size": i})
    for i, text in enumerate(TEXTS)
]
QUESTIONS = ("How do I round money?", "sort numbers", HOSTILE)
EXPR = 'kind == "odd"'

# Runs each program as a script in an empty folder and keeps what it prints or raises; the cells of
# a notebook as Jupyter does, inside a running event loop. Each share of them has a process of its
# own, forked from one that has imported what takes seconds to import.
RUN_ALL = """
import asyncio, contextlib, gc, io, json, os, runpy, sys, traceback
from pathlib import Path
import langchain_milvus, model2vec, numpy

async def notebook(path):
    names = {"__name__": "__main__"}
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile(cell["source"], str(path), "exec"), names)

def run_share(share):
    printed = {}
    folders = sorted(share.iterdir(), key=lambda folder: (folder / "code.ipynb").exists())
    for folder in folders:
        os.chdir(folder)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            try:
                if (folder / "code.ipynb").exists():
                    asyncio.run(notebook(folder / "code.ipynb"))
                else:
                    runpy.run_path("code.py", run_name="__main__")
            except BaseException:
                print(traceback.format_exc())
        gc.collect()  # what nobody closed complains when it goes
        printed[folder.name] = out.getvalue()
    share.with_suffix(".json").write_text(json.dumps(printed))

children = []
for folder, address in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        os.environ["MILVUS_URI"] = address
        run_share(Path(folder))
        os._exit(0)
    children.append(child)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""

Check = Callable[[str, str], None]  # the tab's name and what the program printed


def run_all(addresses: dict[Path, str], **variables: str) -> dict[str, str]:
    """Run the programs in the subfolders of each folder, and return what each of them printed.

    The folders run side by side, each with the address of a Milvus.
    """
    shares = [(str(folder), address) for folder, address in addresses.items()]
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, json.dumps(shares)],
        check=False,
        capture_output=True,
        cwd=next(iter(addresses)),
        env=os.environ | variables,
        text=True,
        timeout=560,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Unclosed" not in done.stderr
    printed: dict[str, str] = {}
    for folder in addresses:
        printed |= json.loads(folder.with_suffix(".json").read_text(encoding="utf-8"))
    return printed


def run_side_by_side(folder: Path, connection: Connection, uri: str) -> dict[str, str]:
    """Run all programs: those that make a collection in several processes with a database each.

    All make a collection of one name, which on a server takes seconds, most of them waiting. An
    embedded store has nothing to wait for: its programs run in one process.
    """
    if not uri:
        return run_all({folder: ""})
    programs = sorted(folder.iterdir())
    making = [each for each in programs if each.name.startswith(("measured ", "ingest ", "rows"))]
    shares = [[each for each in programs if each not in making]]
    shares += [making[i::DATABASES] for i in range(DATABASES)]
    addresses = {}
    for i, share in enumerate(shares):
        (folder / str(i)).mkdir()
        for each in share:
            each.rename(folder / str(i) / each.name)
        address = uri
        if i:
            address = f"{uri}/{NAME}_{i}"
            connection.client.create_database(f"{NAME}_{i}")
            for each in share:
                # A measured program reads its address from MILVUS_URI, the others hold it.
                code = folder / str(i) / each.name / "code.py"
                text = code.read_text(encoding="utf-8")
                if not each.name.startswith("measured "):
                    assert f'"uri": "{uri}"' in text
                    code.write_text(text.replace(f'"{uri}"', f'"{address}"'), encoding="utf-8")
        addresses[folder / str(i)] = address
    return run_all(addresses)


def write(folder: Path, name: str, code: Snippet) -> None:
    """Write each program of a snippet, and its notebook, into a folder of its own."""
    for tab, program in code.programs.items():
        (folder / f"{name}.{tab}").mkdir()
        (folder / f"{name}.{tab}" / "code.py").write_text(program, encoding="utf-8")


def answers(connection: Connection, model: EmbeddingModel) -> dict[str, ask.MethodAnswer]:
    """Return what the search page shows for each method, with and without a filter."""
    vector = tuple(model.embeddings.embed_query(QUESTIONS[0]))
    found = {}
    for name, operation in METHODS.items():
        for expr in ("", EXPR):
            if not (expr or operation.searches):
                continue
            request = Request(
                name,
                query=QUESTIONS[2 if expr else 0],
                vector=vector,
                k=3,
                fetch_k=5,
                lambda_mult=0.4,
                expr=expr,
                fields=("kind", "size"),
            )
            found[f"{name}{' filtered' * bool(expr)}"] = ask.call_method(
                connection, model, NAME, request
            )
    return found


def shown_rows(answer: ask.MethodAnswer) -> list[str]:
    """Return how the rows of an answer begin when a program prints them."""
    if not answer.hits:
        return [f"{len(answer.keys)} keys", *answer.keys]
    return [
        f"{hit.rank} {hit.key}" + ("" if hit.score is None else f" {hit.score:.4f}")
        for hit in answer.hits
    ]


def assert_rows(printed: str, expected: list[str]) -> None:
    """Check that the lines begin as they should; a score may differ in its fourth digit."""
    lines = printed.splitlines()
    assert len(lines) == len(expected), printed
    for line, start in zip(lines, expected, strict=True):
        seen, wanted = line.split(" "), start.split(" ")
        assert seen[:2] == wanted[:2], printed
        if len(wanted) == 3:
            assert float(seen[2]) == pytest.approx(float(wanted[2]), abs=2e-4), printed


@pytest.fixture(scope="module")
def filled(backend: Connection, model: EmbeddingModel) -> Iterator[Connection]:
    milvus_collections.create(backend, NAME, model.dimension, embedding=model.model)
    backend.store(NAME, model.embeddings).add_documents(ROWS, ids=[str(row.id) for row in ROWS])
    milvus_collections.prepare_for_search(backend, NAME)
    assert milvus_collections.count(backend, NAME) == len(ROWS)
    yield backend
    milvus_collections.drop(backend, NAME)


@pytest.fixture(scope="module")
def run(filled: Connection, model: EmbeddingModel) -> Run:
    """The page of a run: every operation, measured for real."""
    plan = Plan(
        tuple(OPERATIONS),
        strategies=("sync_loop", "gather", "one_batch"),
        counts=(COUNT,),
        repeats=1,
        warmup=0,
        rows=20,
        embedding_latency_ms=WAIT_MS,
    )
    # The figures say nothing here, so a server, where most of the time is waiting, makes four parts
    # at once.
    parts = 1 if filled.is_lite else 4
    plans = [replace(plan, operations=plan.operations[i::parts]) for i in range(parts)]
    with ThreadPoolExecutor(parts) as threads:
        measured = list(threads.map(lambda part: runner.run(part, filled, model), plans))
    trials = tuple(trial for part in measured for trial in part.trials)
    assert all(trial.verified for trial in trials)
    return replace(measured[0], trials=trials)


@pytest.mark.timeout(600)  # a server takes seconds to make each collection of from_texts
def test_every_program_prints_what_its_page_shows(
    filled: Connection, model: EmbeddingModel, run: Run, tmp_path: Path
) -> None:
    place = place_of(filled, model, NAME)
    checks: dict[str, Check] = {}

    def add(name: str, code: Snippet, check: Check) -> None:
        write(tmp_path, name, code)
        checks[name] = check

    by_method = answers(filled, model)
    for name, answer in by_method.items():
        add(
            name,
            method_code(filled, model, NAME, answer, place),
            lambda tab, printed, answer=answer: assert_rows(printed, shown_rows(answer)),
        )
    for name, question in {
        "compare": Question(HOSTILE, k=3, fetch_k=5),
        "compare filtered": Question(QUESTIONS[0], k=3, fetch_k=5, expr=EXPR),
        "compare like": Question(like="row_1", k=3, fetch_k=5),
    }.items():
        found = ask.fetch(filled, model, NAME, question)
        request = Request(
            f"max_marginal_relevance_search{'_by_vector' * bool(question.like)}",
            query=question.query,
            vector=tuple(found.query_vector),
            k=3,
            fetch_k=5,
            lambda_mult=0.4,
            expr=question.whole_expr(filled.schema(NAME)),
        )
        diverse = ask.call_method(filled, model, NAME, request)
        nearest = [f"{hit.rank} {hit.key} {hit.score:.4f}" for hit in found.hits[:3]]
        rows = ["Nearest", *nearest, "With variety", *shown_rows(diverse)]
        add(
            name,
            comparison_code(filled, NAME, found, 0.4, place),
            lambda tab, printed, rows=rows: assert_rows(printed, rows),
        )
    for name, operation in {
        "many": "similarity_search_with_score",
        "retriever": "similarity_search",
        "retriever mmr": "max_marginal_relevance_search",
    }.items():
        plan = Plan(
            (operation,), concurrency=(2,), k=2, fetch_k=5, questions=QUESTIONS, collection=NAME
        )
        keys = [
            ask.call_method(
                filled, model, NAME, Request(operation, query=query, k=2, fetch_k=5)
            ).keys
            for query in QUESTIONS
        ]
        add(
            name,
            many_code(filled, plan, place),
            lambda tab, printed, keys=keys: (
                [found.split() for found in re.findall(r"→ (.*)", printed)]
                == [list(each) for each in keys]
                or pytest.fail(printed)
            ),
        )
    for method in writing.METHODS:
        code = writing.ingestion(place, ROWS, batch_size=3, concurrency=2, method=method)
        add(
            f"ingest {method}",
            code,
            lambda tab, printed: (
                printed.startswith(
                    "8 rows in one call" if tab == "One batch" else "8 rows in 3 batches"
                )
                or pytest.fail(printed)
            ),
        )
    add(
        "rows",
        writing.row_changes(place),
        lambda tab, printed: (
            (printed.startswith("2 rows, 0 of old.txt") and "The new text" in printed)
            or pytest.fail(printed)
        ),
    )
    for operation in OPERATIONS:
        code = measured_code(run, Focus(operation, COUNT))
        assert code is not None
        add(
            f"measured {operation}",
            code,
            lambda tab, printed, operation=operation: assert_measured(printed, operation, tab, run),
        )

    batches = [
        replace(make_trial("gather_limited", count=8, concurrency=1, call_s=wall_s / 8), batch=rows)
        for rows, wall_s in {1: 8.0, 2: 4.0, 4: 2.0, 3: 1.0}.items()
    ]
    code = measured_code(replace(run, trials=tuple(batches)), Focus("add_documents", 8))
    assert code is not None
    assert "limit = asyncio.Semaphore(1)" in code.asynchronous
    add(
        "measured batches",
        code,
        lambda tab, printed: (
            re.match(r"add_documents, 3 calls of 3 rows .*\n8 rows added", printed)
            or pytest.fail(printed)
        ),
    )

    printed = run_side_by_side(tmp_path, filled, place.uri)
    assert len(printed) > 80
    for name, text in printed.items():
        what, _, tab = name.rpartition(".")
        assert "owned\n" not in text, text
        assert "Traceback" not in text, f"{name}: {text}"
        checks[what](tab, text)


def assert_measured(printed: str, operation: str, tab: str, run: Run) -> None:
    """Check the calls, the time and the proof of a measured program against its run."""
    strategy = {"Sync": "sync_loop", "Async": "gather", "One batch": "one_batch"}[tab]
    [trial] = [t for t in run.trials if (t.operation, t.strategy) == (operation, strategy)]
    first, proof = printed.splitlines()[:2]
    seconds = float(re.fullmatch(rf"{operation}, {COUNT} calls .*: (\S+) s", first)[1])  # type: ignore[index]
    embedded = sum(call.embed_s for call in trial.calls)
    if OPERATIONS[operation].embeds and tab == "Sync":
        assert seconds >= COUNT * WAIT_MS / 1000 <= embedded
    elif OPERATIONS[operation].embeds:
        assert seconds >= WAIT_MS / 1000
    rows = {"similarity_search": COUNT * 3, "max_marginal": COUNT * 3}
    expected = next((n for start, n in rows.items() if operation.startswith(start)), COUNT)
    assert int(proof.split()[0]) == expected, printed


def test_a_notebook_runs_inside_jupyter_s_loop(tmp_path: Path, model: EmbeddingModel) -> None:
    place = Place(model=model.model, rows=ROWS)
    code = searching.many_searches(QUESTIONS, 2, place, concurrency=2)
    (tmp_path / "notebook").mkdir()
    text = code.notebook("Many questions")
    (tmp_path / "notebook" / "code.ipynb").write_text(text, encoding="utf-8")
    printed = run_all({tmp_path: ""})["notebook"]
    assert "Traceback" not in printed
    for way in ("one after another", "at most 2 at once", "one request"):
        assert f"3 questions, {way}: " in printed
    cells: list[dict[str, Any]] = json.loads(text)["cells"]
    assert [cell["source"] for cell in cells if cell["source"] in code.programs.values()] == list(
        code.programs.values()
    )


CLIENT_LINES = {
    "httpx": "http_client = openai.DefaultAsyncHttpxClient()\n",
    "httpx-more": "Limits(max_connections=1000, max_keepalive_connections=1000)\n",
    "aiohttp": "http_client = openai.DefaultAioHttpClient()\n",
}


def test_a_program_for_openai_runs_against_any_such_service(
    tmp_path: Path, openai_endpoint: OpenAIEndpoint
) -> None:
    chosen = {"": 0, "httpx-more": 30, "aiohttp": 0, "of a strange run": 0}
    for client, latency_ms in chosen.items():
        place = Place(
            model="openai/text-embedding-3-small",
            http_client=client,
            latency_ms=latency_ms,
            jitter_ms=latency_ms,
            rows=ROWS,
        )
        code = searching.many_searches(QUESTIONS, 2, place, concurrency=2)
        write(tmp_path, f"openai {client}", code)
        # The line that changes what it sends requests with, in the async program alone.
        assert CLIENT_LINES.get(client, CLIENT_LINES["httpx"]) in code.asynchronous
        assert "http_client" not in code.sync + code.one_batch
        is_chosen = client == "aiohttp"
        assert ('"openai[aiohttp]==' in code.asynchronous.splitlines()[0]) == is_chosen
        assert ('pip install "openai[aiohttp]"\n' in code.asynchronous) != is_chosen
    printed = run_all(
        {tmp_path: ""}, OPENAI_API_KEY="a-key", OPENAI_API_BASE=openai_endpoint.base_url
    )
    assert len(printed) == len(chosen) * len(code.programs)
    for text in printed.values():
        assert text.count("→") == 3, text


def test_no_program_holds_a_server_s_secret_or_a_folder_that_a_public_app_hides(
    model: EmbeddingModel, milvus_server: MilvusServer
) -> None:
    loaded = settings.load({"MILVUS_URI": milvus_server.uri, "MILVUS_TOKEN": "root:secret-word"})
    opened = open_connection(loaded)
    try:
        place = place_of(opened, model, NAME, hide_paths=True)
    finally:
        opened.close()
    code = searching.call("get_pks", {"expr": EXPR}, place)
    for program in code.programs.values():
        assert not re.search("secret-word|root:", program)
        assert str(BUNDLED_MODEL_DIR.parent) not in program
        assert BUNDLED_MODEL_DIR.name in program
