"""The benchmark from a terminal: what it runs, says and writes, and how it ends.

Progress and the summary go to standard error, so that `--output -` can be piped. The exit codes
stand in `lib.benchmark.options.CODES`, in the help and in docs/exit-codes.md.
"""

import contextlib
import dataclasses
import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lib.benchmark import kit, measurement, options, runner
from lib.benchmark.access import Access
from lib.benchmark.answers import OTHER_ROWS
from lib.benchmark.audit import audit
from lib.benchmark.interruption import Interruption
from lib.benchmark.options import (
    DEFAULT_OUTPUT,
    FAILED,
    NO_VERDICT,
    SLOWER_CODE,
    UNDECIDED,
    VERIFIED,
    WRONG,
)
from lib.benchmark.recorder import NO_EFFECT
from lib.errors import InvalidInput, JobCancelled, LabError
from lib.jobs import Job, Jobs
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel, open_model
from lib.results import audit as audited
from lib.results import gate, run_file, summaries
from lib.results.analysis import analyse
from lib.results.audit import Audited
from lib.results.gate import Verdict
from lib.results.plan import OVERLOAD_WARNING, Plan, message_warning
from lib.results.summaries import CellSummary
from lib.results.trials import OVERLOAD, RATE, Run, Trial
from lib.settings import Settings
from lib.words import counted
from lib.workers.following import wait_for_cleaning

EXIT_CODES = {
    Verdict.NOT_SLOWER: VERIFIED,
    Verdict.SLOWER: SLOWER_CODE,
    Verdict.UNDECIDED: UNDECIDED,
}
STDOUT = "-"
STOP_TIMEOUT_S = 15.0
# What a trial's record needs in the file: measured on files of this program.
BYTES_PER_CALL = 80


def main(
    arguments: Sequence[str] | None = None, *, interruption: Interruption | None = None
) -> int:
    """Run the command and return its exit code.

    Without an installed `interruption` a signal does what it does to the calling program.
    """
    interruption = interruption or Interruption()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["audit"]:
        return _audit(words[1:], interruption)
    if words[:1] == ["record"]:
        return _record(words[1:], interruption)
    given = options.parser().parse_args(words)
    try:
        settings = options.settings_of(given)
        baseline = run_file.read(Path(given.compare)) if given.compare else None
        plan = options.plan_of(given, settings, baseline)
        output = Path(given.output or DEFAULT_OUTPUT) if given.output != STDOUT else None
        with interruption.deferred():
            check_writable(output, BYTES_PER_CALL * plan.total_calls(), replaces=bool(given.output))
        connection = open_connection(settings)
    except LabError as error:
        return _say(error, WRONG)
    try:
        if plan.experiment == OVERLOAD and not (connection.is_lite or given.yes or _agrees()):
            raise InvalidInput("Nothing was overloaded.", next_step="Agree, or give --yes.")
        model = open_model(settings)
        # From here on there is something to clean up.
        interruption.defer()
        code, run = _run(plan, settings, connection, model, interruption, given.note)
        if run is not None:
            _print(summary_table(run))
            _write(run, output, replaces=bool(given.output))
        if interruption.number is not None:
            if run is not None and run.partial:
                _print("Stopped: the run is marked partial.")
            return interruption.code
        if baseline is None or run is None or code != VERIFIED:
            return code
        return _compare(baseline, run, given.fail_if_slower or options.SLOWER)
    except _NotWritten as error:
        return _say(error, FAILED)
    except LabError as error:
        return _say(error, WRONG)
    finally:
        wait_for_cleaning()
        connection.close()


def _audit(words: Sequence[str], interruption: Interruption) -> int:
    """Find out which methods are really async, and return the exit code."""
    given = options.audit_parser().parse_args(words)

    def check() -> None:
        if interruption.number is not None:
            raise JobCancelled("Stopped.")

    try:
        settings = options.settings_of(given)
        plan = options.audit_plan(given, settings)
        check_writable(Path(given.output), BYTES_PER_CALL)
        model = open_model(settings)
        interruption.defer()
        found = audit(settings, model, plan, _say_pair, check)
    except JobCancelled:
        return interruption.code
    except LabError as error:
        return _say(error, WRONG)
    Path(given.output).write_text(audited.to_json(found), encoding="utf-8")
    _print(f"{found.sentence} {found.blocking}".strip())
    return VERIFIED


def _record(words: Sequence[str], interruption: Interruption) -> int:
    """Make what ships with the app on another Milvus, and return the exit code."""
    try:
        return kit.record(words, interruption, main, _print)
    except LabError as error:
        return _say(error, WRONG)


def _say_pair(pair: Audited) -> None:
    _print("\n  ".join((f"{pair.name}: {pair.sentence}", *pair.comparisons)))


class _NotWritten(LabError):
    """The run was made and its file could not be written."""


def _run(
    plan: Plan,
    settings: Settings,
    connection: Connection,
    model: EmbeddingModel,
    interruption: Interruption,
    note: str,
) -> tuple[int, Run | None]:
    """Measure; return the exit code and the run, or None where no trial was finished."""
    if too_large := message_warning(plan, model.dimension):
        _print(too_large)
    seconds = plan.estimate_s(embedded=connection.is_lite)
    unit = "trial" if plan.counts_trials else "call"
    total = plan.total_trials() if plan.counts_trials else plan.total_calls()
    _print(
        f"{connection.label}: {len(plan.cells())} cells, {counted(total, unit)}, "
        f"very roughly {seconds:,.0f} s. Ctrl-C keeps what is finished."
    )
    access = Access.of(settings, connection, model)
    with tqdm(total=total, unit=unit, disable=None, file=sys.stderr) as bar:
        job = Jobs().submit(
            "Benchmark",
            lambda job: measurement.here(plan, access, job, connection, _show_trial),
            subject=runner.SUBJECT,
        )
        _wait(job, bar, interruption)
    run = job.result
    if not isinstance(run, Run) or not run.trials:
        if interruption.number is not None:
            _print("Stopped before a trial was finished; nothing was written.")
            return interruption.code, None
        return _say(job.error or LabError("Nothing was measured."), WRONG), None
    if note:
        notes = [*run.environment.get("notes", []), note]
        run = dataclasses.replace(run, environment={**run.environment, "notes": notes})
    if job.error is not None and interruption.number is None:
        return _say(job.error, FAILED), run
    return _code(run), run


def _code(run: Run) -> int:
    """Return the exit code of a run: whether its trials went well, and whether they say anything.

    A trial that was refused or void is a finding too, and so is each loss of an overload; but a run
    of nothing else has no verdict.
    """
    if not all(_went_well(run, trial) for trial in run.trials):
        return FAILED
    if why := analyse(run).without_verdict:
        _print(f"No verdict: {why}")
        return NO_VERDICT
    searched = run.settings.get("experiment") == RATE
    if any(trial.verified and (trial.rate_per_s or not searched) for trial in run.trials):
        return VERIFIED
    _print("No verdict: no trial says anything about what was asked.")
    return NO_VERDICT


def _went_well(run: Run, trial: Trial) -> bool:
    if run.experiment == OVERLOAD:
        return all(call.error not in (NO_EFFECT, OTHER_ROWS) for call in trial.calls)
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


def _wait(job: Job, bar: Any, interruption: Interruption) -> None:
    """Show progress until the job ends; stop it after a signal."""
    try:
        while not job.finished.wait(0.1):
            bar.update(job.progress.done - bar.n)
            bar.set_description(job.progress.message or "setting up", refresh=False)
            if interruption.number is not None:
                break
        bar.update(job.progress.done - bar.n)
    finally:
        if not job.finished.is_set():
            job.cancel()
            job.finished.wait(STOP_TIMEOUT_S)


def check_writable(path: Path | None, size: int, *, replaces: bool = True) -> None:
    """Raise InvalidInput unless `size` bytes can be written where the run shall go.

    Without `replaces` a file of that name is none of ours; the run takes the next free name.
    """
    if path is None:
        return
    try:
        if path.is_dir() and replaces:
            raise InvalidInput(f"--output {path.name} is a folder.", next_step="Name a file in it.")
        if path.exists() and not path.is_file() and replaces:
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


def _write(run: Run, output: Path | None, *, replaces: bool) -> None:
    """Write the file. Raises _NotWritten."""
    if output is None:
        sys.stdout.write(run_file.to_json(run))
        sys.stdout.flush()
        return
    try:
        target = output if replaces else _free(output)
        if target.exists() and not target.is_file():
            target.write_text(run_file.to_json(run), encoding="utf-8")
        else:
            run_file.write(run, target)
    except LabError as error:
        raise _NotWritten(error.what, kept=error.kept, next_step=error.next_step) from error
    except OSError as error:
        raise _NotWritten(f"{output.name} cannot be written: {error.strerror}.") from error
    existed = "" if target == output else f"; {output.name} is kept as it was"
    _print(f"Written to {target.name}{existed}.")


def _free(path: Path) -> Path:
    """Take the first free name for a file, such as run-2.json, so that nobody else takes it."""
    for number in itertools.count(1):
        free = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        with contextlib.suppress(FileExistsError):
            free.touch(exist_ok=False)
            break
    return free


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _say(error: LabError, code: int) -> int:
    _print(f"error: {' '.join(str(error).split())}")
    return code


def _show_trial(trial: Trial) -> None:
    label = summaries.cell_label(trial.cell)
    tqdm.write(
        f"{trial.operation} × {len(trial.calls):,}, {label}, repeat {trial.repeat + 1}: "
        f"{trial.wall_s:.3f} s, {trial.verification}",
        file=sys.stderr,
    )


def summary_table(run: Run) -> str:
    """Return the summary as text, the speed-ups with their intervals, and the warnings below."""
    found = analyse(run)
    header = ("operation", "count", "strategy", "repeats", "median", "p50", "p95", "calls/s",
              "speed-up (95% interval)", "failed")  # fmt: skip
    rows = [header, *(_row(cell) for cell in found.cells)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ["  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    latency_ms = run.environment.get("simulated_latency_ms") or 0
    if latency_ms:
        lines.append(f"Embedding latency simulated: {latency_ms:g} ms a call.")
    level = run.settings.get("delete_consistency")
    if level:
        lines.append(f"Deletes asked for the consistency level {level}.")
    lines.extend(found.sentences)
    if refused := sum(trial.provider_refused for trial in run.trials):
        sent = sum(trial.provider_sent for trial in run.trials)
        lines.append(
            f"The embedding service turned away {refused:,} of {counted(sent, 'request')}: "
            "a limit on the calls in flight avoids that."
        )
    messages = (message for messages in found.warnings.values() for message in messages)
    lines.extend(f"- {message}" for message in messages)
    return "\n".join(line.rstrip() for line in lines)


def _row(cell: CellSummary) -> tuple[str, ...]:
    failed = sum(cell.errors.values())
    return (
        cell.operation,
        f"{cell.count:,}",
        cell.label,
        str(cell.repeats),
        _number(cell.geomean_wall_s, "{:.3f} s"),
        _number(cell.p50_ms, "{:.1f} ms"),
        _number(cell.p95_ms, "{:.1f} ms"),
        _number(cell.throughput_per_s, "{:,.1f}"),
        cell.interval_text or cell.speedup_note,
        f"{failed:,}" if failed else "",
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
