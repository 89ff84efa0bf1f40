"""The bridge between pages and lib: the only part of lib that imports Streamlit.

Four layers, from the top: the frame, a room for each page, widgets, and the visitor.
"""
