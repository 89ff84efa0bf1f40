"""Similarity beside MMR: the λ slider, what it changes, and why."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lib.milvus.snippets import Snippet
from lib.search import charts as search_charts
from lib.search import mmr
from lib.search.ask import ONLY_MMR, Candidates, ScoreMetric, Timing, TwoLists, compare
from lib.search.charts import CLOSE, REPEATS
from lib.ui.common.chart import show_table_chart
from lib.ui.common.snippet import snippet
from lib.ui.common.text import highlighted, literal
from lib.ui.search.form import lambda_input, more_like
from lib.ui.search.map import show_map

PREVIEW_CHARACTERS = 280
HOW_TO_READ = (
    "Move λ: at 1, MMR shows the nearest rows, like similarity search; towards 0 its results "
    "become as different from each other as the candidates allow."
)
AROUND_PIXELS = 110  # what axis and legend take of a chart's height


def show_comparison(
    found: Candidates, metric: ScoreMetric, code: Callable[[float], Snippet]
) -> None:
    """Draw both lists. Similarity's stays as it is; what λ changes is drawn by a fragment."""
    above = st.container()
    similar, diverse = st.columns(2)
    below = st.container()
    # A fragment can redraw a container of the page's that the page has written to.
    above.caption(HOW_TO_READ)
    diverse.subheader("MMR")
    below.subheader("Look closer")
    indexes = compare(found, 1.0).similar
    with similar:
        st.subheader("Similarity search")
        st.caption(f"The {len(indexes)} nearest rows. Score: {metric.label}; {metric.explanation}.")
        _cards(found, indexes, "similar")
    _show_lambda(found, code, above, diverse, below)


@st.fragment(key="comparison")
def _show_lambda(
    found: Candidates,
    code: Callable[[float], Snippet],
    above: DeltaGenerator,
    diverse: DeltaGenerator,
    below: DeltaGenerator,
) -> None:
    """Draw everything that λ changes; moving the slider runs this alone."""
    with above:
        lambda_mult = lambda_input()
        comparison = compare(found, lambda_mult)
        st.markdown(f"#### {takeaway(comparison)}")
        _metrics(comparison)
        changes, trade_off = st.columns([3, 2])
        with changes:
            _rank_changes(comparison)
        with trade_off:
            _trade_off(comparison)
    with diverse:
        st.caption(
            f"λ = {lambda_mult:g}. Picked one by one: each time the highest λ × relevance − "
            "(1 − λ) × similarity to what is already picked."
        )
        _cards(found, comparison.chosen, "diverse")
    with below:
        # Only the open tab is drawn: every element costs time whenever λ moves.
        tabs = st.tabs(list(CLOSER), on_change="rerun", key="closer")
        for tab, show in zip(tabs, CLOSER.values(), strict=True):
            if tab.open:
                with tab:
                    show(comparison, code)


def takeaway(comparison: TwoLists) -> str:
    """Say in one sentence what MMR changes at this λ."""
    before, after = (
        comparison.spread(comparison.similar),
        comparison.spread(comparison.chosen),
    )
    brought_in, k = comparison.brought_in, len(comparison.similar)
    if not brought_in:
        moved = comparison.chosen != comparison.similar
        return f"λ = {comparison.lambda_mult:g}: MMR shows the same {k} rows" + (
            " in another order." if moved else " in the same order."
        )
    return (
        f"λ = {comparison.lambda_mult:g}: MMR swaps {brought_in} of {k} results. They repeat each "
        f"other {_percent(before.mean_similarity, after.mean_similarity)} and are "
        f"{_percent(before.mean_relevance, after.mean_relevance)} close to the question."
    )


def timing_line(timing: Timing) -> str:
    """Say where the time of an answer went."""
    return (
        f"Answered in **{timing.total_ms:.1f} ms**: embedding {timing.embed_ms:.1f} ms, "
        f"Milvus {timing.milvus_ms:.1f} ms, this app {timing.app_ms:.1f} ms."
    )


def _percent(before: float, after: float) -> str:
    """Word a change: '31 % less', 'as much', '4 % more'."""
    if not before:
        return "as much"
    change = (after - before) / abs(before) * 100
    if abs(change) < 0.5:
        return "as much"
    return f"{abs(change):.0f} % {'more' if change > 0 else 'less'}"


def _metrics(comparison: TwoLists) -> None:
    before, after = comparison.spread(comparison.similar), comparison.spread(comparison.chosen)
    with st.grid(3):
        st.metric(
            "Relevance",
            f"{after.mean_relevance:.3f}",
            f"{after.mean_relevance - before.mean_relevance:+.3f}",
            border=True,
            delta_description="against similarity",
            help="Mean cosine similarity of the results to the question: higher is closer.",
        )
        st.metric(
            "Repetition",
            f"{after.mean_similarity:.3f}",
            f"{after.mean_similarity - before.mean_similarity:+.3f}",
            delta_color="inverse",
            border=True,
            delta_description="against similarity",
            help="Mean cosine similarity over all pairs of results: lower is more diverse.",
        )
        sources = comparison.sources(comparison.chosen)
        st.metric(
            "Distinct sources",
            f"{sources} of {len(comparison.chosen)}",
            f"{sources - comparison.sources(comparison.similar):+d}",
            border=True,
            delta_description="against similarity",
            help="How many modules, files or other sources the results come from.",
        )


def _rank_changes(comparison: TwoLists) -> None:
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
        alt="How each row's similarity rank became its MMR pick",
        key="rank_changes",
    )


def _trade_off(comparison: TwoLists) -> None:
    here = comparison.spread(comparison.chosen)
    points = [
        {
            "lambda_mult": point.lambda_mult,
            "relevance": point.spread.mean_relevance,
            "diversity": 1 - point.spread.mean_similarity,
            "current": False,
            "label": point.lambda_mult in (0.0, 1.0),
        }
        for point in _curve(comparison.found)
    ]
    points.append(
        {
            "lambda_mult": comparison.lambda_mult,
            "relevance": here.mean_relevance,
            "diversity": 1 - here.mean_similarity,
            "current": True,
            "label": False,
        }
    )
    table = pd.DataFrame(points).assign(series=ONLY_MMR, name=f"λ = {comparison.lambda_mult:g}")
    st.markdown("**Diversity costs relevance**")
    st.caption("Every λ from 0 to 1: similarity to the question, 1 − similarity of the results.")
    show_table_chart(
        search_charts.relevance_diversity,
        table,
        height=320,
        alt="Relevance falls as diversity rises, from λ = 1 to λ = 0",
        key="relevance_diversity",
    )


def _curve(found: Candidates) -> tuple[mmr.CurvePoint, ...]:
    """Compute the curve once per set of candidates."""
    kept = st.session_state.get("search_curve")
    if kept is None or kept[0] is not found:
        kept = (found, mmr.curve(found.space, found.question.k))
        st.session_state["search_curve"] = kept
    return kept[1]


def _cards(found: Candidates, indexes: tuple[int, ...], side: str) -> None:
    repeats = mmr.near_duplicates(found.space, indexes)
    place = {index: position for position, index in enumerate(indexes, 1)}
    for position, index in enumerate(indexes, 1):
        badges = [_rank_badge(index, position)]
        if index in repeats:
            earlier, likeness = repeats[index]
            badges.append(f":orange-badge[near-duplicate of {place[earlier]}: {likeness:.2f}]")
        _card(found, index, position, " ".join(filter(None, badges)), side)


def _rank_badge(index: int, position: int) -> str:
    if index + 1 == position:
        return ""
    arrow = "arrow_upward" if index + 1 > position else "arrow_downward"
    return f":violet-badge[:material/{arrow}: from rank {index + 1}]"


def _card(found: Candidates, index: int, position: int, badges: str, side: str) -> None:
    hit = found.hits[index]
    score = f":gray[{hit.score:.3f}]" if hit.score is not None else ""
    preview = hit.text[:PREVIEW_CHARACTERS].strip()
    # Few elements a card: each one is a message to the browser whenever λ moves.
    with st.container(border=True, gap="xsmall"):
        st.markdown(
            f"**{position}. {literal(hit.title)}** {score} {badges}\n\n"
            + highlighted(preview, "" if found.question.like else found.question.query)
            + (" …" if len(hit.text) > len(preview) else "")
        )
        # With a key of its own the popover of a row that went away closes with it.
        with st.popover(
            "More", type="tertiary", icon=":material/info:", key=f"more_{side}_{hit.key}"
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
        "MMR wants the strong bar long and the faint one short; λ says how much each counts. "
        "Nothing is picked before the first row, so only closeness counts there."
    )
    show_table_chart(
        search_charts.pick_order,
        pd.DataFrame(rows),
        height=len(picks) * 46 + AROUND_PIXELS,
        alt="Relevance and redundancy of each MMR pick, in pick order",
        key="pick_order",
    )


def _take_away(comparison: TwoLists, code: Callable[[float], Snippet]) -> None:
    exports(_rows(comparison), _document(comparison), key="comparison")
    snippet(code(comparison.lambda_mult), key="search_code", title="The code for both searches")


CLOSER: dict[str, Callable[[TwoLists, Callable[[float], Snippet]], None]] = {
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


def _document(comparison: TwoLists) -> dict[str, Any]:
    return {
        "question": asdict(comparison.found.question),
        "lambda_mult": comparison.lambda_mult,
        "timing": asdict(comparison.found.timing),
    }


def exports(rows: list[dict[str, Any]], document: dict[str, Any], *, key: str) -> None:
    """Draw the downloads of an answer: its rows as CSV, everything as JSON."""
    with st.container(horizontal=True):
        st.download_button(
            "CSV",
            lambda: pd.DataFrame(rows).to_csv(index=False),
            "search.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            key=f"{key}_csv",
        )
        st.download_button(
            "JSON",
            lambda: json.dumps(
                document | {"results": rows}, ensure_ascii=False, indent=2, default=str
            ),
            "search.json",
            "application/json",
            icon=":material/download:",
            on_click="ignore",
            key=f"{key}_json",
        )
