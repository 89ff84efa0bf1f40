"""What would I save? A reader's own load, and the hours of waiting that the gain stands for."""

from collections.abc import Mapping

import streamlit as st

from lib.results.catalogue import OPERATIONS
from lib.results.findings import CI
from lib.runs.savings import Gain

# A small service: a call a second.
CALLS_A_DAY = 86_400
MOST_CALLS = 1_000_000_000
MOST_IN_FLIGHT = 10_000


def savings(gains: Mapping[str, Gain], *, key: str) -> None:
    """Draw the calculator, where a gain was shown."""
    if not gains:
        return

    @st.fragment
    def _calculator() -> None:
        columns = st.columns(3, vertical_alignment="bottom")
        operation = columns[0].selectbox(
            "Operation",
            list(gains),
            format_func=lambda name: OPERATIONS[name].label,
            key=f"{key}_save_operation",
        )
        calls = columns[1].number_input(
            "My calls a day", 1, MOST_CALLS, CALLS_A_DAY, key=f"{key}_save_calls"
        )
        in_flight = columns[2].number_input(
            "My calls at once",
            1,
            MOST_IN_FLIGHT,
            gains[operation].cell.count,
            key=f"{key}_save_at_once",
        )
        found = gains[operation].saved_a_day(calls, in_flight)
        st.metric(
            "Hours of waiting saved a day",
            f"{found.saved_h:,.3g} h",
            f"of {found.waiting_h:,.3g} h, {CI} {found.low_h:,.3g}–{found.high_h:,.3g} h",
            delta_color="off",
            delta_arrow="off",
        )
        st.caption(
            "Extrapolated: your calls are taken to wait as long as these did. The gain is at most "
            "the calls at once."
        )

    with st.expander("What would I save?", icon=":material/calculate:", key=f"{key}_savings"):
        _calculator()
