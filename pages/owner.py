"""Owner: what a hosted app is doing, for whoever has the owner's token."""

import streamlit as st

from lib.ui.common.owner import admit, show_jobs, show_leftovers, show_numbers
from lib.ui.common.session import host_settings

st.title("Owner", anchor=False)
settings = host_settings()
if not admit(settings):
    st.stop()
show_numbers(settings)
show_jobs()
show_leftovers()
