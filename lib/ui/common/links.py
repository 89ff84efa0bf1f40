"""Links to a presentation and to what a page shows; they need nothing heavy."""

from urllib.parse import urlencode, urlsplit

import streamlit as st

PRESENT_PARAMETER = "present"
WHICH_PARAMETER = "run"


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


def copy_link(page: str, **parameters: str) -> None:
    """Draw a button that shows the address of a page with these parameters, ready to be copied."""
    shown = urlsplit(str(st.context.url or ""))
    root = f"{shown.scheme}://{shown.netloc}{shown.path.rpartition('/')[0]}"
    query = urlencode(parameters, safe=",")
    with st.popover("Copy link", icon=":material/link:"):
        st.code(f"{root}/{page}?{query}", language=None, wrap_lines=True)
