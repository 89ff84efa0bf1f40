"""Numbers in the address that no input can hold, passed over as other unusable values are."""

import math

import streamlit as st

# The number inputs that Streamlit fills from the address.
NUMBERS = (
    *("k", "fetch_k", "lambda"),
    *("ingest_chunk", "ingest_overlap", "ingest_batch", "ingest_concurrency"),
)


def drop_endless_numbers() -> None:
    """Take infinite numbers out of the address and run again: at one of them Streamlit fails."""
    endless = [name for name in NUMBERS if any(map(_is_endless, st.query_params.get_all(name)))]
    for name in endless:
        del st.query_params[name]
    if endless:
        st.rerun()


def _is_endless(text: str) -> bool:
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return False
