"""Run files: what is written comes back, what is private stays out, what is broken is refused."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import InvalidInput
from lib.results import run_file
from lib.results.summaries import summarise
from lib.results.trials import Call, Run
from tests.run_builder import trial

RUN = Run(
    environment={"milvus_version": "2.3.5", "cpu_count": 2, "packages": {"pymilvus": "3.0.2"}},
    settings={"operations": ["add_texts"], "seed": 7},
    trials=(
        *(trial(4.0, r, durations=[0.5, 1.25]) for r in range(3)),
        *(trial(1.0, r, "gather", concurrency=None, lag_ms=2.5) for r in range(3)),
        trial(2.0, 3, errors=["boom"]),
    ),
    partial=True,
    note="Stopped.",
)


def document() -> Any:
    return json.loads(run_file.to_json(RUN))


def changed(path: str, value: Any) -> bytes:
    """Return the file with one value changed, or removed when the value is `...`."""
    whole = document()
    *parents, last = path.split("/")
    place = whole
    for key in parents:
        place = place[int(key)] if key.isdigit() else place[key]
    key = int(last) if last.isdigit() else last
    if value is ...:
        del place[key]
    else:
        place[key] = value
    return json.dumps(whole).encode()


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    run_file.write(RUN, path)
    assert run_file.read(path) == RUN
    assert run_file.read(path.read_bytes()) == RUN
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_the_file_has_the_fields_of_the_format() -> None:
    whole = document()
    assert (whole["schema"], whole["kind"]) == (3, "milvus-async-lab/run")
    assert {"environment", "settings", "partial", "trials", "summary"} <= set(whole)
    assert {
        "operation", "strategy", "count", "concurrency", "repeat", "order", "warmup", "wall_s",
        "verified", "verification", "loop_lag_ms_max", "cpu_s", "calls",
    } <= set(whole["trials"][0])  # fmt: skip
    assert set(whole["trials"][0]["calls"][0]) == {"start_s", "end_s", "embed_s", "ok", "error"}
    assert {
        "operation", "strategy", "count", "repeats", "geomean_wall_s", "p50_ms", "p95_ms", "p99_ms",
        "throughput_per_s", "errors", "speedup", "speedup_low", "speedup_high",
    } <= set(whole["summary"][0])  # fmt: skip


def test_the_summary_is_derived_and_a_forged_one_is_not_believed() -> None:
    whole = document()
    for cell in whole["summary"]:
        cell["speedup"] = 1000.0
    read = run_file.read(json.dumps(whole).encode())
    assert summarise(read.trials) == summarise(RUN.trials)
    assert summarise(read.trials)[1].speedup == pytest.approx(4)
    assert run_file.read(changed("summary", "nonsense")) == RUN


def test_secrets_and_paths_of_the_host_stay_out() -> None:
    leaky = replace(
        RUN,
        environment={
            "milvus_token": "root:Milvus",
            "openai_api_key": "sk-abcdefghijklmnop",
            "uri": "https://user:hunter2@host:19530/x",
            "nested": {"password": "hunter2", "file": "/home/ann/lab/data/lab.db"},
        },
        settings={
            "command": "python -m lib.benchmark --uri http://root:hunter2@h:1 --token root:hunter2",
            "key": "sk-abcdefghijklmnop",
            "windows": r"C:\Users\ann\lab.db",
        },
        note="could not open /home/ann/lab.db",
        trials=(trial(1.0, errors=["no such file: /home/ann/x.db"]),),
    )
    text = run_file.to_json(leaky)
    for secret in ("hunter2", "root:Milvus", "sk-abc", "ann", "lab.db"):
        assert secret not in text
    assert "host:19530" in text


def test_what_the_user_asked_is_kept_to_the_letter() -> None:
    questions = [
        "What is in /etc/nginx/nginx.conf?",
        r"Who wrote C:\Users\ann\notes.txt?",
        "curl --token abc https://me:pw@host/x with sk-abcdefghijkl",
    ]
    asked = replace(RUN, settings={"questions": questions, "command": "ls /home/ann/lab"})
    read = run_file.read(run_file.to_json(asked).encode())
    assert read.settings == {"questions": questions, "command": "ls …"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_is_read_in_the_encodings_that_editors_and_powershell_write(
    encoding: str, tmp_path: Path
) -> None:
    whole = replace(RUN, note="größer, 数字")
    written = tmp_path / "run.json"
    written.write_bytes(run_file.to_json(whole).encode(encoding))
    assert run_file.read(written) == whole
    assert run_file.read(written.read_bytes()) == whole


def test_ten_thousand_calls_take_less_than_a_megabyte_and_keep_microseconds() -> None:
    calls = tuple(
        Call(i * 0.0123456789, i * 0.0123456789 + 0.01, 0.0, True, None) for i in range(10_000)
    )
    text = run_file.to_json(replace(RUN, trials=(replace(trial(1.0, count=10_000), calls=calls),)))
    assert len(text) < 1_000_000
    read = run_file.read(text.encode()).trials[0].calls
    assert read[9_999].end_s == pytest.approx(calls[9_999].end_s, abs=1e-6)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("kind", "another", "not a run of Milvus Async Lab"),
        ("schema", 4, "has schema 4; this version reads up to 3"),
        ("schema", "1", "schema must be a whole number"),
        ("schema", 0, "schema must be at least 1"),
        ("schema", ..., "schema is missing"),
        ("trials", {}, "trials must be a list"),
        ("trials", ..., "trials is missing"),
        ("partial", "yes", "partial must be true or false"),
        ("environment", [], "environment must be an object"),
        ("environment/a", float("nan"), "environment.a must be a finite number"),
        ("environment/a", {"b": {"c": {"d": {"e": {}}}}}, "nested too deeply"),
        ("trials/0", 7, "trials[0] must be an object"),
        ("trials/0/wall_s", -1.0, "trials[0].wall_s must be at least 0, not -1"),
        ("trials/0/wall_s", "fast", "trials[0].wall_s"),
        ("trials/0/wall_s", True, "trials[0].wall_s"),
        ("trials/0/wall_s", float("nan"), "wall_s must be at most 1,000,000,000, not nan"),
        ("trials/0/wall_s", float("inf"), "wall_s must be at most 1,000,000,000, not inf"),
        ("trials/0/wall_s", 1e300, "trials[0].wall_s"),
        ("trials/1/count", 0, "trials[1].count must be at least 1"),
        ("trials/1/count", 2.5, "trials[1].count must be a whole number"),
        ("trials/1/count", 1, "more than count (1)"),
        ("trials/1/concurrency", -1, "trials[1].concurrency"),
        ("trials/1/verified", 1, "trials[1].verified must be true or false"),
        ("trials/1/operation", "<script>alert(1)</script>", "trials[1].operation must be a name"),
        (
            "trials/1/strategy",
            "a" * 1000,
            "strategy must be a text of at most 64",
        ),
        ("trials/1/verification", "x" * 20_000, "trials[1].verification must be a text"),
        ("trials/1/loop_lag_ms_max", "-", "trials[1].loop_lag_ms_max"),
        ("trials/1/calls", None, "trials[1].calls must be a list"),
        ("trials/1/calls/0/start_s", 9.0, "trials[1].calls[0].end_s lies before start_s"),
        ("trials/1/calls/0/embed_s", ..., "trials[1].calls[0].embed_s is missing"),
        ("trials/1/calls/0/ok", "true", "trials[1].calls[0].ok"),
        ("trials/1/calls/0/error", 5, "trials[1].calls[0].error must be a text"),
    ],
)
def test_a_broken_field_is_named(path: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        run_file.read(changed(path, value))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def trial_lines(number: int, **changes: Any) -> list[dict[str, Any]]:
    """Return records of small trials, each of a repeat of its own, with some values changed.

    A value that is a function is given the trial's number.
    """
    record = document()["trials"][0]
    return [
        record
        | {"repeat": i % 100, "count": 1 + i // 100, "calls": record["calls"][:1]}
        | {name: value(i) if callable(value) else value for name, value in changes.items()}
        for i in range(number)
    ]


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        (trial_lines(300, operation="operation_{}".format), "no operation named 'operation_0'"),
        (trial_lines(2, strategy="magic"), "no strategy named 'magic'"),
        (trial_lines(2, count=10**9), "count must be at most 100,000"),
        (trial_lines(2, repeat=0, count=1), "second trial of the same cell"),
        (trial_lines(2, repeat=100), "repeat must be below 100"),
        (trial_lines(501, repeat=0, count=lambda i: i + 1), "501 cells; the limit is 500"),
        (trial_lines(50_001), "trials must be at most 50000 long"),
        (
            trial_lines(4, count=80_000, calls=[trial_lines(1)[0]["calls"][0]] * 80_000),
            "320,000 calls; the limit is 300,000",
        ),
    ],
    ids=["operations", "strategy", "size", "twice", "repeats", "cells", "trials", "calls"],
)
def test_a_run_that_this_lab_cannot_have_made_is_refused_before_anything_is_derived(
    trials: list[dict[str, Any]], said: str
) -> None:
    data = json.dumps(document() | {"trials": trials}).encode()
    started = time.process_time()
    with pytest.raises(InvalidInput) as refused:
        run_file.read(data, most_calls=run_file.MAX_IMPORTED_CALLS)
    assert said in str(refused.value)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("where", ["environment", "settings"])
def test_a_record_of_too_many_entries_is_refused(where: str) -> None:
    with pytest.raises(InvalidInput, match=f"{where} has more than"):
        run_file.read(changed(f"{where}/a", [[]] * 20_000))


def test_failures_of_a_thousand_kinds_are_counted_and_the_most_frequent_named() -> None:
    names = [f"kind {i}" for i in range(1_000)]
    (cell,) = summarise([trial(1.0, count=1_001, errors=["kind 0", *names])])
    assert len(cell.errors) == 21
    assert next(iter(cell.errors.items())) == ("kind 0", 2)
    assert sum(cell.errors.values()) == 1_001


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b"[]", b"7", b"\xff\xfe", b"[" * 100_000, b'{"kind": 1}']
)
def test_what_is_no_such_file_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        run_file.read(data, "upload.json")
    assert str(refused.value).startswith("upload.json is not a")


def test_a_truncated_file_is_refused() -> None:
    whole = run_file.to_json(RUN).encode()
    with pytest.raises(InvalidInput, match="not a complete JSON file"):
        run_file.read(whole[: len(whole) // 2])


def test_a_file_above_25_mb_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="larger than 25 MB"):
        run_file.read(b" " * (run_file.MAX_BYTES + 1))
    large = tmp_path / "large.json"
    with large.open("wb") as stream:
        stream.truncate(run_file.MAX_BYTES + 1)
    with pytest.raises(InvalidInput, match=r"large\.json is larger than 25 MB"):
        run_file.read(large)


def test_a_file_that_is_not_there_and_a_place_that_cannot_be_written_are_named(
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidInput, match=r"gone\.json cannot be read"):
        run_file.read(tmp_path / "gone.json")
    with pytest.raises(InvalidInput, match=r"run\.json cannot be written"):
        run_file.write(RUN, tmp_path / "missing" / "run.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
PATHS = [
    *("schema", "kind", "environment", "settings", "partial", "note", "trials", "trials/0"),
    *(f"trials/1/{name}" for name in document()["trials"][1]),
    *(f"trials/1/calls/0/{name}" for name in document()["trials"][1]["calls"][0]),
]


@given(st.sampled_from(PATHS), json_values)
def test_whatever_stands_in_a_field_the_file_is_read_or_refused_and_never_crashes(
    path: str, value: Any
) -> None:
    try:
        run = run_file.read(changed(path, value))
    except InvalidInput as refused:
        assert "\n" not in str(refused)  # noqa: PT017
    else:
        summarise(run.trials)
        run_file.read(run_file.to_json(run).encode())


def test_a_file_of_many_wrong_items_is_refused_at_the_first() -> None:
    document = json.loads(run_file.to_json(Run({}, {})))
    for wrong in ("{}", "[]", "0"):
        document["trials"] = "HERE"
        data = json.dumps(document).replace('"HERE"', f"[{','.join([wrong] * 1_000_000)}]")
        started = time.process_time()
        with pytest.raises(InvalidInput, match=r"trials\[0\]"):
            run_file.read(data.encode())
        assert time.process_time() - started < 5
        with pytest.raises(InvalidInput, match="values, more than a run"):
            run_file.read(data.encode().replace(b"[", b"[" + b"0," * 2_000_000, 1), most_calls=10)


def test_characters_that_no_chart_can_hold_are_removed_from_a_run() -> None:
    marked = Run({}, {"label": "a\x1bb\x00\x08c\\u001b"})
    read = run_file.read(run_file.to_json(marked).encode())
    assert read.settings["label"] == "abc\\u001b"
