"""A run told on a stage: the wait, the race, what remains without it, what to do on Monday.

A run of advice, or of a service, has three slides: the question, the chart, what to set. Each slide
is one statement and at most one picture. Pages and decks tell the same.
"""

from dataclasses import dataclass

import pandas as pd

from lib.charts.charts import CHARTS, frames
from lib.results import findings, summaries
from lib.results.analysis import Analysis
from lib.results.catalogue import OPERATIONS, STRATEGIES
from lib.results.findings import Beside
from lib.results.groups import Focus
from lib.results.plan import PRESETS
from lib.results.summaries import CellSummary
from lib.results.trials import OVERLOAD, RATE, SERVICE
from lib.runs import card
from lib.runs.card import Bar, Card
from lib.words import counted, duration_text, ratio_text

LIMITS = "Where async does not help"
MONDAY = "What to do on Monday"
TO_SET = "What to set"
ELSEWHERE = "Other machines give other figures. Measure your own."
ACCIDENT = "Never call a sync method inside async def: it holds everybody else."
# What a service's code should be like, whatever its figures are.
SERVED = (
    "Await the async methods in every async def.",
    "Code that must stay sync belongs in a plain def: the framework runs it in threads.",
    ACCIDENT,
)
# What a run without a gain was made to find out, by its experiment.
QUESTIONS = {
    RATE: "What load does it hold?",
    OVERLOAD: "What breaks first?",
    SERVICE: "What do a service and its neighbours get?",
}
ADVICE_QUESTION = "How much at once?"
# The charts of what a run advises.
ADVICE_CHARTS = ("sweep", "rates", "losses")
STAIRCASE = (
    "The staircase is the loop. The block is async: the waiting overlaps, the work stays the same."
)
# What a chart has no room to say.
COUNTED = {"rates": "p99 latency, counted from the scheduled start."}
# So many causes fit on a slide.
MOST_LINES = 3


@dataclass(frozen=True)
class Slide:
    """One slide. `chart` is a name of CHARTS or empty, `frame` is what it draws.

    `bars` are drawn in the place of a chart.
    """

    statement: str
    lines: tuple[str, ...] = ()
    chart: str = ""
    frame: pd.DataFrame | None = None
    notes: str = ""
    bars: tuple[Bar, ...] = ()
    heads: tuple[str, ...] = ()  # what the two numbers of a bar are, where no time and gain


def line(found: Analysis) -> str:
    """Return the race's two times: '100 documents, one by one (loop): 45.6 s. Async: 0.57 s.'."""
    cell = found.lead
    loop = found.baseline(cell) if cell else None
    if cell is None or loop is None:
        return ""
    loop_s, took_s = (duration_text(each.geomean_wall_s or 0.0) for each in (loop, cell))
    return f"{findings.asked(found, cell)}, one by one (loop): {loop_s}. {cell.label}: {took_s}."


def slides(found: Analysis, beside: Beside) -> tuple[Slide, ...]:
    """Return the slides of a run."""
    cell, told = found.lead, card.of(found, beside)
    if cell is None:
        return _of_advice(found, told)
    return (
        _wait(found, cell, told),
        Slide(
            told.headline,
            lines=(line(found), told.caveat),
            bars=told.bars,
            notes=f"{told.basis}.",
        ),
        _without(found, beside, told),
        _monday(found, cell, told),
    )


def _of_advice(found: Analysis, told: Card) -> tuple[Slide, ...]:
    """Return the slides of a run that says nothing about a gain: they tell what it advises."""
    run, service = found.run, found.service
    drawn = frames(found, found.focus, ADVICE_CHARTS) if found.focus and not service else {}
    chart = next(iter(drawn), "")
    preset = PRESETS.get(str(run.settings.get("preset", "")))
    asked = [preset.summary if preset else "", f"Calls on {findings.backend(run)}."]
    if service:
        asked.append(
            f"{counted(service.users, 'user')} ask again when answered; a health check beside them "
            "is due every 50 ms."
        )
    advice = found.rate or found.overload
    said = (*(advice.to_set if advice else ()), *found.sentences)[:MOST_LINES]
    said = said or ("Measure a loop beside async.",)
    return (
        Slide(
            QUESTIONS.get(run.experiment, ADVICE_QUESTION),
            lines=tuple(filter(None, asked)),
            notes="Ask the room for a guess before the next slide.",
        ),
        Slide(
            told.headline,
            lines=tuple(
                filter(
                    None,
                    (
                        told.basis + "." if service else COUNTED.get(chart),
                        _legend(chart, drawn.get(chart)),
                        told.caveat,
                    ),
                )
            ),
            chart=chart,
            frame=drawn.get(chart),
            bars=told.bars if service else (),
            heads=told.heads,
        ),
        Slide(TO_SET, lines=(*(SERVED if service else said), ELSEWHERE)),
    )


def _batched(found: Analysis, cell: CellSummary) -> list[str]:
    """Tell apart what batches bring and what gathering them adds: the gain of both is async's not.

    Where no loop had batches of this size, what they bring alone stays unsaid.
    """
    loops = [
        each
        for each in found.cells_of(Focus(cell.operation, cell.count))
        if STRATEGIES[each.strategy].family == "loop" and each.batch == cell.batch and each.speedup
    ]
    both = f"Gather batches of {cell.batch:,}: {ratio_text(cell.speedup or 0.0)} here."
    return [
        *(f"Batch first: {ratio_text(each.speedup or 0.0)} here, in a loop." for each in loops),
        both,
    ]


def _legend(chart: str, frame: pd.DataFrame | None) -> str:
    """Return the words of a chart's legend, for which a slide has no room."""
    legend = CHARTS[chart].legend if chart else None
    return legend(frame) if legend and frame is not None else ""


def _wait(found: Analysis, cell: CellSummary, told: Card) -> Slide:
    """Tell what the loop waits for, call by call."""
    chart = CHARTS["waterfall"]
    # The names of more lanes than two would cover them.
    base = found.baseline(cell)
    pair = (cell.cell, base.cell) if base else ()
    frame = chart.frame(found, Focus(cell.operation, cell.count), pair)
    loop = next((bar for bar in told.bars if bar.family == "loop"), None)
    said = "Each call of the loop waits for the one before."
    if loop is not None and loop.waits >= 0.5:
        said = f"{loop.waits:.0%} of a loop's time is waiting for embeddings."
    if frame.empty:
        return Slide(said, lines=(f"{OPERATIONS[cell.operation].label}: no call was recorded.",))
    return Slide(
        said,
        lines=(chart.finding(frame),),
        chart="waterfall",
        frame=frame,
        notes=STAIRCASE,
    )


def _without(found: Analysis, beside: Beside, told: Card) -> Slide:
    """Tell what remains of the gain where nothing waits, and where async loses."""
    plain = beside.plain.lead if beside.plain else None
    losses = [told.plainly] if told.plainly else []
    losses += [told.deleting.sentence] if told.deleting and beside.bounded else []
    losses += [finding.text for finding in told.losses]
    if not losses:
        losses = [
            *filter(None, [_beside_one_batch(found)]),
            "It needs waiting: a busy client, or a store that serves one call at a time, has none.",
        ]
    bars = card.bars(beside.plain) if beside.plain and plain else ()
    return Slide(
        f"Without the simulated wait: {ratio_text(plain.speedup or 0)}." if plain else LIMITS,
        lines=(*losses[: 2 if bars else MOST_LINES], ELSEWHERE),
        bars=bars,
        notes="Say this before somebody asks. " + " ".join(losses),
    )


def _beside_one_batch(found: Analysis) -> str:
    """Return the times of one batch and of async, where one batch did the same work as fast."""
    cell = found.lead
    batch = _way(found, cell, "batch") if cell else None
    if cell is None or batch is None or not cell.geomean_wall_s or not batch.geomean_wall_s:
        return ""
    if batch.geomean_wall_s > cell.geomean_wall_s:
        return ""
    return (
        f"{batch.label} took {duration_text(batch.geomean_wall_s)}, async "
        f"{duration_text(cell.geomean_wall_s)}: try that first, it needs no async code."
    )


def _way(found: Analysis, cell: CellSummary, family: str) -> CellSummary | None:
    """Return the fastest cell of a family that did the same work as this one."""
    same = [
        other
        for other in found.cells_of(Focus(cell.operation, cell.count))
        if STRATEGIES[other.strategy].family == family and other.geomean_wall_s
    ]
    return min(same, key=lambda other: other.geomean_wall_s or 0.0, default=None)


def _monday(found: Analysis, cell: CellSummary, told: Card) -> Slide:
    """Tell what follows for a reader's own code, with the figures of this run."""
    gain = ratio_text(cell.speedup or 0.0)
    lines = ["Nothing was shown here: leave the code as it is."]
    if cell.verdict == summaries.FASTER or (not cell.verdict and (cell.speedup or 0.0) > 1):
        lines = [f"Await the async methods where calls wait: {gain} here."]
        if cell.batch > 1:
            lines = _batched(found, cell)
    elif cell.verdict == summaries.SLOWER:
        lines = ["Keep the loop here: async was slower."]
    batch, threads = (_way(found, cell, family) for family in ("batch", "threads"))
    if batch is not None and batch.speedup:
        lines.append(f"Batch what is known in advance: {ratio_text(batch.speedup)} here.")
    if threads is not None and threads.speedup:
        lines.append(f"Sync code can use threads: {ratio_text(threads.speedup)} here.")
    return Slide(MONDAY, lines=(*lines, ACCIDENT, *told.advised[:1]), notes=ELSEWHERE)
