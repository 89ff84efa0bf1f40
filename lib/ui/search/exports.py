"""The downloads of an answer."""

import json
from typing import Any

import pandas as pd
import streamlit as st


def exports(rows: list[dict[str, Any]], document: dict[str, Any], *, key: str) -> None:
    """Draw the downloads of an answer: its rows as CSV, everything as JSON."""
    with st.container(horizontal=True):
        st.download_button(
            "CSV",
            lambda: pd.DataFrame(rows).to_csv(index=False),
            "search.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            key=f"{key}_csv",
        )
        st.download_button(
            "JSON",
            lambda: json.dumps(
                document | {"results": rows}, ensure_ascii=False, indent=2, default=str
            ),
            "search.json",
            "application/json",
            icon=":material/download:",
            on_click="ignore",
            key=f"{key}_json",
        )
