"""Bytes → documents: uploads, loaders, tables, archives, chunking, metadata and bundled corpora.

Nothing here writes to Milvus. It may import `lib.milvus` (field names and limits) and the small
modules.
"""
