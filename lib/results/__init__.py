"""What was measured, and what may be said of it.

The catalogue of operations and strategies, trials, the run's file, summaries, advice, the gate,
the comparison of runs and the published figures.

It knows no Milvus, langchain, Streamlit or pandas.
"""
