"""The frame: page configuration, navigation, sidebar status. Nothing else."""

import streamlit as st

from lib.settings import PROJECT_ROOT
from lib.ui.frame import first_screen, opening, places
from lib.ui.visitor import ahead, memory, tab
from lib.ui.widgets import links, parameters, style, told

memory.use_few_heaps()
st.set_page_config(
    page_title="Milvus Async Lab",
    # A file of our own: an icon by name is fetched from another host.
    page_icon=str(PROJECT_ROOT / "assets" / "icon.svg"),
    layout="wide",
    initial_sidebar_state=240,  # pixels; hidden on small devices
)
ahead.begin()
style.make_readable()
told.show()
parameters.drop_endless_numbers()

# Hidden, because the sidebar's links are our own: four places for six pages.
pages = places.pages()
page = st.navigation(list(pages.values()), position="hidden")
if links.asks_for_presentation():
    from lib.ui.frame import present

    present.show(page.url_path)
    st.stop()
links.note_place(page.url_path)
places.show_places(pages, page.url_path)
# The first screen is drawn before pymilvus and langchain are loaded and before Milvus is asked. A
# tab that may have lost its connection is told so first.
stands_first = page.url_path == "" and not tab.has_note()
if stands_first:
    first_screen.show()
# Nor does it wait for Milvus, unless its button was pressed.
is_pressed = st.session_state.get(first_screen.MEASURE_KEY)
waits = stands_first and not opening.is_done() and not is_pressed
if waits:
    opening.show()
else:
    with memory.loading():
        from lib.ui.frame import corpus, sidebar  # takes half a second at the first visit

    opening.tell()
    sidebar.show(page.url_path)
    opening.done()
if page.url_path == "" and not stands_first:
    first_screen.show()
places.show_views(pages, page.url_path)
try:
    page.run()
finally:
    if waits:
        opening.begin()
    else:
        corpus.page_is_drawn()
    memory.give_back()
