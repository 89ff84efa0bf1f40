"""Links to a presentation and to what a page shows, and the way to it; they need nothing heavy."""

from urllib.parse import urlencode

import streamlit as st

from lib.ui.visitor.component import component

PRESENT_PARAMETER = "present"
WHICH_PARAMETER = "run"
PLACE_KEY = "lab_place"
RUN_PARAMETER = "b_run"  # a benchmark, on its page: /benchmark?b_run=ID


def asks_for_presentation() -> bool:
    """Say whether the address asks for the presentation."""
    return st.query_params.get(PRESENT_PARAMETER) == "1"


def present_link(run_id: str) -> None:
    """Draw the link that presents a run."""
    st.page_link(
        "pages/overview.py",
        label="Present as slides",
        icon=":material/slideshow:",
        query_params={PRESENT_PARAMETER: "1", WHICH_PARAMETER: run_id},
    )


def note_place(url_path: str) -> None:
    """Note which page is shown, so that a presentation can lead back to it."""
    st.session_state[PLACE_KEY] = url_path or "overview", st.query_params.to_dict()


def go_back(otherwise: str, **parameters: str) -> None:
    """Leave the presentation for the page that it was opened from; for another one if by a link."""
    page, before = st.session_state.get(PLACE_KEY, (otherwise, parameters))
    st.switch_page(f"pages/{page}.py", query_params=before)


INTO_VIEW = """
let shown = "";
export default function ({ data }) {
  if (data.what && data.what !== shown) {
    const place = document.querySelector(`.st-key-${data.place}`);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    place.style.scrollMarginTop = "4rem";  // below the toolbar
    place.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
  }
  shown = data.what;
}
"""


def bring_into_view(place: str, what: str) -> None:
    """Scroll to the container of this key when it shows something new; call it in every run."""
    component("into_view", js=INTO_VIEW)(
        key=f"{place}_into_view", data={"place": place, "what": what}
    )


# A page without HTTPS has no clipboard; a selected field is copied everywhere.
SHARE = """
export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  button.onclick = () => {
    const field = document.createElement("textarea");
    field.value = new URL(data, location.href).href;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    if (!copied) prompt("The link:", new URL(data, location.href).href);
    button.textContent = copied ? "Copied" : "Share";
    setTimeout(() => { button.textContent = "Share"; }, 4000);
  };
}
"""
SHARE_CSS = """
button { font: inherit; color: var(--st-text-color); background: none; cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius);
  padding: 0.3rem 0.5rem; min-height: 2.5rem; min-width: 4.4em; }
button:hover { border-color: var(--st-link-color); color: var(--st-link-color); }
button:focus-visible { outline: 3px solid var(--st-link-color); outline-offset: 2px; }
"""


def share(page: str, *, key: str, **parameters: str) -> None:
    """Draw a button that copies the address of a page with these parameters."""
    query = urlencode(parameters, safe=",")
    button = '<button type="button" aria-live="polite">Share</button>'
    component("share", html=button, css=SHARE_CSS, js=SHARE)(
        key=key, data=f"{page}?{query}", width="content"
    )
