"""The address of presentation mode, and the link to it; both need nothing heavy."""

import streamlit as st

PRESENT_PARAMETER = "present"
WHICH_PARAMETER = "run"


def is_asked_for() -> bool:
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
