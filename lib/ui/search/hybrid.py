"""Words and vectors: one question by vector, by words, and by both."""

import streamlit as st

from lib.jobs import Job
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.milvus_collections import Collection
from lib.search.hybrid import WAYS, ask_hybrid, copied_name, copy_with_words
from lib.ui.search.form import nothing_found, question_form
from lib.ui.visitor import session
from lib.ui.visitor.errors import show_error
from lib.ui.widgets.parameters import choice
from lib.ui.widgets.progress import follow
from lib.ui.widgets.table import show_table
from lib.words import shown_name

COPY_PARAMETER = "copy"


def show_hybrid(opened: Connection, model: EmbeddingModel, collection: Collection) -> None:
    """Draw the question and its answer in one way, each row with the leg that brought it."""
    if not collection.schema.words:
        _offer_copy(opened, model, collection)
        return
    question, _ = question_form(opened, model, collection)
    if not question.query.strip():
        st.info("Ask something, or pick an example above.", icon=":material/lightbulb:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        way = choice(
            "Search",
            WAYS,
            format_func=lambda name: WAYS[name].label,
            default="rrf",
            key="hybrid_way",
            label_visibility="collapsed",
        )
        call = choice(
            "Call",
            ("async", "sync"),
            default="async",
            key="way",
            label_visibility="collapsed",
        )
    with show_error():
        answer = ask_hybrid(opened, model, collection, question, way, asynchronous=call == "async")
    if not answer.rows:
        st.warning(nothing_found())
        return
    brought = [(row.vector_rank is not None, row.words_rank is not None) for row in answer.rows]
    st.markdown(
        f"## {len(brought)} rows: {brought.count((True, True))} from both, "
        f"{brought.count((True, False))} from the vector alone, "
        f"{brought.count((False, True))} from the words alone"
    )
    show_table(
        (
            {
                "Rank": row.hit.rank,
                "Row": row.hit.title,
                "Score": row.hit.score,
                "By vector": _rank(row.vector_rank),
                "By words": _rank(row.words_rank),
                "Text": row.hit.text,
            }
            for row in answer.rows
        ),
        column_config={
            "Score": st.column_config.NumberColumn(format="%.3f"),
            "Text": st.column_config.TextColumn(width="large"),
        },
        alt="The rows found, each with its rank by vector and by words",
    )
    st.caption(
        f"Answered in **{answer.took_ms:.1f} ms**. Each search returns its top {question.fetch_k} "
        "(`fetch_k`); a dash: that search did not return the row."
    )


def _rank(rank: int | None) -> str:
    return "–" if rank is None else f"#{rank}"


def _offer_copy(opened: Connection, model: EmbeddingModel, collection: Collection) -> None:
    """Offer to copy the collection into one that has words, follow the copy, and choose it."""
    name = copied_name(opened, collection)
    job = session.job(st.query_params.get(COPY_PARAMETER))
    st.info(
        "This collection has vectors only. A copy with BM25 can be searched by words too. It works "
        "on Milvus Lite, and on a server from Milvus 2.5.",
        icon=":material/spellcheck:",
    )
    slot = st.empty()
    if job is not None and not follow(job, key="copy"):
        return
    if job is not None and job.result:
        session.rows_changed(opened.territory)
        del st.query_params[COPY_PARAMETER]
        _choose(str(job.result))
    with show_error():
        there = milvus_collections.exists(opened, name)
    if there:
        if slot.button(f"Search {shown_name(name)}", type="primary", icon=":material/search:"):
            _choose(name)
        return
    if slot.button(
        f"Copy {collection.rows:,} rows into {shown_name(name)}",
        type="primary",
        icon=":material/content_copy:",
    ):

        def work(job: Job) -> str:
            return copy_with_words(opened, model, collection, job)

        with show_error():
            job = session.submit(
                "Copying rows",
                work,
                subject=f"ingest:{name}",
                opened=opened,
                is_short=collection.rows <= session.SHORT_READ,
            )
        st.query_params[COPY_PARAMETER] = job.id
        st.rerun()


def _choose(name: str) -> None:
    session.choose_collection(name)
    st.rerun()
