"""The candidates of a search in two dimensions, linked with a table by selection."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from lib.search import charts as search_charts
from lib.search import mmr
from lib.search.ask import TwoLists
from lib.search.charts import QUERY
from lib.ui.visitor import session
from lib.ui.widgets.chart import show_table_chart
from lib.ui.widgets.table import show_table

# The room that a label takes, as a share of the map's width and height.
LABEL_SIZE = (0.12, 0.06)


def show_map(comparison: TwoLists) -> None:
    """Draw question, candidates and picks, and the table below them."""
    found = comparison.found
    flat = session.made_once(
        "search_map", found, lambda: mmr.project(found.query_vector, found.vectors)
    )
    selected = st.session_state.get("map_rows", set())
    captions = captions_of(flat, comparison.chosen)
    rows = [
        {
            "x": float(flat.candidates[index, 0]),
            "y": float(flat.candidates[index, 1]),
            "key": hit.key,
            "name": hit.title,
            "fate": comparison.fate(index),
            "caption": captions.get(index, ""),
            "rank": hit.rank,
            "relevance": float(found.space.relevance[index]),
            "chosen": hit.key in selected,
        }
        for index, hit in enumerate(found.hits)
    ]
    rows.append(
        {
            "x": float(flat.query[0]),
            "y": float(flat.query[1]),
            "key": "",
            "name": found.question.like or found.question.query,
            "fate": QUERY,
            "caption": captions[len(found.hits)],
            "rank": None,
            "relevance": 1.0,
            "chosen": False,
        }
    )
    first, second = flat.explained
    st.caption(
        f"Approximate: the map keeps {first + second:.0%} of the variance of "
        f"{found.vectors.shape[1]:,} dimensions; neighbours are computed in all of them. Click "
        "points to find them in the table."
    )
    event = show_table_chart(
        search_charts.plane,
        pd.DataFrame(rows),
        height=520,
        alt=f"A map of the question, its {len(found.hits)} candidates and the "
        f"{len(comparison.chosen)} picks",
        key="map",
        selectable=True,
    )
    clicked = {point.get("key") for point in event.selection.get("rows", [])}
    st.caption(f"{len(clicked) or len(found.hits)} of {len(found.hits)} candidates")
    _candidate_table(comparison, clicked)


def captions_of(flat: mmr.Projection, chosen: Sequence[int]) -> dict[int, str]:
    """Return the labels of the picks by index, and the question's label after the last candidate.

    Picks that are too near to each other share one label, such as "2, 4".
    """
    points = np.vstack([flat.candidates, flat.query])
    places = (points - points.min(axis=0)) / np.maximum(np.ptp(points, axis=0), 1e-9)
    captions = {len(flat.candidates): QUERY}
    for number, index in enumerate(chosen, 1):
        near = (
            other
            for other in captions
            if (np.abs(places[other] - places[index]) < LABEL_SIZE).all()
        )
        holder = next(near, index)
        captions[holder] = ", ".join(filter(None, (captions.get(holder), str(number))))
    return captions


def _candidate_table(comparison: TwoLists, clicked: set[str | None]) -> None:
    space, hits = comparison.found.space, comparison.found.hits
    picked = {index: place for place, index in enumerate(comparison.chosen, 1)}
    rows = [
        {
            "Rank": hit.rank,
            "Row": hit.title,
            "Score": hit.score,
            "Relevance": float(space.relevance[index]),
            "MMR pick": str(picked.get(index, "")),
            "Status": comparison.fate(index),
            "key": hit.key,
        }
        for index, hit in enumerate(hits)
        if not clicked or hit.key in clicked
    ]
    show_table(
        rows,
        key="candidates",
        on_select=_mark_rows if not clicked else "ignore",
        selection_mode="multi-row",
        column_config={
            "Score": st.column_config.NumberColumn(format="%.3f"),
            "Relevance": st.column_config.ProgressColumn(
                format="%.3f", min_value=0.0, max_value=1.0
            ),
            "key": None,
        },
        height=min(38 + 35 * len(rows), 320),
        alt="The candidates of this search",
    )
    st.session_state["map_table_keys"] = [row["key"] for row in rows]


def _mark_rows() -> None:
    """Remember the rows selected in the table, which the map then rings."""
    keys = st.session_state.get("map_table_keys", [])
    rows = st.session_state["candidates"].selection.rows
    st.session_state["map_rows"] = {keys[row] for row in rows if row < len(keys)}
