"""The notebook runs from its first cell to its last, where a loop already runs as in Jupyter."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROJECT_ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = PROJECT_ROOT / "notebooks" / "tutorial.ipynb"

# Cells run one after another inside a running loop, each in the same names, as Jupyter runs them.
RUNNER = """
import asyncio, json, sys

async def run_cells():
    names = {"__name__": "__main__"}
    for source in json.load(sys.stdin):
        exec(compile(source, "<cell>", "exec"), names)
    summaries = names["summaries"]
    print("cells done", len(summaries), len(names["answers"]))

asyncio.run(run_cells())
"""


def code_cells() -> list[str]:
    """Return the notebook's code, cell by cell."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("folder", [PROJECT_ROOT, NOTEBOOK.parent], ids=["root", "notebooks"])
def test_the_first_cells_run_wherever_the_notebook_was_started(folder: Path) -> None:
    # Without the folder in which -c begins, as where a kernel is started by a program.
    done = subprocess.run(
        [sys.executable, "-P", "-c", "\n".join(code_cells()[:2])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_cell_runs_where_a_loop_already_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(code_cells()),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert "cells done" in done.stdout, done.stderr
    assert "gather" in done.stdout


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells)
