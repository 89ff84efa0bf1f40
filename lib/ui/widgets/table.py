"""Tables that are read only. They load no chart."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
import streamlit as st


def show_table(rows: Iterable[dict[str, Any]] | pd.DataFrame, *, alt: str, **more: Any) -> Any:
    """Draw rows without their numbers; `alt` is what a screen reader says of the table.

    What is missing leaves its cell empty. `more` goes to `st.dataframe`, whose event is returned.
    """
    return st.dataframe(pd.DataFrame(rows), hide_index=True, alt=alt, placeholder="", **more)
