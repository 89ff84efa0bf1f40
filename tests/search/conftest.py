"""What tests of the search share: the bundled model, and Milvus Lite with the corpus in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from tests.stores import COLLECTION, copy_of


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, filled_store: Callable[[], Path]
) -> Iterator[Connection]:
    """Milvus Lite with the whole standard library in it, in `COLLECTION`."""
    with copy_of(filled_store(), tmp_path_factory.mktemp("lab") / "lab.db") as connection:
        milvus_collections.prepare_for_search(connection, COLLECTION)
        yield connection
