"""docs/run-file.md names every field that is written, and its program decodes what is kept."""

import functools
import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.benchmark.runner import plan_settings, run
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.results import run_file
from lib.results.plan import Plan
from lib.results.trials import Call, Run
from lib.settings import PROJECT_ROOT, Settings
from tests.fresh_process import ended
from tests.run_builder import trial

TEXT = (PROJECT_ROOT / "docs" / "run-file.md").read_text(encoding="utf-8")
RECORDED = sorted((PROJECT_ROOT / "assets" / "runs").glob("*.json"))
[PROGRAM] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@functools.cache
def documented(part: str) -> set[str]:
    """Return the fields that the tables of one heading name; the empty part is the file itself."""
    after = re.split(rf"^#+ `?{re.escape(part)}`?$", TEXT, flags=re.MULTILINE)[1] if part else TEXT
    rows = re.split(r"^#+ `", after, flags=re.MULTILINE)[0].splitlines()
    first = [row.split(" | ")[0] for row in rows if row.startswith("| `")]
    return set(re.findall(r"`(\w+)`", " ".join(first)))


def check(document: Any) -> None:
    assert set(document) <= documented("")
    assert set(document["environment"]) <= documented("environment")
    assert set(document["settings"]) <= documented("settings")
    for one in document["trials"]:
        assert set(one) <= documented("trials")
        assert set(one.get("columns", {})) <= documented("columns")
        for call in one["calls"]:
            assert set(call) <= documented("calls")
    for cell in document["summary"]:
        assert set(cell) <= documented("summary")


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_every_field_of_a_recorded_run_is_documented(path: Path) -> None:
    check(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.slow
def test_every_field_that_is_written_now_is_documented(milvus_lite_uri: str) -> None:
    opened = Settings(milvus_uri=milvus_lite_uri)
    connection, model = open_connection(opened), open_model(opened)
    plan = Plan(("get_pks",), counts=(3,), repeats=1, warmup=0, rows=5)
    try:
        made = run(plan, connection, model)
    finally:
        connection.close()
    check(json.loads(run_file.to_json(made)))
    assert set(plan_settings(plan)) == {field.name for field in fields(Plan)} | {"command"}


def call(drawn: tuple[int, int, int, str | None, int], open_loop: bool) -> Call:
    """Return a call whose times are whole numbers of ten microseconds."""
    start, duration, embed, error, late = drawn
    due_s = max(start - late, 0) / 1e5 if open_loop else None
    embed_s = min(embed, duration) / 1e5
    return Call(start / 1e5, (start + duration) / 1e5, embed_s, error is None, error, due_s)


def check_decoded(kept: tuple[Call, ...], *, in_columns: bool, seconds: float = 0.0) -> None:
    made = replace(trial(1.0, count=len(kept)), calls=kept, seconds=seconds)
    [record] = json.loads(run_file.to_json(Run({}, {}, (made,))))["trials"]
    assert ("columns" in record) == in_columns
    names: dict[str, Any] = {}
    exec(compile(PROGRAM.partition("\n\nrun = ")[0], "run-file.md", "exec"), names)
    decoded = names["calls_of"](record)
    assert len(decoded) == len(kept)
    for given_call, read in zip(kept, decoded, strict=True):
        assert (read["ok"], read["error"]) == (given_call.ok, given_call.error)
        for name in ("start_s", "end_s", "embed_s", "due_s"):
            assert read.get(name) == pytest.approx(getattr(given_call, name), abs=1e-9)


MOMENT = st.integers(0, 10**5)
DRAWN = st.tuples(MOMENT, MOMENT, MOMENT, st.sampled_from([None, "boom", "bang"]), MOMENT)


@given(st.lists(DRAWN, min_size=1, unique_by=lambda drawn: drawn[0]), st.booleans(), st.booleans())
def test_the_documented_program_gives_the_calls(
    drawn: list[Any], is_open: bool, is_timed: bool
) -> None:
    kept = tuple(call(each, is_open) for each in sorted(drawn))
    check_decoded(kept, in_columns=is_timed, seconds=2.0 if is_timed else 0.0)


@pytest.mark.parametrize("count", [400, 401])
def test_the_documented_program_gives_the_calls_of_a_large_trial(count: int) -> None:
    kept = tuple(call((7 * i, 13, 5, "boom" if i % 3 else None, 2), False) for i in range(count))
    check_decoded(kept, in_columns=count > 400)


def test_the_documented_program_runs_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(RECORDED[0].read_bytes())
    done = ended("-c", PROGRAM, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(run_file.read(RECORDED[0]).trials)
    assert all(re.search(r"\d+ slowest \d+\.\d{3} s$", line) for line in lines)
