"""Search: one question, similarity beside MMR, every method by hand, many questions at once."""

import streamlit as st

from lib import search, snippets
from lib.ui import collection_or_stop, connection_or_stop, model_or_stop, show_error, snippet
from lib.ui.search_form import filter_builder, question_form
from lib.ui.search_results import show_comparison, timing_line

st.title("Search and MMR")

opened = connection_or_stop()
model = model_or_stop()
collection = collection_or_stop(opened)

question, asked = question_form()
filter_builder(opened, model, collection)
if not (question.query.strip() or question.like):
    st.info("Ask something, or pick an example above.", icon=":material/lightbulb:")
    st.stop()

fingerprint = (opened.address, collection.name, collection.rows, model.label, question)
if asked or st.session_state.get("search_fingerprint") != fingerprint:
    with show_error():
        found = search.fetch(opened, model, collection.name, question)
    st.session_state.search_found = found
    st.session_state.search_fingerprint = fingerprint
    st.session_state.last_q = question.query
found = st.session_state.search_found

st.caption(timing_line(found.timing))
if not found.hits:
    st.warning("No row matches. Loosen the filter or ask something else.")
    st.stop()

show_comparison(found, search.metric_of(collection.metric_type))

snippet(
    snippets.call(
        "max_marginal_relevance_search",
        {
            "query": question.query,
            "k": question.k,
            "fetch_k": question.fetch_k,
            "lambda_mult": st.session_state.get("lambda", 0.5),
            "expr": question.expr,
        },
        uri=snippets.shown_uri(opened),
        collection=collection.name,
        model=model.model,
    ),
    key="search_code",
)
