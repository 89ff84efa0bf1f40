"""What is written into documents, names, questions and runs stays text in whatever shows it."""

import ast
import csv
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from langchain_core.documents import Document
from pptx import Presentation

from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.programs import searching, writing
from lib.programs.snippet import Place, Snippet
from lib.results import run_file
from lib.results.analysis import analyse
from lib.results.findings import ALONE
from lib.results.trials import Run
from lib.runs import measured_code
from lib.runs.reports import EXPORTS
from lib.runs.store import RunStore
from lib.settings import load
from scripts import gallery
from tests.run_builder import make_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

# A script, a picture and a link that call home, Markdown, LaTeX, a template, Python and a formula.
CALLS = '<script>window.pwned=1</script><img src="//evil.example/i" onerror="window.pwned=1">'
MARKS = (
    "[a](http://evil.example/a) ![b](http://evil.example/b) **bolded** $x^2$ :red[c] `d` {{7*7}}"
)
EVIL = f"=cmd|' /C calc'!A0 {CALLS} {MARKS} '''\"\"\"\\' {{x}} </script></textarea>"
FILE_NAME = "<img src=x onerror=window.pwned=1> **bolded** $x^2$.txt"
IS_AT_REST = """() => document.querySelector("[data-testid='stApp']")
  ?.getAttribute("data-test-script-state") === "notRunning"
  && !document.querySelector("[data-testid='stSkeleton'], .stSpinner")"""
# What there would be if some of it were markup.
MARKUP = (
    "img[src*='evil.example'], img[src='x'], a[href*='evil.example'], .katex, "
    "strong:text-is('bolded')"
)


def evil_run() -> Run:
    """Return a run whose every free text is hostile."""
    run = make_run(
        environment={
            "backend_label": EVIL,
            "embedding_label": EVIL,
            "extra": EVIL,
            "notes": [EVIL],
        },
        settings={"command": EVIL, "preset": EVIL, "extra": EVIL},
        partial=True,
    )
    first = run.trials[0]
    failed = replace(first.calls[0], ok=False, error=EVIL)
    calls = (failed, *first.calls[1:])
    bad = replace(first, calls=calls, verification=EVIL, verified=False)
    return replace(run, trials=(bad, *run.trials[1:]), note=EVIL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of an app in which all texts are hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    host = load({"LAB_DATA_DIR": str(folder)})
    opened = open_connection(host)
    rows = [
        Document(f"{EVIL} {i}", metadata={"source": FILE_NAME, "title": EVIL, "kind": EVIL})
        for i in range(12)
    ]
    ingest(opened, open_model(host), rows, IngestionPlan(host.collection))
    opened.close()
    store = RunStore(folder / "runs")
    entry = store.save(evil_run(), name="hostile", run_id="hostile")
    store.rename(entry, EVIL[:80], EVIL)
    return folder


@pytest.fixture
def watched(chromium_page: "Page") -> "Page":
    """A page that notes each request to another host, each dialog and each error of a script."""
    noted: list[str] = []
    chromium_page.on(
        "request", lambda asked: noted.append(asked.url) if "evil.example" in asked.url else None
    )
    chromium_page.on("dialog", lambda dialog: (noted.append(dialog.message), dialog.dismiss()))
    chromium_page.noted = noted  # type: ignore[attr-defined]
    return chromium_page


def check(page: "Page", *, shows: bool = True) -> None:
    """Hold that nothing of it was markup, ran, or left; and that it is there to be read."""
    assert page.evaluate("window.pwned") is None
    assert page.locator(MARKUP).count() == 0, page.locator(MARKUP).first.evaluate(
        "node => node.outerHTML"
    )
    # An address of this app may carry the text; no other host is asked for anything.
    asked = [url for url in page.noted if not url.startswith(("http://127.0.0.1", "ws://127"))]  # type: ignore[attr-defined]
    assert asked == []
    if shows:
        # The app is at rest before its first run too, with nothing drawn.
        page.wait_for_function("document.body.innerText.includes('window.pwned')")


def open_at(page: "Page", address: str, *, shows: bool = True) -> None:
    """Open an address of the app, wait until it is drawn, and check it."""
    page.goto(address)
    page.wait_for_function(IS_AT_REST)
    page.wait_for_load_state("networkidle")
    check(page, shows=shows)


@pytest.fixture(scope="module")
def app(run_app, folder: Path) -> str:
    """The address of an app in which all texts are hostile."""
    return str(run_app({"LAB_DATA_DIR": str(folder)}))


def test_hostile_text_stays_text_where_rows_are_searched_and_read(
    app: str, watched: "Page"
) -> None:
    said = quote(EVIL)
    open_at(watched, f"{app}/search?q={said}")
    for view in ("Every method", "Words", "Many at once"):
        open_at(watched, f"{app}/search?view={quote(view)}&q={said}&filter={said}", shows=False)
    open_at(watched, f"{app}/collections", shows=False)  # its rows are drawn on a canvas
    open_at(watched, f"{app}/collections?rows_filter={said}", shows=False)


def test_hostile_text_stays_text_where_runs_are_shown(app: str, watched: "Page") -> None:
    open_at(watched, f"{app}/runs?r_runs=hostile")
    open_at(watched, f"{app}/runs?r_runs=hostile,recorded-tutorial-server", shows=False)
    open_at(watched, f"{app}/runs?r_filter={quote(EVIL)}", shows=False)
    open_at(watched, f"{app}/benchmark?b_run=hostile")
    open_at(watched, f"{app}/?present=1&run=hostile", shows=False)
    for _ in range(5):
        watched.keyboard.press("ArrowRight")
        check(watched, shows=False)


def test_hostile_text_stays_text_from_an_upload_to_its_report(
    app: str, tmp_path: Path, watched: "Page"
) -> None:
    file = tmp_path / FILE_NAME
    file.write_text(EVIL * 3, encoding="utf-8")
    open_at(watched, f"{app}/ingestion?ingest_source=Files", shows=False)
    watched.locator("input[type=file]").set_input_files(file)
    watched.get_by_role("button", name="Ingest ").click()
    watched.get_by_text(" added in ").first.wait_for()
    watched.wait_for_function(IS_AT_REST)
    check(watched)


def test_hostile_text_stays_text_in_reports_and_in_the_gallery(
    tmp_path: Path, watched: "Page"
) -> None:
    run = evil_run()
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    run_file.write(run, recorded / "recorded.json")
    kept = RunStore(tmp_path / "none", recorded)
    entries = list(kept.entries())
    pages = {
        "report.html": EXPORTS["html"].make(run, ALONE),
        "run.html": gallery._page(entries[0], kept),
        "index.html": gallery._index(entries, None),
    }
    for name, content in pages.items():
        (tmp_path / name).write_bytes(content)
        watched.goto((tmp_path / name).as_uri())
        watched.wait_for_load_state("networkidle")
        check(watched)


def test_hostile_text_stays_text_in_every_file_of_a_run() -> None:
    run = evil_run()
    deck = EXPORTS["deck"].make(run, ALONE)
    slides = Presentation(io.BytesIO(deck)).slides
    assert EVIL in " ".join(
        shape.text for slide in slides for shape in slide.shapes if shape.has_text_frame
    )
    with zipfile.ZipFile(io.BytesIO(deck)) as parts:
        links = [name for name in parts.namelist() if name.endswith(".rels")]
        assert not [name for name in links if b"evil.example" in parts.read(name)]
    for name in ("calls", "summary"):
        table = csv.reader(io.StringIO(EXPORTS[name].make(run, ALONE).decode(), newline=""))
        cells = [cell for line in table for cell in line]
        assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@"))]
        assert name == "summary" or f"'{EVIL}" in cells
    written = json.loads(EXPORTS["json"].make(run, ALONE))
    assert written["environment"]["backend_label"] == written["note"] == EVIL
    with zipfile.ZipFile(io.BytesIO(EXPORTS["pictures"].make(run, ALONE))) as pictures:
        for name in pictures.namelist():
            assert "/" not in name
            assert b"<script" not in pictures.read(name)


def test_hostile_text_stays_one_literal_in_code_and_notebooks() -> None:
    place = Place("bundled/model", rows=[Document(EVIL, metadata={"title": EVIL}, id=EVIL)])
    asked = {"query": EVIL, "k": 3, "expr": EVIL}
    made: list[Snippet] = [
        searching.call("similarity_search", asked, place),
        searching.many_searches([EVIL], 3, place, concurrency=2),
        writing.ingestion(
            place, [Document(EVIL, metadata={"a": EVIL}, id=EVIL)], batch_size=2, concurrency=2
        ),
    ]
    for code in made:
        for text in code.programs.values():
            tree = ast.parse(text)
            literals = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
            assert EVIL in literals
            # Nothing of it became code: each of its odd words is inside a literal.
            names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            assert names.isdisjoint({"window", "cmd", "evil", "calc"})
        cells = json.loads(code.notebook("Code"))["cells"]
        assert [cell["source"] for cell in cells[3::2]] == list(code.programs.values())
    run = evil_run()
    for focus in analyse(run).groups:
        measured = measured_code.measured_code(run, focus)
        for text in measured.programs.values():
            ast.parse(text)
