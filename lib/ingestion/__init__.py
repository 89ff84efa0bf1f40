"""Documents → rows: the plan, the batches, the writing, the report, and good settings for them.

It may import `lib.benchmark`, `lib.documents`, `lib.milvus` and the small modules.
"""
