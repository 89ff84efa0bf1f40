"""The names of the fields that every collection of the lab has: langchain-milvus's defaults."""

PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD = "pk", "text", "vector"
# The BM25 vector of a row's words, in collections that were made with one; Milvus computes it.
WORDS_FIELD = "words"
# In a file of rows, the column that holds all metadata of a row as one JSON object.
METADATA_COLUMN = "metadata"
