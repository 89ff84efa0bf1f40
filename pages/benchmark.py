"""Benchmark: the tutorial's experiments as a sync loop and with asyncio.gather."""

import streamlit as st

st.title("Benchmark")
