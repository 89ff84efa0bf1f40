"""The bridge between pages and lib: the only part of lib that imports Streamlit."""
