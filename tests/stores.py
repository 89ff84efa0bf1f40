"""Stores of Milvus Lite that tests fill once and copy: filling one takes a second."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from langchain_core.documents import Document

from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import open_model
from lib.settings import load

# The collection of a settings' default, which `fill` writes.
COLLECTION = load({}).collection


def fill(path: Path, documents: Sequence[Document]) -> Path:
    """Make a store at this path whose collection holds these rows, and return the path."""
    settings = load({"MILVUS_URI": str(path)})
    opened = open_connection(settings)
    ingest(opened, open_model(settings), documents, IngestionPlan(settings.collection))
    opened.close()
    return path


@contextmanager
def copy_of(filled: Path, path: Path) -> Iterator[Connection]:
    """Open a copy of a store: a test changes its own, and filling one takes a second."""
    shutil.copytree(filled, path)
    settings = load({"MILVUS_URI": str(path)})
    opened = open_connection(settings)
    opened.client.load_collection(settings.collection)
    yield opened
    opened.close()
