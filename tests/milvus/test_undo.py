"""Random collections, edits and deletes, undone: the same rows, or a word before the delete."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from scripts.check_undo import check


@pytest.mark.parametrize("first", range(0, 25, 5))
def test_an_undo_brings_back_the_same_rows_or_is_refused_before_the_delete(
    backend: Connection, model: EmbeddingModel, first: int
) -> None:
    seeds = range(first, first + 5)
    # On a server most of a case is waiting.
    with ThreadPoolExecutor(1 if backend.is_lite else len(seeds)) as threads:
        cases = list(threads.map(lambda seed: check(backend, model, seed), seeds))
    wrong = {seed: what for seed, (_, what) in zip(seeds, cases, strict=True) if what}
    assert wrong == {}
