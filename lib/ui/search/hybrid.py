"""Words and vectors: one question by vector, by words, and by both."""

import streamlit as st

from lib.jobs import Job
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.milvus_collections import Collection
from lib.search.hybrid import WAYS, ask_hybrid, copied_name, copy_with_words
from lib.ui.search.form import nothing_found, question_form
from lib.ui.search.results import PREVIEW_CHARACTERS
from lib.ui.visitor import session
from lib.ui.visitor.errors import show_error
from lib.ui.widgets import told
from lib.ui.widgets.parameters import choice
from lib.ui.widgets.progress import follow
from lib.ui.widgets.text import around, highlighted, literal
from lib.words import counted, shown_name

COPY_PARAMETER = "copy"


def show_hybrid(opened: Connection, model: EmbeddingModel, collection: Collection) -> None:
    """Draw the question's answer by words, by vector and by both, side by side."""
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
            [name for name, way in WAYS.items() if way.ranker],
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
        st.warning(nothing_found(opened, model, collection))
        return
    brought = [(row.vector_rank is not None, row.words_rank is not None) for row in answer.rows]
    both = brought.count((True, True))
    said = f"Both searches found all {len(brought)} rows"
    if both < len(brought):
        said = (
            f"{counted(len(brought), 'row')}: {both} by both, "
            f"{brought.count((True, False))} by vector alone, "
            f"{brought.count((False, True))} by words alone"
        )
    st.markdown(f"## {said}")
    joined = {
        row.hit.key: f":gray-badge[vector {_rank(row.vector_rank)}] "
        f":gray-badge[words {_rank(row.words_rank)}]"
        for row in answer.rows
    }
    columns = {
        WAYS["bm25"].label: (answer.by_words, {}),
        WAYS["dense"].label: (answer.by_vector, {}),
        WAYS[way].label: (tuple(row.hit for row in answer.rows), joined),
    }
    for slot, (label, (hits, badges)) in zip(st.columns(3), columns.items(), strict=True):
        with slot:
            st.markdown(f"**{label}**")
            for hit in hits:
                preview = around(hit.text, question.query, PREVIEW_CHARACTERS)
                st.markdown(
                    f"**{hit.rank}. {literal(hit.title)}** {badges.get(hit.key, '')}  \n"
                    f":small[{highlighted(preview, question.query)}]"
                )
            if not hits:
                st.caption("No row.")
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
        "Word search needs a second index (BM25). Make a copy of this collection that has one? "
        "Works on Milvus Lite and on servers from 2.5.",
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
        f"Copy {collection.rows:,} rows into {shown_name(name)} and use that",
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
    told.tell(literal(f"Now using “{shown_name(name)}”."))
    st.rerun()
