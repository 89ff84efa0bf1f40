"""Search: similarity and MMR, every method by hand, words and vectors, many questions at once."""

import streamlit as st

from lib.milvus.milvus_collections import metric_of
from lib.programs.snippet import Snippet
from lib.search import ask as search
from lib.search.code import comparison_code
from lib.ui.search.form import (
    chance_if_known,
    learn_chance,
    may_learn_chance,
    nothing_found,
    question_form,
    show_subject,
)
from lib.ui.search.hybrid import show_hybrid
from lib.ui.search.many import show_many
from lib.ui.search.methods import show_methods
from lib.ui.search.results import show_comparison
from lib.ui.visitor import log
from lib.ui.visitor.errors import show_error
from lib.ui.visitor.session import (
    collection_or_stop,
    connection_or_stop,
    model_or_stop,
    rows_version,
)
from lib.ui.widgets.parameters import choice
from lib.ui.widgets.snippet import here
from lib.ui.widgets.text import literal

COMPARE, METHODS, WORDS, AT_ONCE = "Similarity and MMR", "Every method", "Words", "Many at once"

with st.container(horizontal=True, horizontal_alignment="distribute"):
    st.title("Search and MMR", width="content", anchor=False)
    view = choice(
        "View",
        (COMPARE, METHODS, WORDS, AT_ONCE),
        default=COMPARE,
        key="view",
        label_visibility="collapsed",
    )

opened = connection_or_stop()
model = model_or_stop()
collection = collection_or_stop(opened)

if view == METHODS:
    show_methods(opened, model, collection)
    st.stop()
if view == WORDS:
    show_hybrid(opened, model, collection)
    st.stop()
if view == AT_ONCE:
    show_many(opened, model, collection)
    st.stop()

question, asked = question_form(opened, model, collection)
if not (question.query.strip() or question.like):
    st.info("Ask something, or pick an example above.", icon=":material/lightbulb:")
    st.stop()

rows = (collection.rows, rows_version(opened))  # changed by others, changed here
fingerprint = (opened.id, collection.name, rows, model.label, question)
if asked or st.session_state.get("search_fingerprint") != fingerprint:
    with show_error():
        st.session_state.search_found = search.fetch(opened, model, collection.name, question)
    log.by_visitor("searched", k=question.k, fetch_k=question.fetch_k)
    st.session_state.search_fingerprint = fingerprint
    st.session_state.last_q = question.query
found = st.session_state.search_found

show_subject(question)
if found.matching_rows is not None:
    rows_said = f"{found.matching_rows:,} of {collection.rows:,} rows"
    st.caption(f"The filter leaves {rows_said}: {literal(question.expr)}")
if not found.hits:
    st.warning(nothing_found(opened, model, collection))
    st.stop()


def code(lambda_mult: float) -> Snippet:
    """Return the code of both searches on screen."""
    place = here(opened, model, collection)
    return comparison_code(opened, collection.name, found, lambda_mult, place)


chance, known = chance_if_known(opened, model, collection, question.expr)
weak = chance.weak(found) if chance and not question.like else ()
show_comparison(found, metric_of(collection.metric_type), code, weak)
if not known and not question.like and may_learn_chance(model):
    # Measured once the answer is on the screen; then the page is drawn again with its marks.
    learn_chance(opened, model, collection, question.expr)
    st.rerun()
