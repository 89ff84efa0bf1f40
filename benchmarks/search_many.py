"""500 questions at once on a real server: sync loop, limited gather, one batched request.

    python -m benchmarks.search_many                              # starts a server of its own
    python -m benchmarks.search_many --uri http://127.0.0.1:19530

The three ways are asked in turn, `--repeats` times after one that is not kept. Prints the ratio of
wall times within each repeat as a median with its range, so that a busy machine slows all alike,
and whether every way returned the same rows.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib.documents.corpora import CORPORA
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus import collections as milvus_collections
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.search import ask as search
from lib.search import many as search_many
from lib.search.many import ManyRequest
from lib.settings import load

COLLECTION = "benchmark_search_many"


@contextmanager
def a_server(uri: str | None) -> Iterator[str]:
    """Yield the address of a Milvus server: the one given, or one started for this."""
    if uri:
        yield uri
        return
    from scripts.milvus_server import MilvusServer

    with tempfile.TemporaryDirectory() as folder, MilvusServer(Path(folder)) as server:
        yield server.uri


def spread(ratios: list[float]) -> str:
    """Return a median with its range."""
    return f"{statistics.median(ratios):.2f}× ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--concurrency", type=int, default=32)
    arguments = parser.parse_args()
    with a_server(arguments.uri) as uri:
        settings = load({"MILVUS_URI": uri})
        connection, model = open_connection(settings), open_model(settings)
        try:
            documents = CORPORA["standard_library"].documents(None, 0)
            ingest(connection, model, documents, IngestionPlan(collection=COLLECTION))
            milvus_collections.prepare_for_search(connection, COLLECTION)
            queries = search.sample_queries(connection, model, COLLECTION, arguments.queries)
            request = ManyRequest(tuple(queries), concurrency=arguments.concurrency)
            answers = [
                search_many.ask_many(connection, model, COLLECTION, request)
                for _ in range(arguments.repeats + 1)
            ][1:]
        finally:
            milvus_collections.drop(connection, COLLECTION)
            connection.close()
    walls = [[run.wall_ms for run in answer.runs] for answer in answers]
    print(f"{len(documents):,} rows, {arguments.queries} queries, {len(answers)} repeats")
    for index, run in enumerate(answers[0].runs):
        print(f"  {run.label:22} median {statistics.median(w[index] for w in walls):8.0f} ms")
    print(f"limited gather against sync loop:  {spread([w[0] / w[1] for w in walls])}")
    print(f"one batched against sync loop:     {spread([w[0] / w[2] for w in walls])}")
    print(f"one batched against gather:        {spread([w[1] / w[2] for w in walls])}")
    verified = sum(answer.verified for answer in answers)
    print(f"same rows in the same order from all three: {verified} of {len(answers)} repeats")


if __name__ == "__main__":
    main()
