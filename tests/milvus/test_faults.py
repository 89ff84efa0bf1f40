"""Faults of a network before a real server: told in time, over without a restart, nothing lost.

`python -m benchmarks.faults` tries thirty of them.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.faults import COLLECTION, Bench
from lib.milvus import collections as milvus_collections
from scripts.tcp_proxy import TcpProxy


@pytest.fixture(scope="module")
def bench(milvus_server: Any) -> Iterator[Bench]:
    """One connection through a proxy; all faults are tried on it."""
    with TcpProxy(milvus_server.port) as proxy:
        opened = Bench(proxy)
        yield opened
        milvus_collections.drop(opened.connection, COLLECTION)
        opened.close()


@pytest.mark.parametrize(
    ("fault", "operation"),
    [
        ("gone", "ingest"),
        ("accepts and stays silent", "sync search"),
        ("garbage in mid-response", "ingest"),
        ("half-open, both ways", "async search"),
    ],
)
def test_a_fault_is_told_in_time_and_over_at_the_next_try(
    bench: Bench, fault: str, operation: str
) -> None:
    outcome = bench.try_fault(fault, operation)
    assert outcome.said.startswith("ConnectionFailed: ")
    assert outcome.silent_s < 10
    assert outcome.back_said == ""
    assert outcome.lost == 0
