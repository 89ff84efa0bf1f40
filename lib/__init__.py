"""Milvus Async Lab: sync against async langchain-milvus, measured so that it can be believed."""

import importlib.util
import os
import sys
from pathlib import Path


def _keep_the_address_from_pymilvus() -> None:
    """Load pymilvus's settings alone, without the address that the host's variable names.

    pymilvus reads MILVUS_URI too, while it is imported, and raises for what is no server's address:
    the path of an embedded store, or a mistake that `lib.settings` has a sentence for. Loading all
    of pymilvus takes half a second, which the first screen need not wait for.
    """
    package = importlib.util.find_spec("pymilvus")
    places = package.submodule_search_locations if package else None
    found = places and importlib.util.spec_from_file_location(
        "pymilvus.settings", Path(places[0]) / "settings.py"
    )
    if found and found.loader and found.name not in sys.modules:
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        module.Config.MILVUS_URI = ""
        sys.modules[found.name] = module


if os.environ.get("MILVUS_URI"):
    _keep_the_address_from_pymilvus()
