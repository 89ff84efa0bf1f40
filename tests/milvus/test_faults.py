"""Faults of a network before a real server: told in time, over without a restart, nothing lost.

`python -m benchmarks.faults` tries thirty of them.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.faults import COLLECTION, START_ROWS, Bench
from lib.milvus import milvus_collections
from scripts.tcp_proxy import TcpProxy


@pytest.fixture(scope="module")
def bench(milvus_server: Any) -> Iterator[Bench]:
    """One connection through a proxy; all faults are tried on it."""
    with TcpProxy(milvus_server.port) as proxy:
        opened = Bench(proxy)
        yield opened
        milvus_collections.drop(opened.connection, COLLECTION)
        opened.close()


@pytest.mark.alone
@pytest.mark.parametrize(
    ("fault", "operation", "kind"),
    [
        ("gone", "ingest", "ConnectionFailed"),
        # Whoever waits cannot tell a busy server from one whose answers are lost.
        ("accepts and stays silent", "sync search", "StoreBusy"),
        ("garbage in mid-response", "ingest", "ConnectionFailed"),
        ("half-open, both ways", "async search", "StoreBusy"),
    ],
)
def test_a_fault_of_a_server_is_told_in_time_and_over_at_the_next_try(
    bench: Bench, fault: str, operation: str, kind: str
) -> None:
    outcome = bench.try_fault(fault, operation)
    assert outcome.said.startswith(f"{kind}: ")
    assert outcome.silent_s < 10
    assert outcome.back_said == ""
    assert outcome.lost == 0


def test_a_collection_that_a_restarted_server_has_not_loaded_is_loaded_when_it_is_chosen(
    bench: Bench,
) -> None:
    bench.connection.client.release_collection(COLLECTION)
    listed = milvus_collections.overview(bench.connection, 256, embedding=bench.model.model)
    assert "not loaded" in next(each.note for each in listed if each.name == COLLECTION)
    assert milvus_collections.describe(bench.connection, COLLECTION).rows >= START_ROWS
