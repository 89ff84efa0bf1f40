"""The README: its figures are those of the recorded runs, and its commands exist."""

import importlib.util
import re
from pathlib import Path

import pytest

from lib.benchmark.kit import RECORDINGS
from lib.results import run_file
from lib.results.analysis import analyse
from lib.results.plan import PRESETS
from lib.results.published import PUBLISHED
from lib.results.summaries import CellSummary, summarise
from lib.runs.first_screen import WAYS
from lib.runs.store import RECORDED_DIR
from lib.settings import VARIABLES
from lib.ui.frame.places import PLACES
from lib.words import bounds_text, duration_text, ratio_text
from scripts import rooms

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DECISIONS = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
DOCS = sorted((ROOT / "docs").glob("*.md"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
RECORDED = [
    *((f"client-server-{ms}ms", "similarity_search") for ms in (0, 50, 200, 450)),
    ("openai-varied-server-450ms", "similarity_search"),
    *(
        (run, name)
        for run in ("openai-tutorial-server-450ms", "tutorial-server-450ms", "tutorial-server")
        for name in ("add_documents", "similarity_search", "delete")
    ),
    ("delete-bounded-server", "delete"),
]


def _cell(run: str, operation: str, strategy: str) -> CellSummary:
    [cell] = [
        cell
        for cell in summarise(run_file.read(RECORDED_DIR / f"{run}.json").trials)
        if (cell.operation, cell.strategy, cell.count) == (operation, strategy, 100)
    ]
    return cell


ADVISED = {
    "sweep-server": "sweep",
    "rate-server": "rate",
    "overload-server": "overload",
    "service-server": "service",
    "chain-server": "chain",
    "bulk-server": "bulk",
}
COMPARING = ("sweep", "bulk")  # the presets of them that are no experiment of their own


@pytest.mark.parametrize(("name", "preset"), ADVISED.items())
def test_the_advice_in_the_readme_is_the_recorded_run_s(name: str, preset: str) -> None:
    path = RECORDED_DIR / f"{name}.json"
    run = run_file.read(path)
    said = analyse(run).sentences[0]
    command = f"`python -m lib.benchmark {RECORDINGS[name].words}`"
    assert f"| `{name}.json` | {PRESETS[preset].label} | {said} | {command} |" in README
    assert f"--experiment {preset}" in run.settings["command"] or preset in COMPARING
    assert run.environment["backend"] == "server"
    assert not run.partial


def test_where_forty_threads_end_is_the_recorded_run_s() -> None:
    run = run_file.read(RECORDED_DIR / "service-users-server.json")
    cells = {(cell.strategy, cell.concurrency): cell for cell in summarise(run.trials)}
    per_s = [
        f"{cells[way, users].throughput_per_s or 0:,.0f}"
        for users in (50, 200)
        for way in ("service_def", "service_async")
    ]
    said = "at 50 users plain `def` answers {} requests/s and awaited {}, at 200 users {} and {} "
    assert said.format(*per_s) in README


@pytest.mark.parametrize(("run", "operation"), RECORDED)
def test_a_figure_in_the_readme_is_the_recorded_run_s(run: str, operation: str) -> None:
    loop, gather = (_cell(run, operation, name) for name in ("sync_loop", "gather"))
    speedup = ratio_text(gather.speedup or 0)
    interval = bounds_text(gather.speedup_low or 0, gather.speedup_high or 0)
    row = (
        f"| `{run}.json` | `{operation}` | {duration_text(loop.geomean_wall_s or 0)} "
        f"| {duration_text(gather.geomean_wall_s or 0)} | {speedup} ({interval}) |"
    )
    assert row in README


def test_the_sentence_below_the_first_picture_is_the_recorded_runs() -> None:
    longest, none = (
        {way: _cell(f"client-server-{ms}ms", "similarity_search", way) for way in WAYS}
        for ms in (450, 0)
    )
    gain = {way: ratio_text(cell.speedup or 0) for way, cell in longest.items()}
    quick = longest["gather"]
    interval = bounds_text(quick.speedup_low or 0, quick.speedup_high or 0)
    said = (
        f"embeddings answered after 450 ms: {gain['gather']} (95% CI {interval}), in 100 threads "
        f"{gain['thread_pool']}, as one batch {gain['one_batch']}. With embeddings that take no "
        f"time: {ratio_text(none['gather'].speedup or 0)}."
    )
    assert said in README


def test_what_the_tutorial_published_is_in_the_readme() -> None:
    gains = [
        f"{PUBLISHED[name, 100].speedup:.1f}×"
        for name in ("add_documents", "similarity_search", "delete")
    ]
    assert f"The tutorial published {gains[0]}, {gains[1]} and {gains[2]}" in README


def test_the_readme_s_table_has_no_row_that_no_run_is_held_to() -> None:
    assert re.findall(r"^\| `([\w-]+)\.json` \| `(\w+)`", README, re.MULTILINE) == RECORDED


def test_every_module_that_the_documents_tell_to_run_exists() -> None:
    modules = set(re.findall(r"python -m ([\w.]+)", README + DECISIONS))
    assert {"lib.benchmark", "benchmarks.delete_over_starts"} <= modules
    assert [name for name in sorted(modules) if importlib.util.find_spec(name) is None] == []


def test_every_target_that_the_readme_names_is_in_the_makefile() -> None:
    targets = set(re.findall(r"\bmake ([a-z]+)\b", README))
    assert {"demo", "test", "server", "lint"} <= targets
    assert [name for name in sorted(targets) if f"\n{name}:" not in f"\n{MAKEFILE}"] == []


def test_the_picture_of_the_rooms_is_the_contract_s() -> None:
    (drawn,) = re.findall(r"```mermaid\n(.*?)```", README, re.DOTALL)
    assert drawn.strip() == rooms.picture()


def test_every_room_of_the_contract_exists_and_no_import_points_upwards() -> None:
    layers = rooms.layers()
    depth = {room: i for i, layer in enumerate(layers) for room in layer}
    on_disk = {path.stem for path in (ROOT / "lib").iterdir() if path.stem.isidentifier()}
    assert set(depth) == on_disk - {"__init__", "__pycache__"}
    found = rooms.arrows()
    assert [(one, other) for one, other in found if depth[one] >= depth[other]] == []
    folders = {pair for pair in found if all((ROOT / "lib" / room).is_dir() for room in pair)}
    assert len(folders) <= 40


def _anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["README.md", *(f"docs/{each.name}" for each in DOCS)])
def test_every_link_inside_the_repository_leads_somewhere(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    own = [link for link in links if "://" not in link]
    assert own or name != "README.md"
    broken = []
    for link in own:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target.read_text("utf-8"))):
            broken.append(link)
    assert broken == []


def test_the_readme_names_every_variable_and_each_of_them_is_read() -> None:
    named = set(re.findall(r"`((?:MILVUS|EMBEDDING|OPENAI|LAB)_[A-Z_]+)`", README))
    assert named == set(VARIABLES)


def test_every_page_in_the_readme_s_table_is_in_the_navigation_and_the_other_way_round() -> None:
    (table,) = re.findall(r"\| page \| what it does \|\n.*?\n\n", README, re.DOTALL)
    named = re.findall(r"^\| ([A-Z][\w: ]+) \|", table, re.MULTILINE)
    shown = {
        place.title if script == place.first else f"{place.title}: {view}"
        for place in PLACES
        for view, script in place.views.items()
    }
    assert set(named) == shown


def test_every_file_that_the_readme_tells_to_change_exists() -> None:
    named = set(re.findall(r"`((?:lib|pages|scripts|docs)/[\w/]+\.\w+)`", README))
    assert len(named) >= 4
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
