"""The search page's charts: a data frame in, an `alt.Chart` out.

Colours come from the theme. `SERIES` lists what a colour can mean, in the palette's order, so that
one thing has one colour in all charts of the page and the palette's first two stay what they are
everywhere in the app: sync and async.
"""

import altair as alt
import pandas as pd

BOTH, ONLY_MMR, ONLY_SIMILARITY = "in both lists", "brought in by MMR", "dropped by MMR"
CANDIDATE, QUERY = "other candidate", "the question"
SERIES = ["sync", "async", BOTH, ONLY_MMR, ONLY_SIMILARITY, CANDIDATE, QUERY]
SHAPES = ["circle", "circle", "circle", "square", "triangle-down", "circle", "diamond"]
ROW_HEIGHT = 34
LABEL_PIXELS = 150


def rank_changes(table: pd.DataFrame, title: str) -> alt.LayerChart:
    """Draw each row's way from its similarity rank to its MMR pick.

    Columns: key, name, fate, left (slot in the similarity list), rank, right (slot in the MMR
    list, missing for a row that MMR dropped).
    """
    left = table.assign(x=0.0, y=table["left"], label=table["rank"].map("{}  ".format))
    left["label"] = table["name"] + "  " + table["rank"].astype(str)
    right = table.dropna(subset=["right"])
    right = right.assign(x=1.0, y=right["right"])
    right["label"] = right["right"].astype(int).astype(str) + "  " + right["name"]
    ends = pd.concat([left, right], ignore_index=True)
    base = alt.Chart(ends).encode(
        x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-1.1, 2.1])),
        y=alt.Y("y:Q", axis=None, scale=alt.Scale(reverse=True, zero=False, padding=14)),
        color=_color([BOTH, ONLY_MMR, ONLY_SIMILARITY]),
        tooltip=[
            alt.Tooltip("name:N", title="Row"),
            alt.Tooltip("rank:Q", title="Similarity rank"),
            alt.Tooltip("right:Q", title="MMR pick"),
        ],
    )
    lines = base.mark_line(strokeWidth=2.5).encode(detail="key:N")
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(shape=_shape())
    on_left = (
        base.mark_text(align="right", dx=-10, limit=LABEL_PIXELS, fontSize=12)
        .encode(text="label:N", color=alt.value("gray"))
        .transform_filter("datum.x == 0")
    )
    on_right = (
        base.mark_text(align="left", dx=10, limit=LABEL_PIXELS, fontSize=12)
        .encode(text="label:N", color=alt.value("gray"))
        .transform_filter("datum.x == 1")
    )
    chart: alt.LayerChart = (lines + dots + on_left + on_right).properties(
        title=_title(title, "left: similarity rank, right: MMR pick"),
        height=max(len(table) * ROW_HEIGHT, 180),
    )
    return chart


def relevance_diversity(curve: pd.DataFrame, title: str) -> alt.LayerChart:
    """Draw what every λ gives, with the chosen one as the large point.

    Columns: lambda_mult, relevance, diversity, current (true for the chosen λ).
    """
    axes = alt.Chart(curve).encode(
        x=alt.X(
            "relevance:Q",
            title="Relevance: mean similarity to the question",
            scale=alt.Scale(zero=False, padding=20),
        ),
        y=alt.Y(
            "diversity:Q",
            title="Diversity: 1 − mean similarity of results",
            scale=alt.Scale(zero=False, padding=20),
        ),
        order="lambda_mult:Q",
        tooltip=[
            alt.Tooltip("lambda_mult:Q", title="λ", format=".2f"),
            alt.Tooltip("relevance:Q", title="Relevance", format=".3f"),
            alt.Tooltip("diversity:Q", title="Diversity", format=".3f"),
        ],
    )
    line = axes.mark_line(color="gray", strokeWidth=1.5, opacity=0.6)
    steps = axes.mark_point(filled=True, size=45, color="gray", opacity=0.7)
    ends = (
        axes.mark_text(dy=-12, fontSize=12, color="gray")
        .encode(text=alt.Text("lambda_mult:Q", format=".2~f"))
        .transform_filter("datum.label && !datum.current")
    )
    current = axes.transform_filter("datum.current")
    here = current.mark_point(filled=True, size=260, opacity=1).encode(
        color=alt.Color("series:N", scale=alt.Scale(domain=SERIES), legend=None)
    )
    label = current.mark_text(dy=-17, fontSize=14, fontWeight="bold", color="gray").encode(
        text="name:N"
    )
    chart: alt.LayerChart = (line + steps + ends + here + label).properties(
        title=_title(title), height=300
    )
    return chart


def pick_order(table: pd.DataFrame, title: str) -> alt.LayerChart:
    """Draw each pick's relevance and its similarity to what was picked before.

    Columns: pick (its number and name), position, measure, value, other (the earlier pick it is
    most like, or "").
    """
    base = alt.Chart(table).encode(
        y=alt.Y("pick:N", sort=alt.SortField("position"), title=None, axis=_names()),
        yOffset=alt.YOffset("measure:N"),
        x=alt.X("value:Q", title="Cosine similarity", scale=alt.Scale(domainMin=0)),
        tooltip=[
            alt.Tooltip("pick:N", title="Pick"),
            alt.Tooltip("measure:N", title="Measure"),
            alt.Tooltip("value:Q", title="Cosine similarity", format=".3f"),
            alt.Tooltip("other:N", title="Most like"),
        ],
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        color=alt.Color(
            "measure:N",
            scale=alt.Scale(domain=[*SERIES[:3], *table["measure"].unique()]),
            legend=alt.Legend(
                title=None, orient="top", values=list(table["measure"].unique()), labelLimit=320
            ),
        )
    )
    numbers = base.mark_text(align="left", dx=4, fontSize=11, color="gray").encode(
        text=alt.Text("value:Q", format=".2f")
    )
    rows = table["pick"].nunique()
    chart: alt.LayerChart = (bars + numbers).properties(
        title=_title(title), height=max(rows * 44 + 40, 160)
    )
    return chart


def plane(table: pd.DataFrame, title: str, subtitle: str) -> alt.LayerChart:
    """Draw the question, the candidates and the picks in two dimensions.

    Columns: x, y, key, name, fate, label (pick number or ""), rank, relevance, chosen. Points can
    be clicked: the selection is called "rows" and carries `key`.
    """
    rows = alt.selection_point(name="rows", fields=["key"], toggle=True, empty=False)
    axis = alt.Axis(labels=False, ticks=False, grid=False, domain=False)
    base = alt.Chart(table).encode(
        x=alt.X("x:Q", title="First principal component", axis=axis, scale=_room()),
        y=alt.Y("y:Q", title="Second principal component", axis=axis, scale=_room()),
        tooltip=[
            alt.Tooltip("name:N", title="Row"),
            alt.Tooltip("rank:Q", title="Similarity rank"),
            alt.Tooltip("relevance:Q", title="Relevance", format=".3f"),
            alt.Tooltip("fate:N", title="Status"),
        ],
    )
    dots = (
        base.mark_point(filled=True, stroke="gray")
        .encode(
            color=_color([BOTH, ONLY_MMR, ONLY_SIMILARITY, CANDIDATE, QUERY]),
            shape=_shape(),
            size=alt.condition(f"datum.fate == '{CANDIDATE}'", alt.value(70), alt.value(240)),
            opacity=alt.condition(f"datum.fate == '{CANDIDATE}'", alt.value(0.45), alt.value(1)),
            strokeWidth=alt.condition("datum.chosen", alt.value(4), alt.value(0)),
        )
        .add_params(rows)
    )
    names = (
        base.mark_text(dy=-14, fontSize=12, color="gray", limit=LABEL_PIXELS)
        .encode(text="caption:N")
        .transform_filter("datum.caption != ''")
    )
    chart: alt.LayerChart = (dots + names).properties(title=_title(title, subtitle), height=420)
    return chart


def waterfall(calls: pd.DataFrame, title: str) -> alt.Chart:
    """Draw every call as a bar from its start to its end, one panel a strategy.

    Columns: strategy, kind ("sync" or "async"), call, start_ms, end_ms.
    """
    strategies = list(calls["strategy"].unique())
    chart: alt.Chart = (
        alt.Chart(calls)
        .mark_bar(height=alt.RelativeBandSize(1))
        .encode(
            x=alt.X("start_ms:Q", title="Time since the first call (ms)"),
            x2="end_ms:Q",
            y=alt.Y("call:O", axis=None),
            color=_kind(),
            tooltip=[
                alt.Tooltip("strategy:N", title="Strategy"),
                alt.Tooltip("call:Q", title="Query"),
                alt.Tooltip("start_ms:Q", title="Start (ms)", format=".1f"),
                alt.Tooltip("end_ms:Q", title="End (ms)", format=".1f"),
            ],
            row=alt.Row(
                "strategy:N",
                sort=strategies,
                title=None,
                header=alt.Header(labelAngle=0, labelAlign="left", labelOrient="top"),
            ),
        )
        .properties(title=_title(title), height=110)
        .resolve_scale(y="independent")
    )
    return chart


def totals(runs: pd.DataFrame, title: str) -> alt.LayerChart:
    """Draw the wall time of each strategy. Columns: strategy, kind, wall_ms, label."""
    base = alt.Chart(runs).encode(
        y=alt.Y("strategy:N", sort=list(runs["strategy"]), title=None, axis=_names()),
        x=alt.X("wall_ms:Q", title="Time for all queries (ms)", scale=_room_for_labels(runs)),
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(color=_kind())
    labels = base.mark_text(align="left", dx=5, fontSize=13, color="gray").encode(text="label:N")
    chart: alt.LayerChart = (bars + labels).properties(
        title=_title(title), height=len(runs) * 46 + 20
    )
    return chart


def _color(shown: list[str]) -> alt.Color:
    return alt.Color(
        "fate:N",
        scale=alt.Scale(domain=SERIES),
        legend=alt.Legend(title=None, orient="bottom", values=shown, columns=3),
    )


def _shape() -> alt.Shape:
    return alt.Shape("fate:N", scale=alt.Scale(domain=SERIES, range=SHAPES), legend=None)


def _kind() -> alt.Color:
    return alt.Color(
        "kind:N",
        scale=alt.Scale(domain=SERIES[:2]),
        legend=alt.Legend(title=None, orient="top", values=SERIES[:2]),
    )


def _names() -> alt.Axis:
    return alt.Axis(labelLimit=LABEL_PIXELS, labelFontSize=12, grid=False)


def _room() -> alt.Scale:
    return alt.Scale(zero=False, padding=26)


def _room_for_labels(runs: pd.DataFrame) -> alt.Scale:
    return alt.Scale(domain=[0, float(runs["wall_ms"].max()) * 1.35])


def _title(text: str, subtitle: str = "") -> alt.TitleParams:
    lines = [line for line in subtitle.split("\n") if line]
    return alt.TitleParams(text=text, subtitle=lines, anchor="start")
