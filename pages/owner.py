"""Owner: visitors, jobs, memory and leftovers of a hosted app, for whoever has the owner's token.

Nothing of a visitor's content is shown.
"""

import hmac
import time

import streamlit as st

from lib import jobs
from lib.jobs import State
from lib.milvus import leftovers
from lib.ui.visitor import log, memory, session, visitor
from lib.ui.visitor.errors import show_error
from lib.ui.widgets.table import show_table
from lib.ui.widgets.text import literal

KNOWN_KEY = "lab_is_owner"
# Guessing is hopeless by the token's length. These keep one session from trying it in earnest;
# nobody's tries count against anybody else, or strangers could lock the owner out.
TRIES_KEY = "lab_owner_tries"
MAX_TRIES_A_MINUTE = 10
WRONG_TAKES_S = 0.5

st.title("Owner", anchor=False)
settings = session.host_settings()
if not settings.owner_token:
    st.info("There is no owner's token. Set LAB_OWNER_TOKEN.", icon=":material/key_off:")
    st.stop()
if not st.session_state.get(KNOWN_KEY):
    slot = st.empty()
    with slot.form("owner", clear_on_submit=True):
        given = st.text_input("Owner's token", type="password", key="owner_token")
        asked = st.form_submit_button("Open")
    if not asked:
        st.stop()
    now = time.monotonic()
    tries = [each for each in st.session_state.get(TRIES_KEY, []) if now - each < 60]
    st.session_state[TRIES_KEY] = [*tries, now]
    if len(tries) >= MAX_TRIES_A_MINUTE:
        st.error("Too many tries. Wait a minute.", icon=":material/error:")
        st.stop()
    if not hmac.compare_digest(given.encode(), settings.owner_token.encode()):
        time.sleep(WRONG_TAKES_S)
        log.action("owner_refused")
        st.error("That is not the owner's token.", icon=":material/error:")
        st.stop()
    log.action("owner_admitted")
    slot.empty()
    st.session_state[KNOWN_KEY] = True

all_jobs = jobs.shared().all()
states = [job.state for job in all_jobs]
with st.container(horizontal=True):
    st.metric("Visitors known", len(visitor.known()), border=True)
    st.metric("Sessions and jobs connected", session.host_users(), border=True)
    st.metric("Running", states.count(State.RUNNING), border=True)
    st.metric("Waiting", states.count(State.QUEUED), border=True)
    limit = f"of {settings.max_memory_mb:,} MB"
    st.metric("Memory", f"{memory.used_mb():,.0f} MB", limit, delta_color="off", border=True)

st.header("Jobs")
if all_jobs:
    show_table(
        [
            {
                "Kind": job.subject.partition(":")[0],
                "State": job.state.value,
                "Place": len(jobs.shared().ahead(job)),
                "Seconds": round(job.elapsed_s, 1),
                "Visitor": log.short(job.owner),
            }
            for job in reversed(all_jobs)
        ],
        height="content",
        alt="The jobs of all visitors",
    )
else:
    st.caption("There was none yet.")

st.header("Orphaned collections")
st.caption(
    "Dead ones are dropped at the start, and on a public app every minute. What another machine "
    "made is only listed: its process may still run."
)
with show_error(), session.host_lease() as leased:
    if st.button("Delete orphaned collections", icon=":material/mop:", key="owner_clean"):
        log.action("cleaned", dropped=len(leftovers.clean(leased)))
    found = leftovers.find(leased)
for each in found:
    age = "" if each.age_s is None else f", {each.age_s / 3600:,.1f} h old"
    # A visitor's name for a collection is theirs.
    name = "a visitor's collection" if each.owner == "a visitor" else each.name
    st.markdown(f"- {literal(name)}: {each.owner}{age}{', dead' if each.is_dead else ''}")
if not found:
    st.caption("There is none.")
