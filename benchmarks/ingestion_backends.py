"""The backends that the ingestion benchmarks run on, opened and cleaned up."""

import argparse
import contextlib
import statistics
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from lib import collections, settings
from lib.connection import Connection, open_connection

DEFAULT_URI = "http://127.0.0.1:19530"


def arguments(description: str | None, *backends: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all have in common."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--uri", default=DEFAULT_URI, help="a running Milvus server")
    if backends:
        parser.add_argument("--backends", nargs="+", choices=backends, default=list(backends))
    return parser


@contextlib.contextmanager
def opened(backend: str, uri: str) -> Iterator[Connection]:
    """Open the server, or a Milvus Lite in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        address = uri if backend == "server" else str(Path(folder) / "lab.db")
        connection = open_connection(settings.load({"MILVUS_URI": address}))
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
        collections.drop(connection, name)


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
