"""The search page's charts: a data frame in, an `alt.Chart` out.

A chart carries no title and no height: the page writes the finding above it and knows how many
rows there are. So its specification depends on the columns alone, and a new λ sends data only.

Colours come from the theme, whose first two mean sync and async all over the app. `SERIES` lists
what a colour can mean here, in the palette's order; Vega starts the five colours over after the
last, so that what is in both lists gets the neutral third colour again.
"""

from __future__ import annotations

from typing import Literal

import altair as alt
import pandas as pd

from lib.search.ask import BOTH, CANDIDATE, ONLY_MMR, ONLY_SIMILARITY

QUERY = "the question"
SERIES = ["sync", "async", CANDIDATE, ONLY_MMR, ONLY_SIMILARITY, "", " ", BOTH]
SHAPES = ["circle", "circle", "cross", "square", "triangle-down", "circle", "circle", "circle"]
CLOSE, REPEATS = "close to the question (good)", "like an earlier pick (bad)"
UNLIKE = "unlike each other (variety)"
LABEL_PIXELS = 150
NAME_PIXELS = 130


def rank_changes(ends: pd.DataFrame) -> alt.LayerChart:
    """Draw each row's way from its similarity rank to its MMR pick.

    A row is one end of a line. Columns: key, name, fate, side ("similarity" or "mmr"), x (0 or 1),
    y (slot from the top), rank, pick.
    """
    base = alt.Chart(ends).encode(
        x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-1.5, 2.5])),
        y=alt.Y("y:Q", axis=None, scale=alt.Scale(reverse=True, zero=False, padding=12)),
        tooltip=[
            alt.Tooltip("name:N", title="Row"),
            alt.Tooltip("rank:Q", title="Similarity rank"),
            alt.Tooltip("pick:Q", title="MMR pick"),
        ],
    )
    fate = _fate([BOTH, ONLY_MMR, ONLY_SIMILARITY])
    lines = base.mark_line(strokeWidth=2.5).encode(detail=alt.Detail("key:N"), color=fate["color"])
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(**fate)
    left = _end(base.transform_filter("datum.side == 'similarity'"), "rank", "right", -1)
    right = _end(base.transform_filter("datum.side == 'mmr'"), "pick", "left", 1)
    chart: alt.LayerChart = lines + dots + left + right
    return chart


def _end(
    base: alt.Chart, number: str, align: Literal["left", "right"], direction: int
) -> alt.LayerChart:
    # Number and name are two marks, so that only a long name is cut.
    numbers = base.mark_text(align=align, dx=10 * direction, fontSize=13, fontWeight="bold")
    names = base.mark_text(align=align, dx=34 * direction, fontSize=13, limit=NAME_PIXELS)
    chart: alt.LayerChart = numbers.encode(text=alt.Text(f"{number}:Q")) + names.encode(
        text=alt.Text("name:N")
    )
    return chart


def over_lambda(curve: pd.DataFrame) -> alt.LayerChart:
    """Draw how close to the question and how unlike each other the results are for every λ.

    Columns: lambda_mult, measure (CLOSE or UNLIKE), value, current (true for the chosen λ).
    """
    base = alt.Chart(curve).encode(
        x=alt.X("lambda_mult:Q", title="λ", scale=alt.Scale(domain=[0, 1])),
        # The data come after the specification: a scale that waits for them warns in the console.
        y=alt.Y("value:Q", title="Mean, by cosine", scale=alt.Scale(domain=[0, 1])),
        opacity=_measures([CLOSE, UNLIKE]),
        tooltip=[
            alt.Tooltip("lambda_mult:Q", title="λ", format=".2f"),
            alt.Tooltip("measure:N", title="Measure"),
            alt.Tooltip("value:Q", title="Mean", format=".3f"),
        ],
    )
    lines = base.transform_filter("!datum.current").mark_line(
        color="gray", strokeWidth=3, point=alt.OverlayMarkDef(color="gray", size=45)
    )
    here = base.transform_filter("datum.current")
    dots = here.mark_point(filled=True, size=220, color="gray")
    values = here.mark_text(dy=-18, fontSize=14, fontWeight="bold").encode(
        text=alt.Text("value:Q", format=".2f"), opacity=alt.OpacityValue(1)
    )
    chart: alt.LayerChart = lines + dots + values
    return chart


def pick_order(table: pd.DataFrame) -> alt.LayerChart:
    """Draw each pick's relevance and its similarity to what was picked before.

    Columns: pick (its number and name), position, measure (CLOSE or REPEATS), value, other (the
    earlier pick it is most like, or "").
    """
    base = alt.Chart(table).encode(
        y=alt.Y(
            "pick:N",
            sort=alt.SortField("position"),
            title=None,
            axis=alt.Axis(labelLimit=LABEL_PIXELS, grid=False),
        ),
        yOffset=alt.YOffset("measure:N"),
        x=alt.X(
            "value:Q",
            title="Cosine similarity",
            scale=alt.Scale(domainMin=0),
            axis=alt.Axis(tickCount=5),
        ),
        tooltip=[
            alt.Tooltip("pick:N", title="Pick"),
            alt.Tooltip("measure:N", title="Measure"),
            alt.Tooltip("value:Q", title="Cosine similarity", format=".3f"),
            alt.Tooltip("other:N", title="Most like"),
        ],
    )
    bars = base.mark_bar(cornerRadiusEnd=2, color="gray").encode(
        opacity=_measures([CLOSE, REPEATS])
    )
    numbers = base.mark_text(align="left", dx=4, fontSize=13).encode(
        text=alt.Text("value:Q", format=".2f")
    )
    chart: alt.LayerChart = bars + numbers
    return chart


def plane(table: pd.DataFrame) -> alt.LayerChart:
    """Draw the question, the candidates and the picks in two dimensions.

    Columns: x, y, key, name, fate, caption (the numbers of the picks there), rank, relevance,
    chosen.
    Points can be clicked: the selection is called "rows" and carries `key`.
    """
    rows = alt.selection_point(name="rows", fields=["key"], toggle=True, empty=False)
    axis = alt.Axis(labels=False, ticks=False, grid=False, domain=False)
    everything = alt.Chart(table).encode(
        x=alt.X("x:Q", title="First principal component", axis=axis, scale=_room()),
        y=alt.Y("y:Q", title="Second principal component", axis=axis, scale=_room()),
        tooltip=[
            alt.Tooltip("name:N", title="Row"),
            alt.Tooltip("rank:Q", title="Similarity rank"),
            alt.Tooltip("relevance:Q", title="Relevance", format=".3f"),
            alt.Tooltip("fate:N", title="Status"),
        ],
    )
    base = everything.transform_filter(f"datum.fate != '{QUERY}'")
    dots = (
        base.mark_point(filled=True)
        .encode(
            **_fate([BOTH, ONLY_MMR, ONLY_SIMILARITY, CANDIDATE]),
            size=alt.condition(f"datum.fate == '{CANDIDATE}'", alt.value(70), alt.value(240)),
            opacity=alt.condition(f"datum.fate == '{CANDIDATE}'", alt.value(0.45), alt.value(1)),
            stroke=alt.condition("datum.chosen", alt.value("gray"), alt.value(None)),
            strokeWidth=alt.condition("datum.chosen", alt.value(5), alt.value(0)),
        )
        .add_params(rows)
    )
    question = everything.transform_filter(f"datum.fate == '{QUERY}'").mark_point(
        shape="diamond", size=320, strokeWidth=3, color="gray"
    )
    names = everything.mark_text(dy=-16, fontSize=13, limit=LABEL_PIXELS).encode(
        text=alt.Text("caption:N")
    )
    chart: alt.LayerChart = dots + question + names
    return chart


def _fate(shown: list[str]) -> dict[str, alt.Color | alt.Shape]:
    """Return colour and shape of what became of a row, with one legend for both."""
    legend = alt.Legend(title=None, orient="bottom", values=shown, columns=2)
    return {
        "color": alt.Color("fate:N", scale=alt.Scale(domain=SERIES), legend=legend),
        "shape": alt.Shape("fate:N", scale=alt.Scale(domain=SERIES, range=SHAPES), legend=legend),
    }


def _measures(measures: list[str]) -> alt.Opacity:
    # Two shades of one neutral colour: the hues of this page say what became of a row.
    return alt.Opacity(
        "measure:O",
        scale=alt.Scale(domain=measures, range=[1.0, 0.4]),
        legend=alt.Legend(title=None, orient="top", labelLimit=320, columns=1),
    )


def _room() -> alt.Scale:
    return alt.Scale(zero=False, padding=26)
