"""A benchmark while it runs: a counter of calls, a square for each trial, and Stop.

While trials run the page draws no chart: it shares the processors with what is measured.
"""

import html
from collections.abc import Sequence

import streamlit as st

from lib.charts.theme import family_colour
from lib.jobs import Job, State
from lib.results.catalogue import STRATEGIES
from lib.results.groups import group_label, in_order
from lib.results.summaries import cell_label
from lib.results.trials import CellKey, Run, Trial
from lib.ui.widgets.links import share
from lib.ui.widgets.progress import refresh_s, rerun_when, show_state, stop_button
from lib.ui.widgets.race import colour_mode
from lib.ui.widgets.style import in_view
from lib.ui.widgets.text import literal
from lib.words import counted, duration_text

BAR_KEY = "run_bar"


def bar(job: Job) -> None:
    """Draw what stays in view: progress, Stop, and the link to share."""
    with in_view(BAR_KEY), st.container(horizontal=True, vertical_alignment="center"):
        show_state(job)
        label = "Stop the run" if job.state is State.RUNNING else "Leave the queue"
        stop_button(job, label, key="b_stop")
        share("benchmark", key="b_share", b_run=job.id)


def live(job: Job) -> None:
    """Draw a job that waits or runs; the page reruns once when it begins and when it ends."""
    is_queued = job.state is State.QUEUED

    @st.fragment(run_every=refresh_s(job), key="benchmark_live")
    def _live() -> None:
        rerun_when(job, is_queued=is_queued)
        bar(job)
        trials = job.result.trials if isinstance(job.result, Run) else ()
        finished = [trial for trial in trials if not trial.warmup]
        # What is measured now stands over it.
        now: CellKey | None = job.progress.detail.get("key")
        title = group_label(now.operation, now.count) if now else job.label
        st.title(literal(title), anchor=False)
        repeats = int(job.result.settings.get("repeats") or 1) if finished else 1
        part = float(job.progress.detail.get("part", 0.0))
        st.html(trial_cells(finished, now, repeats, part, colour_mode()))
        st.caption(
            f"{counted(len(finished), 'trial')} finished. A square fills as its calls end; a cross "
            "is a wrong result. The picture comes at the end: drawing would slow the trials."
        )

    _live()


def trial_cells(
    finished: Sequence[Trial], now: CellKey | None, repeats: int, part: float, mode: str
) -> str:
    """Return HTML: a line for each way of a work, a square for each of its repeats, and the last.

    `part` is how much of the trial of `now` is done, from 0 to 1.
    """
    lines: dict[CellKey, list[Trial]] = {}
    for trial in finished:
        lines.setdefault(trial.cell, []).append(trial)
    if now is not None:
        lines.setdefault(now, [])
    made = []
    for key in in_order(lines):
        trials = lines[key]
        colour = family_colour(STRATEGIES[key.strategy].family, mode)
        squares = [_square(colour, 1.0, "" if trial.verified else "✕") for trial in trials]
        if key == now:
            squares.append(_square(colour, part))
        squares += [_square(colour, 0.0)] * (repeats - len(squares))
        label = html.escape(f"{group_label(key.operation, key.count)}, {cell_label(key)}")
        made.append(f"<div>{label}</div><div>{''.join(squares)} {_latest(trials)}</div>")
    said = html.escape(f"{counted(len(finished), 'trial')} finished", quote=True)
    return (
        f'<div role="img" aria-label="{said}" style="display:grid;gap:4px 16px;'
        f'grid-template-columns:fit-content(60%) 1fr;font-size:0.9rem">{"".join(made)}</div>'
    )


def _latest(trials: Sequence[Trial]) -> str:
    """Return what the last trial took, or of a timed one its calls a second."""
    last = trials[-1] if trials else None
    if last is None or not last.wall_s:
        return ""
    if last.is_timed:
        return f"{len(last.calls) / last.wall_s:,.0f} calls/s"
    return duration_text(last.wall_s)


def _square(colour: str, part: float, mark: str = "") -> str:
    full = f"{100 * part:.0f}%"
    return (
        "<span style='display:inline-block;width:1.1em;height:1.1em;margin-right:4px;"
        "border-radius:3px;vertical-align:middle;text-align:center;line-height:1.1em;"
        f"border:1px solid {colour};background:linear-gradient(90deg,{colour} {full},"
        f"transparent {full})'>{mark}</span>"
    )
