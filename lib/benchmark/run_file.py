"""The JSON file of a run: write, redact, read, validate. The summary is derived, never trusted."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lib.benchmark import statistics as trial_statistics
from lib.benchmark.trials import Call, Run, Trial
from lib.errors import InvalidInput

__all__ = ["KIND", "MAX_BYTES", "SCHEMA", "Call", "Run", "Trial", "read", "to_json", "write"]

SCHEMA = 1
KIND = "milvus-async-lab/run"
MAX_BYTES = 50 * 1024 * 1024
MICROSECONDS = 6

SECRET_NAMES = re.compile(r"token|password|passwd|secret|api_?key|authorization", re.IGNORECASE)
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
HOST_PATH = re.compile(r"(?<![\w:/.])(?:~|/[\w.~-]+|[A-Za-z]:\\[\w.~-]+)(?:[/\\][\w.~-]+)+")
SECRET_OPTION = re.compile(r"(--?(?:token|password|api-key)[= ])\S+", re.IGNORECASE)
KEY_LIKE = re.compile(r"\b(?:sk|pk)-[A-Za-z0-9_-]{8,}")


def to_json(run: Run) -> str:
    """Return the file's text. Times are rounded to microseconds; secrets and host paths are cut."""
    summary = [
        {name: _rounded(redact(value)) for name, value in asdict(cell).items()}
        for cell in trial_statistics.summarise(run.trials)
    ]
    document = {
        "schema": SCHEMA,
        "kind": KIND,
        "environment": redact(run.environment),
        "settings": redact(run.settings),
        "partial": run.partial,
        "note": redact(run.note),
    }
    head = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)[:-2]
    # One trial a line: compact, and still readable in a diff.
    trials = ",\n".join(f"  {_trial_json(trial)}" for trial in run.trials)
    cells = ",\n".join(f"  {json.dumps(cell, ensure_ascii=False)}" for cell in summary)
    return f'{head},\n "trials": [\n{trials}\n ],\n "summary": [\n{cells}\n ]\n}}\n'


def write(run: Run, path: Path) -> None:
    """Write a run to a file; an interrupted write leaves no half file behind.

    Raises InvalidInput when the path cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(to_json(run), encoding="utf-8")
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


def _trial_json(trial: Trial) -> str:
    calls = [
        {
            "start_s": _rounded(call.start_s),
            "end_s": _rounded(call.end_s),
            "embed_s": _rounded(call.embed_s),
            "ok": call.ok,
            "error": redact(call.error),
        }
        for call in trial.calls
    ]
    record = {
        name: _rounded(getattr(trial, name))
        for name in Trial.__dataclass_fields__
        if name != "calls"
    }
    record["verification"] = redact(trial.verification)
    return json.dumps({**record, "calls": calls}, ensure_ascii=False, separators=(",", ":"))


def _rounded(value: Any) -> Any:
    return round(value, MICROSECONDS) if isinstance(value, float) else value


def read(source: bytes | str | Path, name: str = "") -> Run:
    """Read and validate a run: from bytes (an upload) or a path.

    Raises InvalidInput, one line that names the field, for anything that is not such a file.
    """
    if isinstance(source, bytes):
        data, name = source, name or "The file"
    else:
        path = Path(source)
        name = name or path.name
        try:
            if path.stat().st_size > MAX_BYTES:
                raise InvalidInput(f"{name} is larger than 50 MB.")
            data = path.read_bytes()
        except OSError as error:
            raise InvalidInput(f"{name} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"{name} is larger than 50 MB.")
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{name} is not a complete JSON file: {_reason(error)}.",
            next_step="Export the run again.",
        ) from error
    return _run(document, name)


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} in line {error.lineno}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)


def _run(document: Any, name: str) -> Run:
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise InvalidInput(f"{name} is not a run of Milvus Async Lab: kind is not {KIND!r}.")
    schema = _field(document, "schema", _integer, "")
    if schema > SCHEMA:
        raise InvalidInput(
            f"{name} has schema {schema}; this version reads up to {SCHEMA}.",
            next_step="Update the app.",
        )
    if schema < 1:
        raise InvalidInput(f"schema must be at least 1, not {schema}.")
    trials = _field(document, "trials", _list, "")
    return Run(
        environment=redact(_plain(_field(document, "environment", _object, ""), "environment")),
        settings=redact(_plain(_field(document, "settings", _object, ""), "settings")),
        trials=tuple(_trial(record, f"trials[{i}]") for i, record in enumerate(trials)),
        partial=_field(document, "partial", _boolean, ""),
        note=_field(document, "note", _text, "", default=""),
        source=name,
    )


def _trial(record: Any, at: str) -> Trial:
    _object(record, at)
    count = _field(record, "count", _positive, at)
    calls = _field(record, "calls", _list, at)
    if len(calls) > count:
        raise InvalidInput(f"{at}.calls has {len(calls):,} entries, more than count ({count:,}).")
    concurrency = record.get("concurrency")
    return Trial(
        operation=_field(record, "operation", _name, at),
        strategy=_field(record, "strategy", _name, at),
        count=count,
        concurrency=None if concurrency is None else _positive(concurrency, f"{at}.concurrency"),
        repeat=_field(record, "repeat", _integer, at),
        order=_field(record, "order", _integer, at),
        warmup=_field(record, "warmup", _boolean, at),
        wall_s=_field(record, "wall_s", _seconds, at),
        verified=_field(record, "verified", _boolean, at),
        verification=_field(record, "verification", _text, at),
        loop_lag_ms_max=_maybe_seconds(record, "loop_lag_ms_max", at),
        loop_lag_ms_p99=_maybe_seconds(record, "loop_lag_ms_p99", at),
        cpu_s=_field(record, "cpu_s", _seconds, at),
        calls=tuple(_call(call, f"{at}.calls[{i}]") for i, call in enumerate(calls)),
    )


def _call(record: Any, at: str) -> Call:
    _object(record, at)
    error = record.get("error")
    call = Call(
        start_s=_field(record, "start_s", _seconds, at),
        end_s=_field(record, "end_s", _seconds, at),
        embed_s=_field(record, "embed_s", _seconds, at),
        ok=_field(record, "ok", _boolean, at),
        error=None if error is None else _text(error, f"{at}.error"),
    )
    if call.end_s < call.start_s:
        raise InvalidInput(f"{at}.end_s lies before start_s.")
    return call


_MISSING = object()
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_TEXT = 10_000


def _field(
    record: Mapping[str, Any],
    name: str,
    check: Callable[[Any, str], Any],
    at: str,
    default: Any = _MISSING,
) -> Any:
    where = f"{at}.{name}" if at else name
    if name not in record:
        if default is not _MISSING:
            return default
        raise InvalidInput(f"{where} is missing.")
    return check(record[name], where)


def _wrong(where: str, expected: str, value: Any) -> InvalidInput:
    return InvalidInput(f"{where} must be {expected}, not {_shown(value)}.")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, float) else f"{value:g}"
    return text if len(text) <= 40 else f"{text[:39]}…"


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise _wrong(where, "a text of at most 10,000 characters", value)
    return value


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise _wrong(where, "a name of lower-case letters, digits and underscores", value)
    return value


def _boolean(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(where, "true or false", value)
    return value


def _integer(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1e9:
        raise _wrong(where, "a whole number", value)
    return value


def _positive(value: Any, where: str) -> int:
    if _integer(value, where) < 1:
        raise _wrong(where, "at least 1", value)
    return int(value)


def _seconds(value: Any, where: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= 1e9:
        raise _wrong(where, "a number of at least 0", value)
    return float(value)


def _maybe_seconds(record: Mapping[str, Any], name: str, at: str) -> float | None:
    value = record.get(name)
    return None if value is None else _seconds(value, f"{at}.{name}")


def _plain(value: Any, where: str, depth: int = 0) -> Any:
    """Accept the small free-form records: texts, numbers, lists and objects, not too deep."""
    if depth > 4:
        raise InvalidInput(f"{where} is nested too deeply.")
    if isinstance(value, dict):
        return {
            _text(key, where): _plain(item, f"{where}.{key}", depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_plain(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(where, "a finite number", value)
    return value
