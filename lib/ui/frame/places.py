"""Where one can go: four places in the sidebar, two of them with two views.

The first screen is drawn with them, so nothing heavy is imported here.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import lru_cache

import streamlit as st
from streamlit.navigation.page import Page

from lib.charts.theme import colours
from lib.ui.visitor.component import component
from lib.ui.widgets.race import colour_mode

# Two calls that wait, one after the other and together: the first two colours of the charts.
LOGO = """
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -7 200 40" width="200" height="40">
  <g stroke-width="3.4" stroke-linecap="round">
    <path stroke="{orange}" d="M3 5h9M3 13h9M3 21h9"/>
    <path stroke="{blue}" d="M18 5h9M18 13h9M18 21h9"/>
  </g>
  <text x="36" y="19" font-family="sans-serif" font-size="17" font-weight="650"
    textLength="160" lengthAdjust="spacingAndGlyphs" fill="{ink}">Milvus Async Lab</text>
</svg>
"""
# Below this width the sidebar lies over the page, and Streamlit's own navigation closes it too.
# A menu that is opened by a key has the focus at once: it is drawn at the end of the document, as
# many presses of Tab away as the page has links. Escape leads back to its button by itself.
LISTENERS = """
export default function () {
  const enter = (event) => {
    const button = event.target.closest("button[aria-haspopup=dialog][aria-expanded=false]");
    if (!button || !["Enter", " "].includes(event.key)) return;
    const until = performance.now() + 2000;
    let given = button;
    const look = () => {
      const menu = [...document.querySelectorAll("[role=dialog]")].pop();
      // Its entries come one after another: the first has the focus until a key moves it.
      if (menu?.innerText.trim() && document.activeElement === given) {
        menu.tabIndex = -1;
        given = menu.querySelector("a, button:enabled, input:enabled") || menu;
        given.focus();
      }
      if (performance.now() < until) setTimeout(look, 30);
    };
    requestAnimationFrame(look);
  };
  const close = (event) => {
    if (innerWidth < 768 && event.target.closest("[aria-label=Sidebar] a"))
      document.querySelector("[aria-label='Collapse sidebar']")?.click();
  };
  document.addEventListener("keydown", enter, true);
  document.addEventListener("click", close);
  return () => {
    document.removeEventListener("keydown", enter, true);
    document.removeEventListener("click", close);
  };
}
"""


@dataclass(frozen=True)
class Place:
    """An entry of the sidebar: its views with their names, each a script in `pages/`."""

    title: str
    icon: str
    views: Mapping[str, str]
    second: str = ""  # the icon of its second view

    @property
    def first(self) -> str:
        """The script that the entry leads to."""
        return next(iter(self.views.values()))


PLACES = (
    Place("Overview", ":material/home:", {"Overview": "overview"}),
    Place(
        "Ingestion",
        ":material/upload_file:",
        {"Load": "ingestion", "Collections": "collections"},
        ":material/table_rows:",
    ),
    Place("Search and MMR", ":material/search:", {"Search": "search"}),
    Place(
        "Benchmark",
        ":material/speed:",
        {"Measure": "benchmark", "Runs": "runs"},
        ":material/list:",
    ),
)


def pages() -> dict[str, Page]:
    """Return the pages by their scripts' names; the first view of a place has the place's title."""
    # A run marks the one that it shows, so each run has its own.
    return {script: copy(page) for script, page in _pages_once().items()}


@lru_cache(maxsize=1)
def _pages_once() -> dict[str, Page]:
    """Make the pages: each looks its script up on the disk, where threads wait for each other."""
    made = {
        script: st.Page(
            f"pages/{script}.py",
            title=place.title if script == place.first else view,
            icon=place.icon if script == place.first else place.second,
            default=place is PLACES[0],
        )
        for place in PLACES
        for view, script in place.views.items()
    }
    # Reached by its address alone: /owner.
    return made | {"owner": st.Page("pages/owner.py", title="Owner", icon=":material/key:")}


def show_places(named: Mapping[str, Page], page: str) -> None:
    """Draw name and mark, and the places in the sidebar; `page` is the one that is shown."""
    orange, blue = colours(colour_mode())["chartCategoricalColors"][:2]
    ink = colours(colour_mode())["textColor"]
    st.logo(LOGO.strip().format(orange=orange, blue=blue, ink=ink), size="large")
    with st.sidebar:
        for place in PLACES:
            # Streamlit marks the page that is shown; of a second view the place is marked here.
            is_second = page != place.first and page in place.views.values()
            title = f"**{place.title}**" if is_second else place.title
            st.page_link(named[place.first], label=title, icon=place.icon)
        component("places", js=LISTENERS)(key="places")


def show_views(named: Mapping[str, Page], page: str) -> None:
    """Draw the switch between the views of a place that has two, on top of its page."""
    for place in PLACES:
        if page in place.views.values() and len(place.views) > 1:
            with st.container(horizontal=True, gap="xsmall"):
                for view, script in place.views.items():
                    st.page_link(named[script], label=view)
