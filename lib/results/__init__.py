"""What was measured, and what may be said of it.

The catalogue of operations and strategies, the plan of a run, its trials and file; summaries and
advice, which the analysis of a run makes once and `findings` words; the gate, the comparison of
runs and the published figures.

It knows no Milvus, langchain, Streamlit or pandas.
"""
