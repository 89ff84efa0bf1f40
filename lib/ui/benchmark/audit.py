"""The audit: which methods are really async, as the recorded one found."""

import pandas as pd
import streamlit as st

from lib.results import audit
from lib.results.audit import BESIDE, MOST_HELD_MS, Audit
from lib.results.summaries import QUIET_SHARE, Speedup
from lib.words import bounds_text, counted

AUDIT = "Audit"
COMMAND = "python -m lib.benchmark audit --uri http://localhost:19530"


def show_audit() -> None:
    """Draw the recorded audits, one at a time."""
    recorded = audit.recorded()
    if not recorded:
        st.info(f"No audit is recorded. `{COMMAND}` makes one.", icon=":material/info:")
        return
    chosen = st.segmented_control(
        "Measured on", list(recorded), default=next(iter(recorded)), key="audited", required=True
    )
    _show(recorded[chosen or next(iter(recorded))])


def _show(found: Audit) -> None:
    st.subheader(found.sentence, anchor=False)
    st.markdown(found.blocking)
    st.dataframe(
        table(found),
        hide_index=True,
        height="content",
        column_config={
            "gain": st.column_config.NumberColumn("gain, gathered", format="%.1f×"),
            "neighbour": st.column_config.NumberColumn("a neighbour waits", format="%.0f ms"),
            "held": st.column_config.NumberColumn("one call holds the loop", format="%.1f ms"),
        },
        key="audit_table",
    )
    others = compared(found)
    if not others.empty:
        st.markdown("The same, done in another way:")
        st.dataframe(
            others,
            hide_index=True,
            height="content",
            column_config={
                "times": st.column_config.NumberColumn("takes, of its time", format="%.2f×"),
                "neighbour": st.column_config.NumberColumn("a neighbour waits", format="%.0f ms"),
            },
            key="audit_others",
        )
    facts = found.environment
    most = max(pair.calls for pair in found.pairs)
    st.caption(
        f"RPCs of one call on a warm collection, counted at the channel. It blocks where a sync "
        f"RPC is made on the event loop's thread, or a call holds the loop over {MOST_HELD_MS:g} "
        f"ms. Gain and the neighbour's longest wait: {counted(most, 'call')} gathered, of a "
        f"creation fewer, against a loop; embedding {facts['simulated_latency_ms']:g} ms, "
        f"simulated. langchain-milvus {facts['packages'].get('langchain-milvus', '?')}, pymilvus "
        f"{facts['packages'].get('pymilvus', '?')}, {facts['time'][:10]}."
    )
    lines = [f"`{name}` {what}." for name, what in BESIDE.items()]
    if facts.get("async_client_is_experimental"):
        lines.append("pymilvus calls its async client experimental in this version.")
    share = facts.get("other_programs", 0)
    if share >= QUIET_SHARE:
        lines.append(f"Other programs took {share:.0%} of the processors meanwhile.")
    st.markdown("\n".join(f"- {line}" for line in lines))
    st.code(COMMAND, language="bash")


def table(found: Audit) -> pd.DataFrame:
    """Return one row a pair: RPCs by name with their number, times in ms."""
    return pd.DataFrame(
        {
            "async method": pair.async_name,
            "really async": "no" if pair.blocks else "yes",
            "RPCs on the loop's thread": _named(pair.on_loop),
            "held": pair.held_ms,
            "neighbour": pair.neighbour_ms,
            "gain": pair.gain.ratio,
            "95% interval": _interval(pair.gain),
            "RPCs": _named(pair.asynchronous),
        }
        for pair in found.pairs
    )


def compared(found: Audit) -> pd.DataFrame:
    """Return one row for each other way: how many times its time the pair takes, gathered."""
    return pd.DataFrame(
        {
            "async method": pair.async_name,
            "times": pair.over(other).ratio,
            "95% interval": _interval(pair.over(other)),
            "instead": other.name.replace("`", ""),
            "RPCs on the loop's thread": _named(other.on_loop),
            "neighbour": other.neighbour_ms,
            "RPCs": _named(other.asynchronous),
        }
        for pair in found.pairs
        for other in pair.instead
    )


def _interval(gain: Speedup) -> str:
    return "" if gain.low is None or gain.high is None else bounds_text(gain.low, gain.high)


def _named(rpcs: tuple[str, ...]) -> str:
    times = {name: rpcs.count(name) for name in rpcs}
    return ", ".join(name if n == 1 else f"{n} × {name}" for name, n in times.items())
