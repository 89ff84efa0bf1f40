"""Plan → trials: workload, strategies, runner, statistics, run file and the terminal command.

It may import `lib.documents`, `lib.milvus` and the small modules.
"""
