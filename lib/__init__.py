"""Milvus Async Lab: sync against async langchain-milvus, measured so that it can be believed."""
