"""How much of embedding and inserting overlaps, end to end on 50,000 distinct documents.

    python -m benchmarks.ingestion_overlap [--backends lite server]

The standard library corpus, repeated with a number in each text. Three rates in rows/s, one after
another in each repeat: embedding alone, inserting ready vectors alone (bare pymilvus, the same
batches, one thread, which is what Milvus Lite's one worker serves; two against a server), and the
app's pipeline doing both. Asked: the pipeline at least 0.85 of the slower of the two alone on a
server, 0.6 on Milvus Lite, whose server shares this process and its interpreter lock.

Beside it stands what the machine allows: embedding and inserting cost processor time, in the
server too, and the processors that both share bound the rate of doing both. The processor time is
the whole machine's, so nothing else should run.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import psutil
from langchain_core.documents import Document

from benchmarks.ingestion_backends import arguments, bare_insert_rate, opened, scratch, verdict
from lib import settings
from lib.documents.corpora import CORPORA
from lib.documents.problems import Problems
from lib.ingestion.batches import Batch, from_documents
from lib.ingestion.plan import default_plan
from lib.ingestion.writing import ingest_batches
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel, open_model

LEAST = {"lite": 0.6, "server": 0.85}
THREADS = {"lite": 1, "server": 2}


def main() -> int:
    """Print the three rates and their ratio for each backend."""
    parser = arguments(__doc__, "lite", "server")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    model = open_model(settings.load({}))
    good = True
    for backend in given.backends:
        with opened(backend, given.uri) as connection:
            batch_size = default_plan(connection, model, "any").batch_size
            batches = list(_batches(given.rows, batch_size))
            ratios = []
            for _ in range(given.repeats):
                busy = [_busy_s()]
                embedding, vectors = _embed_alone(model, batches)
                busy.append(_busy_s())
                inserting = bare_insert_rate(
                    connection, model.dimension, batches, vectors, threads=THREADS[backend]
                )
                busy.append(_busy_s())
                del vectors
                both = _pipeline(connection, model, batches, given.rows)
                allowed = given.rows * psutil.cpu_count() / (busy[2] - busy[0])
                ratios.append(both / min(embedding, inserting))
                print(
                    f"{backend}: embedding alone {embedding:,.0f} rows/s, inserting alone "
                    f"{inserting:,.0f}, one after the other "
                    f"{1 / (1 / embedding + 1 / inserting):,.0f}, the pipeline {both:,.0f}; "
                    f"processor time a row: {1e6 * (busy[1] - busy[0]) / given.rows:.0f} µs + "
                    f"{1e6 * (busy[2] - busy[1]) / given.rows:.0f} µs, so {psutil.cpu_count()} "
                    f"processors allow {allowed:,.0f} rows/s, {both / allowed:.2f} of it reached",
                    flush=True,
                )
            good &= verdict(f"{backend}: pipeline against the slower part", ratios, LEAST[backend])
    return 0 if good else 1


def _busy_s() -> float:
    """Return the processor seconds that the whole machine has spent working."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _batches(rows: int, size: int) -> Iterator[Batch]:
    corpus = CORPORA["standard_library"].documents(None, 0)
    documents = (
        Document(
            page_content=f"{document.page_content} ({again})",
            metadata=document.metadata,
            id=f"{again}:{document.id}",
        )
        for again in itertools.count()
        for document in corpus
    )
    return from_documents(itertools.islice(documents, rows), size, Problems())


def _embed_alone(model: EmbeddingModel, batches: list[Batch]) -> tuple[float, list["np.ndarray"]]:
    embed = model.embeddings.embed_documents
    started = time.perf_counter()
    vectors = [np.asarray(embed(batch.texts), dtype=np.float32) for batch in batches]
    return sum(map(len, batches)) / (time.perf_counter() - started), vectors


def _pipeline(
    connection: Connection, model: EmbeddingModel, batches: list[Batch], rows: int
) -> float:
    # The pipeline may change a batch it was given.
    fresh = (replace(batch) for batch in batches)
    with scratch(connection) as name:
        report = ingest_batches(connection, model, fresh, default_plan(connection, model, name))
        if report.rows != rows:
            raise SystemExit(f"{report.rows:,} rows came in, not {rows:,}")
        return report.rows_per_s


if __name__ == "__main__":
    raise SystemExit(main())
