"""Precomputed vectors, 384 dimensions, into a real server.

    python -m benchmarks.ingestion_vectors

Rows/s against bare pymilvus inserting the same batches from two threads (alternating runs, medians
of paired ratios), against one row a call in a sync loop, and the growth of the process's memory.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from langchain_core.embeddings import Embeddings

from benchmarks._uploads import upload_of
from benchmarks.ingestion_backends import (
    address,
    arguments,
    bare_insert_rate,
    opened,
    scratch,
    verdict,
)
from lib.documents.chunking import Chunking
from lib.documents.files import parsed
from lib.documents.sources import Reading
from lib.ingestion.batches import Batch
from lib.ingestion.chosen import ingest_chosen, of_files
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest_batches
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel

DIMENSION = 384
BATCH = 1_000
LEAST_OF_BARE, LEAST_OF_ONE_BY_ONE, MOST_MEGABYTES = 0.9, 40.0, 150.0


class GivenVectors(Embeddings):
    """Embeds nothing: the vectors came with the texts."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Refuse."""
        raise NotImplementedError("These rows came with their vectors.")

    def embed_query(self, text: str) -> list[float]:
        """Refuse."""
        raise NotImplementedError("These rows came with their vectors.")


def precomputed(dimension: int) -> EmbeddingModel:
    """Return a model that stands for vectors of this dimension."""
    return EmbeddingModel(GivenVectors(), f"precomputed/{dimension}", "From a file", dimension)


def main() -> int:
    """Print the three figures."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--memory-of", help="(used by itself) the file to ingest")
    given = parser.parse_args()
    if given.memory_of:
        return _memory_of(Path(given.memory_of), given.uri, given.concurrency)
    with (
        tempfile.TemporaryDirectory() as folder,
        address("server", given.uri) as uri,
        opened("server", uri) as connection,
    ):
        path = Path(folder) / "vectors.parquet"
        _write_file(path, given.rows)
        results = [
            *_against_bare(connection, given.rows, given.repeats, given.concurrency),
            _from_file(connection, path, given.rows, given.concurrency),
            _memory(path, uri, given.concurrency),
        ]
    return 0 if all(results) else 1


def _batches(rows: int) -> list[Batch]:
    vectors = np.random.default_rng(0).random((rows, DIMENSION), dtype=np.float32)
    return [
        Batch(
            keys=[f"{i:032x}" for i in range(start, min(start + BATCH, rows))],
            texts=[f"This is test document {i}" for i in range(start, min(start + BATCH, rows))],
            metadatas=[
                {"source": "vectors", "position": i, "category": f"cat_{i % 5}"}
                for i in range(start, min(start + BATCH, rows))
            ],
            vectors=vectors[start : start + BATCH],
            content_keyed=True,
        )
        for start in range(0, rows, BATCH)
    ]


def _against_bare(
    connection: Connection, rows: int, repeats: int, concurrency: int
) -> Iterator[bool]:
    batches = _batches(rows)
    _bare(connection, batches[:10])
    _ours(connection, batches[:10], concurrency)
    bare, ours = [], []
    for repeat in range(repeats):
        # Each goes first as often as the other.
        for run in (0, 1) if repeat % 2 else (1, 0):
            if run:
                bare.append(_bare(connection, batches))
            else:
                ours.append(_ours(connection, batches, concurrency))
        print(f"bare pymilvus, 2 threads: {bare[-1]:,.0f} rows/s; aadd_embeddings: {ours[-1]:,.0f}")
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    yield verdict("aadd_embeddings against bare pymilvus", ratios, LEAST_OF_BARE)
    one_by_one = _one_by_one(connection, batches[0])
    print(f"one row a call, sync: {one_by_one:,.0f} rows/s")
    yield verdict(
        "aadd_embeddings against one by one",
        [mine / one_by_one for mine in ours],
        LEAST_OF_ONE_BY_ONE,
    )


def _ours(connection: Connection, batches: list[Batch], concurrency: int) -> float:
    plan_of = IngestionPlan("", BATCH, concurrency, method="add_embeddings")
    with scratch(connection) as name:
        model = precomputed(DIMENSION)
        milvus_collections.ensure(connection, name, DIMENSION, embedding=model.model)
        plan = IngestionPlan(name, plan_of.batch_size, concurrency, method=plan_of.method)
        report = ingest_batches(connection, model, iter(batches), plan)
        if report.rows != sum(map(len, batches)):
            raise SystemExit(f"{report.rows:,} rows came in")
        return report.rows_per_s


def _bare(connection: Connection, batches: list[Batch]) -> float:
    vectors = [batch.vectors for batch in batches]
    return bare_insert_rate(connection, DIMENSION, batches, vectors, threads=2)


def _one_by_one(connection: Connection, batch: Batch, rows: int = 500) -> float:
    with scratch(connection) as name:
        model = precomputed(DIMENSION)
        milvus_collections.create(connection, name, DIMENSION, embedding=model.model)
        store = connection.store(name, model.embeddings)
        vectors = batch.vectors.tolist()  # type: ignore[union-attr]
        started = time.perf_counter()
        for i in range(rows):
            store.add_embeddings(
                [batch.texts[i]], [vectors[i]], [batch.metadatas[i]], ids=[batch.keys[i]]
            )
        return rows / (time.perf_counter() - started)


def _write_file(path: Path, rows: int) -> None:
    schema = pa.schema(
        [("text", pa.string()), ("category", pa.string()), ("vector", pa.list_(pa.float32()))]
    )
    generator = np.random.default_rng(1)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, 10_000):
            numbers = range(start, min(start + 10_000, rows))
            vectors = generator.random(len(numbers) * DIMENSION, dtype=np.float32)
            offsets = pa.array(range(0, len(vectors) + 1, DIMENSION), pa.int32())
            writer.write_table(
                pa.table(
                    [
                        pa.array([f"This is test document {i}" for i in numbers]),
                        pa.array([f"cat_{i % 5}" for i in numbers]),
                        pa.ListArray.from_arrays(offsets, pa.array(vectors)),
                    ],
                    schema=schema,
                )
            )


def _ingest_file(
    connection: Connection, path: Path, name: str, concurrency: int
) -> tuple[int, float]:
    model = precomputed(DIMENSION)
    milvus_collections.ensure(connection, name, DIMENSION, embedding=model.model)
    reading = Reading(take_vectors=True, dimension=DIMENSION)
    plan = IngestionPlan(name, BATCH, concurrency, method="add_embeddings")
    files = parsed([upload_of(path)], 1 << 40)
    report = ingest_chosen(connection, model, of_files(files, reading, Chunking()), plan)
    return report.rows, report.rows_per_s


def _from_file(connection: Connection, path: Path, rows: int, concurrency: int) -> bool:
    with scratch(connection) as name:
        written, rate = _ingest_file(connection, path, name, concurrency)
    print(f"read from a Parquet file on the way: {rate:,.0f} rows/s")
    return written == rows


def _memory(path: Path, uri: str, concurrency: int) -> bool:
    """Ingest the file in a process of its own and see how much that one grows."""
    command = [sys.executable, "-m", "benchmarks.ingestion_vectors", "--memory-of", str(path)]
    command += ["--uri", uri, "--concurrency", str(concurrency)]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    grown = float(subprocess.check_output(command, text=True, env=environment).split()[-1])
    ok = grown <= MOST_MEGABYTES
    print(
        f"peak memory grew by {grown:.0f} MB (asked: at most {MOST_MEGABYTES:.0f}) "
        f"{'ok' if ok else 'SHORT'}"
    )
    return ok


def _memory_of(path: Path, uri: str, concurrency: int) -> int:
    process = psutil.Process()
    with opened("server", uri) as connection, scratch(connection) as name:
        before = peak = process.memory_info().rss
        done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.01):
                peak = max(peak, process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        _ingest_file(connection, path, name, concurrency)
        done.set()
        watcher.join()
    print((peak - before) / 1e6)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
