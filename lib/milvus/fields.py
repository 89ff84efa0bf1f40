"""The names of the fields that every collection of the lab has: langchain-milvus's defaults."""

PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD = "pk", "text", "vector"
# In a file of rows, the column that holds all metadata of a row as one JSON object.
METADATA_COLUMN = "metadata"
