"""The names of the fields that every collection of the lab has, and of the columns that carry them.

The names are langchain-milvus's defaults.
"""

PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD = "pk", "text", "vector"
# In a file of rows, the column that holds all metadata of a row as one JSON object.
METADATA_COLUMN = "metadata"
