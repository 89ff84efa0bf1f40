"""Show an expected failure in one way on every page."""

import contextlib
from collections.abc import Iterator

import streamlit as st

from lib.errors import LabError, StoreBusy


def error_box(error: LabError) -> None:
    """Draw what happened, what was kept and what to do next."""
    body = " ".join(part for part in (error.kept, error.next_step) if part)
    st.error(body or "Nothing was changed.", title=error.what, icon=":material/error:")


def worded(error: LabError | TimeoutError) -> LabError:
    """Return an expected failure in the reader's words, also where a deadline ran out."""
    if isinstance(error, LabError):
        return error
    return StoreBusy(
        "Milvus is busy: it did not answer in time.",
        kept="Nothing was changed.",
        next_step=f"Try again, or with less at once. ({error})",
    )


@contextlib.contextmanager
def show_error(*, ends_page: bool = True) -> Iterator[None]:
    """Turn a LabError raised in the block into a box, and end the block or the page there."""
    try:
        yield
    except (LabError, TimeoutError) as error:
        error_box(worded(error))
        if ends_page:
            st.stop()
