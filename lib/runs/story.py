"""A run told in five steps: question, race, timeline, gain, limits. Pages and decks tell the same.

Each step is one statement and at most one picture, so that a room can follow it.
"""

from dataclasses import dataclass

import pandas as pd

from lib.charts import data as chart_data
from lib.charts.charts import CHARTS, frames
from lib.results import findings
from lib.results.analysis import Analysis, analyse
from lib.results.catalogue import OPERATIONS, STRATEGIES, Effect
from lib.results.findings import Beside
from lib.results.groups import WHOLE, Focus
from lib.results.service import ServiceVerdict, per_s, waits
from lib.results.summaries import CellSummary
from lib.results.trials import ENDPOINT_MS
from lib.words import bounds_text, counted, duration_text, ratio_text

_THINGS = {
    Effect.ADDS: "documents",
    Effect.REMOVES: "deletes",
    Effect.CHANGES: "replaced documents",
    Effect.CREATES: "collections",
    Effect.READS: "lookups",
}
QUESTION = "What does async buy me?"

NO_PAIR = "No repeat of this run has the loop and async side by side, both verified."
LIMITS = "Where async does not help"
ELSEWHERE = "Other machines give other figures. Measure your own."
# The charts of what a run advises.
ADVICE_CHARTS = ("sweep", "rates", "losses")


@dataclass(frozen=True)
class Step:
    """One step. `chart` is a name of CHARTS, "race", or empty; `frame` is what it draws."""

    statement: str
    lines: tuple[str, ...] = ()
    chart: str = ""
    frame: pd.DataFrame | None = None
    notes: str = ""


def headline(found: Analysis) -> str:
    """Return at most twelve words, true also where async does not win."""
    cell = found.lead
    if cell is None or cell.speedup is None:
        return found.advice.short if found.advice else "Nothing to compare in this run"
    if cell.is_undecided:
        return "Async or not: no measurable difference"
    if cell.speedup >= 1:
        return f"{ratio_text(cell.speedup)} faster, same results"
    return f"{ratio_text(1 / cell.speedup)} slower with async"


def line(found: Analysis) -> str:
    """Return the race's two times: '100 documents, one by one (loop): 45.6 s. Async: 0.57 s.'."""
    cell = found.lead
    lanes = chart_data.lanes(found, Focus(cell.operation, cell.count)) if cell else ()
    if cell is None or len(lanes) < 2:
        return ""
    loop, other = (duration_text(chart_data.shown_time(found, trial)) for trial in lanes)
    work = f"{cell.count:,} {_things(cell.operation)}"
    return f"{work}, one by one (loop): {loop}. {cell.label}: {other}."


def _things(operation: str) -> str:
    known = OPERATIONS[operation]
    return "searches" if known.searches else _THINGS[known.effect]


def caveat(found: Analysis, beside: Beside) -> str:
    """Return what the headline's figure rests on: the simulated wait, and the gain without it."""
    latency = found.run.environment.get("simulated_latency_ms") or 0
    if ENDPOINT_MS in found.run.environment:
        return f"Through {findings.embedding_wait(found.run)} on the same machine."
    if not latency:
        return "Nothing is simulated."
    told = f"With a simulated {latency:g} ms embedding wait."
    own = found.lead
    plain = analyse(beside.plain).lead if beside.plain else None
    if own is None or plain is None or plain.operation != own.operation or not plain.speedup:
        return told
    return f"{told} Without it: {ratio_text(plain.speedup)}."


def steps(found: Analysis, beside: Beside) -> tuple[Step, ...]:
    """Return the five steps of a run."""
    if found.service is not None:
        return _of_service(found, beside, found.service)
    cell = found.lead
    if cell is None:
        return _without_pair(found, beside)
    focus = Focus(cell.operation, cell.count)
    staircase = (
        "The staircase is the loop. The block is async: the waiting overlaps, the work stays the "
        "same."
    )
    return (
        _question(found, cell),
        _race(found, focus, beside),
        _timeline(found, focus, staircase),
        _gain(found, beside),
        _limits(found, beside),
    )


def _without_pair(found: Analysis, beside: Beside) -> tuple[Step, ...]:
    """Return the steps of a run that says nothing about a gain: they tell what it advises."""
    focus = next(iter(found.largest_groups), None)
    drawn = frames(found, focus, ADVICE_CHARTS) if focus else {}
    chart = next(iter(drawn), "")
    return (
        Step(QUESTION, lines=(f"Calls on {findings.backend(found.run)}. {NO_PAIR}",)),
        Step(headline(found), lines=(caveat(found, beside),), chart=chart, frame=drawn.get(chart)),
        _timeline(found, focus, ""),
        Step("What follows", lines=found.sentences or ("Measure a loop beside async.",)),
        Step(LIMITS, lines=(f"{NO_PAIR} It says nothing about a gain.", ELSEWHERE)),
    )


def _of_service(found: Analysis, beside: Beside, service: ServiceVerdict) -> tuple[Step, ...]:
    """Return the steps of a service: its users, and the neighbour beside them."""
    drawn = frames(found, WHOLE, ("served", "heartbeat"))
    losses = [finding.text for finding in findings.where_async_loses(found)[:2]]
    if not losses and (threads := service.way("service_def")):
        losses = [
            f"Threads keep the loop free too: plain def answers {per_s(threads)}, and a health "
            f"check beside it waits {waits(threads)}."
        ]
    return (
        Step(
            QUESTION,
            lines=(
                f"{counted(service.users, 'user')} of a search API on "
                f"{findings.backend(found.run)}: each asks again when answered.",
                "Beside them a health check that asks for nothing is due every 50 ms.",
                "The API calls Milvus in five styles. All rows are checked.",
            ),
            notes="Ask the room for a guess before the next step: how long does it wait?",
        ),
        Step(
            headline(found),
            lines=(caveat(found, beside),),
            chart="served",
            frame=drawn["served"],
        ),
        Step(
            CHARTS["heartbeat"].finding(drawn["heartbeat"]),
            lines=("Each mark is an answer. Where the line is flat, nobody is answered.",),
            chart="heartbeat",
            frame=drawn["heartbeat"],
            notes="The health check waits for whoever holds the event loop.",
        ),
        Step("What follows", lines=found.sentences),
        Step(LIMITS, lines=(*losses, ELSEWHERE), notes="Say this before somebody asks."),
    )


def _question(found: Analysis, cell: CellSummary) -> Step:
    return Step(
        QUESTION,
        lines=(
            f"The same work twice on {findings.backend(found.run)}: "
            f"{cell.count:,} × {OPERATIONS[cell.operation].label}.",
            "Loop: each call waits for the one before.",
            "Async: all calls wait at the same time.",
            "Both results are checked and must be equal.",
        ),
        notes="Ask the room for a guess before the next step: how many times faster?",
    )


def _race(found: Analysis, focus: Focus, beside: Beside) -> Step:
    frame = chart_data.race(found, focus)
    return Step(
        headline(found),
        lines=tuple(text for text in (line(found), caveat(found, beside)) if text),
        chart="" if frame.empty else "race",
        frame=frame,
        notes="Each cell is a call. The race is shown faster or slower than it was, and is the "
        "repeat nearest to the times beside the names, which are those of all repeats.",
    )


def _timeline(found: Analysis, focus: Focus | None, notes: str) -> Step:
    chart = CHARTS["waterfall"]
    frame = chart.frame(found, focus) if focus else pd.DataFrame()
    drawn = not frame.empty
    return Step(
        chart.finding(frame) if drawn else "No call was recorded",
        lines=("Each bar is one call. Pale: embedding. Full: Milvus and client.",),
        chart="waterfall" if drawn else "",
        frame=frame if drawn else None,
        notes=notes,
    )


def _gain(found: Analysis, beside: Beside) -> Step:
    frames = [_largest_gains(found)]
    if beside.plain is not None:
        plain = _largest_gains(analyse(beside.plain))
        frames.append(plain.assign(group=plain["group"] + ", nothing simulated"))
    frame = pd.concat(frames, ignore_index=True)
    latency = findings.embedding_wait(found.run)
    return Step(
        _gain_statement(found.lead),
        lines=(f"{latency}." if latency else "Nothing is simulated.",),
        chart="speedup" if not frame.empty else "",
        frame=frame if not frame.empty else None,
        notes="The bar through each dot is the 95% interval of the repeats. Where it touches 1, "
        "nothing is shown.",
    )


def _largest_gains(found: Analysis) -> pd.DataFrame:
    """Return the measured speed-ups of each operation's most calls."""
    frame = chart_data.speedups(found)
    largest = [focus.label for focus in found.largest_groups]
    return frame[frame["group"].isin(largest) & (frame["source"] == "measured")]


def _gain_statement(cell: CellSummary | None) -> str:
    if cell is None or cell.speedup is None:
        return "Nothing to compare in this run"
    if cell.speedup_low is None or cell.speedup_high is None:
        return f"{ratio_text(cell.speedup)}, too few repeats for an interval"
    bounds = bounds_text(cell.speedup_low, cell.speedup_high)
    if cell.is_undecided:
        return f"No measurable difference ({ratio_text(cell.speedup)}, {findings.CI} {bounds})"
    return f"{ratio_text(cell.speedup)} as fast, {findings.CI} {bounds}"


def _beside_one_batch(found: Analysis) -> str:
    """Return the times of one batch and of async, where one batch did the same work as fast."""
    cell = found.lead
    if cell is None or not cell.geomean_wall_s:
        return ""
    for other in found.cells_of(Focus(cell.operation, cell.count)):
        took_s = other.geomean_wall_s
        is_batch = STRATEGIES[other.strategy].is_batch
        if is_batch and took_s and took_s <= cell.geomean_wall_s:
            return (
                f" {other.label} took {duration_text(took_s)} beside its "
                f"{duration_text(cell.geomean_wall_s)}: try that first, it needs no async code."
            )
    return ""


def _limits(found: Analysis, beside: Beside) -> Step:
    deleting = findings.why_deleting_gains(found, beside)
    losses = [text for text in [findings.without_the_wait(beside)] if text]
    losses += [deleting.sentence] if deleting and beside.bounded else []
    losses += [finding.text for finding in findings.where_async_loses(found)[:2]]
    if not losses:
        losses = [
            f"Async beat the loop in this run.{_beside_one_batch(found)}",
            "It cannot help where nothing waits: a busy client, a store that serves one call at "
            "a time, one batch.",
        ]
    return Step(
        LIMITS,
        lines=(*losses, ELSEWHERE),
        notes="Say this before somebody asks.",
    )
