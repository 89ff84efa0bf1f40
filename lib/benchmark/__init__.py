"""Plan → trials: strategies, runner, measurement and the terminal command.

It may import `lib.documents`, `lib.milvus`, `lib.results` and the small modules.
"""
