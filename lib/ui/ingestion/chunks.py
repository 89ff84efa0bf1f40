"""Choose how texts are cut, and see the borders before anything is written."""

import streamlit as st
from langchain_core.documents import Document

from lib.documents import chunking
from lib.documents.chunking import SPLITTERS, Chunking
from lib.ingestion.chosen import Forecast
from lib.ingestion.report import IngestionReport
from lib.milvus.embeddings import EmbeddingModel
from lib.ui.common.text import literal
from lib.words import counted

DEFAULTS = Chunking()
SHOWN_PROBLEMS = 8
PREVIEW_HEIGHT = 380
RATE_KEY = "ingest_rate"


def choose_chunking() -> Chunking:
    """Draw the splitter, the size and the overlap."""
    splitter_slot, size_slot, overlap_slot = st.columns([2, 1, 1])
    splitter = splitter_slot.segmented_control(
        "Cut at",
        list(SPLITTERS),
        format_func=lambda name: SPLITTERS[name].label,
        default=DEFAULTS.splitter,
        required=True,
        help="  \n".join(f"{each.label}: {each.summary}" for each in SPLITTERS.values()),
        key="ingest_splitter",
        bind="query-params",
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


def show_preview(seen: Forecast, cut: Chunking, model: EmbeddingModel) -> None:
    """Draw the first chunks with their borders, their number and how long it may take."""
    for problem in seen.problems[:SHOWN_PROBLEMS]:
        st.warning(str(problem), icon=":material/warning:")
    if not seen.first:
        st.info("There is no text to show yet.", icon=":material/info:")
        return
    with st.grid(3):
        st.metric("Chunks" if seen.is_exact else "Chunks, about", f"{seen.rows:,}", border=True)
        st.metric("Characters in a chunk, mean", f"{seen.mean_characters:,.0f}", border=True)
        st.metric("Time, about", _duration(seen.rows, model), border=True)
    st.markdown(
        f"**The first chunks** (the longest seen has {seen.longest_characters:,} characters)"
    )
    with st.container(height=PREVIEW_HEIGHT, key="chunk_preview"):
        before = None
        for number, chunk in enumerate(seen.first, 1):
            shared = 0
            # What has an id of its own passes whole, and files do not overlap.
            if before and not chunk.id and _source(before) == _source(chunk):
                shared = chunking.overlap_of(before.page_content, chunk.page_content, cut.overlap)
            with st.container(border=True, gap="xsmall"):
                st.caption(_title(number, chunk, shared))
                st.text(chunk.page_content)
            before = chunk


def remember_rate(model: EmbeddingModel, report: IngestionReport) -> None:
    """Keep how fast the last ingestion was, for the next estimate of time."""
    if report.rows_per_s:
        st.session_state[RATE_KEY] = (model.label, report.rows_per_s)


def _duration(rows: int, model: EmbeddingModel) -> str:
    label, rate = st.session_state.get(RATE_KEY, ("", 0.0))
    if label != model.label or not rate:
        if not model.model.startswith("bundled/") or model.simulated_latency_ms:
            return "unknown yet"
        rate = CAUTIOUS_ROWS_PER_S
    seconds = rows / rate
    return f"{seconds:,.0f} s" if seconds >= 1 else "under 1 s"


# What the bundled model reaches on two slow cores; the first ingestion replaces it.
CAUTIOUS_ROWS_PER_S = 2_000.0


def _source(chunk: Document) -> str:
    return str(chunk.metadata.get("source", ""))


def _title(number: int, chunk: Document, shared: int) -> str:
    parts = [f"Chunk {number}", counted(len(chunk.page_content), "character")]
    if shared:
        parts.append(f"the first {shared} repeat the one before")
    places = [name for name in ("source", "page", "heading", "slide") if name in chunk.metadata]
    parts += [f"{name} {literal(str(chunk.metadata[name]))}" for name in places]
    return " · ".join(parts)
