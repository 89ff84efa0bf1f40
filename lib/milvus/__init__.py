"""The store: everything that talks to Milvus through langchain-milvus or pymilvus.

Connections, Milvus Lite, field names, the fourteen method pairs, collections, rows, filters,
embedding models and the code snippets. It may import the small modules of `lib` only.
"""
