"""Values in the address: those that Streamlit cannot read are dropped."""

import math
from collections.abc import Iterable
from typing import Any

import streamlit as st

# The number inputs that Streamlit fills from the address.
NUMBERS = (
    *("k", "fetch_k", "lambda"),
    *("ingest_chunk", "ingest_overlap", "ingest_batch", "ingest_concurrency"),
)


def drop_endless_numbers() -> None:
    """Take infinite numbers out of the address and run again, because Streamlit fails at them."""
    endless = [name for name in NUMBERS if any(map(_is_endless, st.query_params.get_all(name)))]
    for name in endless:
        del st.query_params[name]
    if endless:
        st.rerun()


def choice(label: str, options: Iterable[str], *, default: str, key: str, **more: Any) -> str:
    """Draw a segmented control whose choice stands in the address, and return it.

    An address with an empty value leaves nothing chosen, and the `default` is returned.
    """
    chosen: str | None = st.segmented_control(
        label, list(options), default=default, required=True, key=key, bind="query-params", **more
    )
    return chosen or default


def _is_endless(text: str) -> bool:
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return False
