"""Similarity beside MMR: the λ slider, what it changes, and why."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lib.milvus.milvus_collections import Metric
from lib.programs.snippet import Snippet
from lib.results.ranking import DEFAULT_K
from lib.search import charts as search_charts
from lib.search import mmr
from lib.search.ask import Candidates, Timing, TwoLists, compare
from lib.search.charts import CLOSE, REPEATS, UNLIKE
from lib.ui.search.form import lambda_input, more_like
from lib.ui.search.map import show_map
from lib.ui.visitor import session
from lib.ui.widgets.chart import show_table_chart
from lib.ui.widgets.exports import download
from lib.ui.widgets.snippet import snippet
from lib.ui.widgets.style import in_view
from lib.ui.widgets.text import around, highlighted, literal
from lib.words import counted

PREVIEW_CHARACTERS = 48
SHOWN_ROWS = 50
LIST_PIXELS = 460  # a longer list scrolls inside, so that λ stays beside it
AROUND_PIXELS = 110  # what axis and legend take of a chart's height
NOTHING_ANSWERS = "Nothing here answers this well"


def show_comparison(
    found: Candidates,
    metric: Metric,
    code: Callable[[float], Snippet],
    weak: tuple[bool, ...],
) -> None:
    """Draw similarity's list, and in a fragment all that λ changes.

    `weak` says of each candidate whether it is no better than chance. It is empty while that is
    not known.
    """
    bar = in_view("lambda_bar")
    if weak and all(weak):
        st.warning(
            "These scores are no better than for random text.",
            title=NOTHING_ANSWERS,
            icon=":material/search_off:",
        )
    similar, diverse = st.columns(2)
    with similar:
        st.markdown("**Nearest** :gray[similarity search]")
        _list(found, compare(found, 1.0).similar, weak, "similar")
    st.caption(f"{timing_line(found.timing)} Score: {metric.label}; {metric.explanation}.")
    below = st.container()
    # A fragment can only redraw a container that the page has written to.
    bar.empty()
    diverse.empty()
    _show_lambda(found, code, weak, bar, diverse, below)


@st.fragment(key="comparison")
def _show_lambda(
    found: Candidates,
    code: Callable[[float], Snippet],
    weak: tuple[bool, ...],
    bar: DeltaGenerator,
    diverse: DeltaGenerator,
    below: DeltaGenerator,
) -> None:
    """Draw everything that λ changes; moving the slider runs this alone."""
    with bar:
        slider, sentence = st.columns([2, 3], vertical_alignment="center", gap="medium")
        with slider:
            comparison = compare(found, lambda_input())
        sentence.markdown(f"## {takeaway(comparison)}")
    with diverse:
        st.markdown(f"**With variety, λ = {comparison.lambda_mult:g}** :gray[MMR]")
        _list(found, comparison.chosen, weak, "diverse")
    with below:
        # Only the open tab is drawn: every element costs time whenever λ moves.
        tabs = st.tabs(list(CLOSER), on_change="rerun", key="closer")
        for tab, show in zip(tabs, CLOSER.values(), strict=True):
            if tab.open:
                with tab:
                    show(comparison, code)


def takeaway(lists: TwoLists) -> str:
    """Say in one sentence what MMR changes at this λ."""
    k = len(lists.similar)
    if not lists.brought_in:
        order = "another" if lists.chosen != lists.similar else "the same"
        return f"MMR shows the same {counted(k, 'row')} in {order} order"
    before, after = lists.sources(lists.similar), lists.sources(lists.chosen)
    replaced = f"MMR replaces {lists.brought_in} of {counted(k, 'row')}"
    if before == after:
        return f"{replaced} for more variety"
    return f"{replaced}: {counted(after, lists.found.hits[0].source[0])} instead of {before}"


def timing_line(timing: Timing) -> str:
    """Say where the time of an answer went."""
    return (
        f"Answered in **{timing.total_ms:.1f} ms**: embedding {timing.embed_ms:.1f} ms, "
        f"Milvus {timing.milvus_ms:.1f} ms, this app {timing.app_ms:.1f} ms."
    ) + (
        f" The embedding service refused at first: waited {timing.waited_ms / 1000:.1f} s."
        if timing.waited_ms
        else ""
    )


def _list(found: Candidates, indexes: tuple[int, ...], weak: tuple[bool, ...], side: str) -> None:
    height: Any = "content" if len(indexes) <= DEFAULT_K else LIST_PIXELS
    with st.container(key=f"list_{side}", height=height, border=False, gap="xsmall"):
        for position, index in enumerate(indexes[:SHOWN_ROWS], 1):
            _row(found, index, position, _badges(found, indexes, position, weak), side)


def _badges(
    found: Candidates, indexes: tuple[int, ...], position: int, weak: tuple[bool, ...]
) -> str:
    """Return a row's marks: where it stood by similarity, which row it repeats, a weak match."""
    index = indexes[position - 1]
    badges = []
    if index + 1 != position:
        arrow = "arrow_upward" if index + 1 > position else "arrow_downward"
        badges.append(f":violet-badge[:material/{arrow}: from {index + 1}]")
    repeats = mmr.near_duplicates(found.space, indexes[:position])
    if index in repeats:
        badges.append(f":orange-badge[repeats {indexes.index(repeats[index][0]) + 1}]")
    if weak and weak[index]:
        badges.append(":gray-badge[weak]")
    return " ".join(badges)


def _row(found: Candidates, index: int, position: int, badges: str, side: str) -> None:
    """Draw one row of a list: few elements, as each is a message to the browser when λ moves."""
    hit = found.hits[index]
    score = f":gray[{hit.score:.3f}]" if hit.score is not None else ""
    asked = "" if found.question.like else found.question.query
    preview = around(hit.text.removeprefix(f"{hit.title}:"), asked, PREVIEW_CHARACTERS)
    with st.container(horizontal=True, gap="xxsmall", wrap=False):
        st.markdown(
            f"**{position}. {literal(hit.title)}** {score} {badges}  \n"
            f":small[{highlighted(preview, asked)}]",
            width="stretch",
        )
        # The key is the row's own: the popover closes when its row leaves the list.
        with st.popover(
            "",
            type="tertiary",
            icon=":material/more_horiz:",
            key=f"more_{side}_{hit.key}",
            help="The whole row",
        ):
            st.button(
                "More like this",
                key=f"like_{side}_{hit.key}",
                icon=":material/join:",
                on_click=more_like,
                args=(hit.key,),
            )
            facts = {"key": hit.key} | hit.metadata
            st.text(
                "\n".join(f"{name}: {value}" for name, value in facts.items()) + f"\n\n{hit.text}"
            )


def _rank_changes(comparison: TwoLists, code: Callable[[float], Snippet]) -> None:
    shown = sorted({*comparison.similar, *comparison.chosen})
    picks = {index: place for place, index in enumerate(comparison.chosen, 1)}
    ends = []
    for slot, index in enumerate(shown, 1):
        name, rank, pick = comparison.found.hits[index].title, index + 1, picks.get(index)
        row = {
            "key": comparison.found.hits[index].key,
            "name": name,
            "fate": comparison.fate(index),
            "rank": rank,
            "pick": pick,
        }
        ends.append(row | {"side": "similarity", "x": 0, "y": slot})
        if pick is not None:
            ends.append(row | {"side": "mmr", "x": 1, "y": pick})
    deepest = max(comparison.chosen, default=0) + 1
    finding = f"MMR reaches down to rank {deepest}" if comparison.brought_in else "The same rows"
    st.markdown(f"**{finding}**")
    st.caption("Left: rank in similarity search. Right: pick of MMR.")
    show_table_chart(
        search_charts.rank_changes,
        pd.DataFrame(ends),
        height=2 * len(comparison.similar) * 30 + AROUND_PIXELS,
        alt=f"{finding}. {takeaway(comparison)}",
        key="rank_changes",
    )


def _trade_off(comparison: TwoLists, code: Callable[[float], Snippet]) -> None:
    here = comparison.spread(comparison.chosen)
    found = comparison.found
    curve = session.made_once(
        "search_curve", found, lambda: mmr.curve(found.space, found.question.k)
    )
    points = [(point.lambda_mult, point.spread, False) for point in curve] + [
        (comparison.lambda_mult, here, True)
    ]
    table = pd.DataFrame(
        {"lambda_mult": lambda_mult, "measure": measure, "value": value, "current": current}
        for lambda_mult, spread, current in points
        for measure, value in (
            (CLOSE, spread.mean_relevance),
            (UNLIKE, 1 - spread.mean_similarity),
        )
    )
    st.caption("Towards λ = 0: more variety, less close to the question.")
    show_table_chart(
        search_charts.over_lambda,
        table,
        height=320,
        alt=f"At λ = {comparison.lambda_mult:g} the results are {here.mean_relevance:.2f} close to "
        f"the question and {1 - here.mean_similarity:.2f} unlike each other, by cosine",
        key="over_lambda",
    )


def _pick_order(comparison: TwoLists, code: Callable[[float], Snippet]) -> None:
    picks = mmr.picks(comparison.found.space, comparison.chosen, comparison.lambda_mult)
    hits = comparison.found.hits
    rows = []
    for pick in picks:
        name = f"{pick.position}. {hits[pick.candidate].title}"
        closest = hits[pick.closest].title if pick.closest is not None else ""
        common = {"pick": name, "position": pick.position}
        rows.append(common | {"measure": CLOSE, "value": pick.relevance, "other": ""})
        if pick.closest is not None:
            rows.append(common | {"measure": REPEATS, "value": pick.redundancy, "other": closest})
    st.caption(
        "MMR wants the strong bar long and the faint one short; λ weighs them. For the first pick "
        "only closeness counts."
    )
    show_table_chart(
        search_charts.pick_order,
        pd.DataFrame(rows),
        height=len(picks) * 46 + AROUND_PIXELS,
        alt="; ".join(
            f"pick {pick.position} is {pick.relevance:.2f} close to the question" for pick in picks
        ),
        key="pick_order",
    )


def _take_away(comparison: TwoLists, code: Callable[[float], Snippet]) -> None:
    document = {
        "question": asdict(comparison.found.question),
        "lambda_mult": comparison.lambda_mult,
        "timing": asdict(comparison.found.timing),
    }
    answer_downloads(_rows(comparison), document, key="comparison")
    snippet(
        lambda: code(comparison.lambda_mult), key="search_code", title="The code for both searches"
    )


CLOSER: dict[str, Callable[[TwoLists, Callable[[float], Snippet]], None]] = {
    "What λ does": _trade_off,
    "Rank changes": _rank_changes,
    "Why each row was picked": _pick_order,
    "Map of the candidates": lambda comparison, code: show_map(comparison),
    "Code and export": _take_away,
}


def _rows(comparison: TwoLists) -> list[dict[str, Any]]:
    found = comparison.found
    lists = {"similarity": comparison.similar, "mmr": comparison.chosen}
    return [
        {
            "list": name,
            "position": position,
            "key": found.hits[index].key,
            "score": found.hits[index].score,
            "relevance": float(found.space.relevance[index]),
            "text": found.hits[index].text,
        }
        | found.hits[index].metadata
        for name, indexes in lists.items()
        for position, index in enumerate(indexes, 1)
    ]


def answer_downloads(rows: list[dict[str, Any]], document: dict[str, Any], *, key: str) -> None:
    """Draw the downloads of an answer: its rows as CSV, everything as JSON."""

    def as_csv() -> str:
        return str(pd.DataFrame(rows).to_csv(index=False))

    def as_json() -> str:
        return json.dumps(document | {"results": rows}, ensure_ascii=False, indent=2, default=str)

    with st.container(horizontal=True):
        download("CSV", as_csv, "search.csv", "text/csv", key=f"{key}_csv")
        download("JSON", as_json, "search.json", "application/json", key=f"{key}_json")
