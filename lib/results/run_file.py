"""The JSON file of a run: write, redact, read, validate. The summary is derived, never trusted."""

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Le, MaxLen
from pydantic import FailFast, Strict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from lib.errors import InvalidInput
from lib.results import summaries
from lib.results.catalogue import OPERATIONS, STRATEGIES
from lib.results.trials import (
    FEW,
    MAX_CELLS,
    MAX_REPEATS,
    MAX_TIMED_CALLS,
    Amount,
    Call,
    Number,
    Run,
    Text,
    Trial,
)

# Schema 2 has timed trials, rates, batches, retries and refusals, schema 3 services with their
# neighbour; files of the earlier ones are read too.
SCHEMA = 3
KIND = "milvus-async-lab/run"
MAX_BYTES = 25 * 1024 * 1024
# The most calls in a run of this lab, and in a file from elsewhere.
MAX_RUN_CALLS, MAX_IMPORTED_CALLS = 2_000_000, 300_000
# The most texts, numbers and objects in what a run says of its settings and its environment. The
# settings hold the questions of a run that asked some.
MAX_SETTINGS, MAX_ENVIRONMENT = 20_000, 500
# Commas and brackets: a call is an object of five or six values, or a row of four columns.
VALUES_PER_CALL, FREE_VALUES = 8, 250_000
# An escaped backslash is passed over, so that what follows it is no escape.
CONTROL = re.compile(rb"(\\\\)|\\u(?:00(?:0[0-8b-cef]|1[0-9a-f]|7f)|fff[ef])|\\[bf]", re.IGNORECASE)
SHOWN_WITHIN_BYTES = 1 << 20
MICROSECONDS = 6
# A trial of thousands of calls is kept in columns. Those of timed trials count in a larger unit.
MANY_CALLS = 400
UNIT_US, TIMED_UNIT_US = 1, 10
MAX_TEXT = 10_000
# The settings that hold texts of the user.
OF_THE_USER = ("collection", "questions")

SECRET_NAMES = re.compile(r"token|password|passwd|secret|api_?key|authorization", re.IGNORECASE)
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
HOST_PATH = re.compile(r"(?<![\w:/.])(?:~|/[\w.~-]+|[A-Za-z]:\\[\w.~-]+)(?:[/\\][\w.~-]+)+")
SECRET_OPTION = re.compile(r"(--?(?:token|password|api-key)[= ])\S+", re.IGNORECASE)
SEPARATOR, MAX_PARTS = b"\x1e", 50  # of a sequence of runs
KEY_LIKE = re.compile(r"\b(?:sk|pk)-[A-Za-z0-9_-]{8,}")


def to_json(run: Run) -> str:
    """Return the file's text. Times are rounded to microseconds; secrets and host paths are cut."""
    summary = [
        {name: _rounded(redact(value)) for name, value in asdict(cell).items()}
        for cell in summaries.summarise(run.trials)
    ]
    document = {
        "schema": SCHEMA,
        "kind": KIND,
        "environment": redact(run.environment),
        "settings": _redacted_settings(run.settings),
        "partial": run.partial,
        "note": redact(run.note),
    }
    head = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)[:-2]
    # One trial a line: compact, and still readable in a diff.
    trials = ",\n".join(f"  {_trial_json(trial)}" for trial in run.trials)
    cells = ",\n".join(f"  {json.dumps(cell, ensure_ascii=False)}" for cell in summary)
    return f'{head},\n "trials": [\n{trials}\n ],\n "summary": [\n{cells}\n ]\n}}\n'


def sequence(runs: Sequence[bytes]) -> bytes:
    """Return the files of several runs as one: a JSON text sequence (RFC 7464)."""
    return b"".join(b"%b%b\n" % (SEPARATOR, run.rstrip()) for run in runs)


def parts(data: bytes) -> list[bytes]:
    """Return the files of a sequence; of a file of one run that file.

    Raises InvalidInput for more than MAX_PARTS.
    """
    if data.count(SEPARATOR) > MAX_PARTS:
        raise InvalidInput(f"It holds more than {MAX_PARTS} runs.", next_step="Import them apart.")
    return [part for part in data.split(SEPARATOR) if part.strip()] or [data]


def write(run: Run, path: Path) -> None:
    """Write a run to a file, as `replace` does."""
    replace(path, to_json(run).encode())


def replace(path: Path, data: bytes) -> None:
    """Write a file anew; an interrupted write leaves what was there, and no half file behind.

    Raises InvalidInput when the path cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InvalidInput(
            f"{path.name} cannot be written: {error.strerror or type(error).__name__}.",
            next_step="Choose another output.",
        ) from error


def redact(value: Any) -> Any:
    """Return the value without secrets, credentials in addresses, or paths of the host."""
    if isinstance(value, Mapping):
        return {
            redact(str(key)): redact(item)
            for key, item in value.items()
            if not SECRET_NAMES.search(str(key))
        }
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    if isinstance(value, str):
        value = CREDENTIALS.sub("…@", value)
        value = SECRET_OPTION.sub(r"\1…", value)
        value = KEY_LIKE.sub("…", value)
        return HOST_PATH.sub("…", value)
    return value


def _redacted_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Redact settings, except what the user wrote: another question would have other answers."""
    redacted: dict[str, Any] = redact(settings)
    return redacted | {name: settings[name] for name in OF_THE_USER if name in settings}


def _trial_json(trial: Trial) -> str:
    many = trial.is_timed or len(trial.calls) > MANY_CALLS
    calls = [] if many else [_call(call) for call in trial.calls]
    unit_us = TIMED_UNIT_US if trial.is_timed else UNIT_US
    columns = {"columns": _columns(trial.calls, unit_us)} if many else {}
    record = {
        name: redact(_rounded(getattr(trial, name)))
        for name in Trial.__dataclass_fields__
        if name not in ("calls", "pings") and (trial.pings or not name.startswith("served_"))
        if name not in ("first_token_s", "held_s") or getattr(trial, name)
    }
    beside = {"neighbour": _columns(trial.pings, TIMED_UNIT_US)} if trial.pings else {}
    content = {**record, "calls": calls, **columns, **beside}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _call(call: Call) -> dict[str, Any]:
    record = {
        name: redact(_rounded(getattr(call, name)))
        for name in Call.__dataclass_fields__
        if name != "due_s"
    }
    return record if call.due_s is None else {**record, "due_s": _rounded(call.due_s)}


def _columns(calls: Sequence[Call], unit_us: int) -> dict[str, Any]:
    """Return calls as columns of whole units, in the order of their starts.

    Of the starts the differences are kept, which are short numbers.
    """

    def units(seconds: float) -> int:
        return round(seconds * 1e6 / unit_us)

    ordered = sorted(calls, key=lambda call: call.start_s)
    starts = [units(call.start_s) for call in ordered]
    columns: dict[str, Any] = {
        "unit_us": unit_us,
        "start": [after - before for before, after in pairwise([0, *starts])],
        "duration": [units(call.duration_s) for call in ordered],
    }
    if any(call.embed_s for call in ordered):
        columns["embed"] = [units(call.embed_s) for call in ordered]
    if any(call.due_s is not None for call in ordered):
        columns["late"] = [units(max(call.start_s - (call.due_s or 0.0), 0.0)) for call in ordered]
    failed: dict[str, list[int]] = {}
    for i, call in enumerate(ordered):
        if not call.ok:
            failed.setdefault(redact(call.error or "failed"), []).append(i)
    return {**columns, "failed": failed} if failed else columns


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_rounded(each) for each in value]
    return round(value, MICROSECONDS) if isinstance(value, float) else value


def read(source: bytes | str | Path, name: str = "", most_calls: int = MAX_RUN_CALLS) -> Run:
    """Read and validate a run: from bytes (an upload) or a path.

    Raises InvalidInput, one line that names the field, for anything that is not such a file.
    """
    if isinstance(source, bytes):
        data, name = source, name or "The file"
    else:
        path = Path(source)
        name = name or path.name
        try:
            with path.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except OSError as error:
            raise InvalidInput(f"{name} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"{name} is larger than 25 MB.")
    data = _without_controls(_as_utf8(data))
    # A value takes up to a hundred bytes once it is parsed, and the letters of one are seldom two.
    values = sum(map(data.count, (b",", b"[", b"{")))
    if values > VALUES_PER_CALL * most_calls + FREE_VALUES:
        raise InvalidInput(f"{name} holds {values:,} values, more than a run of this lab can.")
    try:
        head = _HEAD.validate_json(data)
    except ValidationError as error:
        reason = _said(error, data).removeprefix("Invalid JSON: ")
        if error.errors(include_input=False)[0]["type"] == "json_invalid":
            reason = f"not a complete JSON file: {reason}"
        raise InvalidInput(f"{name} is not a run of Milvus Async Lab: {reason}.") from error
    if head["schema"] > SCHEMA:
        raise InvalidInput(
            f"{name} has schema {head['schema']}; this version reads up to {SCHEMA}.",
            next_step="Update the app.",
        )
    try:
        document = _DOCUMENT.validate_json(data, strict=True)
    except ValidationError as error:
        raise InvalidInput(f"{_said(error, data)}.") from error
    trials = document["trials"]
    if head["schema"] > 1:
        trials = _with_columns(trials, data, most_calls)
    _check_trials(trials, most_calls)
    _check_record(document["environment"], "environment", MAX_ENVIRONMENT)
    _check_record(document["settings"], "settings", MAX_SETTINGS)
    return Run(
        environment=redact(document["environment"]),
        settings=_redacted_settings(document["settings"]),
        trials=trials,
        partial=document["partial"],
        note=document.get("note", ""),
        source=name,
    )


def _without_controls(data: bytes) -> bytes:
    """Take out characters that XML and Vega cannot hold; JSON writes most of them as escapes."""
    data = CONTROL.sub(lambda found: found[1] or b"", data) if b"\\" in data else data
    return data.translate(None, b"\x7f").replace(b"\xef\xbf\xbe", b"").replace(b"\xef\xbf\xbf", b"")


def _as_utf8(data: bytes) -> bytes:
    """Return a file as UTF-8 without a mark: PowerShell's `>` writes UTF-16, editors a mark."""
    encoding = json.detect_encoding(data)
    if encoding == "utf-8":
        return data
    try:
        return data.decode(encoding).encode()
    except UnicodeError:
        return data  # what it is no file of is said where it is parsed


class _FileHead(TypedDict):
    kind: Literal["milvus-async-lab/run"]
    schema: Annotated[int, Ge(1), Strict()]


Names = Annotated[list[Text], MaxLen(MAX_SETTINGS), FailFast()]
Amounts = Annotated[list[Amount], MaxLen(MAX_SETTINGS), FailFast()]


# What pages, reports and charts read of a run's environment and settings. Whatever else a file
# holds there is shown as a text.
@with_config(extra="allow")
class _Environment(TypedDict, total=False):
    time: Text
    backend: Text
    backend_label: Text
    milvus_version: Text
    distance: Text
    embedding: Text
    embedding_label: Text
    http_client: Text
    simulated_latency_ms: Number
    simulated_jitter_ms: Number
    endpoint_latency_ms: Number
    packages: Annotated[dict[Text, Text], FEW]
    notes: Names


@with_config(extra="allow")
class _Settings(TypedDict, total=False):
    operations: Names
    strategies: Names
    counts: Amounts
    concurrency: Amounts
    rates: Annotated[list[Number], MaxLen(MAX_SETTINGS), FailFast()]
    batches: Amounts
    questions: Names
    repeats: Amount
    warmup: Amount
    rows: Amount
    k: Amount
    fetch_k: Amount
    retries: Amount
    seed: Amount
    seconds: Number
    lambda_mult: Number
    embedding_latency_ms: Number
    embedding_jitter_ms: Number
    p99_ms: Number
    embedding: Text
    delete_by: Text
    delete_consistency: Text
    preset: Text
    collection: Text
    experiment: Text
    index: Text
    least_recall: Number
    most_calls: Amount
    command: Text


class _Document(TypedDict):
    environment: _Environment
    settings: _Settings
    partial: bool
    note: NotRequired[Text]
    trials: Annotated[tuple[Trial, ...], MaxLen(MAX_CELLS * MAX_REPEATS), FailFast()]


Units = Annotated[int, Ge(0), Le(10**12)]


UnitList = Annotated[list[Units], FailFast()]


class _Columns(TypedDict):
    unit_us: Annotated[int, Ge(1), Le(1_000)]
    start: UnitList
    duration: UnitList
    embed: NotRequired[UnitList]
    late: NotRequired[UnitList]
    failed: NotRequired[Annotated[dict[Text, UnitList], FEW]]


class _ColumnsOfTrial(TypedDict):
    columns: NotRequired[_Columns]
    neighbour: NotRequired[_Columns]


class _ColumnsOfFile(TypedDict):
    trials: Annotated[list[_ColumnsOfTrial], FailFast()]


_HEAD, _DOCUMENT = TypeAdapter(_FileHead), TypeAdapter(_Document)
_COLUMNS = TypeAdapter(_ColumnsOfFile)


def _with_columns(trials: tuple[Trial, ...], data: bytes, most_calls: int) -> tuple[Trial, ...]:
    """Give the trials the calls that the file keeps in columns, and a service's its neighbour's."""
    try:
        columns = _COLUMNS.validate_json(data, strict=True)["trials"]
    except ValidationError as error:
        raise InvalidInput(f"{_said(error, data)}.") from error
    kept = [each for mine in columns for each in (mine.get("columns"), mine.get("neighbour"))]
    _check_calls(sum(len(each["start"]) for each in kept if each), most_calls)
    made = []
    for i, (trial, mine) in enumerate(zip(trials, columns, strict=True)):
        calls, pings = trial.calls, trial.pings
        if "columns" in mine:
            calls = _from_columns(mine["columns"], f"trials[{i}].columns")
        if "neighbour" in mine:
            pings = _from_columns(mine["neighbour"], f"trials[{i}].neighbour")
        made.append(dataclasses.replace(trial, calls=calls, pings=pings))
    return tuple(made)


def _from_columns(columns: _Columns, where: str) -> tuple[Call, ...]:
    calls = len(columns["start"])
    none = [0] * calls
    embed, late = columns.get("embed", none), columns.get("late", none)
    if calls > MAX_TIMED_CALLS or {len(columns["duration"]), len(embed), len(late)} != {calls}:
        raise InvalidInput(f"{where} must have columns of one length, at most {MAX_TIMED_CALLS:,}.")
    failed = {i: kind for kind, mine in columns.get("failed", {}).items() for i in mine}
    unit_s = columns["unit_us"] / 1e6
    is_open = "late" in columns
    return tuple(
        Call(
            start_s=start * unit_s,
            end_s=(start + columns["duration"][i]) * unit_s,
            embed_s=embed[i] * unit_s,
            ok=i not in failed,
            error=failed.get(i),
            due_s=max(start - late[i], 0) * unit_s if is_open else None,
        )
        for i, start in enumerate(accumulate(columns["start"]))
    )


def _said(error: ValidationError, data: bytes) -> str:
    """Say in one line which field is wrong, how, and what stands there in a file of some size.

    Pydantic makes what stands there anew for each of its reasons: gigabytes for a large file.
    """
    is_small = len(data) < SHOWN_WITHIN_BYTES
    first = error.errors(include_url=False, include_input=is_small)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    if first["type"] == "missing":
        return f"{path[1:]} is missing"
    if not path:
        return first["msg"]
    expected = _EXPECTED.get(first["type"], "another value").format(**first.get("ctx", {}))
    if not is_small:
        return f"{path[1:]} must be {expected}"
    given = first["input"]
    shown = f"{len(given):,} entries" if isinstance(given, list | dict) and given else str(given)
    shown = " ".join(shown.split())
    shown = shown if len(shown) <= 40 else f"{shown[:39]}…"
    return f"{path[1:]} must be {expected}, not {shown}"


# What pydantic finds wrong → what stands in the file where it is right.
_EXPECTED = {
    "literal_error": "{expected}",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text",
    "too_long": "at most {max_length} long",
    "string_too_long": "a text of at most {max_length} characters",
    "predicate_failed": "a name of letters, digits and underscores",
    "tuple_type": "a list",
    "dict_type": "an object",
    "dataclass_type": "an object",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:,.0f}",
}


def _check_calls(calls: int, most: int) -> None:
    if calls > most:
        raise InvalidInput(f"The run has {calls:,} calls; the limit is {most:,}.")


def _check_trials(trials: tuple[Trial, ...], most_calls: int) -> None:
    """Refuse what no run of this lab can hold, before anything is derived from it."""
    _check_calls(sum(len(trial.calls) + len(trial.pings) for trial in trials), most_calls)
    cells = len({trial.cell for trial in trials})
    if cells > MAX_CELLS:
        raise InvalidInput(f"The run has {cells:,} cells; the limit is {MAX_CELLS:,}.")
    seen = set()
    for i, trial in enumerate(trials):
        for what, name, known in (
            ("operation", trial.operation, OPERATIONS),
            ("strategy", trial.strategy, STRATEGIES),
        ):
            if name not in known:
                raise InvalidInput(
                    f"trials[{i}].{what}: this version has no {what} named {name!r}.",
                    next_step="Update the app, or choose another file.",
                )
        if trial.repeat >= MAX_REPEATS:
            raise InvalidInput(f"trials[{i}].repeat must be below {MAX_REPEATS}.")
        if (trial.cell, trial.repeat) in seen and not trial.warmup:
            raise InvalidInput(f"trials[{i}] is a second trial of the same cell and repeat.")
        seen.add((trial.cell, trial.repeat))
        if not trial.count and not trial.seconds:
            raise InvalidInput(f"trials[{i}].count must be at least 1, not 0.")
        if trial.count and len(trial.calls) > trial.count:
            raise InvalidInput(
                f"trials[{i}].calls has {len(trial.calls):,} entries, more than count "
                f"({trial.count:,})."
            )
        for name, calls in (("calls", trial.calls), ("pings", trial.pings)):
            for j, call in enumerate(calls):
                if call.end_s < call.start_s:
                    raise InvalidInput(f"trials[{i}].{name}[{j}].end_s lies before start_s.")


def _check_record(value: Mapping[str, Any], name: str, most: int) -> None:
    """Raise InvalidInput when settings or environment are too large."""
    for number, _ in enumerate(_entries(value, name), 1):
        if number > most:
            raise InvalidInput(f"{name} has more than {most:,} entries.")


def _entries(value: Any, where: str, depth: int = 0) -> Iterator[str]:
    """Yield the place of each text, number, list and object. Raises InvalidInput for a bad one."""
    if depth > 4:
        raise InvalidInput(f"{where} is nested too deeply.")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise InvalidInput(f"{where} must be a text of at most {MAX_TEXT:,} characters.")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(f"{where} must be a finite number, not {value}.")
    yield where
    inside: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        inside = ((f"{where}.{key}", item) for key, item in value.items())
    elif isinstance(value, list):
        inside = ((f"{where}[{i}]", item) for i, item in enumerate(value))
    for place, item in inside:
        yield from _entries(item, place, depth + 1)
