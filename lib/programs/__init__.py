"""What readers copy: complete programs, made of template files that a linter checks.

`templates` has the text, `filling` puts values into it, the other modules choose and join. It knows
no Milvus, langchain or Streamlit.
"""
