"""Let the browser load what the next pages draw with, while the first page is read.

Streamlit loads a large script when a page first shows a table, code or a chart: a third of a second
each, after the click. The scripts are found by name in the installed package; where Streamlit
renames one, the next page loads it as before.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

FOLDER = Path(st.__file__).parent / "static" / "static" / "js"
SCRIPTS = (
    "StreamlitSyntaxHighlighter",
    "DataFrame",
    "arrowFormatUtils",
    "ArrowVegaLiteChart",
    "embed",
    "reactJsonViewCompat",
    "NumberInput",
    "Slider",
)
# The page is at rest by then.
AFTER_MS = 500
JS = """
export default function ({ data }) {
  const main = document.querySelector('script[type="module"][src*="/js/"]');
  if (!main || document.head.dataset.labLoadsAhead) return;
  document.head.dataset.labLoadsAhead = "yes";
  setTimeout(() => data.names.forEach((name) => {
    const link = document.createElement("link");
    link.rel = "modulepreload";
    link.href = new URL(name, main.src).href;
    document.head.append(link);
  }), data.after_ms);
}
"""


def load_scripts() -> None:
    """Begin half a second after the page is drawn, once in a tab."""
    _component()(key="browser_ahead", data={"names": names(), "after_ms": AFTER_MS})


@lru_cache(maxsize=1)
def names() -> list[str]:
    """Return the files of the scripts, whose names end with what they hold."""
    return sorted(path.name for each in SCRIPTS for path in FOLDER.glob(f"{each}.*.js"))


@st.cache_resource(show_spinner=False)
def _component() -> Any:
    return st.components.v2.component("browser_ahead", js=JS)
