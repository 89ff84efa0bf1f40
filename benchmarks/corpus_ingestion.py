"""Ingesting the standard library corpus against embedding it and inserting it with bare pymilvus.

    python -m benchmarks.corpus_ingestion [--repeats 3]

On Milvus Lite. The baseline embeds all documents at once and inserts the rows in batches of 1,000
from one thread, into a collection with the same index. Like is set against like: writing against
embedding and inserting, and writing until searchable against the same with flush and load.
The search figure is the median of `lib.search.ask` on the ingested rows.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from lib.documents.corpora import CORPORA
from lib.ingestion.plan import default_plan
from lib.ingestion.writing import ingest
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel, open_model
from lib.search import ask as search
from lib.search.ask import Question
from lib.settings import Settings

BATCH = 1_000
SEARCHES = 50


def bare(connection: Connection, model: EmbeddingModel, name: str) -> tuple[float, float, float]:
    """Return the seconds of embedding, of inserting, and of making the rows searchable."""
    documents = CORPORA["standard_library"].documents(None, 0)
    started = time.perf_counter()
    vectors = model.embeddings.embed_documents([d.page_content for d in documents])
    embedded = time.perf_counter()
    rows = [
        {"pk": document.id, "text": document.page_content, "vector": vector, **document.metadata}
        for document, vector in zip(documents, vectors, strict=True)
    ]
    milvus_collections.create(connection, name, model.dimension)
    prepared = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        connection.client.insert(name, rows[start : start + BATCH])
    inserted = time.perf_counter()
    milvus_collections.prepare_for_search(connection, name)
    searchable = time.perf_counter()
    milvus_collections.drop(connection, name)
    return embedded - started, inserted - prepared, searchable - inserted


def ours(connection: Connection, model: EmbeddingModel, name: str) -> tuple[float, float]:
    """Return the app's seconds of writing all rows, and those until they are searchable."""
    documents = CORPORA["standard_library"].documents(None, 0)
    started = time.perf_counter()
    plan = default_plan(connection, model, name)
    report = ingest(connection, model, documents, plan, total=len(documents))
    return report.tally.wall_s, time.perf_counter() - started


def main() -> None:
    """Alternate baseline and app, and print the ratios of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(milvus_uri=str(Path(folder) / "lab.db"))
        connection, model = open_connection(settings), open_model(settings)
        CORPORA["standard_library"].documents(None, 0)
        apart, whole = [], []
        for i in range(repeats):
            apart.append(bare(connection, model, f"bare_{i}"))
            whole.append(ours(connection, model, f"ours_{i}"))
        embed, insert, index = (statistics.median(column) for column in zip(*apart, strict=True))
        written, app = (statistics.median(column) for column in zip(*whole, strict=True))
        name = f"ours_{repeats - 1}"
        times = [
            search.fetch(connection, model, name, Question(f"question {i}")).timing.total_ms
            for i in range(SEARCHES)
        ]
        connection.close()
    print(f"bare: embed {embed:.2f} s + insert {insert:.2f} s, then flush and load {index:.2f} s")
    print(f"app:  {written:.2f} s of writing, {app:.2f} s until searchable (medians of {repeats})")
    print(f"like with like, rows written: {written / (embed + insert):.2f} of embed + insert")
    print(f"like with like, rows searchable: {app / (embed + insert + index):.2f}")
    print(f"rows searchable against embed + insert alone: {app / (embed + insert):.2f}")
    print(f"search in lib: median {statistics.median(times):.1f} ms of {SEARCHES}")


if __name__ == "__main__":
    main()
