"""The store: everything that talks to Milvus through langchain-milvus or pymilvus.

Connections, Milvus Lite, field names, the fourteen method pairs, collections, rows, filters and
embedding models. It may import programs, results, workers and the small modules of `lib` only.
"""
