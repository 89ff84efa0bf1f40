"""Collections: what there is, its rows a page at a time, and everything that changes them."""

import streamlit as st

from lib.programs.writing import row_changes
from lib.ui.collections.files import offer_drop, offer_export
from lib.ui.collections.list import offer_creation, show_list
from lib.ui.collections.rows import browse, delete_many, offer_undo
from lib.ui.visitor.errors import show_error
from lib.ui.visitor.session import (
    collection_facts,
    connection_or_stop,
    current_collection,
    model_or_stop,
)
from lib.ui.widgets.snippet import here, snippet
from lib.ui.widgets.text import literal
from lib.words import shown_name

st.title("Collections", anchor=False)
st.caption("Click a row to use that collection.")

opened = connection_or_stop()
model = model_or_stop()

with show_error():
    show_list(opened, model)
    offer_creation(opened, model)
    facts = collection_facts(opened, current_collection())
    offer_undo(opened)

if facts is None:
    st.info(
        "The collection in use does not exist yet. Ingest something, or create it above.",
        icon=":material/inbox:",
    )
    st.page_link("pages/ingestion.py", label="Go to Ingestion", icon=":material/upload_file:")
    st.stop()

st.header(f"Rows of {literal(shown_name(facts.name))}")
# In a container: what is open below stays open when the number of elements changes.
with show_error(), st.container():
    browse(opened, model, facts)

st.header("The whole collection")
with show_error():
    offer_export(opened, model, facts)

if opened.may_write(facts.name):
    st.header(":red[Danger zone]")
    with show_error(), st.container(border=True):
        delete_many(opened, model, facts)
        offer_drop(opened, facts)

snippet(lambda: row_changes(here(opened, model, facts)), key="collections_code")
