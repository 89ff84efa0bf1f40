"""Choose how texts are cut, and see the first chunks before anything is written."""

import streamlit as st
from langchain_core.documents import Document

from lib.documents import chunking
from lib.documents.chunking import SPLITTERS, Chunking
from lib.ingestion.chosen import Forecast
from lib.ui.widgets.parameters import choice
from lib.ui.widgets.text import literal
from lib.words import counted

DEFAULTS = Chunking()
SHOWN_PROBLEMS = 20
UNFOLDED_PROBLEMS = 3


def choose_chunking() -> Chunking:
    """Draw the splitter, the size and the overlap."""
    splitter_slot, size_slot, overlap_slot = st.columns([2, 1, 1])
    with splitter_slot:
        splitter = choice(
            "Cut at",
            SPLITTERS,
            format_func=lambda name: SPLITTERS[name].label,
            default=DEFAULTS.splitter,
            help="  \n".join(f"{each.label}: {each.summary}" for each in SPLITTERS.values()),
            key="ingest_splitter",
        )
    size = size_slot.number_input(
        "Characters in a chunk",
        min_value=chunking.MIN_SIZE,
        max_value=chunking.MAX_SIZE,
        value=DEFAULTS.size,
        step=50,
        key="ingest_chunk",
        bind="query-params",
    )
    overlap = overlap_slot.number_input(
        "Overlap",
        min_value=0,
        max_value=int(size) // 2,
        value=min(DEFAULTS.overlap, int(size) // 2),
        step=10,
        help="Characters that a chunk repeats from the one before it.",
        key="ingest_overlap",
        bind="query-params",
    )
    return Chunking(splitter, int(size), int(overlap))


def show_problems(seen: Forecast) -> None:
    """Draw what cannot be read; many warnings are folded, so that the rest stays in view."""
    if not seen.problems:
        return
    lines = [f"- {literal(problem)}" for problem in seen.problems[:SHOWN_PROBLEMS]]
    if len(seen.problems) > SHOWN_PROBLEMS:
        lines.append(f"- … and {len(seen.problems) - SHOWN_PROBLEMS:,} more")
    losses = any(problem.is_loss for problem in seen.problems)
    title = "This will be skipped" if losses else "Notes on these files"
    if len(seen.problems) <= UNFOLDED_PROBLEMS:
        st.warning("\n".join(lines), title=title, icon=":material/warning:")
        return
    with st.expander(counted(len(seen.problems), "warning"), icon=":material/warning:"):
        st.markdown("\n".join([f"**{title}**", "", *lines]))


def show_preview(seen: Forecast, cut: Chunking) -> None:
    """Draw the first two chunks with their borders."""
    if not seen.mean_characters:  # nothing was cut
        return
    longest = counted(seen.longest_characters, "character")
    st.caption(
        f"The first chunks, as they will be stored. Mean length {seen.mean_characters:,.0f}, the "
        f"longest {longest}."
    )
    before = None
    with st.grid(2, min_column_width=280):
        for number, chunk in enumerate(seen.first, 1):
            shared = 0
            # A row with an id of its own is not cut, and two files do not overlap.
            if before and not chunk.id and _source(before) == _source(chunk):
                shared = chunking.overlap_of(before.page_content, chunk.page_content, cut.overlap)
            with st.container(border=True, gap="xsmall"):
                st.caption(_title(number, chunk, shared))
                st.text(chunk.page_content)
            before = chunk


def _source(chunk: Document) -> str:
    return str(chunk.metadata.get("source", ""))


def _title(number: int, chunk: Document, shared: int) -> str:
    parts = [f"Chunk {number}", counted(len(chunk.page_content), "character")]
    if shared:
        parts.append(f"the first {shared} repeat the one before")
    places = [name for name in ("source", "page", "heading", "slide") if name in chunk.metadata]
    parts += [f"{name} {literal(chunk.metadata[name])}" for name in places]
    return " · ".join(parts)
