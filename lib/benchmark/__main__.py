"""The benchmark from a terminal: `python -m lib.benchmark --preset tutorial --output run.json`.

Progress and the summary go to standard error, so that `--output -` can be piped. The exit code is
0 when every trial was verified, 1 when some failed or the run broke off, 2 when the arguments or
the connection are wrong, and 128 plus the signal's number after Ctrl-C or a termination. With
`--compare`, a run whose trials were all verified ends with 3 when it is slower than the baseline,
with 0 when it is not, and with 4 when the evidence does not suffice to say.
"""

import argparse
import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from tqdm import tqdm

from lib import settings as lab_settings
from lib.benchmark import advice, gate, run_file, runner
from lib.benchmark import statistics as trial_statistics
from lib.benchmark.experiments import EXPERIMENTS
from lib.benchmark.gate import Verdict
from lib.benchmark.statistics import CellSummary
from lib.benchmark.strategies import STRATEGIES
from lib.benchmark.trials import Run, Trial
from lib.benchmark.workload import (
    DELETE_CONSISTENCIES,
    DELETE_FIELDS,
    OVERLOAD,
    OVERLOAD_WARNING,
    PRESETS,
    Plan,
    message_warning,
    preset,
)
from lib.errors import InvalidInput, LabError
from lib.jobs import Job, Jobs
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import PROVIDERS, open_model
from lib.milvus.operations import OPERATIONS
from lib.settings import Settings
from lib.words import counted

T = TypeVar("T")
VERIFIED, FAILED, WRONG = 0, 1, 2
EXIT_CODES = {Verdict.NOT_SLOWER: 0, Verdict.SLOWER: 3, Verdict.UNDECIDED: 4}
STDOUT = "-"
STOP_TIMEOUT_S = 15.0
SLOWER = 0.15
MOST_SLOWER = 10.0
# What a trial's record needs in the file: measured on files of this program.
BYTES_PER_CALL = 80


class _Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and end with 2."""
        self.exit(WRONG, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = _parser().parse_args(arguments)
    with _interrupting_signals() as interrupted:
        try:
            settings = _settings(given)
            baseline = run_file.read(Path(given.compare)) if given.compare else None
            plan = _plan(given, settings, baseline)
            plan.check(settings)
            output = None if given.output == STDOUT else Path(given.output)
            check_writable(output, BYTES_PER_CALL * plan.total_calls())
            connection = open_connection(settings)
            if plan.experiment == OVERLOAD and not (connection.is_lite or given.yes or _agrees()):
                connection.close()
                raise InvalidInput("Nothing was overloaded.", next_step="Agree, or give --yes.")
        except LabError as error:
            return _say(error, WRONG)
        except KeyboardInterrupt:
            _print("Stopped before anything was measured.")
            return 128 + interrupted[0]
        try:
            code, run = _run(plan, settings, connection, output, interrupted, given.note)
            if baseline is None or run is None or code != VERIFIED:
                return code
            return _compare(baseline, run, given.fail_if_slower)
        except KeyboardInterrupt:
            return 128 + interrupted[0]
        finally:
            runner.wait_for_cleaning()
            connection.close()


def _run(
    plan: Plan,
    settings: Settings,
    connection: Connection,
    output: Path | None,
    interrupted: list[int],
    note: str,
) -> tuple[int, Run | None]:
    try:
        # A provider's own client would retry what the experiment counts.
        model = open_model(settings, retries=plan.experiment != OVERLOAD)
    except LabError as error:
        return _say(error, WRONG), None
    if too_large := message_warning(plan, model.dimension):
        _print(too_large)
    seconds = plan.estimate_s(embedded=connection.is_lite)
    unit = "trial" if plan.counts_trials else "call"
    total = plan.total_trials() if plan.counts_trials else plan.total_calls()
    _print(
        f"{connection.label}: {len(plan.cells())} cells, {counted(total, unit)}, "
        f"very roughly {seconds:,.0f} s. Ctrl-C keeps what is finished."
    )
    with tqdm(total=total, unit=unit, disable=None, file=sys.stderr) as bar:
        job = Jobs().submit(
            "Benchmark",
            lambda job: runner.run(
                plan, connection, model, job=job, settings=settings, on_trial=_show_trial
            ),
            subject=runner.SUBJECT,
        )
        stopped = _wait(job, bar)
    run = job.result
    if not isinstance(run, Run) or not run.trials:
        if stopped:
            _print("Stopped before a trial was finished; nothing was written.")
            return 128 + interrupted[0], None
        return _say(job.error or LabError("Nothing was measured."), WRONG), None
    if note:
        notes = [*run.environment.get("notes", []), note]
        run = dataclasses.replace(run, environment={**run.environment, "notes": notes})
    _print(summary_table(run))
    try:
        _write(run, output)
    except LabError as error:
        return _say(error, FAILED), run
    if stopped:
        _print("Stopped: the run is marked partial.")
        return 128 + interrupted[0], run
    if job.error is not None:
        return _say(job.error, FAILED), run
    return (VERIFIED if all(_is_fine(trial) for trial in run.trials) else FAILED), run


def _is_fine(trial: Trial) -> bool:
    """Say whether a trial went as it should; one that was refused or void is a finding too."""
    return trial.verified or trial.is_void or bool(trial.refused)


def _compare(baseline: Run, run: Run, threshold: float) -> int:
    """Say what became slower than the baseline, and return the exit code."""
    try:
        decision = gate.decide(baseline, run, threshold)
    except LabError as error:
        return _say(error, WRONG)
    _print(f"\nAgainst the baseline, slower by {threshold:.0%} or not:")
    for line in (*(cell.text for cell in decision.cells), *decision.differing):
        _print(f"- {line}")
    needed = decision.repeats_needed
    advice = f" Measure both again with --repeats {needed}." if needed else ""
    _print(f"Verdict: {decision.verdict.value}.{advice}")
    return EXIT_CODES[decision.verdict]


def _agrees() -> bool:
    """Ask whether a Milvus that others may use shall be overloaded."""
    if not sys.stdin.isatty():
        return False
    _print(OVERLOAD_WARNING)
    return input("Overload it? [y/N] ").strip().lower() in {"y", "yes"}


def _wait(job: Job, bar: Any) -> bool:
    """Show progress until the job ends; return whether it was stopped from outside."""
    try:
        while not job.finished.wait(0.1):
            bar.update(job.progress.done - bar.n)
            bar.set_description(job.progress.message or "setting up", refresh=False)
        bar.update(job.progress.done - bar.n)
    except KeyboardInterrupt:
        job.cancel()
        job.finished.wait(STOP_TIMEOUT_S)
        return True
    return False


@contextlib.contextmanager
def _interrupting_signals() -> Iterator[list[int]]:
    """Let a termination end the run as Ctrl-C does; yields a list that names the signal."""
    received = [int(signal.SIGINT)]

    def interrupt(number: int, frame: FrameType | None) -> None:
        received[0] = number
        # Once is enough: what follows is writing what is finished, which must not be cut short.
        for again in (signal.SIGINT, signal.SIGTERM):
            signal.signal(again, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_writable(path: Path | None, size: int) -> None:
    """Raise InvalidInput unless `size` bytes can be written where the run shall go."""
    if path is None:
        return
    try:
        if path.is_dir():
            raise InvalidInput(f"--output {path.name} is a folder.", next_step="Name a file in it.")
        if path.exists() and not path.is_file():
            # A pipe or a device: one line break, which JSON allows, shows whether it takes any.
            with path.open("wb", buffering=0) as stream:
                stream.write(b"\n")
            return
        probe = path.with_name(f"{path.name}.part")
        try:
            with probe.open("wb") as stream:
                stream.write(b"\0" * size)
                stream.flush()
                os.fsync(stream.fileno())
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"--output {path.name} cannot be written: {error.strerror or type(error).__name__}.",
            kept="Nothing was run.",
        ) from error


def _write(run: Run, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(run_file.to_json(run))
        sys.stdout.flush()
        return
    if output.exists() and not output.is_file():
        output.write_text(run_file.to_json(run), encoding="utf-8")
    else:
        run_file.write(run, output)
    _print(f"Written to {output.name}.")


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _say(error: LabError, code: int) -> int:
    _print(f"error: {' '.join(str(error).split())}")
    return code


def _show_trial(trial: Trial) -> None:
    label = trial_statistics.cell_label(trial.cell)
    tqdm.write(
        f"{trial.operation} × {len(trial.calls):,}, {label}, repeat {trial.repeat + 1}: "
        f"{trial.wall_s:.3f} s, {trial.verification}",
        file=sys.stderr,
    )


def summary_table(run: Run) -> str:
    """Return the summary as text, the speed-ups with their intervals, and the warnings below."""
    cells = trial_statistics.summarise(run.trials)
    header = ("operation", "count", "strategy", "repeats", "median", "p50", "p95", "calls/s",
              "speed-up (95 % interval)", "failed")  # fmt: skip
    rows = [header, *(_row(cell) for cell in cells)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ["  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    latency_ms = run.environment.get("simulated_latency_ms") or 0
    if latency_ms:
        lines.append(f"Embedding latency simulated: {latency_ms:g} ms a call.")
    level = run.settings.get("delete_consistency")
    if level:
        lines.append(f"Deletes asked for the consistency level {level}.")
    lines.extend(advice.sentences(run))
    warnings = trial_statistics.warnings(run, cells)
    lines.extend(f"- {message}" for messages in warnings.values() for message in messages)
    return "\n".join(line.rstrip() for line in lines)


def _row(cell: CellSummary) -> tuple[str, ...]:
    failed = sum(cell.errors.values())
    return (
        cell.operation,
        f"{cell.count:,}",
        cell.label,
        str(cell.repeats),
        _number(cell.median_wall_s, "{:.3f} s"),
        _number(cell.p50_ms, "{:.1f} ms"),
        _number(cell.p95_ms, "{:.1f} ms"),
        _number(cell.throughput_per_s, "{:,.1f}"),
        cell.interval_text or cell.speedup_note,
        f"{failed:,}" if failed else "",
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


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


_whole = _reader(int, "a whole number")
_numbers = _reader(lambda text: tuple(map(int, _names(text))), "whole numbers with commas")
_rates = _reader(lambda text: tuple(map(float, _names(text))), "numbers with commas")


def _lines(path: str) -> tuple[str, ...]:
    try:
        return tuple(filter(str.strip, Path(path).read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"a file of text, not {path!r}: {error}") from None


def _share(text: str) -> float:
    share = float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    if not 0 < share <= MOST_SLOWER:
        raise ValueError(text)
    return share


def _plan(given: argparse.Namespace, settings: Settings, baseline: Run | None = None) -> Plan:
    """Take the preset, the baseline's plan or the defaults, and change what was given beside it."""
    if given.preset is not None:
        base = preset(given.preset).plan
    elif given.operations is not None:
        base = Plan(operations=())
    elif baseline is None:
        raise InvalidInput("Say what to run: --preset tutorial, or --operations with names.")
    elif followed := Plan.from_settings(baseline.settings):
        base = followed
    else:
        raise InvalidInput("The baseline does not say what was run: name --operations.")
    named = {field.name: getattr(given, field.name, None) for field in dataclasses.fields(Plan)}
    changes = {name: value for name, value in named.items() if value is not None}
    asked: dict[str, Any] = {"embedding": settings.embedding_provider}
    if given.questions:
        asked["counts"] = (len(given.questions),)
    return dataclasses.replace(base, **asked | changes)


def _settings(given: argparse.Namespace) -> Settings:
    # A token in the environment is for the address of this command, wherever that was given.
    options = {"MILVUS_URI": given.uri, "MILVUS_TOKEN": given.token}
    named = {name: value for name, value in options.items() if value is not None}
    if given.uri is not None:
        lab_settings.check_uri(given.uri, name="--uri")
    settings = lab_settings.load(os.environ | named)
    changes: dict[str, Any] = {}
    if given.embedding is not None and given.embedding in PROVIDERS:
        changes["embedding_provider"] = given.embedding
    return dataclasses.replace(settings, **changes)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m lib.benchmark",
        description="Measure what the async methods of langchain-milvus buy.",
        epilog="Exit code 0: every trial verified; 1: some failed; 2: the arguments or the "
        "connection are wrong. With --compare also 3: slower; 4: not enough evidence to say.",
    )
    option = parser.add_argument
    option("--preset", help=f"a plan with a name: {', '.join(PRESETS)}; other options change it")
    option("--uri", help="a path ending in .db or http(s)://host:port (default: MILVUS_URI)")
    option("--token", help="user:password or an API key (default: MILVUS_TOKEN)")
    option("--operations", type=_names, help=f"with commas, of: {', '.join(OPERATIONS)}")
    option("--strategies", type=_names, help=f"with commas, of: {', '.join(STRATEGIES)}")
    option("--counts", type=_numbers, help="calls per trial, with commas")
    option("--repeats", type=_whole, help="trials of each kind; an interval takes three")
    option("--warmup", type=_whole, help="trials thrown away before")
    option("--concurrency", type=_numbers, help="limits for gather_limited and thread_pool")
    option("--rows", type=_whole, help="rows in the collection before every trial")
    option("--k", type=_whole, help="results per search")
    option("--fetch-k", type=_whole, help="candidates of an MMR search")
    option("--lambda-mult", type=float, help="MMR: 1 for relevance only, 0 for diversity only")
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
    option("--embedding-latency-ms", type=float, help="simulated, added to every embedding call")
    option("--embedding-jitter-ms", type=float, help="its standard deviation")
    option("--seed", type=_whole, help="decides documents, order and simulated jitter")
    option("--seconds", type=float, help="trials that last so long, instead of --counts calls")
    option("--rates", type=_rates, help="calls a second, with commas, for open loops and buckets")
    option("--batches", type=_numbers, help="rows a call, with commas, for operations that add")
    option("--retries", type=_whole, help="how often a refused call is tried again")
    option("--experiment", help=f"which cell comes next: {', '.join(EXPERIMENTS)}")
    option("--p99-ms", type=float, help="the latency that --experiment rate keeps below")
    option("--yes", action="store_true", help="overload a Milvus without asking")
    option("--note", default="", help="a remark for the file: where and with what it was made")
    option("--compare", help="a run's file: measure its plan again and say whether that is slower")
    option(
        "--fail-if-slower",
        type=_reader(_share, "a share such as 15%"),
        default=SLOWER,
        help="by how much more time, such as 15%% (default)",
    )
    option("--output", default="run.json", help="the run's file, - for standard output")
    return parser


if __name__ == "__main__":
    sys.exit(main())
