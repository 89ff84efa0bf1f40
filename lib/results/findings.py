"""A run in words: the headline, its metrics, and where async does not win, with the cause."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lib.results import effects, summaries
from lib.results import plan as plans
from lib.results.analysis import MANY_OPERATIONS, Analysis, analyse
from lib.results.catalogue import OPERATIONS, STRATEGIES, Effect
from lib.results.groups import Focus, group_label
from lib.results.summaries import BUSY_SHARE, FASTER, SLOWER, CellSummary, Speedup
from lib.results.trials import ENDPOINT_MS, About, Run
from lib.words import bounds_text, counted, duration_text, ratio_text

# Its spaces do not break, so that no line begins with the percent sign.
CI = "95%\u00a0CI"
# A call shorter than this leaves little waiting to overlap.
SHORT_CALL_MS = 5.0
# So many comparisons that come out alike are one finding.
ALIKE = 3
NO_DIFFERENCE = "no measurable difference"
TOO_FEW = "too few repeats to tell"
# An interval around 1 that reaches further than this shows neither a difference nor that there is
# none.
NEAR = 1.25
METHOD = (
    "Each way makes the same calls several times, and the results are compared. "
    "Setup and warm-up are outside the clock. The strategies alternate in an order shuffled by the "
    "seed. Each trial's effect is checked row by row; a failed trial does not count. The time of a "
    "way is the geometric mean of its repeats. A speed-up is the ratio of two such times, with "
    "Student's 95% interval on the logarithms. A verdict takes an interval that is corrected for "
    "the number of verdicts."
)

# What N calls of an operation did, by what the operation does to the rows.
_DONE = {
    Effect.ADDS: "added {} documents",
    Effect.REMOVES: "made {} deletes",
    Effect.CHANGES: "replaced {} documents",
    Effect.CREATES: "created {} collections",
    Effect.READS: "answered {} lookups",
}


@dataclass(frozen=True)
class Finding:
    """One comparison in a sentence, and why it came out so (empty where async simply wins).

    `figures` are the comparisons one by one where the sentence is about many.
    """

    sentence: str
    cause: str = ""
    figures: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The sentence and its cause."""
        return f"{self.sentence} {self.cause}".strip()


@dataclass(frozen=True)
class Warned:
    """One kind of warning in a line, and of one that several cells have, what each has."""

    title: str
    line: str
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Digest:
    """What a list of runs shows of one."""

    headline: str
    title: str
    operations: tuple[str, ...]
    backend: str
    embedding: str
    latency_ms: float
    time: str
    trials: int
    failed_trials: int
    partial: bool
    speedup: float | None
    result: str


@dataclass(frozen=True)
class Beside:
    """Analyses of kept runs that put another one into perspective; None where there is none.

    `plain` are the same experiments without simulated latency, `bounded` deletes that do not wait
    for the server's clock.
    """

    plain: Analysis | None = None
    bounded: Analysis | None = None


ALONE = Beside()


def headline(found: Analysis) -> str:
    """Return the sentence that a stakeholder takes away; true also when async does not win."""
    if found.lead is None:
        said = found.sentences
        return said[0] if said else _without_comparison(found)
    if len(found.leading) >= MANY_OPERATIONS:
        return _many(found)
    return f"{_comparison(found, found.lead)}{_conditions(found, found.lead)}."


def _many(found: Analysis) -> str:
    """Say in how many operations async is faster, and what stands out where it is not."""
    cells = found.leading
    gains = [cell for cell in cells if cell.verdict == FASTER]
    text = f"Async is faster in {len(gains)} of {len(cells)} operations"
    if gains:
        text += f", up to {ratio_text(max(cell.speedup or 0.0 for cell in gains))}"
    rest = [cell for cell in cells if cell not in gains]
    faster = [(gain, cell, other) for cell in rest for gain, other in _threads_beat(found, cell)]
    if faster:
        _, cell, other = max(faster, key=lambda each: each[0])
        loop = found.baseline(cell)
        beside = (
            f", loop {duration_text(loop.geomean_wall_s)}" if loop and loop.geomean_wall_s else ""
        )
        few = f" ({counted(cell.repeats, 'repeat')})" if cell.speedup_low is None else ""
        text += (
            f". {OPERATIONS[cell.operation].async_name}: {cell.label} "
            f"{duration_text(cell.geomean_wall_s or 0.0)}{few}{beside}, {other.label} "
            f"{duration_text(other.geomean_wall_s or 0.0)}"
        )
    latency = embedding_wait(found.run)
    return f"{text} ({latency})." if latency else f"{text}."


def _threads_beat(found: Analysis, cell: CellSummary) -> Iterable[tuple[float, CellSummary]]:
    """Return the cells of threads that took less than half the time of an async cell."""
    for other in found.cells_of(Focus(cell.operation, cell.count)):
        if STRATEGIES[other.strategy].family == "threads" and other.geomean_wall_s:
            gain = (cell.geomean_wall_s or 0.0) / other.geomean_wall_s
            if gain > 2:
                yield gain, other


def title(run: Run) -> str:
    """Return a run's name for people: 'Tutorial, server, 450 ms simulated'."""
    settings, latency = run.settings, run.environment.get("simulated_latency_ms") or 0
    names = list(dict.fromkeys(trial.operation for trial in run.trials))
    preset = plans.PRESETS.get(str(settings.get("preset", "")))
    if preset is not None:
        what = preset.label
        if preset.plan.seconds and not settings.get("seconds"):
            what += ", counted calls"
    elif len(names) >= MANY_OPERATIONS:
        what = "All operations" if len(names) == len(OPERATIONS) else f"{len(names)} operations"
    else:
        what = " and ".join(OPERATIONS[name].label for name in names) or "Nothing finished"
    level = settings.get("delete_consistency")
    parts = [
        what,
        f"{level} deletes" if level else "",
        "Milvus Lite" if run.environment.get("backend") == "lite" else "server",
        f"{latency:g} ms simulated" if latency else "",
        f"{run.environment[ENDPOINT_MS]:g} ms over HTTP" if ENDPOINT_MS in run.environment else "",
    ]
    return ", ".join(part for part in parts if part)


def advised(found: Analysis) -> tuple[str, ...]:
    """Return what a run advises beyond its headline."""
    said = found.sentences
    return said[1:] if said and said[0] == headline(found) else said


def _comparison(found: Analysis, cell: CellSummary) -> str:
    ratio = cell.speedup or 0.0
    if cell.is_undecided:
        group = group_label(cell.operation, cell.count)
        return f"{group}, {cell.label}: {undecided(cell)}"
    if ratio >= 1:
        return f"{did(found, cell)} {ratio_text(ratio)} faster than the loop"
    return f"{did(found, cell)} {ratio_text(1 / ratio)} slower than the loop"


def _done(cell: CellSummary) -> str:
    operation = OPERATIONS[cell.operation]
    done = "answered {} searches" if operation.searches else _DONE[operation.effect]
    # Timed trials make as many calls as they can.
    return " ".join(done.format(f"{cell.count:,}" if cell.count else "").split())


def did(found: Analysis, cell: CellSummary, called: str = "") -> str:
    """Return 'Async, at most 32, added 100 documents': the concurrency is always named.

    The way may be `called` otherwise. Who searches through a chain asks it.
    """
    called = called or cell.label
    comma = "," if "," in called else ""
    done = _done(cell).replace("searches", "askers") if found.chain else _done(cell)
    return f"{called}{comma} {done}"


def work(cell: CellSummary) -> str:
    """Return what a cell's calls did it to: '100 documents', '100 searches'."""
    return _done(cell).partition(" ")[2]


def asked(found: Analysis, cell: CellSummary) -> str:
    """Return `work`, which of a chain is askers."""
    return counted(cell.count, "asker") if found.chain and cell.count else work(cell)


def _conditions(found: Analysis, cell: CellSummary) -> str:
    parts = [interval(cell), chosen_from(found, cell), embedding_wait(found.run)]
    return f" ({'; '.join(part for part in parts if part)})"


def chosen_from(found: Analysis, cell: CellSummary) -> str:
    """Say from how many limits the fastest was picked: the best of many is better by chance."""
    tried = {key.concurrency for key in found.trials if key[:3] == cell.cell[:3]}
    return f"the fastest of {len(tried)} limits" if len(tried) > 1 else ""


def interval(cell: CellSummary) -> str:
    """Return the interval of a headline's figure, with the ratio where that is not told."""
    low, high, ratio = cell.speedup_low, cell.speedup_high, cell.speedup or 1.0
    if cell.is_undecided:
        return f"{ratio_text(ratio)}, {_short_interval(cell)}"
    if low and high and ratio < 1:
        return f"{CI} {bounds_text(1 / high, 1 / low)}"
    return _short_interval(cell)


def together(runs: Sequence[tuple[str, Run]]) -> tuple[str, tuple[str, ...]]:
    """Say whether several named runs agree on async, and what each gained in what they share.

    Empty where no work was done by the loop and by async in at least two of them.
    """
    gains: dict[tuple[str, int], dict[str, CellSummary]] = {}
    for name, run in runs:
        for cell in analyse(run).leading:
            gains.setdefault((cell.operation, cell.count), {})[name] = cell
    shared = {work: cells for work, cells in gains.items() if len(cells) > 1}
    if not shared:
        return "", ()
    verdicts = {cell.verdict for cells in shared.values() for cell in cells.values()}
    said = "Async is faster in some of these runs and not in others"
    if verdicts == {FASTER}:
        said = f"Async is faster in {'both' if len(runs) == 2 else 'all of these'} runs"
    elif FASTER not in verdicts:
        said = "None of these runs shows that async is faster"
    lines = [
        f"{group_label(*work)}: "
        + ", ".join(
            f"{ratio_text(cell.speedup or 0.0)}"
            f"{f' ({undecided(cell)})' if cell.is_undecided else ''} in “{name}”"
            for name, cell in cells.items()
        )
        for work, cells in shared.items()
    ]
    return said, tuple(lines)


def command(run: Run) -> str:
    """Return the terminal's command for a run, made of its plan; empty where it tells none.

    The words of the file are not shown to be copied: anybody may have written them.
    """
    plan = plans.Plan.from_settings(run.settings)
    return effects.command(plan) if plan else ""


def embedding_wait(run: About) -> str:
    """Return the label that a wait for embeddings carries everywhere, or an empty text."""
    latency = run.environment.get("simulated_latency_ms") or 0
    if latency:
        return f"{latency:g} ms simulated embedding wait"
    if ENDPOINT_MS in run.environment:
        return f"OpenAI's client, answered after {run.environment[ENDPOINT_MS]:g} ms"
    return ""


def _without_comparison(found: Analysis) -> str:
    good = [cell for cell in found.cells if cell.geomean_wall_s is not None]
    if not good:
        return "No trial was verified: nothing can be compared."
    cell = good[0]
    took = duration_text(cell.geomean_wall_s or 0)
    return f"{did(found, cell)} in {took}; nothing to compare it with."


def load(run: Run) -> str:
    """Say how the calls of a run were issued: in a closed loop, an open one, or both."""
    open_ones = {STRATEGIES[trial.strategy].uses_rate for trial in run.trials if not trial.warmup}
    if open_ones == {True}:
        return "Open loop: calls start at a rate, whatever the answers do."
    if True in open_ones:
        return "Closed and open loops: those with a rate start their calls whatever the answers do."
    return "Closed loop: the next call is made when one has ended, or all at once."


def deletes_asked_for(run: Run) -> str:
    """Return the consistency level that a run's deletes asked for, in words, or nothing."""
    level = run.settings.get("delete_consistency")
    return f"deletes with consistency level {level}" if level else ""


def without_the_wait(beside: Beside) -> str:
    """Say what the same experiments gave without simulated latency, or nothing."""
    leading = beside.plain.leading if beside.plain else ()
    if not leading:
        return ""
    parts = [
        f"{OPERATIONS[cell.operation].label} {ratio_text(cell.speedup or 0)} "
        f"({_short_interval(cell)})"
        for cell in leading
    ]
    return f"Without the simulated wait, as recorded: {', '.join(parts)}."


def why_deleting_gains(found: Analysis, beside: Beside) -> Finding | None:
    """Say what gathered deletes save, and which argument saves it without async.

    None where no delete waited for the clock of a server, or async gained nothing.
    """
    cell = next((cell for cell in found.leading if cell.operation == "delete"), None)
    if not found.deletes_wait or cell is None or cell.is_undecided or (cell.speedup or 0) < 1:
        return None
    wait = "A delete by metadata waits for the server's clock (200 ms); gathered deletes share it."
    own = found.baseline(cell)
    loop = beside.bounded.baseline(cell) if beside.bounded else None
    if loop is None or own is None or not (loop.geomean_wall_s and own.geomean_wall_s):
        return Finding("Deleting gains without embedding anything.", wait)
    return Finding(
        f"Deletes can skip the wait: with Bounded consistency the plain loop takes "
        f"{duration_text(loop.geomean_wall_s)} (recorded) instead of "
        f"{duration_text(own.geomean_wall_s)}.",
        f"{wait} A bounded view may miss the newest rows.",
    )


def _short_interval(cell: CellSummary) -> str:
    if cell.speedup_low is None or cell.speedup_high is None:
        return "no interval below 3 repeats"
    return f"{CI} {bounds_text(cell.speedup_low, cell.speedup_high)}"


def undecided(cell: CellSummary) -> str:
    """Say why a cell is told neither faster nor slower: nothing differs, or nobody can tell yet."""
    low, high = cell.speedup_low or 0.0, cell.speedup_high or 0.0
    if not low <= 1 <= high:
        return TOO_FEW
    return NO_DIFFERENCE if max(1 / low, high) <= NEAR else TOO_FEW


def where_async_loses(analysed: Analysis) -> list[Finding]:
    """Return each comparison that async does not win, with the likely cause, the largest first.

    Only verdicts that an interval supports, corrected for the number of verdicts: async
    slower than the loop, no measurable difference, or a batched call or threads faster than the
    fastest async strategy.
    """
    found: list[tuple[float, Finding]] = []
    unclear: dict[str, list[CellSummary]] = {}
    compared: list[tuple[Speedup, _Beaten]] = []
    for focus in analysed.groups:
        cells = [cell for cell in analysed.cells_of(focus) if cell.geomean_wall_s is not None]
        asynchronous = [cell for cell in cells if STRATEGIES[cell.strategy].family == "async"]
        if not asynchronous:
            continue
        best = max(asynchronous, key=lambda cell: cell.throughput_per_s or 0.0)
        if best.is_undecided:
            unclear.setdefault(undecided(best), []).append(best)
        found += _slower_than_loop(analysed, focus, best)
        compared += _against_others(analysed, focus, best, cells)
    verdicts = summaries.verdicts_on([gain for gain, _ in compared])
    beaten_by: dict[str, list[_Beaten]] = {}
    for verdict, (_, beaten) in zip(verdicts, compared, strict=True):
        if verdict == FASTER:
            beaten_by.setdefault(beaten.by, []).append(beaten)
    for many in beaten_by.values():
        found += _alike(many) if len(many) >= ALIKE else [(one.ratio, one.finding) for one in many]
    found += [(1.0, _unclear(analysed, why, alike)) for why, alike in unclear.items()]
    return [finding for _, finding in sorted(found, key=lambda item: -item[0])]


@dataclass(frozen=True)
class _Beaten:
    """A strategy without async that was faster than the fastest async one."""

    by: str
    figure: str  # for which calls, how much faster and the interval
    ratio: float
    finding: Finding


def _alike(many: Sequence[_Beaten]) -> Iterable[tuple[float, Finding]]:
    """Say once what came out alike for many operations, the largest first."""
    ordered = sorted(many, key=lambda each: -each.ratio)
    most, least = ordered[0], ordered[-1]
    sentence = (
        f"{most.by} is {ratio_text(least.ratio)} to {ratio_text(most.ratio)} faster than async "
        f"in {len(many)} comparisons."
    )
    figures = tuple(each.figure for each in ordered)
    yield most.ratio, Finding(sentence, most.finding.cause, figures)


def _unclear(found: Analysis, why: str, cells: list[CellSummary]) -> Finding:
    """Say once for all cells that nothing was shown, all for the same reason."""
    told = tuple(
        f"{group_label(cell.operation, cell.count)} "
        f"({ratio_text(cell.speedup or 0.0)}, {_short_interval(cell)})"
        for cell in cells
    )
    is_long = len(told) > ALIKE
    sentence = f"{why[0].upper()}{why[1:]}"
    sentence += " between async and the loop" if why == NO_DIFFERENCE else ""
    sentence += f" in {len(told)} comparisons." if is_long else f": {'; '.join(told)}."
    cause = "Measure these alone, or with more repeats."
    cause = _cause(found, cells[0]) if why == NO_DIFFERENCE else cause
    return Finding(sentence, cause, told if is_long else ())


def _slower_than_loop(
    found: Analysis, focus: Focus, best: CellSummary
) -> Iterable[tuple[float, Finding]]:
    if best.speedup and best.verdict == SLOWER:
        slower = 1 / best.speedup
        sentence = (
            f"{focus.label}: {best.label} is {ratio_text(slower)} slower than the loop "
            f"({interval(best)})."
        )
        yield slower, Finding(sentence, _cause(found, best))


def _against_others(
    found: Analysis, focus: Focus, best: CellSummary, cells: list[CellSummary]
) -> Iterable[tuple[Speedup, _Beaten]]:
    """Compare the fastest async way with threads and the batched call, each at its fastest."""
    trials = found.trials
    fastest: dict[str, CellSummary] = {}
    for cell in cells:
        if STRATEGIES[cell.strategy].family in ("threads", "batch"):
            kept = fastest.get(cell.strategy, cell)
            fastest[cell.strategy] = max(kept, cell, key=lambda c: c.throughput_per_s or 0.0)
    for other in fastest.values():
        gain = summaries.gain(trials[best.cell], trials[other.cell])
        if gain is None or gain.low is None or gain.high is None:
            continue
        cause = (
            "One request carries everything. Where the work is known in advance, batch it."
            if STRATEGIES[other.strategy].is_batch
            else "Threads overlap the waiting too, without the cost of scheduling coroutines."
        )
        ratio, interval = ratio_text(gain.ratio), f"({CI} {bounds_text(gain.low, gain.high)})"
        sentence = f"{focus.label}: {other.label} is {ratio} faster than {best.label} {interval}."
        yield (
            gain,
            _Beaten(
                by=other.label,
                figure=f"{focus.label} {ratio} {interval}",
                ratio=gain.ratio,
                finding=Finding(sentence, cause),
            ),
        )


def _cause(found: Analysis, cell: CellSummary) -> str:
    if cell.count == 1:
        return "One call has no other to overlap with."
    if found.run.environment.get("backend") == "lite":
        return (
            "The embedded store serves one request at a time: calls in flight wait in its queue. A "
            "Milvus server serves them side by side."
        )
    if cell.cpu_share is not None and cell.cpu_share >= BUSY_SHARE:
        return f"The client used {cell.cpu_share:.0%} of a processor core: it is the bottleneck."
    loop = found.baseline(cell)
    if loop is not None and loop.p50_ms is not None and loop.p50_ms < SHORT_CALL_MS:
        return "A call is so short that little waiting is left to overlap."
    return "The server answers these calls one after another."


def warnings(found: Analysis) -> tuple[Warned, ...]:
    """Return what a reader must know before believing the numbers, the gravest first."""
    return tuple(
        Warned(title, messages[0])
        if len(messages) == 1
        else Warned(title, f"{title}: {len(messages)} of {len(found.cells)} cells", tuple(messages))
        for title, messages in found.warnings.items()
    )


def backend(run: Run) -> str:
    """Return the Milvus that was measured, with its version."""
    named = (run.environment.get(key, "") for key in ("backend_label", "milvus_version"))
    return " ".join(map(str, named)).strip()


def note(run: Run) -> str:
    """Return the line below each exported chart: what it was measured on, and what is simulated."""
    parts = [
        "partial run" if run.partial else "",
        backend(run),
        embedding_wait(run),
        deletes_asked_for(run),
        str(run.environment.get("time", ""))[:10],
        "Milvus Async Lab",
    ]
    return " · ".join(part for part in parts if part)


def conditions(run: Run, origin: str) -> list[str]:
    """Return the parts of the line under a headline: where, when, on what."""
    parts = [
        f"Stopped early: partial result. {run.note}".strip() if run.partial else "",
        origin[:1].upper() + origin[1:],
        backend(run),
        str(run.environment.get("embedding_label") or run.environment.get("embedding") or ""),
        deletes_asked_for(run),
        str(run.environment.get("time", ""))[:16].replace("T", " ") + " UTC",
    ]
    return [part for part in parts if part]


def stem(run: Run) -> str:
    """Return a file name without suffix: 'milvus-async-lab-tutorial-2026-01-31'."""
    preset = str(run.settings.get("preset") or "custom")[:40]
    day = str(run.environment.get("time", ""))[:10]
    simulated = "simulated" if run.environment.get("simulated_latency_ms") else ""
    parts = ["milvus-async-lab", preset, day, simulated, "partial" if run.partial else ""]
    return re.sub(r"[^A-Za-z0-9-]+", "-", "-".join(part for part in parts if part)).strip("-")


def digest(found: Analysis) -> Digest:
    """Return what a list shows of a run."""
    run = found.run
    environment: dict[str, Any] = run.environment
    names = dict.fromkeys(trial.operation for trial in run.trials)
    speedup, result = _result(found)
    return Digest(
        headline=headline(found),
        title=title(run),
        operations=tuple(OPERATIONS[name].label for name in names),
        backend=backend(run),
        embedding=str(environment.get("embedding_label") or environment.get("embedding") or ""),
        latency_ms=float(environment.get("simulated_latency_ms") or 0.0),
        time=str(environment.get("time", "")),
        trials=len(run.trials),
        failed_trials=sum(not trial.verified for trial in run.trials),
        partial=run.partial,
        speedup=speedup,
        result=result,
    )


def _result(found: Analysis) -> tuple[float | None, str]:
    """Return the gain that the headline names, and what a list of runs shows in its place."""
    cells = found.leading
    if not cells:
        return None, found.advice.brief if found.advice else ""
    if len(cells) >= MANY_OPERATIONS:
        gains = [cell.speedup or 0.0 for cell in cells if cell.verdict == FASTER]
        return (max(gains), f"up to {ratio_text(max(gains))}") if gains else (None, "no gain")
    cell = cells[0]
    # A ratio whose interval contains 1 is no gain.
    if cell.is_undecided:
        return None, "no difference" if undecided(cell) == NO_DIFFERENCE else TOO_FEW
    return cell.speedup, ratio_text(cell.speedup or 0.0)
