"""Many questions at once: the reader's questions as a benchmark of the chosen collection."""

from dataclasses import dataclass

import streamlit as st

from lib.jobs import FINISHED
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.milvus_collections import Collection
from lib.results.catalogue import SEARCH_TYPES
from lib.results.plan import MAX_CONCURRENCY, Plan
from lib.results.ranking import DEFAULT_FETCH_K, DEFAULT_LAMBDA
from lib.results.trials import MAX_REPEATS
from lib.search import ask as search
from lib.search.code import many_code
from lib.ui.benchmark.live import live
from lib.ui.runs.saved import measure, run_store
from lib.ui.runs.view import show_outcome
from lib.ui.search.form import k_input, lambda_input
from lib.ui.visitor import session
from lib.ui.visitor.errors import show_error
from lib.ui.widgets.parameters import choice
from lib.ui.widgets.snippet import here, snippet
from lib.words import plain


@dataclass(frozen=True)
class ManyView:
    """One set of ways to ask many questions."""

    key: str  # begins the names of its inputs, and names its run in the URL
    label: str
    intro: str
    questions: int
    strategies: tuple[str, ...]


MANY = ManyView(
    "many",
    "The vector store",
    "The same questions in a loop, async with a limit, and as one request.",
    100,
    ("sync_loop", "gather_limited", "one_batch"),
)
RETRIEVER = ManyView(
    "retriever",
    "A retriever",
    "A RAG service sees the store through `as_retriever`. Its four ways to ask are `invoke`, "
    "`batch`, `ainvoke` and `abatch`; the sync loop calls the store itself.",
    25,
    ("sync_loop", "retriever_invoke", "retriever_batch", "retriever_ainvoke", "retriever_abatch"),
)
KINDS = {kind.key: kind for kind in (MANY, RETRIEVER)}


def show_many(opened: Connection, model: EmbeddingModel, collection: Collection) -> None:
    """Draw the questions and settings, run them as a benchmark, and draw the run."""
    through = choice(
        "Asked through",
        KINDS,
        format_func=lambda key: KINDS[key].label,
        default=MANY.key,
        key="through",
        label_visibility="collapsed",
    )
    kind = KINDS[through]
    st.caption(kind.intro)
    plan, submitted = _form(kind, opened, model, collection)
    limits = session.current_settings()
    if plan.questions and (too_long := plan.time_warning(limits, embedded=opened.is_lite)):
        st.warning(too_long, icon=":material/timer:")
    if submitted:
        with show_error():
            queued = measure(plan, opened, model)
        st.query_params[kind.key] = queued.id
        st.rerun()
    run_id = st.query_params.get(kind.key)
    job = session.job(run_id)
    if job and job.state not in FINISHED:
        live(job)
        return
    store = run_store()
    run = show_outcome(job, None if job else store.get(run_id), store, key=kind.key)
    asked = Plan.from_settings(run.settings) if run else None
    if asked:
        place = here(opened, model, collection)
        snippet(lambda: many_code(opened, asked, place), key=f"{kind.key}_code")


def _form(
    kind: ManyView, opened: Connection, model: EmbeddingModel, collection: Collection
) -> tuple[Plan, bool]:
    settings = session.current_settings()
    text_key = f"{kind.key}_text"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.number_input(
            "How many", 1, settings.max_calls, kind.questions, key=f"{kind.key}_count", width=150
        )
        # The view opens with questions of this collection, ready to be asked.
        is_asked_for = st.button(
            "Make questions from the rows", icon=":material/shuffle:", key=f"{kind.key}_new"
        )
        if is_asked_for or text_key not in st.session_state:
            with show_error():
                made = search.sample_queries(opened, model, collection.name, count)
            st.session_state[text_key] = "\n".join(made)
    with st.form(f"{kind.key}_form"):
        text = st.text_area(
            "Questions, one a line",
            key=text_key,
            height=160,
            placeholder="Paste questions, or make some from the rows of the collection",
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            k = k_input()
            concurrency = st.number_input(
                "In flight at most",
                1,
                MAX_CONCURRENCY,
                32,
                key=f"{kind.key}_concurrency",
                help="How many calls the concurrent ways may have under way.",
                width=170,
            )
            repeats = st.number_input(
                "Repeats",
                1,
                MAX_REPEATS,
                3,
                key=f"{kind.key}_repeats",
                help="An interval takes three.",
                width=130,
            )
            operation, lambda_mult = "similarity_search_with_score", DEFAULT_LAMBDA
            if kind is RETRIEVER:
                operation = str(
                    st.segmented_control(
                        "search_type",
                        list(SEARCH_TYPES),
                        format_func=lambda name: SEARCH_TYPES[name],
                        default=next(iter(SEARCH_TYPES)),
                        required=True,
                        key="retriever_type",
                    )
                )
                lambda_mult = lambda_input()
            submitted = st.form_submit_button(
                "Ask all", type="primary", icon=":material/play_arrow:"
            )
    lines = (line.strip() for line in plain(text).splitlines())
    questions = tuple(line for line in lines if line)
    plan = Plan(
        operations=(operation,),
        strategies=kind.strategies,
        counts=(len(questions),),
        repeats=repeats,
        concurrency=(concurrency,),
        rows=collection.rows,
        k=k,
        fetch_k=max(DEFAULT_FETCH_K, k),
        embedding=settings.embedding_provider,
        collection=collection.name,
        questions=questions,
        lambda_mult=lambda_mult,
    )
    return plan, submitted
