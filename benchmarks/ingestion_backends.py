"""The backends that the ingestion benchmarks run on, opened and cleaned up."""

import argparse
import contextlib
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lib import settings
from lib.ingestion.batches import Batch
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from scripts.milvus_server import MilvusServer


def arguments(description: str | None, *backends: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all have in common."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--uri", help="a running Milvus server; without it one is started")
    if backends:
        parser.add_argument("--backends", nargs="+", choices=backends, default=list(backends))
    return parser


@contextlib.contextmanager
def address(backend: str, uri: str | None) -> Iterator[str]:
    """Name a Milvus Lite file in a folder that goes away, or a server, started if none is given."""
    with tempfile.TemporaryDirectory() as folder:
        if backend == "lite":
            yield str(Path(folder) / "lab.db")
        elif uri:
            yield uri
        else:
            with MilvusServer(folder) as server:
                yield server.uri


@contextlib.contextmanager
def opened(backend: str, uri: str | None) -> Iterator[Connection]:
    """Open what `address` names."""
    with address(backend, uri) as found:
        connection = open_connection(settings.load({"MILVUS_URI": found}))
        try:
            yield connection
        finally:
            connection.close()


@contextlib.contextmanager
def scratch(connection: Connection) -> Iterator[str]:
    """Name a collection and drop it afterwards."""
    name = f"lab_bench_ingestion_{uuid.uuid4().hex[:8]}"
    try:
        yield name
    finally:
        milvus_collections.drop(connection, name)


def bare_insert_rate(
    connection: Connection,
    dimension: int,
    batches: Sequence[Batch],
    vectors: Sequence[Any],
    *,
    threads: int,
) -> float:
    """Insert batches with their vectors by bare pymilvus from some threads; return rows/s."""
    with scratch(connection) as name:
        milvus_collections.create(connection, name, dimension)
        waiting, lock = iter(zip(batches, vectors, strict=True)), threading.Lock()

        def insert() -> None:
            while True:
                with lock:
                    pair = next(waiting, None)
                if pair is None:
                    return
                batch, ready = pair
                rows = [
                    {"pk": key, "text": text, "vector": vector, **metadata}
                    for key, text, vector, metadata in zip(
                        batch.keys, batch.texts, ready, batch.metadatas, strict=True
                    )
                ]
                connection.client.insert(name, rows)

        workers = [threading.Thread(target=insert) for _ in range(threads)]
        started = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        took = time.perf_counter() - started
        return milvus_collections.count(connection, name) / took


def verdict(what: str, ratios: Sequence[float], least: float) -> bool:
    """Print the median of paired ratios and whether it reaches what is asked."""
    median = statistics.median(ratios)
    reached = median >= least
    print(
        f"{what}: {median:.2f} (asked: at least {least:g}; pairs: "
        f"{', '.join(f'{ratio:.2f}' for ratio in ratios)}) {'ok' if reached else 'SHORT'}",
        flush=True,
    )
    return reached
