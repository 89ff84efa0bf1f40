"""One run on a page: headline, picture, numbers, then every detail below."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import pandas as pd
import streamlit as st

from lib.charts import charts
from lib.charts import data as chart_data
from lib.charts.charts import CHARTS, RACE, Chart, frames
from lib.jobs import Job, State
from lib.results import comparison, findings, published
from lib.results.analysis import Analysis, analyse
from lib.results.comparison import ComparedCell
from lib.results.groups import WHOLE
from lib.results.summaries import CellSummary
from lib.results.trials import CHAIN, SERVICE, Run
from lib.runs import card, measured_code
from lib.runs.card import Card
from lib.runs.store import Entry, Origin, RunStore
from lib.ui.runs.downloads import chart_downloads, downloads
from lib.ui.visitor import session
from lib.ui.visitor.errors import error_box
from lib.ui.widgets.chart import show_chart
from lib.ui.widgets.lanes import show_bars
from lib.ui.widgets.links import present_link, share
from lib.ui.widgets.race import show_race
from lib.ui.widgets.snippet import snippet
from lib.ui.widgets.style import close_heading
from lib.ui.widgets.table import show_table
from lib.ui.widgets.text import literal
from lib.words import counted, duration_text, heading_and_rest

# The views of a run below its card, each with what is drawn in it from top to bottom.
VIEWS = {
    "Calls": ("waterfall", "latency", "split", "loop_lag"),
    "Scaling": ("wall_time", "speedup", "sweep", "rates", "losses", "served", "askers"),
}
METHOD, DATA = "Method", "Data"
# So many cells of several runs are drawn, and all are in a table.
MOST_COMPARED = 6
# What answers the question of a run that no race answers.
QUESTIONED = ("heartbeat", "sweep", "rates", "losses", "askers")
# Of a chart in the card, and of those with which a view can open; pixels.
CARD_HEIGHT, OPENING_HEIGHT, LANE_HEIGHT = 240, 168, 58


def show_outcome(
    job: Job | None,
    kept: Entry | None,
    store: RunStore,
    *,
    key: str,
    more: Mapping[str, Callable[[], None]] | None = None,
) -> Run | None:
    """Draw the run that a job measured, or that was kept, and return it; `more` as in run_view."""
    if job and job.error:
        error_box(job.error)
    run = job.result if job else kept.load() if kept else None
    if isinstance(run, Run) and (kept or run.trials):
        run_id = job.id if job else kept.id if kept else ""
        origin = (kept.origin if kept else Origin.SAVED).value
        run_view(run, run_id=run_id, origin=origin, key=key, store=store, more=more)
        return run
    if job and job.state is State.STOPPED:
        st.info("Stopped before the first trial had finished.")
    return None


def run_view(
    run: Run,
    *,
    run_id: str,
    origin: str,
    key: str,
    store: RunStore,
    more: Mapping[str, Callable[[], None]] | None = None,
) -> None:
    """Draw a run: its card, and below it one view at a time.

    `origin` says where it comes from; `key` keeps two views on a page apart. A page that is about
    runs has `more` views, beside those of the run, and its title is the run's.
    """
    found = analyse(run)
    # Recorded runs without which the numbers of this one would mislead.
    beside = store.beside(found)
    told = card.of(found, beside, origin)
    with st.container(border=True, gap="xsmall"):
        with close_heading(f"{key}_head"):
            head, actions = st.columns([3, 1], vertical_alignment="center")
        write = head.header if more is None else head.title
        write(literal(told.headline), anchor=False)
        with actions, st.container(horizontal=True, horizontal_alignment="right"):
            share("runs", key=f"{key}_share", r_runs=run_id)
            downloads(run, key=key, beside=beside, stem=told.stem)
        # What the chart shows and what the numbers rest on; each is said once.
        rests_on = dict.fromkeys(filter(None, (_picture(found, told, key=key), told.basis)))
        sentences = (*(each.removesuffix(".") for each in rests_on), told.conditions)
        st.caption(literal(f"{'. '.join(sentences)}. {_caveat(told, found.lead)}"))
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            # The method opens where one stands.
            with st.popover("How this was measured", type="tertiary", key=f"{key}_how"):
                st.markdown(told.method)
            _notes(told, key=key)
            present_link(run_id)
            twin = store.recorded_of(str(run.settings.get("preset", "")))
            if twin and origin != Origin.RECORDED.value and run_id:
                st.page_link(
                    "pages/runs.py",
                    label="Compare with the recorded server",
                    icon=":material/compare_arrows:",
                    query_params={"r_runs": f"{run_id},{twin.id}"},
                )
    look_inside(found, told, key=key, more=more or {})


def _caveat(told: Card, cell: CellSummary | None) -> str:
    """Return what is simulated and what was published of the same work."""
    figure = published.PUBLISHED.get((cell.operation, cell.count)) if cell else None
    if figure is None:
        return told.caveat
    return (
        f"{told.caveat} The published tutorial, through OpenAI: {duration_text(figure.sync_s)} and "
        f"{duration_text(figure.async_s)}, {figure.speedup:.1f}×."
    )


def _picture(found: Analysis, told: Card, *, key: str) -> str:
    """Draw the ways with their times and gains, and the race or the chart of the question.

    Return what the chart was said to show.
    """
    bars = told.bars
    if found.focus is None:
        return ""
    drawn = frames(found, found.focus, (*QUESTIONED, RACE))
    name, frame = next(iter(drawn.items()), ("", pd.DataFrame()))
    left, right = st.columns(2, gap="large") if bars else (None, st.container())
    if left is not None:
        with left:
            show_bars([asdict(bar) for bar in bars], heads=told.heads, key=f"{key}_bars")
    with right:
        if name in CHARTS:
            # The headline stands above it, and what it shows below.
            said = _draw(
                CHARTS[name], frame, key=f"{key}_question", height=CARD_HEIGHT, has_heading=False
            )
            # Advice says itself what its chart shows.
            return "" if name == "sweep" and found.sweeps else said
        if name and bars:
            st.caption(
                f"Each box is one call, filled when it ended ({charts.drawn_repeat(frame)})."
            )
            show_race(charts.race_picture(frame), key=f"{key}_race")
    return ""


def _notes(told: Card, *, key: str) -> None:
    """Offer what must be known beside the card: advice, where async does not win, warnings."""
    lines = [literal(line) for line in (*told.advised, told.plainly) if line]
    losses = [*told.losses, *filter(None, [told.deleting])]
    lines += [f"**{literal(loss.sentence)}** {literal(loss.cause)}" for loss in losses]
    lines += [
        f":material/warning: {literal(warning.line)}{', listed in Data' if warning.cells else ''}"
        for warning in told.warned
    ]
    if not lines:
        return
    kinds = {
        "what it advises": bool(told.advised),
        "where async does not help": bool(losses),
        counted(len(told.warned), "warning"): bool(told.warned),
    }
    named = ", ".join(kind for kind, is_there in kinds.items() if is_there)
    title = f"{named[:1].upper()}{named[1:]}" or "What it is without the wait"
    with st.popover(title, type="tertiary", key=f"{key}_notes"):
        st.markdown("\n".join(f"- {line}" for line in lines))


def look_inside(
    found: Analysis, told: Card, *, key: str, more: Mapping[str, Callable[[], None]]
) -> None:
    """Draw one view at a time; one without data is not offered."""
    if found.focus is None:
        return

    # A fragment: choosing another view must not draw the whole page again.
    @st.fragment
    def _inside() -> None:
        shown = [*charts.drawable(found, VIEWS), *more, METHOD, DATA]
        tabs = st.tabs(shown, key=f"{key}_view", on_change="rerun", bind="query-params")
        for name, tab in zip(shown, tabs, strict=True):
            if not tab.open:
                continue
            with tab:
                if name in VIEWS:
                    _charts(found, told, name, key=key)
                elif name in more:
                    more[name]()
                elif name == METHOD:
                    method(found, told, key=key)
                else:
                    data(found, told)

    _inside()


def _charts(found: Analysis, told: Card, view: str, *, key: str) -> None:
    """Draw one chart of a view, of one group of calls."""
    top = st.container(horizontal=True, vertical_alignment="center")
    group = found.focus or WHOLE
    if len(found.groups) > 1:
        by_label = {each.label: each for each in found.groups}
        # By label, not by place: the next run on this page may have fewer groups.
        group = by_label[
            top.selectbox(
                "Calls",
                list(by_label),
                index=found.groups.index(group),
                key=f"{key}_focus",
                bind="query-params",
                width=240,
                label_visibility="collapsed",
            )
        ]
    made = frames(found, group, VIEWS[view])
    drawn = {CHARTS[name].title: name for name in made}
    if not drawn:
        st.info("No trial of these calls was verified.", icon=":material/info:")
        return
    title = top.segmented_control(
        "Chart",
        list(drawn),
        default=next(iter(drawn)),
        # A run with fewer charts has a key of its own, so that no missing one is chosen.
        key=f"{key}_{view}_{len(drawn)}",
        required=True,
        label_visibility="collapsed",
    )
    name = drawn[title or next(iter(drawn))]
    chart, frame = CHARTS[name], made[name]
    switches = {
        option: top.toggle(label, key=f"{key}_{option}", bind="query-params")
        for option, label in chart.switches.items()
    }
    with top.popover("Picture", icon=":material/download:"):
        chart_downloads(told, chart, frame, key=f"{key}_{name}")
    height = OPENING_HEIGHT if name == next(iter(made)) and view == "Calls" else None
    if name == "waterfall":
        height = max(OPENING_HEIGHT, LANE_HEIGHT * frame["lane"].nunique())
    _draw(chart, frame, key=f"{key}_{name}", height=height, **switches)
    if name == "speedup" and (frame["source"] == "published").any():
        reasons = [f"- {literal(reason)}" for reason in published.reasons(found.run.environment)]
        st.markdown("\n".join(("**Why the tutorial's figures differ**\n", *reasons)))
        st.caption(f"Published: {published.SOURCE}.")


def _draw(
    chart: Chart,
    frame: pd.DataFrame,
    *,
    key: str,
    height: int | None = None,
    has_heading: bool = True,
    **options: bool,
) -> str:
    """Draw a chart and return what it shows, which stands above and below it."""
    finding = chart.finding(frame)
    heading, rest = heading_and_rest(finding)
    if has_heading:
        st.markdown(f"**{literal(heading)}**")
    show_chart(
        chart.name_with(**options),
        frame,
        lambda: chart.draw(frame, **options),
        key=f"{key}_chart",
        alt=finding,
        height=height,
    )
    if has_heading and rest:
        st.caption(literal(rest))
    return finding


def data(found: Analysis, told: Card) -> None:
    """Draw the table of all figures, and every warning with its cell."""
    summary_table(chart_data.summary(found))
    many = [
        {"Warning": title, "Cell": message}
        for title, messages in found.warnings.items()
        for message in messages
    ]
    if many:
        show_table(many, alt="Each warning and its cell")
    figures = [text for loss in told.losses for text in loss.figures]
    if figures:
        st.markdown("\n".join(f"- {literal(text)}" for text in figures))


def comparison_view(runs: Sequence[tuple[str, Run]], *, key: str) -> None:
    """Draw several runs cell by cell, with a verdict only where intervals do not overlap."""
    # Two runs of one name would be one row in the chart.
    given = [name for name, _ in runs]
    names = [
        f"{name} ({i})" if given.count(name) > 1 else name for i, name in enumerate(given, start=1)
    ]
    runs = [(name, run) for name, (_, run) in zip(names, runs, strict=True)]
    cells = comparison.compare(runs)
    decided = sum(cell.is_decided for cell in cells)
    said, gained = findings.together(runs)
    clear = f"{decided} of {len(cells)} differences are clear" if cells else "Nothing in common"
    st.header(said or clear, anchor=False)
    if gained:
        st.markdown("\n".join(f"- {literal(line)}" for line in gained))
    if not cells:
        st.warning("The runs have no cell in common: no operation, count and strategy match.")
    else:
        _compared(runs, cells, key=key)
    differing = comparison.differences(runs)
    if differing:
        st.markdown("**These settings differ**")
        show_table(
            [{"Setting": name, **values} for name, values in differing.items()],
            alt="The settings in which the runs differ, one column a run",
        )


def _compared(runs: Sequence[tuple[str, Run]], cells: Sequence[ComparedCell], *, key: str) -> None:
    """Draw the times of each cell as bars, and all of them as a table with the verdicts."""
    strangers = comparison.strangers(runs, cells)
    for name in strangers:
        st.info(literal(f"{name} shares no cell with the others."), icon=":material/info:")
    # The most calls first: there a difference is seen.
    frame = chart_data.compared_cells(sorted(cells, key=lambda cell: -cell.key.count))
    for i, (label, mine) in enumerate(frame.groupby("group", sort=False)):
        if i == MOST_COMPARED:
            st.caption(f"The other {len(cells) - i} are in the table.")
            break
        st.markdown(f"**{literal(label)}**")
        longest_s = frame.loc[frame["work"] == mine["work"].iloc[0], "wall_s"].max()
        bars = card.compared(mine, longest_s)
        show_bars([asdict(bar) for bar in bars], key=f"{key}_compared_{i}")
    st.caption(
        "Geometric means of the repeats, with their 95% interval; ways of the same work are drawn "
        "to one scale. Of a service it is what a health check waits."
    )
    if (frame["family"] == "neither").any():
        st.caption(f"Published: {published.SOURCE}, single runs through OpenAI.")
    compared = [name for name, _ in runs if name not in strangers]
    show_table(
        [
            {"Cell": cell.label, "Verdict": cell.verdict}
            | dict.fromkeys(compared, "–")
            | {each.run: each.text for each in cell.levels}
            for cell in cells
        ],
        alt="Each cell's time in each run, with its interval and the verdict",
    )


def summary_table(table: pd.DataFrame) -> None:
    """Draw one row per cell, with units."""
    seconds = st.column_config.NumberColumn(format="%.3f s")
    milliseconds = st.column_config.NumberColumn(format="%.1f ms")
    show_table(
        table,
        column_config={
            "geomean_wall_s": seconds,
            "speedup": st.column_config.NumberColumn(format="%.2f×"),
            "speedup_low": st.column_config.NumberColumn("95% from", format="%.2f×"),
            "speedup_high": st.column_config.NumberColumn("to", format="%.2f×"),
            "throughput_per_s": st.column_config.NumberColumn("calls or rows/s", format="%.0f"),
            **{name: milliseconds for name in table.columns if name.endswith(("_ms", "_ms_max"))},
            "cpu_share": st.column_config.NumberColumn("CPU of one core", format="percent"),
        },
        alt="Times, percentiles with sample sizes, speed-ups and failures of every cell",
    )
    st.caption(
        "Percentiles are of the single calls of all verified repeats; `samples` is their number."
    )


def method(found: Analysis, told: Card, *, key: str) -> None:
    """Draw how the run was made, on what, and the command that repeats it."""
    run = found.run
    st.markdown(told.method)
    environment = {
        name.replace("_", " "): str(value)
        for name, value in run.environment.items()
        if not isinstance(value, dict | list) and value not in ("", None)
    }
    packages = run.environment.get("packages")
    if isinstance(packages, dict):
        environment["packages"] = ", ".join(f"{name} {value}" for name, value in packages.items())
    show_table(
        [{"what": name, "value": value} for name, value in environment.items()],
        alt="The environment of the run",
    )
    notes = run.environment.get("notes")
    if isinstance(notes, list):
        st.markdown("\n".join(f"- {literal(str(note))}" for note in notes))
    if command := findings.command(run):
        st.markdown("The same run from a terminal:")
        st.code(command, language="bash", wrap_lines=True)
    # A service's code is more than a call, and so is a chain's.
    if not run.settings.get("collection") and run.experiment not in (SERVICE, CHAIN):
        hide_paths = session.current_settings().public
        snippet(
            lambda: measured_code.measured_code(run, found.focus or WHOLE, hide_paths=hide_paths),
            key=f"{key}_code",
            title="The measured code",
        )
