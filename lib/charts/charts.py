"""Data frame → altair.Chart. CHARTS lists them; colours come from the theme, never from here.

A chart carries no title of its own: titles do not wrap, and a finding is a sentence. A page writes
the finding above the chart, `Chart.titled` puts it into an exported picture.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import altair as alt
import pandas as pd
from altair.utils import schemapi

from lib.charts import data as chart_data
from lib.charts.theme import FAMILIES
from lib.results.analysis import Analysis
from lib.results.groups import Focus
from lib.results.summaries import STALLED_LAG_MS
from lib.words import counted, duration_text, ms_text, ratio_text

# altair would check each part where it is made, and the whole at its end, which takes longer than
# making them. The tests check what is drawn.
schemapi.disable_debug_mode()

AnyChart: TypeAlias = "alt.Chart | alt.LayerChart | alt.FacetChart"

ROW_HEIGHT = 30
# A chart's height on a page includes its axis, and its legend where it has one.
AXIS_HEIGHT = 70
LEGEND_HEIGHT = 50
LABEL_SIZE = 15
# Room for the label behind the longest bar, and for one with a gain and its interval.
HEADROOM = 1.3
WITH_GAIN = 1.6
TITLE_CHARS = 78
# A latency beyond so many times its limit is drawn at the chart's edge.
MOST_OF_LIMIT = 3
SHADES = {chart_data.EMBEDDING: 0.45, chart_data.REST: 1}
# A rate's verdict → the shape of its point.
SHAPES = dict(zip(chart_data.VERDICTS, ("circle", "diamond", "cross", "triangle"), strict=True))
HEAD = "|"  # separates a group from a strategy in a row's key; no name contains it


# One hue a family, in the order of the theme's: the third is what was not measured here.
@lru_cache(maxsize=1)
def _colour() -> alt.Color:
    return alt.Color("family:N", scale=alt.Scale(domain=list(FAMILIES)), legend=None)


def _shades(field: str, shades: Mapping[str, float], *, has_legend: bool = True) -> alt.Opacity:
    """Return an opacity for each value of a field."""
    # Ordinal: the default, a point scale, would read the range as two ends.
    scale = alt.Scale(type="ordinal", domain=list(shades), range=list(shades.values()))
    legend = alt.Legend(orient="top", title=None, symbolType="square", symbolFillColor="gray")
    return alt.Opacity(f"{field}:O", scale=scale, legend=legend if has_legend else None)


def _dashes(frame: pd.DataFrame) -> alt.StrokeDash:
    """Return a dash for each strategy, with a legend beside the chart, which may be low.

    What there is alone needs no legend: the sentence beside the chart names it.
    """
    beside = alt.Legend(title=None, orient="right", labelLimit=190, symbolSize=300, offset=50)
    legend = beside if frame["strategy"].nunique() > 1 else None
    return alt.StrokeDash("strategy:N", legend=legend)


def _log(channel: Any, field: str, title: str, padding: int) -> Any:
    """Return a channel with a log scale and few ticks; a grid would have nine lines a step."""
    scale = alt.Scale(type="log", nice=False, padding=padding)
    axis = alt.Axis(format="~s", tickCount=5, grid=False)
    return channel(f"{field}:Q", title=title, scale=scale, axis=axis)


def _names(table: pd.DataFrame, y: alt.Y, size: int, text: str = "text", **options: Any) -> Any:
    """Write a text for each line of a table at the left, in bold."""
    mark = alt.Chart(table).mark_text(align="left", fontSize=size, fontWeight="bold", **options)
    left = alt.XValue(0)  # type: ignore[no-untyped-call]  # altair says no types of it
    return mark.encode(x=left, y=y, text=alt.Text(f"{text}:N"))


def readable(chart: AnyChart) -> AnyChart:
    """Size a chart's texts so that they can be read from the back of a room."""
    sizes: dict[str, Any] = {"labelFontSize": LABEL_SIZE, "titleFontSize": LABEL_SIZE}
    sized: AnyChart = chart.configure(
        axis=alt.AxisConfig(**sizes, titleFontWeight="normal", labelLimit=240, titlePadding=12),
        legend=alt.LegendConfig(**sizes, labelLimit=260),
        title=alt.TitleConfig(fontSize=20, subtitleFontSize=LABEL_SIZE, anchor="start", offset=14),
        view=alt.ViewConfig(strokeWidth=0),
    )
    return sized


def specification(chart: AnyChart) -> dict[str, Any]:
    """Return what a page draws of a chart, sized to be read from afar."""
    spec = with_data(readable(chart))
    # altair's own theme gives a width, and a page has its own.
    for size in ("continuousWidth", "continuousHeight"):
        spec["config"]["view"].pop(size, None)
    return spec


def with_data(chart: AnyChart) -> dict[str, Any]:
    """Return a chart's Vega-Lite specification with its data in it."""
    # Tables are short: the frames of `lib.charts.data` see to that.
    alt.data_transformers.disable_max_rows()
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return spec


def _records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """Return the lines of a table as dicts."""
    return frame.to_dict("records")


# Rows: strategies under the name of their group. One layout for all charts that compare strategies,
# so that a reader learns it once, and names stand beside their bars instead of in a legend.


def _with_rows(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Add the key of each line's row, and return all keys from top to bottom, heads included."""
    rows = frame.assign(row=frame["group"] + HEAD + frame["strategy"])
    order: list[str] = []
    for group, mine in rows.groupby("group", sort=False):
        order += [f"{group}{HEAD}", *dict.fromkeys(mine["row"])]
    return rows, order


def _y(order: Sequence[str]) -> alt.Y:
    return alt.Y(
        "row:N",
        sort=list(order),
        scale=alt.Scale(domain=list(order)),
        title=None,
        axis=alt.Axis(
            labelExpr=f"split(datum.label, '{HEAD}')[1]", ticks=False, domain=False, grid=False
        ),
    )


def _on_rows(order: Sequence[str], *layers: Any) -> AnyChart:
    """Lay layers on the rows, with the groups' names above theirs."""
    height = ROW_HEIGHT * len(order) + AXIS_HEIGHT
    rows = pd.DataFrame({"row": [key for key in order if key.endswith(HEAD)]})
    rows["head"] = rows["row"].str.rstrip(HEAD)
    heads = _names(rows, _y(order), LABEL_SIZE + 1, "head", baseline="middle")
    return alt.layer(*layers, heads).properties(height=height)


def _with_intervals(
    rows: pd.DataFrame, order: Sequence[str], x: alt.X, *, size: int, **encoding: Any
) -> Any:
    """Return a row's point, the bar of its interval where it has one, and its text at the right."""
    field, scale = str(x["shorthand"]).removesuffix(":Q"), x["scale"]
    rows = rows.assign(label_x=rows["high"].fillna(rows[field]))
    base = alt.Chart(rows).encode(y=_y(order))
    return (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=5, opacity=0.5)
        .encode(x=alt.X("low:Q", scale=scale), x2=alt.X2("high:Q"), color=_colour()),
        base.mark_point(filled=True, size=size, opacity=1).encode(x=x, color=_colour(), **encoding),
        base.mark_text(align="left", dx=14, fontSize=LABEL_SIZE).encode(
            x=alt.X("label_x:Q", scale=scale), text=alt.Text("text:N")
        ),
    )


def wall_time(frame: pd.DataFrame) -> AnyChart:
    """Draw the time of each cell as a bar, as long as its share of its group's longest time."""
    rows, order = _with_rows(frame)
    scale = alt.Scale(domain=[0, WITH_GAIN], nice=False)
    base = alt.Chart(rows).encode(y=_y(order), x=alt.X("share:Q", scale=scale, axis=None))
    bars = base.mark_bar(height={"band": 0.8}).encode(
        color=_colour(),
        tooltip=[
            alt.Tooltip("group:N", title="calls"),
            alt.Tooltip("strategy:N", title="strategy"),
            alt.Tooltip("wall_s:Q", title="time, geometric mean (s)", format=".3f"),
            alt.Tooltip("repeats:Q", title="verified repeats"),
        ],
    )
    labels = base.mark_text(align="left", dx=6, fontSize=LABEL_SIZE).encode(text=alt.Text("text:N"))
    return _on_rows(order, bars, labels)


def wall_time_finding(frame: pd.DataFrame) -> str:
    """Say which bar is longest and which shortest within the group with the widest gap."""
    ends = [
        _records(mine.sort_values("wall_s").iloc[[0, -1]])
        for _, mine in frame.groupby("group", sort=False)
    ]
    fast, slow = max(ends, key=lambda pair: float(pair[1]["wall_s"] / pair[0]["wall_s"]))
    told = [f"{one['strategy']} {duration_text(one['wall_s'])}" for one in (slow, fast)]
    return f"{fast['group']}: {', '.join(told)}"


def speedup(frame: pd.DataFrame) -> AnyChart:
    """Draw each speed-up against the sync loop with its 95 % interval, on a log scale."""
    frame = frame.assign(
        strategy=frame["strategy"].where(frame["source"] == "measured", "as published"),
        family=frame["family"].where(frame["source"] == "measured", "neither"),
    )
    rows, order = _with_rows(frame)
    values = pd.concat([rows["ratio"], rows["low"].dropna(), rows["high"].dropna()])
    low, high = min(0.8, float(values.min()) * 0.8), max(2.0, float(values.max()) * 1.2)
    # The label stands right of the interval; a log scale needs room as a factor.
    scale = alt.Scale(type="log", domain=[low, high * (high / low) ** 0.6], nice=False)
    x = alt.X(
        "ratio:Q",
        scale=scale,
        title="times as fast as the loop (×, log)",
        axis=alt.Axis(values=[0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500], format="~g"),
    )
    one = alt.Chart(pd.DataFrame({"ratio": [1.0]})).mark_rule(strokeDash=[4, 4], opacity=0.7)
    source = alt.Scale(domain=["measured", "published"], range=["circle", "diamond"])
    dots = _with_intervals(
        rows,
        order,
        x,
        size=180,
        shape=alt.Shape("source:N", scale=source, legend=None),
        tooltip=[
            alt.Tooltip("group:N", title="calls"),
            alt.Tooltip("strategy:N", title="strategy"),
            alt.Tooltip("ratio:Q", title="speed-up", format=".2f"),
            alt.Tooltip("low:Q", title="95% from", format=".2f"),
            alt.Tooltip("high:Q", title="to", format=".2f"),
        ],
    )
    return _on_rows(order, one.encode(x=x), *dots)


def speedup_finding(frame: pd.DataFrame) -> str:
    """Say the largest measured speed-up and, where there is one, the tutorial's beside it."""
    measured = frame[frame["source"] == "measured"]
    best: Any = measured.sort_values("ratio").iloc[-1]
    text = f"{best['group']}: {best['strategy']} is {best['text']} against the loop"
    same = (frame["source"] == "published") & (frame["group"] == best["group"])
    if same.any():
        text += f"; the tutorial published {ratio_text(frame[same]['ratio'].iloc[0])}"
    return text


def waterfall(frame: pd.DataFrame, *, zoom: bool = False) -> AnyChart:
    """Draw each call as a bar from start to end, one lane above the other, on one time axis.

    `zoom` ends the axis when the shorter lane is done, to look into the overlap.
    """
    end = float(frame.groupby("family", sort=False)["wall_s"].first().min())
    whole = float(frame["end_s"].max())
    scale = alt.Scale(domain=[0, end if zoom else whole], nice=False)
    lanes = frame.groupby("lane", sort=False).agg(
        row=("row", "min"),
        total=("total", "first"),
        shown_s=("shown_s", "first"),
    )
    lanes = lanes.reset_index()
    lanes["text"] = [
        f"{lane['lane']}: {counted(lane['total'], 'call')} in {duration_text(lane['shown_s'])}"
        for lane in _records(lanes)
    ]
    # What the finding alone needs is not sent to the browser.
    drawn = frame.drop(columns=["ok", "shown", "total", "wall_s", "shown_s", "repeat"]).round(4)
    bottom = float(frame["row_end"].max())
    y_scale = alt.Scale(reverse=True, domain=[-chart_data.LANE_GAP * bottom, bottom])
    bars = (
        alt.Chart(drawn)
        .mark_rect(clip=True)
        .encode(
            x=alt.X(
                "start_s:Q",
                scale=scale,
                title="time since the first call (s)",
                axis=alt.Axis(tickCount=7),
            ),
            x2=alt.X2("end_s:Q"),
            y=alt.Y("row:Q", scale=y_scale, axis=None),
            y2=alt.Y2("row_end:Q"),
            color=_colour(),
            # The sentence says what the shades mean: a legend would leave the lanes no height.
            opacity=_shades(
                "part",
                {part: SHADES.get(part, 1) for part in frame["part"].unique()},
                has_legend=False,
            ),
            tooltip=[
                alt.Tooltip("lane:N", title="strategy"),
                alt.Tooltip("call:Q", title="call number"),
                alt.Tooltip("part:N", title="part"),
                alt.Tooltip("start_s:Q", title="from (s)", format=".4f"),
                alt.Tooltip("end_s:Q", title="to (s)", format=".4f"),
            ],
        )
    )
    names = _names(lanes, alt.Y("row:Q", scale=y_scale), LABEL_SIZE + 1, baseline="bottom", dy=-5)
    return alt.layer(bars, names).properties(height=520)


def waterfall_finding(frame: pd.DataFrame) -> str:
    """Say how far the loop was when the concurrent lane had finished, and what is not drawn.

    The times are those shown everywhere; the calls are counted in the repeat that is drawn.
    """
    drawn = frame.groupby("lane", sort=False)[["wall_s", "shown_s"]].first()
    walls, times = drawn["wall_s"], drawn["shown_s"]
    shown, total = int(frame["shown"].max()), int(frame["total"].max())
    sampled = f"{shown:,} of {total:,} calls a lane, evenly sampled" if shown < total else ""
    told = "; ".join(text for text in (drawn_repeat(frame), sampled) if text)
    parts = set(frame["part"]) - {chart_data.EMBEDDING, chart_data.LOOP_HELD}
    held = " Red: the event loop was held." if chart_data.LOOP_HELD in set(frame["part"]) else ""
    shades = f"Pale: {chart_data.EMBEDDING}. Full: {', '.join(sorted(parts))}.{held}"
    ending = f" {shades} Drawn: {told}."
    if len(walls) < 2:
        lane = walls.index[0]
        return f"{total:,} calls, {lane}: {duration_text(float(times.iloc[0]))}.{ending}"
    slow, fast = str(walls.idxmax()), str(walls.idxmin())
    limit = float(walls.min())
    mine = frame[frame["lane"] == slow]
    calls = mine[mine["part"] == chart_data.EMBEDDING]
    ends = mine[mine["part"].isin(parts)]["end_s"]
    most = int(mine["total"].iloc[0])
    done = round(int((ends <= limit).sum()) * most / max(len(calls), 1))
    about = "about " if sampled else ""
    when = f"when {slow} had finished {about}{done:,}" if done else f"before {slow}'s first call"
    time = duration_text(float(times[fast]))
    made = int(frame.loc[frame["lane"] == fast, "total"].iloc[0])
    of = f" of {most:,}" if most != made else ""
    return f"{fast} finished all {made:,} calls in {time}, {when}{of}.{ending}"


def drawn_repeat(frame: pd.DataFrame) -> str:
    """Name the repeat that a race or a waterfall draws: 'repeat 3', or one a lane."""
    repeats = frame.groupby("lane", sort=False)["repeat"].first()
    if repeats.nunique() == 1:
        return f"repeat {repeats.iloc[0]}"
    return ", ".join(f"{lane} repeat {repeat}" for lane, repeat in repeats.items())


def race_finding(frame: pd.DataFrame) -> str:
    """Say the time of each lane, which repeat is drawn, and what a cell stands for.

    The times are those shown everywhere; the cells are of the repeat nearest to them.
    """
    times = frame.groupby("lane", sort=False)["shown_s"].first()
    told = " ".join(f"{lane}: {duration_text(float(time))}." for lane, time in times.items())
    per_cell = int(frame["per_cell"].max())
    cell = f" Each cell is {per_cell:,} calls." if per_cell > 1 else ""
    return f"{told} Drawn: {drawn_repeat(frame)}.{cell}"


def race_picture(frame: pd.DataFrame) -> dict[str, Any]:
    """Return what race.js draws: lanes with a cell a call, [start, end, number], in seconds."""
    lanes: list[dict[str, Any]] = [
        {
            "label": label,
            "family": str(mine["family"].iloc[0]),
            "wall": float(mine["wall_s"].iloc[0]),
            "shown": duration_text(float(mine["shown_s"].iloc[0])),
            "repeat": int(mine["repeat"].iloc[0]),
            "total": int(mine["to_call"].max()),
            "cells": [
                [round(row.start_s, 4), round(row.end_s, 4), int(row.to_call)] for row in rows
            ],
        }
        for label, mine in frame.groupby("lane", sort=False)
        for rows in [list[Any](mine.itertuples())]
    ]
    return {"lanes": lanes, "finding": race_finding(frame)}


def latency(frame: pd.DataFrame) -> AnyChart:
    """Draw the share of calls that took at most so many milliseconds, per strategy."""
    marks, many = frame[frame["mark"] != ""].copy(), frame["strategy"].nunique() > 2
    curve = frame[frame["mark"] == ""]
    marks["text"] = [f"{row['mark']} {ms_text(row['latency_ms'])}" for row in _records(marks)]
    x = _log(alt.X, "latency_ms", "latency of one call (ms, log scale)", 30)
    y = alt.Y(
        "share:Q",
        title="calls (%)",
        scale=alt.Scale(domain=[0, 1.06]),
        axis=alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 0.95]),
    )
    curves = (
        alt.Chart(curve)
        .mark_line(interpolate="step-after", strokeWidth=3)
        .encode(x=x, y=y, color=_colour(), strokeDash=alt.StrokeDash("strategy:N", legend=None))
    )
    # Each name beside its curve, one above the other: curves of a service lie close together.
    places = _places(curve)
    names = [
        alt.Chart(places[places["is_right"] == is_right])
        .mark_text(align="right" if is_right else "left", dx=dx, fontSize=13, fontWeight="bold")
        .encode(x=x, y=y, text=alt.Text("strategy:N"), color=_colour())
        for is_right, dx in ((False, 10), (True, -10))
    ]
    points = alt.Chart(marks).encode(x=x, y=y)
    dots = points.mark_point(filled=True, size=110, opacity=1).encode(
        color=_colour(),
        tooltip=[
            alt.Tooltip("strategy:N"),
            alt.Tooltip("mark:N", title="percentile"),
            alt.Tooltip("latency_ms:Q", title="latency (ms)", format=",.2f"),
            alt.Tooltip("samples:Q", title="calls"),
        ],
    )
    # The last two stand close together: one label goes below its dot, the other above.
    marks["is_last"] = ~marks["mark"].isin(["p50", "p95"])
    labels = [
        points.transform_filter(f"{which}datum.is_last")
        .mark_text(align="left", dx=9, dy=dy, fontSize=13)
        .encode(text=alt.Text("text:N"))
        for which, dy in (("!", 10), ("", -8))
        if not many
    ]
    return alt.layer(curves, dots, *labels, *names).properties(height=360)


def _places(curve: pd.DataFrame) -> pd.DataFrame:
    """Return a point of each curve for its name: the faster, the higher, and which are at right."""
    middles = curve.groupby("strategy", sort=False)["latency_ms"].median().sort_values()
    ends = curve["latency_ms"].min(), curve["latency_ms"].max()
    rows = []
    for i, name in enumerate(middles.index):
        mine = curve[curve["strategy"] == name]
        share = 0.8 - 0.7 * i / max(len(middles) - 1, 1) if len(middles) > 1 else 0.3
        at = _records(mine.iloc[[(mine["share"] - share).abs().to_numpy().argmin()]])[0]
        middle = (ends[0] * ends[1]) ** 0.5
        # Left of the fastest nothing is drawn, and right of the slowest no room is left.
        is_left = len(middles) > 2 and i == 0
        rows.append({**at, "is_right": bool(is_left or at["latency_ms"] > middle)})
    return pd.DataFrame(rows, columns=[*curve.columns, "is_right"])


def latency_finding(frame: pd.DataFrame) -> str:
    """Say the medians of a single call, with the sample sizes."""
    middle = frame[frame["mark"] == "p50"]
    parts = [
        f"{row['strategy']} {ms_text(row['latency_ms'])} (n = {row['samples']:,})"
        for row in _records(middle)
    ]
    return f"Median latency of one call. {', '.join(parts)}"


def sweep(frame: pd.DataFrame) -> AnyChart:
    """Draw throughput against p95 latency, one point per limit or batch size, the advice ringed."""
    unit, thing = str(frame["unit"].iloc[0]), str(frame["thing"].iloc[0])
    x = alt.X(
        "throughput_per_s:Q",
        title=f"throughput ({thing}/s)",
        scale=alt.Scale(zero=False, padding=30),
        axis=alt.Axis(tickCount=5),
    )
    y = _log(alt.Y, "p95_ms", "p95 (ms, log)", 24)
    base = alt.Chart(frame).encode(x=x, y=y)
    tooltip = [
        alt.Tooltip("strategy:N"),
        alt.Tooltip("limit:Q", title=unit),
        alt.Tooltip("throughput_per_s:Q", title=f"{thing}/s", format=",.0f"),
        alt.Tooltip("p50_ms:Q", title="p50 (ms)", format=",.2f"),
        alt.Tooltip("p95_ms:Q", title="p95 (ms)", format=",.2f"),
        alt.Tooltip("p99_ms:Q", title="p99 (ms)", format=",.2f"),
        alt.Tooltip("samples:Q", title="calls"),
    ]
    line = base.mark_line(strokeWidth=3)
    marked = base.transform_filter("datum.is_marked")
    return alt.layer(
        line.encode(order=alt.Order("limit:Q"), color=_colour(), strokeDash=_dashes(frame)),
        base.mark_point(filled=True, size=120, opacity=1).encode(color=_colour(), tooltip=tooltip),
        base.transform_filter("!datum.is_marked")
        .mark_text(align="right", dx=-10, dy=-8, fontSize=LABEL_SIZE)
        .encode(text=alt.Text("limit:Q")),
        marked.mark_point(size=600, strokeWidth=3, opacity=1).encode(color=_colour()),
        marked.transform_calculate(knee="datum.mark + datum.limit")
        .mark_text(align="left", dx=18, dy=14, fontSize=LABEL_SIZE, fontWeight="bold")
        .encode(text=alt.Text("knee:N")),
    ).properties(height=380)


def told_finding(frame: pd.DataFrame) -> str:
    """Return what the advice or the verdict says, which a frame brings with it."""
    return str(frame["finding"].iloc[0])


def sweep_finding(frame: pd.DataFrame) -> str:
    """Say for each strategy from which level on more brings nothing measurable."""
    parts = []
    for strategy, mine in frame.groupby("strategy", sort=False):
        marked = _records(mine[mine["is_marked"]])
        at = marked[0] if marked else _records(mine.sort_values("throughput_per_s"))[-1]
        per_s = f"{at['throughput_per_s']:,.0f} {at['thing']}/s"
        level = f"{at['limit']} {at['unit']}"
        if not marked:
            parts.append(f"{strategy}: the intervals show no knee; the most at {level}, {per_s}")
            continue
        found = f"no measurable gain above {level}, {per_s}"
        if at["is_advised"]:
            found = f"use {level}, {per_s}"
        parts.append(
            f"{strategy}: {found} at a p95 of {at['p95_ms']:,.3g} ms (n = {at['samples']:,})"
        )
    return "; ".join(parts)


def rates(frame: pd.DataFrame, *, has_legend: bool = True) -> AnyChart:
    """Draw the p99 of each rate that was tried, and the line below which it shall stay."""
    x = _log(alt.X, "rate_per_s", "calls started a second", 52)
    y = _log(alt.Y, "p99_ms", "p99 (ms, log)", 24)
    # A rate that fails keeps its calls waiting without an end: it would flatten all others.
    limit_ms = float(frame["limit_ms"].iloc[0])
    least_ms, most_ms = min(float(frame["p99_ms"].min()), limit_ms), MOST_OF_LIMIT * limit_ms
    if (frame["p99_ms"] > most_ms).any():
        scale = alt.Scale(type="log", nice=False, domain=[least_ms / 1.5, most_ms], clamp=True)
        title = ["p99 (ms, log)", f"top: above {most_ms:,.0f}"]
        y = alt.Y("p99_ms:Q", title=title, scale=scale, axis=y["axis"])
    base = alt.Chart(frame).encode(x=x, y=y)
    limit = alt.Chart(frame.head(1)).mark_rule(strokeDash=[6, 4], strokeWidth=2)
    points = base.mark_point(filled=True, size=170, opacity=1).encode(
        color=_colour(),
        shape=alt.Shape(
            "verdict:N",
            scale=alt.Scale(
                domain=list(chart_data.VERDICTS),
                range=list(SHAPES.values()),
            ),
            legend=alt.Legend(orient="right", title=None, symbolFillColor="gray", labelLimit=190)
            if has_legend
            else None,
        ),
        tooltip=[
            alt.Tooltip("rate_per_s:Q", title="calls/s", format=",.4"),
            alt.Tooltip("p99_ms:Q", title="p99 (ms)", format=",.2f"),
            alt.Tooltip("verdict:N"),
            alt.Tooltip("reason:N"),
            alt.Tooltip("held:N", title="valid trials that held"),
            alt.Tooltip("calls:Q", title="calls", format=","),
            alt.Tooltip("late:Q", title="started late", format=","),
        ],
    )
    found = base.transform_filter("datum.is_found")
    return alt.layer(
        limit.encode(y=alt.Y("limit_ms:Q")),
        points,
        found.mark_point(size=600, strokeWidth=3, opacity=1).encode(color=_colour()),
        found.transform_calculate(
            label="format(datum.rate_per_s, datum.rate_per_s < 1000 ? ',.4' : ',.0f') + '/s'"
        )
        .mark_text(dy=-26, fontSize=LABEL_SIZE, fontWeight="bold")
        .encode(text=alt.Text("label:N")),
    ).properties(height=380)


def rates_legend(frame: pd.DataFrame) -> str:
    """Say what its shapes mean, those that are there."""
    there = [verdict for verdict in chart_data.VERDICTS if verdict in set(frame["verdict"])]
    told = ", ".join(f"{SHAPES[verdict]}: {verdict}" for verdict in there)
    return f"{told[:1].upper()}{told[1:]}."


def _strategies(frame: pd.DataFrame) -> tuple[alt.Y, int]:
    """Return an axis of a table's strategies in their order, and the height that it needs."""
    order = list(dict.fromkeys(frame["strategy"]))
    axis = alt.Axis(ticks=False, domain=False, grid=False)
    y = alt.Y("strategy:N", sort=order, title=None, axis=axis)
    return y, round(ROW_HEIGHT * 1.5 * len(order) + AXIS_HEIGHT)


def _stacked(
    frame: pd.DataFrame,
    totals: pd.DataFrame,
    field: str,
    title: str,
    *,
    room: float,
    shades: Mapping[str, float],
    order: alt.Order,
    tooltip: list[alt.Tooltip],
) -> AnyChart:
    """Draw a bar for each strategy from its parts, and behind it the text of its total.

    The axis is `room` times as long as the longest bar, which is where its numbers end.
    """
    y, height = _strategies(totals)
    most = float(totals[field].max())
    x = alt.X(
        f"{field}:Q",
        title=title,
        scale=(scale := alt.Scale(domain=[0, most * room], nice=False)),
        axis=alt.Axis(
            tickCount=5, labelExpr=f"datum.value <= {most} ? datum.label : ''", grid=False
        ),
        stack="zero",
    )
    bars = alt.Chart(frame).mark_bar(height={"band": 0.7}).encode(x=x, y=y, color=_colour())
    labels = alt.Chart(totals).mark_text(align="left", dx=6, fontSize=LABEL_SIZE)
    return alt.layer(
        bars.encode(opacity=_shades("part", shades), order=order, tooltip=tooltip),
        labels.encode(x=alt.X(f"{field}:Q", scale=scale), y=y, text=alt.Text("text:N")),
    ).properties(height=height + LEGEND_HEIGHT)


def losses(frame: pd.DataFrame) -> AnyChart:
    """Draw how many calls each way answered and lost; the lost ones are the pale part."""
    totals = frame.groupby(["strategy", "text"], sort=False)["calls"].sum().reset_index()
    return _stacked(
        frame,
        totals,
        "calls",
        "calls at once",
        room=1.5,
        shades={"answered": 1, "lost": 0.35},
        order=alt.Order("part:N"),
        tooltip=[alt.Tooltip("strategy:N"), alt.Tooltip("part:N"), alt.Tooltip("calls:Q")],
    )


def split(frame: pd.DataFrame) -> AnyChart:
    """Draw the mean time of one call per strategy, embedding and the rest in two shades."""
    totals = frame.groupby(["strategy", "family"], sort=False)["mean_ms"].sum().reset_index()
    totals["text"] = [f"{value:,.3g} ms" for value in totals["mean_ms"]]
    return _stacked(
        frame,
        totals,
        "mean_ms",
        "mean time of one call (ms)",
        room=HEADROOM,
        shades=SHADES,
        order=alt.Order("part:N", sort="descending"),
        tooltip=[
            alt.Tooltip("strategy:N"),
            alt.Tooltip("part:N"),
            alt.Tooltip("mean_ms:Q", title="mean (ms)", format=",.2f"),
            alt.Tooltip("samples:Q", title="calls"),
        ],
    )


def split_finding(frame: pd.DataFrame) -> str:
    """Say which share of the first strategy's call is embedding, and of the last's."""
    parts = []
    for strategy, mine in frame.groupby("strategy", sort=False):
        total = mine["mean_ms"].sum()
        embedding = mine.loc[mine["part"] == chart_data.EMBEDDING, "mean_ms"].sum()
        share = embedding / total if total else 0.0
        parts.append(f"{strategy} {share:.0%}")
    return "Share of a call spent embedding: " + ", ".join(parts)


def served(frame: pd.DataFrame) -> AnyChart:
    """Draw each way's requests a second as a bar, and behind it what the neighbour waits."""
    rows, order = _with_rows(frame)
    x = alt.X(
        "throughput_per_s:Q",
        title="requests answered a second",
        scale=alt.Scale(domain=[0, float(rows["throughput_per_s"].max()) * 1.8], nice=False),
        axis=alt.Axis(tickCount=5),
    )
    base = alt.Chart(rows).encode(y=_y(order), x=x)
    bars = base.mark_bar(height={"band": 0.8}).encode(
        color=_colour(),
        tooltip=[
            alt.Tooltip("group:N", title="at once"),
            alt.Tooltip("strategy:N", title="way"),
            alt.Tooltip("throughput_per_s:Q", title="requests/s", format=",.1f"),
            alt.Tooltip("p50_ms:Q", title="p50 of a request (ms)", format=",.1f"),
            alt.Tooltip("neighbour_ms:Q", title="the neighbour waits (ms)", format=",.1f"),
            alt.Tooltip("basis:N", title="which is the"),
            alt.Tooltip("threads:Q", title="threads that made sync calls"),
        ],
    )
    labels = base.mark_text(align="left", dx=6, fontSize=LABEL_SIZE).encode(text=alt.Text("text:N"))
    return _on_rows(order, bars, labels)


def heartbeat(frame: pd.DataFrame) -> AnyChart:
    """Draw a mark for each request of the neighbour answered in time: a flat line is silence."""
    y, height = _strategies(frame)
    most_s = float(frame["most_s"].max())
    x = alt.X(
        "answered_s:Q",
        title="seconds; a tick: an answer",
        scale=alt.Scale(domain=[0, most_s], nice=False),
        axis=alt.Axis(tickCount=6, grid=False),
    )
    beats = (
        alt.Chart(frame)
        .mark_tick(thickness=2, size=ROW_HEIGHT, clip=True)
        .encode(
            x=x,
            y=y,
            color=_colour(),
            tooltip=[
                alt.Tooltip("strategy:N", title="beside"),
                alt.Tooltip("answered_s:Q", title="answered (s)", format=".2f"),
                alt.Tooltip("wait:N", title="the neighbour waits"),
            ],
        )
    )
    lines = frame.drop_duplicates("strategy").assign(from_s=0.0)
    flat = alt.Chart(lines).mark_rule(strokeWidth=2).encode(y=y, color=_colour())
    flat = flat.encode(x=alt.X("from_s:Q", scale=x["scale"]), x2=alt.X2("most_s:Q"))
    return alt.layer(flat, beats).properties(height=height)


def heartbeat_finding(frame: pd.DataFrame) -> str:
    """Say beside which way a health check waits longest and beside which it waits least."""
    ways = _records(frame.drop_duplicates("strategy").sort_values("neighbour_ms"))
    calm, stalled = ways[0], ways[-1]
    said = f"Beside “{stalled['strategy']}” a health check waits {stalled['wait']}"
    if len(ways) > 1:
        said += f", beside “{calm['strategy']}” {calm['wait']}"
    drawn = ", ".join(sorted({str(way["repeat"]) for way in ways}))
    return f"{said}. Flat: none answered within {chart_data.IN_TIME_S:g} s. Drawn: repeat {drawn}."


def askers(frame: pd.DataFrame) -> AnyChart:
    """Draw how long half of a chain's askers wait for a first token, and until all are answered."""
    rows, order = _with_rows(frame)
    scale = alt.Scale(domain=[0, float(rows["answered_s"].max()) * 2], nice=False)
    axis = alt.Axis(tickCount=5)
    base = alt.Chart(rows).encode(y=_y(order))
    tooltip = [
        alt.Tooltip("group:N", title="at once"),
        alt.Tooltip("strategy:N", title="way"),
        alt.Tooltip("first_token_s:Q", title="half have a first token (s)", format=",.2f"),
        alt.Tooltip("answered_s:Q", title="all are answered (s)", format=",.2f"),
    ]
    # Pale is waiting, as everywhere.
    title = ["pale: half wait for a first token (s)", "full: until all are answered"]
    parts = {("none_s", "first_token_s"): SHADES["embedding"], ("first_token_s", "answered_s"): 1.0}
    bars = [
        base.transform_calculate(none_s="0")
        .mark_bar(height={"band": 0.8}, opacity=opacity)
        .encode(
            x=alt.X(f"{since}:Q", title=title, scale=scale, axis=axis),
            x2=alt.X2(until),
            color=_colour(),
            tooltip=tooltip,
        )
        for (since, until), opacity in parts.items()
    ]
    labels = base.mark_text(align="left", dx=6, fontSize=LABEL_SIZE).encode(
        x=alt.X("answered_s:Q", scale=scale), text=alt.Text("text:N")
    )
    return _on_rows(order, *bars, labels)


def loop_lag(frame: pd.DataFrame) -> AnyChart:
    """Draw the longest event-loop lag of each trial, with the line above which calls suffer."""
    worst = max(float(frame["lag_ms"].max()), STALLED_LAG_MS)
    y, height = _strategies(frame)
    x = alt.X(
        "lag_ms:Q",
        title="longest event-loop lag in a trial (ms)",
        scale=alt.Scale(domain=[0, worst * 1.15], nice=False),
        axis=alt.Axis(tickCount=6),
    )
    dots = (
        alt.Chart(frame)
        .mark_point(filled=True, size=160, opacity=0.8)
        .encode(
            x=x,
            y=y,
            color=_colour(),
            tooltip=[
                alt.Tooltip("strategy:N"),
                alt.Tooltip("repeat:Q"),
                alt.Tooltip("lag_ms:Q", title="lag (ms)", format=",.1f"),
            ],
        )
    )
    line = alt.Chart(pd.DataFrame({"lag_ms": [STALLED_LAG_MS]})).mark_rule(
        strokeDash=[6, 4], strokeWidth=2
    )
    return alt.layer(line.encode(x=x), dots).properties(height=height)


def loop_lag_finding(frame: pd.DataFrame) -> str:
    """Say the worst lag and whether it is one to worry about."""
    worst: Any = frame.sort_values("lag_ms").iloc[-1]
    verdict = (
        "it was blocked, and calls waited for the client"
        if worst["lag_ms"] >= STALLED_LAG_MS
        else f"below the {STALLED_LAG_MS:g} ms at which calls would wait for the client"
    )
    return f"The event loop answered at the latest after {worst['lag_ms']:,.0f} ms: {verdict}"


def compared(frame: pd.DataFrame) -> AnyChart:
    """Draw one cell's time in several runs, a geometric mean, with its 95 % interval."""
    rows, order = _with_rows(frame)
    highest = float(rows[["wall_s", "high"]].max().max())
    lowest = float(rows[["wall_s", "low"]].min().min())
    # Cells of one run lie up to a thousand times apart. The room is for the texts at the right.
    room = (highest / lowest) ** 0.4 * HEADROOM
    x = alt.X(
        "wall_s:Q",
        scale=alt.Scale(type="log", domain=[lowest / 1.2, highest * room], nice=False),
        title="time of a trial (s, log), with 95% interval",
        axis=alt.Axis(tickCount=5, format="~g"),
    )
    return _on_rows(order, *_with_intervals(rows, order, x, size=160))


@dataclass(frozen=True)
class Chart:
    """One entry of CHARTS: what it is called, and how it is made from a run."""

    name: str
    title: str
    frame: Callable[..., pd.DataFrame]  # of an analysis, and of a group where it is `focused`
    draw: Callable[..., Any]
    finding: Callable[[pd.DataFrame], str]
    focused: bool = True  # whether it looks at one group; otherwise at the whole run
    switches: Mapping[str, str] = field(default_factory=dict)  # an argument of `draw` → its label
    # What its legend says, in words, for where `draw` is told that it has none.
    legend: Callable[[pd.DataFrame], str] | None = None

    def looks_at(self, focus: Focus) -> tuple[Focus, ...]:
        """Return what `frame` is given beside the analysis."""
        return (focus,) if self.focused else ()

    def titled(self, frame: pd.DataFrame, *, note: str = "") -> AnyChart:
        """Return the chart as a picture: finding as title, note below it, fixed width."""
        lines = textwrap.wrap(self.finding(frame), TITLE_CHARS)
        title = alt.TitleParams(text=lines, subtitle=textwrap.wrap(note, TITLE_CHARS) or [""])
        chart: AnyChart = readable(self.draw(frame)).properties(title=title, width=860)
        return chart

    def name_with(self, **options: bool) -> str:
        """Return its name with its switches, which tells its pictures of one table apart."""
        return " ".join([self.name, *sorted(name for name, is_on in options.items() if is_on)])


CHARTS: dict[str, Chart] = {
    chart.name: chart
    for chart in (
        Chart(
            "wall_time",
            "Wall time",
            chart_data.wall_times,
            wall_time,
            wall_time_finding,
            focused=False,
        ),
        Chart("speedup", "Speed-up", chart_data.speedups, speedup, speedup_finding, focused=False),
        Chart(
            "waterfall",
            "Timeline",
            chart_data.waterfall,
            waterfall,
            waterfall_finding,
            switches={"zoom": "Zoom"},
        ),
        Chart("latency", "Latency", chart_data.latencies, latency, latency_finding),
        Chart("sweep", "Sweep", chart_data.sweep, sweep, sweep_finding),
        Chart(
            "rates",
            "Rates",
            chart_data.rates,
            rates,
            told_finding,
            focused=False,
            legend=rates_legend,
        ),
        Chart("losses", "Losses", chart_data.losses, losses, told_finding, focused=False),
        Chart("served", "Requests", chart_data.served, served, told_finding, focused=False),
        Chart(
            "heartbeat",
            "Heartbeat",
            chart_data.heartbeat,
            heartbeat,
            heartbeat_finding,
            focused=False,
        ),
        Chart("askers", "First tokens", chart_data.askers, askers, told_finding, focused=False),
        Chart("split", "Split", chart_data.split, split, split_finding),
        Chart("loop_lag", "Loop lag", chart_data.loop_lag, loop_lag, loop_lag_finding),
    )
}
RACE = "race"  # a picture that moves, and no chart


def drawable(found: Analysis, views: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the views that have something to draw, in some group of calls, in one of their charts.

    No more tables are made than that takes.
    """
    return [
        view
        for view, names in views.items()
        if any(
            not chart.frame(found, *chart.looks_at(group)).empty
            for chart in map(CHARTS.__getitem__, names)
            for group in found.groups
        )
    ]


def frames(found: Analysis, focus: Focus, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Return the tables of some charts that have something to draw, of a run and one group of it.

    Beside the names of CHARTS there is RACE.
    """
    made = {}
    for name in names:
        if name == RACE:
            made[name] = chart_data.race(found, focus)
        else:
            made[name] = CHARTS[name].frame(found, *CHARTS[name].looks_at(focus))
    return {name: frame for name, frame in made.items() if not frame.empty}
