"""Milvus Async Lab: sync against async langchain-milvus, measured so that it can be believed."""

import importlib
import os

_uri = os.environ.get("MILVUS_URI")
if _uri:
    # pymilvus reads this variable too, while it is imported, and raises for what is no server's
    # address: the path of an embedded store, or a mistake that lib.settings has a sentence for.
    os.environ["MILVUS_URI"] = ""
    try:
        importlib.import_module("pymilvus")
    finally:
        os.environ["MILVUS_URI"] = _uri
