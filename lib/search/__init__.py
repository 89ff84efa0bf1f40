"""One question, asked in every way: candidates, MMR on arrays, comparison and its charts.

It may import `lib.benchmark`, `lib.documents`, `lib.milvus` and the small modules.
"""
