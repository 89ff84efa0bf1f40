"""Show what an ingestion did: rows by their fate, each source's, the speed, and a download."""

import pandas as pd
import streamlit as st

from lib.ingestion.report import IngestionReport, SourceTally
from lib.ui.ingestion.plan import DELETE_GONE
from lib.ui.widgets.exports import download
from lib.ui.widgets.table import show_table
from lib.ui.widgets.text import literal
from lib.words import counted, inert, shown_name

SHOWN_SOURCES = 200


def show_report(report: IngestionReport) -> None:
    """Draw one ingestion's outcome in one line, and what led to it below."""
    tally = report.tally
    pace = f", {report.rows_per_s:,.0f} rows/s" if tally.written else ""
    name = literal(shown_name(report.collection))
    st.markdown(
        f":material/{'stop_circle' if tally.stopped else 'check_circle'}: "
        f"**{literal(report.outcome)}** in {tally.wall_s:.2f} s{pace}. "
        f"“{name}” now holds {counted(report.rows, 'row')}."
    )
    if took := _split(report):
        st.caption(took)
    if tally.gone:
        st.info(
            f"No longer in their files, and kept: {counted(tally.gone, 'row')}. To delete them, "
            f"tick “{DELETE_GONE}” under Options and ingest again.",
            icon=":material/info:",
        )
    if report.written_by_others:
        st.info(
            f"The collection holds {counted(abs(report.written_by_others), 'row')} "
            f"{'more' if report.written_by_others > 0 else 'fewer'} than this ingestion accounts "
            "for: somebody else wrote to it meanwhile.",
            icon=":material/group:",
        )
    _show_sources(report)


def _show_sources(report: IngestionReport) -> None:
    """Draw what was skipped and why, each source's rows, and the download of both."""
    table = _by_source(report)
    if table.empty:
        return
    skipped = table[table["Why"] != ""]
    title = f"Skipped: {counted(report.problems_total, 'part')}" if report.problems_total else ""
    if not skipped.empty:
        st.markdown(f"**{title or 'Notes on what was stored'}**")
        _show_table(skipped[["Source", "Why"]], "What was skipped or changed, and why")
    with st.expander("Each source", icon=":material/list:"):
        _show_table(table.drop(columns="Why"), "What became of the rows of each source")
        download(
            "Download the report",
            lambda: table.map(inert).to_csv(index=False),
            f"ingestion_{shown_name(report.collection)}.csv",
            "text/csv",
            key="ingest_report_download",
        )


def _show_table(table: pd.DataFrame, alt: str) -> None:
    show_table(
        table.head(SHOWN_SOURCES),
        column_config={"Source": st.column_config.TextColumn(width=200)},
        height="auto",
        alt=alt,
    )
    if len(table) > SHOWN_SOURCES:
        st.caption(f"The first {SHOWN_SOURCES} of {len(table):,} are shown.")


def _by_source(report: IngestionReport) -> pd.DataFrame:
    why: dict[str, list[str]] = {}
    for problem in report.problems:
        place = f"{problem.place}: " if problem.place else ""
        why.setdefault(problem.source, []).append(f"{place}{problem.what}")
    sources = report.tally.sources
    names = sorted({*sources, *why} - {""}) + [""] * ("" in why or list(sources) == [""])
    rows = []
    for name in names:
        own = sources.get(name, SourceTally())
        rows.append(
            {
                "Source": name or "(no source)",
                "Read": own.read + own.skipped,
                "Skipped": own.skipped,
                "Added": own.added,
                "Unchanged": own.unchanged,
                "Replaced": own.updated,
                "Deleted": own.removed,
                "Why": "; ".join(why.get(name, [])),
            }
        )
    return pd.DataFrame(rows)


def _split(report: IngestionReport) -> str:
    """Say where the time went, and whether it waited for the embedding service."""
    tally, parts = report.tally, []
    if tally.embed_s or tally.insert_s:
        parts.append(
            f"Summed over {counted(tally.batches, 'batch', 'batches')}: {tally.embed_s:.2f} s "
            f"embedding, {tally.insert_s:.2f} s Milvus and client"
            + (f", {tally.lookup_s:.2f} s looking up what is there" if tally.lookup_s else "")
            + "."
        )
    if tally.waited_s:
        parts.append(
            "The embedding service refused calls, which were made again after "
            f"{tally.waited_s:.1f} s of waiting."
        )
    return " ".join(parts)
