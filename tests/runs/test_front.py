"""The first screen's file and the summaries say what the runs say, and need nothing heavy."""

import json
from pathlib import Path

import pytest

from lib.charts import kept
from lib.runs import front
from lib.runs.store import RECORDED_DIR
from scripts import summarise_runs
from tests.fresh_process import printed_by

AGAIN = "run python -m scripts.summarise_runs"


def test_the_first_screen_says_what_its_run_says() -> None:
    assert front.FRONT.read_text(encoding="utf-8") == summarise_runs.first_screen(), AGAIN


@pytest.mark.parametrize("path", sorted(RECORDED_DIR.glob("*.json")), ids=lambda path: path.stem)
def test_a_summary_says_what_its_run_says(path: Path) -> None:
    kept = path.with_suffix(".summary").read_text(encoding="utf-8")
    assert kept == summarise_runs.summary(path), AGAIN


def test_the_kept_charts_draw_what_their_runs_say() -> None:
    kept_ones, made = (
        json.loads(text) for text in (kept.FILE.read_text(), summarise_runs.charts())
    )
    assert list(kept_ones["charts"]) == list(made["charts"]), AGAIN
    # Another altair writes another specification of the same picture.
    if kept_ones["altair"] == made["altair"]:
        assert kept_ones == made, AGAIN


def test_a_summary_of_another_file_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "a.summary").write_text('{"bytes": 3}')
    assert front.summary_of(tmp_path / "a.json") is None
    (tmp_path / "a.summary").write_text("[")
    assert front.summary_of(tmp_path / "a.json") is None


def test_the_first_screen_loads_neither_milvus_nor_langchain_nor_pandas() -> None:
    program = (
        "import sys, lib.ui.common.front, lib.ui.common.links, lib.ui.common.tab\n"
        "from streamlit.testing.v1 import AppTest\n"
        "script = 'from lib.runs import front\\nfrom lib.ui.common.race import show_race\\n'\n"
        "script += 'show_race(front.read().race, key=\"race\")'\n"
        "assert not AppTest.from_string(script).run(timeout=60).exception\n"
        "print({name.split('.')[0] for name in sys.modules})"
    )
    loaded = printed_by(program)
    heavy = ("pymilvus", "langchain_core", "langchain_milvus", "pandas", "pyarrow", "altair")
    assert "'streamlit'" in loaded
    assert [name for name in heavy if f"'{name}'" in loaded] == []
