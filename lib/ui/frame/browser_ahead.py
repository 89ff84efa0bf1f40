"""Let the browser load what the next pages draw with, while the first page is read.

Streamlit loads a script when a page first shows a table, code or a chart: that takes up to a third
of a second each, after the click. The scripts are also run ahead, because their first run takes as
long as their loading. They are found by name in the installed package; a script that Streamlit has
renamed is loaded by the next page as usual. A browser that is asked to save data loads none.
"""

from functools import lru_cache
from pathlib import Path

import streamlit as st

from lib.ui.visitor.component import component

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
    "ButtonGroup",
    "Checkbox",
    "DownloadButton",
    "FileUploader",
    "Html",
    "Pagination",
    "TextInput",
)
# The page is at rest by then, on a slow machine too.
AFTER_MS = 1500
JS = """
export default function ({ data }) {
  const main = document.querySelector('script[type="module"][src*="/js/"]');
  if (!main || document.head.dataset.labLoadsAhead || navigator.connection?.saveData) return;
  document.head.dataset.labLoadsAhead = "yes";
  const idle = window.requestIdleCallback || ((work) => setTimeout(work, 50));
  const left = data.names.map((name) => new URL(name, main.src).href);
  const next = () => left.length && idle(() => import(left.shift()).then(next, next));
  setTimeout(next, data.after_ms);
}
"""


def load_scripts() -> None:
    """Load the scripts once in a tab, while the browser is idle after the page was drawn."""
    component("browser_ahead", js=JS)(
        key="browser_ahead", data={"names": names(), "after_ms": AFTER_MS}
    )


@lru_cache(maxsize=1)
def names() -> list[str]:
    """Return the scripts' file names, which end with a hash of the content."""
    return sorted(path.name for each in SCRIPTS for path in FOLDER.glob(f"{each}.*.js"))
