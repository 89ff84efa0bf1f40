"""The first screen's file and the summaries say what the runs say, and need nothing heavy."""

from pathlib import Path

import pytest

from lib.results.analysis import analyse
from lib.results.trials import ENDPOINT_MS
from lib.runs import card, first_screen, front
from lib.runs.store import RECORDED_DIR, RunStore
from lib.words import duration_text, ratio_text
from scripts import summarise_runs
from tests.fresh_process import printed_by
from tests.run_builder import make_run, make_service_run, make_trial

AGAIN = "run python -m scripts.summarise_runs"


def test_the_first_screen_says_what_its_run_says() -> None:
    assert front.FRONT.read_text(encoding="utf-8") == summarise_runs.first_screen(), AGAIN


def test_each_position_shows_what_its_run_gave(tmp_path: Path) -> None:
    shown, kept_runs = front.read(), RunStore(tmp_path)
    assert shown is not None
    waits = []
    for position in shown.positions:
        entry = kept_runs.get(position["run_id"])
        assert entry is not None
        run = entry.load()
        waits.append(run.environment[ENDPOINT_MS])
        assert run.settings["embedding"] == "openai"  # no bundled model's: a client over HTTP
        cells = {cell.strategy: cell for cell in analyse(run).cells}
        loop_s = cells["sync_loop"].geomean_wall_s
        assert [lane["label"] for lane in position["lanes"]] == [
            *("Loop", "100 threads", "Async", "One batch")
        ]
        for lane, way in zip(position["lanes"], first_screen.WAYS, strict=True):
            took_s = cells[way].geomean_wall_s
            assert lane["shown"] == duration_text(took_s)
            assert lane["gain"] == ratio_text(loop_s / took_s).replace("1.00×", "1×")
            assert 0 <= lane["waits"] <= 1
        number = position["lanes"][2]["gain"].removesuffix("×")
        assert number in position["headline"] or cells["gather"].is_undecided
    assert waits == sorted(waits) == [0, 50, 200, 450]


@pytest.mark.parametrize("all_s", [0.13, 9.7, 10.1, 11.9, 500.0])
def test_a_headline_has_at_most_ten_words_and_is_true(all_s: float) -> None:
    noise = (1.0, 1.03, 0.97, 1.02, 0.98)
    trials = [
        trial
        for repeat, (mine, other) in enumerate(zip(noise, reversed(noise), strict=True))
        for trial in (
            make_trial(operation="similarity_search", repeat=repeat, call_s=0.1 * mine),
            make_trial(
                "gather",
                operation="similarity_search",
                concurrency=None,
                repeat=repeat,
                call_s=all_s * other,
            ),
        )
    ]
    found = analyse(make_run(*trials))
    (cell,) = [cell for cell in found.cells if cell.strategy == "gather"]
    said = card.headline(found)
    assert len(said.split()) <= 10
    assert cell.speedup_low is not None
    assert cell.speedup_high is not None
    assert ("sooner" in said) == (cell.speedup_low > 1)
    assert ("later" in said) == (cell.speedup_high < 1)
    assert ("no measurable difference" in said) == (cell.speedup_low <= 1 <= cell.speedup_high)


def test_the_neighbour_is_told_beside_a_blocking_call_and_an_awaited_one(tmp_path: Path) -> None:
    kept_runs, run = RunStore(tmp_path), make_service_run()
    kept_runs.save(run, name="Service", run_id="service")
    told = first_screen.make([], [], [], kept_runs.get("service")).neighbour
    assert [(lane["label"], lane["family"], lane["shown"]) for lane in told["lanes"]] == [
        ("Blocking call", "blocking", "5.05 s"),
        ("Awaited", "async", "0.020 s"),
    ]
    assert "beside 50 users who search" in told["said"]
    assert "slowest of 100 in each repeat" in told["said"]
    awaited = [trial for trial in run.trials if trial.strategy == "service_async"][1]
    drawn = told["lanes"][1]["waits_s"]
    assert len(drawn) == first_screen.SPANS
    assert max(drawn) == round(max(ping.latency_s for ping in awaited.pings), 4)
    assert first_screen.make([], [], [], None).neighbour == {}


@pytest.mark.parametrize("path", sorted(RECORDED_DIR.glob("*.json")), ids=lambda path: path.stem)
def test_a_summary_says_what_its_run_says(path: Path) -> None:
    kept = path.with_suffix(".summary").read_text(encoding="utf-8")
    assert kept == summarise_runs.summary(path), AGAIN


def test_a_summary_of_another_file_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "a.summary").write_text('{"bytes": 3}')
    assert front.summary_of(tmp_path / "a.json") is None
    (tmp_path / "a.summary").write_text("[")
    assert front.summary_of(tmp_path / "a.json") is None


def test_the_first_screen_loads_neither_milvus_nor_langchain_nor_pandas() -> None:
    program = (
        "import sys, lib.ui.frame.first_screen, lib.ui.widgets.links, lib.ui.visitor.tab\n"
        "from streamlit.testing.v1 import AppTest\n"
        "script = 'from lib.runs import front\\nfrom lib.ui.widgets.lanes import show_lanes\\n'\n"
        "script += 'show_lanes(front.read().positions, {}, key=\"lanes\")'\n"
        "assert not AppTest.from_string(script).run(timeout=60).exception\n"
        "print({name.split('.')[0] for name in sys.modules})"
    )
    loaded = printed_by(program)
    heavy = ("pymilvus", "langchain_core", "langchain_milvus", "pandas", "pyarrow", "altair")
    assert "'streamlit'" in loaded
    assert [name for name in heavy if f"'{name}'" in loaded] == []
