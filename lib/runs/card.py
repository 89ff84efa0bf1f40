"""The result card of a run: its headline, and the ways in their order with time, gain and interval.

The first screen, a run's page, slides, report and deck show the same card.
"""

from dataclasses import dataclass

import pandas as pd

from lib.charts import data as chart_data
from lib.results import findings, service
from lib.results.analysis import MANY_OPERATIONS, Analysis
from lib.results.catalogue import STRATEGIES
from lib.results.findings import ALONE, Beside, Finding, Warned
from lib.results.groups import Focus
from lib.results.summaries import FASTER, CellSummary
from lib.results.trials import ENDPOINT_MS
from lib.words import bounds_text, counted, duration_text, ratio_text

# What the two numbers of a service's bar are.
SERVED_HEADS = ("answers", "others")
NOTHING = "Nothing to compare in this run."
RANKED = "Others: what a health check waits, every 50 ms"


@dataclass(frozen=True)
class Bar:
    """One way: as long as `value`, which is seconds, or of a service its requests a second.

    `gain` is against the loop, of a service the neighbour's wait. `interval` is 95 %, and empty
    without one. `waits` is the part of the calls' time that was spent on embeddings, from 0 to 1.
    """

    label: str
    family: str
    value: float
    shown: str
    gain: str
    interval: str
    waits: float = 0.0
    of: float = 0.0  # the value as long as the whole track, where that is not the longest shown


def headline(found: Analysis) -> str:
    """Return at most twelve words, true also where async does not win."""
    cell = found.lead
    if cell is None or cell.speedup is None:
        return f"{found.advice.short}." if found.advice else NOTHING
    gains = [each for each in found.leading if each.verdict == FASTER]
    if len(found.leading) >= MANY_OPERATIONS:
        most = f", up to {ratio_text(cell.speedup)}" if gains else ""
        return f"Async is faster in {len(gains)} of {len(found.leading)} operations{most}."
    if cell.is_undecided:
        return f"{findings.work(cell).capitalize()}: {findings.undecided(cell)}."
    is_sooner = cell.speedup >= 1
    times = ratio_text(cell.speedup if is_sooner else 1 / cell.speedup).removesuffix("×")
    called = f"Gathered batches of {cell.batch:,}" if cell.batch > 1 else ""
    return (
        f"{findings.did(found, cell, called)} {times} times {'sooner' if is_sooner else 'later'}."
    )


def basis(found: Analysis) -> str:
    """Return what the headline's figure rests on: '95% CI 49–59 · 3 repeats · same rows …'."""
    cell = found.lead
    if cell is None:
        return RANKED if found.service else "".join(found.sentences[:1])
    group = Focus(cell.operation, cell.count)
    mine = [found.trials[each.cell] for each in found.cells_of(group)]
    parts = [
        group.label if len(found.leading) >= MANY_OPERATIONS else "",
        findings.interval(cell),
        counted(cell.repeats, "repeat"),
        findings.chosen_from(found, cell),
        "same rows from every way ✓" if all(t.verified for way in mine for t in way) else "",
    ]
    return " · ".join(part for part in parts if part)


def bars(found: Analysis) -> tuple[Bar, ...]:
    """Return the ways of the headline's calls in the order of lanes; those of a service ranked.

    None of a run that says nothing about a gain.
    """
    if found.service:
        return tuple(_served(cell) for cell in found.service.ways)
    if found.focus is None or found.lead is None:
        return ()
    cells = map(found.cell, (trial.cell for trial in chart_data.lanes(found, found.focus)))
    return tuple(_bar(found, cell) for cell in cells if cell)


def _bar(found: Analysis, cell: CellSummary) -> Bar:
    took_s = cell.geomean_wall_s or 0.0
    has_interval = cell.speedup_low is not None and cell.speedup_high is not None
    is_loop = STRATEGIES[cell.strategy].family == "loop"
    return Bar(
        label=cell.label,
        family=STRATEGIES[cell.strategy].family,
        value=round(took_s, 4),
        shown=duration_text(took_s),
        gain=ratio_text(cell.speedup) if cell.speedup else "1×" if is_loop else "",
        interval=bounds_text(cell.speedup_low or 0, cell.speedup_high or 0) if has_interval else "",
        waits=round(found.waits[cell.cell], 3),
    )


def heads(found: Analysis) -> tuple[str, ...]:
    """Return what the two numbers beside each bar are, where they are no time and gain."""
    return SERVED_HEADS if found.service else ()


def _served(cell: CellSummary) -> Bar:
    return Bar(
        label=STRATEGIES[cell.strategy].title,
        family=STRATEGIES[cell.strategy].family,
        value=round(cell.throughput_per_s or 0.0, 4),
        shown=service.per_s(cell).replace(" requests", ""),
        gain=service.waits(cell),
        interval="",
    )


def compared(cells: pd.DataFrame, longest_s: float) -> tuple[Bar, ...]:
    """Return one cell's time in several runs as bars, from rows of `chart_data.compared_cells`.

    `longest_s` is as long as the track.
    """
    return tuple(
        Bar(
            label=row["strategy"],
            family=row["family"],
            value=round(row["wall_s"], 4),
            shown=duration_text(row["wall_s"]),
            gain="",
            of=round(longest_s, 4),
            interval="" if pd.isna(row["low"]) else f"{row['low']:.3g}–{row['high']:.3g}",
        )
        for row in cells.to_dict("records")
    )


def caveat(found: Analysis, beside: Beside) -> str:
    """Return what is simulated, and the gain without it."""
    environment = found.run.environment
    latency = environment.get("simulated_latency_ms") or 0
    if ENDPOINT_MS in environment:
        return f"Through {findings.embedding_wait(found.run)} on the same machine."
    if not latency:
        return "Nothing is simulated."
    told = f"With a simulated {latency:g} ms embedding wait."
    plain = beside.plain.lead if beside.plain else None
    if found.lead is None or plain is None or plain.operation != found.lead.operation:
        return told
    return f"{told} Without it: {ratio_text(plain.speedup or 0.0)}."


@dataclass(frozen=True)
class Card:
    """All that is told of a run, made once.

    `conditions` say where, when and on what it was measured, `method` how. `losses` are where async
    does not win, `deleting` is why deletes gain, `plainly` the gains without the simulated wait.
    """

    bars: tuple[Bar, ...]
    heads: tuple[str, ...]
    caveat: str
    headline: str
    basis: str
    conditions: str
    method: str
    advised: tuple[str, ...]
    losses: tuple[Finding, ...]
    deleting: Finding | None
    plainly: str
    warned: tuple[Warned, ...]
    note: str
    stem: str


def of(found: Analysis, beside: Beside = ALONE, origin: str = "") -> Card:
    """Return what is told of a run, beside recorded ones; `origin` says where it comes from."""
    run = found.run
    return Card(
        bars=bars(found),
        heads=heads(found),
        caveat=caveat(found, beside),
        headline=headline(found),
        basis=basis(found),
        conditions=" · ".join(findings.conditions(run, origin)),
        method=f"{findings.load(run)} {findings.METHOD}",
        advised=findings.advised(found),
        losses=tuple(findings.where_async_loses(found)),
        deleting=findings.why_deleting_gains(found, beside),
        plainly=findings.without_the_wait(beside),
        warned=findings.warnings(found),
        note=findings.note(run),
        stem=findings.stem(run),
    )
