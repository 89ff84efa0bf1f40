"""Show what an ingestion did: rows by their fate, the speed, the split, and every problem."""

import pandas as pd
import streamlit as st

from lib.ingestion.report import IngestionReport
from lib.ui.common.text import literal
from lib.words import counted

SHOWN_PROBLEMS = 200


def show_report(report: IngestionReport) -> None:
    """Draw one ingestion's outcome."""
    tally = report.tally
    st.subheader("What went in")
    if tally.stopped:
        st.warning(
            f"{counted(tally.written, 'row')} went in and stay there; ingest again "
            "to add the rest.",
            title="Stopped",
            icon=":material/stop_circle:",
        )
    elif tally.unchanged and not (tally.written or report.problems_total):
        st.info(
            f"There already, with the same text: {counted(tally.unchanged, 'row')}.",
            title="Nothing was new",
            icon=":material/check:",
        )
    with st.grid(3, min_column_width=140):
        st.metric("New", f"{tally.added:,}", border=True)
        st.metric("Updated", f"{tally.updated:,}", border=True)
        st.metric("Unchanged", f"{tally.unchanged:,}", border=True)
        wrote = tally.written > 0
        st.metric("Rows/s", f"{report.rows_per_s:,.0f}" if wrote else "–", border=True)
        st.metric("Time", f"{tally.wall_s:.2f} s", border=True)
        st.metric("Of it embedding", f"{report.embedding_share:.0%}" if wrote else "–", border=True)
    st.caption(_sentence(report))
    if tally.gone:
        st.info(
            f"No longer in their files, and kept: {counted(tally.gone, 'row')}. Tick “Remove rows "
            "whose text is gone” and ingest again to remove them.",
            icon=":material/info:",
        )
    if report.written_by_others:
        st.info(
            f"The collection holds {counted(abs(report.written_by_others), 'row')} "
            f"{'more' if report.written_by_others > 0 else 'fewer'} than this ingestion accounts "
            "for: somebody else wrote to it meanwhile.",
            icon=":material/group:",
        )
    show_problems(report)


def show_problems(report: IngestionReport) -> None:
    """List what did not go in, and what was changed on the way."""
    if not report.problems:
        return
    left_out = report.problems_total
    title = f"Left out: {counted(left_out, 'part')}" if left_out else "Notes on what was stored"
    with st.expander(
        title, icon=":material/warning:" if left_out else ":material/info:", expanded=left_out > 0
    ):
        st.dataframe(
            pd.DataFrame(
                [(each.source, each.place, each.what) for each in report.problems[:SHOWN_PROBLEMS]],
                columns=["Source", "Place", "What"],
            ),
            column_config={"What": st.column_config.TextColumn(width="large")},
            hide_index=True,
            height="auto",
            alt="What was left out or changed, by source and place",
        )
        if left_out > SHOWN_PROBLEMS:
            st.caption(f"The first {SHOWN_PROBLEMS} are shown.")


def _sentence(report: IngestionReport) -> str:
    tally = report.tally
    parts = []
    if tally.embed_s or tally.insert_s:
        parts.append(
            f"Summed over {counted(tally.batches, 'batch', 'batches')}: {tally.embed_s:.2f} s "
            f"embedding, {tally.insert_s:.2f} s Milvus and client"
            + (f", {tally.lookup_s:.2f} s looking up what is there" if tally.lookup_s else "")
            + "."
        )
    if tally.removed:
        parts.append(f"Removed: {counted(tally.removed, 'row')}.")
    if tally.refused:
        parts.append(f"Could not go in: {counted(tally.refused, 'row')}.")
    parts.append(f"“{literal(report.collection)}” now holds {counted(report.rows, 'row')}.")
    return " ".join(parts)
