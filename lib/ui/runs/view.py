"""One run on a page: headline, picture, numbers, then every detail below."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from lib.charts import charts
from lib.charts import data as chart_data
from lib.charts.charts import CHARTS, RACE, Chart, frames
from lib.jobs import Job, State
from lib.results import comparison, findings, published
from lib.results.analysis import Analysis, analyse
from lib.results.findings import Finding, Metric, Warned
from lib.results.groups import WHOLE
from lib.results.trials import CHAIN, SERVICE, Run
from lib.runs import measured_code
from lib.runs.savings import gains
from lib.runs.store import Entry, Origin, RunStore
from lib.ui.common import session
from lib.ui.common.chart import show_chart
from lib.ui.common.errors import error_box
from lib.ui.common.folded import folded
from lib.ui.common.race import show_race
from lib.ui.common.snippet import snippet
from lib.ui.common.table import show_table
from lib.ui.common.text import literal
from lib.ui.runs.downloads import chart_downloads, downloads
from lib.ui.runs.savings import savings
from lib.words import counted

MOST_LOSSES = 3
# The views of a run, each with what is drawn in it from top to bottom.
VIEWS = {
    "Service": ["served", "heartbeat"],
    "Race": [RACE, "wall_time"],
    "Timeline": ["waterfall"],
    "Latency": ["latency", "split", "loop_lag"],
    "Scaling": ["sweep", "rates", "losses"],
}


def show_outcome(job: Job | None, kept: Entry | None, store: RunStore, *, key: str) -> Run | None:
    """Draw the run that a job measured, or that was kept, and return it."""
    if job and job.error:
        error_box(job.error)
    run = job.result if job else kept.load() if kept else None
    if isinstance(run, Run) and (kept or run.trials):
        run_view(run, origin=(kept.origin if kept else Origin.SAVED).value, key=key, store=store)
        return run
    if job and job.state is State.STOPPED:
        st.info("Stopped before the first trial had finished.")
    return None


def run_view(run: Run, *, origin: str, key: str, store: RunStore) -> None:
    """Draw a run. `origin` says where it comes from; `key` keeps two views on a page apart."""
    # Recorded runs without which the numbers of this one would mislead.
    beside = store.beside(run)
    found = analyse(run)
    headline = findings.headline(found)
    shown = findings.metrics(found)
    losses = findings.where_async_loses(found)
    warned = findings.warnings(found)
    deleting = findings.why_deleting_gains(found, beside)
    advised = findings.advised(found)
    st.header(literal(headline), anchor=False)
    st.caption(" · ".join(map(literal, findings.conditions(run, origin, headline))))
    if plainly := findings.without_the_wait(beside):
        st.markdown(f":material/balance: {literal(plainly)}")
    # The view below opens on the picture of what the run advises.
    if advised:
        st.markdown("\n".join(f"- {literal(line)}" for line in advised))
    look_inside(found, key=key)
    _metrics(shown)
    savings(gains(found), key=key)
    if deleting:
        st.markdown(f"**{literal(deleting.sentence)}** {literal(deleting.cause)}")
    _losses(losses)
    _warnings(warned)
    _speedups(frames(found, WHOLE, ["speedup"]), published.reasons(run.environment), key=key)
    folded(
        "All figures",
        lambda: summary_table(chart_data.summary(found)),
        icon=":material/table:",
        key=f"{key}_figures",
    )
    folded(
        "Method and environment",
        lambda: method(run),
        icon=":material/science:",
        key=f"{key}_method",
    )
    downloads(run, key=key, beside=beside)


def _metrics(shown: Sequence[Metric]) -> None:
    """Draw up to three numbers, each with its interval."""
    if shown:
        grid = st.grid(len(shown), border=True)
        for metric in shown:
            with grid.cell():
                st.metric(
                    metric.label, metric.value, metric.basis, delta_color="off", delta_arrow="off"
                )


def _losses(found: Sequence[Finding]) -> None:
    """Draw where async does not win, in the size of the headline."""
    for finding in found[:MOST_LOSSES]:
        st.header(literal(finding.sentence), anchor=False)
        st.markdown(finding.cause)
    more = [f"**{finding.sentence}** {finding.cause}" for finding in found[MOST_LOSSES:]]
    more = [figure for finding in found for figure in finding.figures] + more
    if more:
        with st.expander(counted(len(more), "comparison"), icon=":material/list:"):
            st.markdown("\n".join(f"- {line}" for line in more))


def _warnings(found: Sequence[Warned]) -> None:
    """Draw what a reader must know before believing the numbers."""
    if not found:
        return
    st.warning(
        "\n".join(f"- {literal(warned.line)}" for warned in found),
        title="Warnings",
        icon=":material/warning:",
    )
    many = [
        {"Warning": warned.title, "Cell": message} for warned in found for message in warned.cells
    ]
    if many:
        with st.expander("Each warning", icon=":material/list:"):
            show_table(many, alt="Each warning and its cell")


def _speedups(drawn: dict[str, pd.DataFrame], reasons: Sequence[str], *, key: str) -> None:
    """Draw the speed-ups, and below them why the published ones differ."""
    for frame in drawn.values():
        _draw(CHARTS["speedup"], frame, key=f"{key}_speedup")
        if not (frame["source"] == "published").any():
            return
        with st.expander(
            "Why the tutorial's figures differ", icon=":material/help:", key=f"{key}_why"
        ):
            st.markdown("\n".join(f"- {literal(reason)}" for reason in reasons))
            st.caption(f"Published: {published.SOURCE}.")


def look_inside(found: Analysis, *, key: str) -> None:
    """Draw one view at a time, of one group of calls; a view without data is not offered."""
    run, every = found.run, found.groups
    if not every:
        return
    by_label = {group.label: group for group in every}

    # A fragment: choosing another view must not draw the whole page again.
    @st.fragment
    def _inside() -> None:
        top = st.container(horizontal=True, vertical_alignment="bottom")
        # By label, not by place: the next run on this page may have fewer groups.
        chosen = top.selectbox(
            "Calls",
            list(by_label),
            index=every.index(found.largest_groups[0]),
            key=f"{key}_focus",
            bind="query-params",
            width=300,
        )
        focus = by_label[chosen]
        made = frames(found, focus, [name for names in VIEWS.values() for name in names])
        drawn = {
            view: {name: made[name] for name in names if name in made}
            for view, names in VIEWS.items()
            if not made.keys().isdisjoint(names)
        }
        if not drawn:
            st.info("No trial of these calls was verified.", icon=":material/info:")
            return
        view = top.segmented_control(
            "View",
            list(drawn),
            # A sweep is run to see how far more in flight helps.
            default="Scaling" if "Scaling" in drawn else next(iter(drawn)),
            # A run with fewer views has a key of its own, so that no missing view is chosen.
            key=f"{key}_view" if len(drawn) == len(VIEWS) else f"{key}_view_{len(drawn)}",
            required=True,
        )
        for name, frame in drawn[view or next(iter(drawn))].items():
            if name == RACE:
                st.markdown(f"**{literal(charts.race_finding(frame))}**")
                show_race(charts.race_picture(frame), key=f"{key}_race")
                continue
            chart = CHARTS[name]
            switches = {
                option: st.toggle(
                    label,
                    value=chart.starts_on(frame),
                    key=f"{key}_{option}",
                    bind="query-params",
                )
                for option, label in chart.switches.items()
            }
            _draw(chart, frame, key=f"{key}_{name}", **switches)
            chart_downloads(run, chart, frame, key=f"{key}_{name}")
        # A service's code is more than a call, and so is a chain's.
        if not run.settings.get("collection") and run.experiment not in (SERVICE, CHAIN):
            snippet(
                lambda: measured_code.measured_code(
                    run, focus, hide_paths=session.current_settings().public
                ),
                key=f"{key}_code",
                title="The measured code",
            )

    _inside()


def _draw(chart: Chart, frame: pd.DataFrame, *, key: str, **options: bool) -> None:
    finding = chart.finding(frame)
    st.markdown(f"**{literal(finding)}**")
    show_chart(
        chart.name_with(**options),
        frame,
        lambda: chart.draw(frame, **options),
        key=f"{key}_chart",
        alt=finding,
    )


def comparison_view(runs: Sequence[tuple[str, Run]], *, key: str) -> None:
    """Draw several runs cell by cell, with a verdict only where intervals do not overlap."""
    # Two runs of one name would be one row in the chart.
    given = [name for name, _ in runs]
    names = [
        f"{name} ({i})" if given.count(name) > 1 else name for i, name in enumerate(given, start=1)
    ]
    runs = [(name, run) for name, (_, run) in zip(names, runs, strict=True)]
    st.header(f"{len(runs)} runs, cell by cell", anchor=False)
    differing = comparison.differences(runs)
    if differing:
        st.markdown("**The runs differ in more than time**")
        show_table(
            [{"Setting": name, **values} for name, values in differing.items()],
            alt="The settings in which the runs differ, one column a run",
        )
    cells = comparison.compare(runs)
    if not cells:
        st.warning("The runs have no cell in common: no operation, count and strategy match.")
        return
    strangers = comparison.strangers(runs, cells)
    for name in strangers:
        st.info(literal(f"{name} shares no cell with the others."), icon=":material/info:")
    st.caption("Times are geometric means of the repeats.")
    compared = [name for name in names if name not in strangers]
    show_table(
        [
            {"Cell": cell.label, "Verdict": cell.verdict}
            | dict.fromkeys(compared, "–")
            | {each.run: each.text for each in cell.levels}
            for cell in cells
        ],
        alt="Each cell's time in each run, with its interval and the verdict",
    )
    decided = sum(cell.is_decided for cell in cells)
    finding = f"{decided} of {len(cells)} differences are clear"
    st.markdown(f"**{finding}**")
    frame = chart_data.compared_cells(cells)
    show_chart(
        "compared", frame, lambda: charts.compared(frame), key=f"{key}_compared", alt=finding
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


def method(run: Run) -> None:
    """Draw how the run was made, on what, and the command that repeats it."""
    st.markdown(f"{findings.load(run)} {findings.METHOD}")
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
