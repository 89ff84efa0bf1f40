"""The options of the terminal command: read, made a plan, and refused where they change nothing."""

import argparse
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from lib import settings as lab_settings
from lib.benchmark.experiments import EXPERIMENTS
from lib.documents import text_encoding
from lib.errors import InvalidInput, LabError
from lib.results.catalogue import INDEX_TYPES, OPERATIONS, PROVIDERS, STRATEGIES
from lib.results.effects import NEEDS, changes_something
from lib.results.plan import (
    DELETE_CONSISTENCIES,
    DELETE_FIELDS,
    PRESETS,
    Plan,
    preset,
)
from lib.results.trials import OVERLOAD, Run
from lib.settings import Settings

T = TypeVar("T")
SLOWER = 0.15
MOST_SLOWER = 10.0
DEFAULT_OUTPUT = "run.json"
NO_LIMIT = 10**9
# What each exit code says; the help, the README and the documentation list the same.
VERIFIED, FAILED, WRONG, SLOWER_CODE, UNDECIDED, NO_VERDICT = range(6)
CODES = {
    VERIFIED: "every trial was verified; with --compare, none became slower",
    FAILED: "some trial failed its check, or the run broke off",
    WRONG: "the arguments or the connection are wrong",
    SLOWER_CODE: "with --compare: slower",
    UNDECIDED: "with --compare: not enough evidence to say",
    NO_VERDICT: "no verdict: no trial says anything, for example because all are void",
    130: "stopped by Ctrl-C (143 by a termination); what was finished is kept, marked partial",
}


class _Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and end with 2."""
        self.exit(WRONG, f"{self.prog}: {message}\n")


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _reader(read: Callable[[str], T], what: str) -> Callable[[str], T]:
    """Return `read` as an option's type that says what it takes."""

    def parse(text: str) -> T:
        try:
            return read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{what}, not {text!r}") from None

    return parse


def _some(text: str) -> tuple[str, ...]:
    names = _names(text)
    if not names:
        raise ValueError(text)
    return names


def _above_zero(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise ValueError(text)
    return number


_whole = _reader(int, "a whole number")
_number = _reader(float, "a number")
_positive = _reader(_above_zero, "a number above 0")
_numbers = _reader(lambda text: tuple(map(int, _some(text))), "whole numbers with commas")
_rates = _reader(lambda text: tuple(map(float, _some(text))), "numbers with commas")


def _lines(path: str) -> tuple[str, ...]:
    try:
        with Path(path).open("rb") as file:
            return tuple(
                filter(str.strip, (line.rstrip("\n") for line in text_encoding.lines(file)))
            )
    except (OSError, UnicodeError, LabError) as error:
        raise argparse.ArgumentTypeError(f"a file of text, not {path!r}: {error}") from None


def _share(text: str) -> float:
    share = float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    if not 0 < share <= MOST_SLOWER:
        raise ValueError(text)
    return share


def plan_of(given: argparse.Namespace, settings: Settings, baseline: Run | None = None) -> Plan:
    """Take the preset, the baseline's plan or the defaults, and change what was given beside it.

    Raises InvalidInput for a plan that cannot be run, and for an option that changes nothing.
    """
    plan = _plan(given, settings, baseline).within(settings)
    plan.check(settings)
    _check_effects(given, plan, settings)
    return plan


def _plan(given: argparse.Namespace, settings: Settings, baseline: Run | None = None) -> Plan:
    if given.preset is not None:
        base = preset(given.preset).plan
    elif given.operations is not None:
        base = Plan(operations=())
    elif baseline is None:
        raise InvalidInput("Say what to run: --preset tutorial, or --operations with names.")
    elif followed := Plan.from_settings(baseline.settings, _unlimited(settings)):
        base = followed
    else:
        raise InvalidInput("The baseline does not say what was run: name --operations.")
    asked: dict[str, Any] = {"embedding": settings.embedding_provider}
    if given.questions:
        asked["counts"] = (len(given.questions),)
    return dataclasses.replace(base, **asked | _named(given))


def _named(given: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a plan that were given as options."""
    named = {field.name: getattr(given, field.name, None) for field in dataclasses.fields(Plan)}
    return {name: value for name, value in named.items() if value is not None}


def _unlimited(settings: Settings) -> Settings:
    """Lift the limits for reading a baseline; whether its plan is within them is said later."""
    return dataclasses.replace(
        settings, max_calls=NO_LIMIT, max_rows=NO_LIMIT, max_concurrency=NO_LIMIT
    )


def _check_effects(given: argparse.Namespace, plan: Plan, settings: Settings) -> None:
    """Raise InvalidInput for an option that changes nothing, unless it names the default."""
    missing = {
        "fail_if_slower": "" if given.compare else "it takes --compare",
        "yes": "" if plan.experiment == OVERLOAD else "it is for --experiment overload",
        "http_client": "" if plan.embedding == "openai" else "it takes --embedding openai",
        "token": "it is for a server" if settings.milvus_uri.endswith(".db") else "",
    }
    for name, why in missing.items():
        if why and getattr(given, name):
            raise _without_effect(name, why)
    defaults = Plan(operations=())
    for name, value in _named(given).items():
        if value != getattr(defaults, name) and not changes_something(plan, name):
            raise _without_effect(name, NEEDS[name].said)


def _without_effect(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"--{name.replace('_', '-')} changes nothing here: {why}.")


def settings_of(given: argparse.Namespace) -> Settings:
    """Return the settings of the environment, changed by the options."""
    # A token in the environment is for the address of this command, wherever that was given.
    options = {"MILVUS_URI": given.uri, "MILVUS_TOKEN": given.token}
    named = {name: value for name, value in options.items() if value is not None}
    if given.uri is not None:
        lab_settings.check_uri(given.uri, name="--uri")
    settings = lab_settings.load(os.environ | named)
    changes: dict[str, Any] = {}
    if given.embedding is not None and given.embedding in PROVIDERS:
        changes["embedding_provider"] = given.embedding
    if given.http_client is not None:
        changes["openai_http_client"] = lab_settings.check_http_client(
            "--http-client", given.http_client
        )
    return dataclasses.replace(settings, **changes)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    made = _Parser(
        prog="python -m lib.benchmark",
        description="Measure what the async methods of langchain-milvus buy. "
        "`audit --help` says how it counts which of them are really async, `record --help` how to "
        "record what ships with the app.",
        epilog=f"Exit codes. {'; '.join(f'{code}: {said}' for code, said in CODES.items())}.",
    )
    option = made.add_argument
    option("--preset", help=f"a plan with a name: {', '.join(PRESETS)}; other options change it")
    option("--uri", help="a path ending in .db or http(s)://host:port (default: MILVUS_URI)")
    option("--token", help="user:password or an API key (default: MILVUS_TOKEN)")
    option("--operations", type=_names, help=f"with commas, of: {', '.join(OPERATIONS)}")
    option("--strategies", type=_names, help=f"with commas, of: {', '.join(STRATEGIES)}")
    option("--counts", type=_numbers, help="calls per trial, with commas")
    option("--repeats", type=_whole, help="trials of each kind; an interval takes three")
    option("--warmup", type=_whole, help="trials thrown away before")
    option("--concurrency", type=_numbers, help="limits for gather_limited and thread_pool; users")
    option("--rows", type=_whole, help="rows in the collection before every trial")
    option("--k", type=_whole, help="results per search")
    option("--fetch-k", type=_whole, help="candidates of an MMR search")
    option("--lambda-mult", type=_number, help="MMR: 1 for relevance only, 0 for diversity only")
    option(
        "--index", help=f"of the run's own collection (default: exact): {', '.join(INDEX_TYPES)}"
    )
    option(
        "--least-recall", type=_number, help="asked of an index that is not exact (default: 0.5)"
    )
    option("--collection", help="an existing collection to search; nothing is written to it")
    option("--questions", type=_lines, help="a file of questions for it, one a line")
    option("--delete-by", help=f"field of a delete's expression: {' or '.join(DELETE_FIELDS)}")
    levels = ", ".join(DELETE_CONSISTENCIES[1:])
    option(
        "--delete-consistency",
        type=lambda text: "" if text == "none" else text,
        help=f"level that deletes ask for: {levels}, or none (default)",
    )
    option("--embedding", help=f"provider: {', '.join(PROVIDERS)} (default: EMBEDDING_PROVIDER)")
    clients = ", ".join(lab_settings.HTTP_CLIENTS)
    option("--http-client", help=f"of --embedding openai: {clients} (default: OPENAI_HTTP_CLIENT)")
    option("--embedding-latency-ms", type=_number, help="simulated, added to every embedding call")
    option(
        "--embedding-jitter-ms", type=_number, help="its standard deviation; waits are log-normal"
    )
    option("--seed", type=_whole, help="decides documents, order and simulated jitter")
    option("--seconds", type=_positive, help="trials that last so long, instead of --counts calls")
    option("--rates", type=_rates, help="calls a second, with commas, for open loops and buckets")
    option("--batches", type=_numbers, help="rows a call, with commas, for operations that add")
    option("--retries", type=_whole, help="how often a refused call is tried again")
    option("--experiment", help=f"which cell comes next: {', '.join(EXPERIMENTS)}")
    option("--p99-ms", type=_positive, help="the latency that --experiment rate keeps below")
    option("--yes", action="store_true", help="overload a Milvus without asking")
    option("--note", default="", help="a remark for the file: where and with what it was made")
    option("--compare", help="a run's file: measure its plan again and say whether that is slower")
    option(
        "--fail-if-slower",
        type=_reader(_share, "a share such as 15%"),
        help="with --compare: by how much more time, such as 15%% (default)",
    )
    option(
        "--output",
        help=f"the run's file, - for standard output (default: {DEFAULT_OUTPUT}, or "
        "the next free name)",
    )
    return made


def audit_parser() -> argparse.ArgumentParser:
    """Return the parser of the options of `audit`."""
    made = _Parser(
        prog="python -m lib.benchmark audit",
        description="Count at the channel which methods are really async.",
    )
    option = made.add_argument
    option("--uri", help="a path ending in .db or http(s)://host:port (default: MILVUS_URI)")
    option("--token", help="user:password or an API key (default: MILVUS_TOKEN)")
    option("--embedding", help=f"provider: {', '.join(PROVIDERS)} (default: EMBEDDING_PROVIDER)")
    option("--http-client", help="of --embedding openai (default: OPENAI_HTTP_CLIENT)")
    option("--embedding-latency-ms", type=_number, default=100.0, help="simulated (default: 100)")
    option("--calls", type=_whole, default=100, help="in a loop, and gathered (default: 100)")
    option("--repeats", type=_whole, default=3, help="an interval takes three (default: 3)")
    option("--output", default="audit.json", help="its file, replaced (default: audit.json)")
    return made


def record_parser() -> argparse.ArgumentParser:
    """Return the parser of the options of `record`."""
    made = _Parser(
        prog="python -m lib.benchmark record",
        description="Make the runs that ship with the app on a Milvus of yours, about an hour, and "
        "write them to one file that is imported as one.",
    )
    option = made.add_argument
    option("--uri", help="a path ending in .db or http(s)://host:port (default: MILVUS_URI)")
    option("--token", help="user:password or an API key (default: MILVUS_TOKEN)")
    option("--note", default="", help="a remark for the file: where and with what it was made")
    option("--only", help="names with commas; an unknown one prints them all")
    option(
        "--output",
        default="recorded.json-seq",
        help="the file, - for standard output (default: recorded.json-seq)",
    )
    return made


def audit_plan(given: argparse.Namespace, settings: Settings) -> Plan:
    """Return what an audit runs. Raises InvalidInput for what cannot be run."""
    plan = Plan(
        operations=tuple(OPERATIONS),
        strategies=("sync_loop", "gather"),
        counts=(given.calls,),
        repeats=given.repeats,
        embedding=settings.embedding_provider,
        embedding_latency_ms=given.embedding_latency_ms,
    )
    plan.check(settings)
    return plan
