"""Search: one question, similarity beside MMR, and what MMR changes about the answer."""

import streamlit as st

from lib import search, snippets
from lib.search import Hit, Question
from lib.ui import (
    collection_or_stop,
    connection_or_stop,
    model_or_stop,
    show_error,
    snippet,
)

EXAMPLES = [
    "remove a directory and everything inside it",
    "split a string at a separator",
    "run several things at the same time and wait for all",
    "turn an object into JSON text",
    "pick random elements from a list",
]
PREVIEW_CHARACTERS = 300

st.title("Search and MMR")

opened = connection_or_stop()
model = model_or_stop()
collection = collection_or_stop(opened)


def ask_example() -> None:
    """Put the chosen example into the question."""
    if st.session_state.example:
        st.session_state.q = st.session_state.example


st.pills("Examples", EXAMPLES, key="example", on_change=ask_example)
with st.form("query"):
    query = st.text_input(
        "Question", key="q", bind="query-params", placeholder="What are you looking for?"
    )
    k_column, fetch_column, lambda_column = st.columns(3)
    k = k_column.number_input("k (results)", 1, search.MAX_K, 5, key="k", bind="query-params")
    fetch_k = fetch_column.number_input(
        "fetch_k (MMR candidates)", 1, search.MAX_FETCH_K, 20, key="fetch_k", bind="query-params"
    )
    lambda_mult = lambda_column.slider(
        "λ: 0 is diversity, 1 is relevance", 0.0, 1.0, 0.5, 0.05, key="lambda", bind="query-params"
    )
    expr = st.text_input(
        "Metadata filter",
        key="filter",
        bind="query-params",
        placeholder='kind == "function" and length > 200',
    )
    asked = st.form_submit_button("Search", type="primary", icon=":material/search:")

question = Question(query=query, k=k, fetch_k=fetch_k, lambda_mult=lambda_mult, expr=expr.strip())
if not (asked or query.strip()):
    st.info("Ask something, or pick an example above.", icon=":material/lightbulb:")
    st.stop()

with show_error():
    answer = search.ask(opened, model, collection.name, question)

st.caption(
    f"{answer.total_ms:.1f} ms in all: {answer.embed_ms:.1f} ms embedding, "
    f"{answer.milvus_ms:.1f} ms Milvus (both searches at once)."
)
if not answer.similar:
    st.warning("No row matches. Loosen the filter or ask something else.")
    st.stop()


def show_hits(hits: tuple[Hit, ...], others: set[str]) -> None:
    """Draw one list; what the other list lacks is marked."""
    for hit in hits:
        with st.container(border=True):
            marker = "" if hit.key in others else " :blue-badge[only here]"
            score = f" · score {hit.score:.3f}" if hit.score is not None else ""
            st.markdown(f"**{hit.rank}. {hit.metadata.get('name', hit.key)}**{score}{marker}")
            text = hit.text[:PREVIEW_CHARACTERS]
            st.text(text + (" …" if len(hit.text) > len(text) else ""))


similar_column, diverse_column = st.columns(2)
with similar_column:
    st.subheader("Similarity")
    show_hits(answer.similar, {hit.key for hit in answer.diverse})
with diverse_column:
    st.subheader(f"MMR, λ = {lambda_mult:g}")
    show_hits(answer.diverse, {hit.key for hit in answer.similar})

snippet(
    snippets.call(
        "max_marginal_relevance_search",
        {
            "query": query,
            "k": k,
            "fetch_k": fetch_k,
            "lambda_mult": lambda_mult,
            "expr": question.expr,
        },
        uri=snippets.shown_uri(opened),
        collection=collection.name,
        model=model.model,
    ),
    key="search_code",
)
