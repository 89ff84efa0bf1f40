"""Search: similarity beside MMR, every method by hand, many questions at once, a retriever."""

import streamlit as st

from lib.milvus import snippets
from lib.milvus.snippets import Snippet
from lib.search import ask as search
from lib.ui import collection_or_stop, connection_or_stop, model_or_stop, show_error
from lib.ui.search.form import filter_builder, question_form, show_subject
from lib.ui.search.many import MANY, RETRIEVER, show_many
from lib.ui.search.methods import show_methods
from lib.ui.search.results import show_comparison, timing_line

COMPARE, METHODS, AT_ONCE, AS_RETRIEVER = (
    "Similarity and MMR",
    "Every method",
    "Many at once",
    "Retriever",
)

st.title("Search and MMR")

opened = connection_or_stop()
model = model_or_stop()
collection = collection_or_stop(opened)

view = st.segmented_control(
    "View",
    [COMPARE, METHODS, AT_ONCE, AS_RETRIEVER],
    default=COMPARE,
    required=True,
    key="view",
    bind="query-params",
    label_visibility="collapsed",
)
if view == METHODS:
    show_methods(opened, model, collection)
    st.stop()
if view in (AT_ONCE, AS_RETRIEVER):
    show_many(MANY if view == AT_ONCE else RETRIEVER, opened, model, collection)
    st.stop()

st.caption(
    "Similarity search returns the nearest rows, often near-duplicates of each other. Maximal "
    "marginal relevance (MMR) trades some nearness for variety; λ says how much."
)
question, asked = question_form()
filter_builder(opened, model, collection)
if not (question.query.strip() or question.like):
    st.info("Ask something, or pick an example above.", icon=":material/lightbulb:")
    st.stop()

fingerprint = (opened.id, collection.name, collection.rows, model.label, question)
if asked or st.session_state.get("search_fingerprint") != fingerprint:
    with show_error():
        st.session_state.search_found = search.fetch(opened, model, collection.name, question)
    st.session_state.search_fingerprint = fingerprint
    st.session_state.last_q = question.query
found = st.session_state.search_found

show_subject(question)
if found.matching_rows is not None:
    st.caption(f"The filter leaves {found.matching_rows:,} of {collection.rows:,} rows.")
st.caption(timing_line(found.timing))
if not found.hits:
    st.warning("No row matches. Loosen the filter or ask something else.")
    st.stop()


def code(lambda_mult: float) -> Snippet:
    """Return the code of both searches on screen."""
    subject, before = snippets.subject(question.query, question.like)
    common = subject | {"k": question.k, "expr": question.whole_expr}
    by_vector = "_by_vector" if question.like else ""
    return snippets.similarity_and_mmr(
        (f"similarity_search_with_score{by_vector}", common),
        (
            f"max_marginal_relevance_search{by_vector}",
            common | {"fetch_k": question.fetch_k, "lambda_mult": lambda_mult},
        ),
        uri=snippets.shown_uri(opened),
        collection=collection.name,
        model=model.model,
        before=before,
    )


show_comparison(found, search.metric_of(collection.metric_type), code)
