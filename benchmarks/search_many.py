"""500 questions at once on a real server: sync loop, limited gather, one batched request.

    python -m benchmarks.search_many                              # starts a server of its own
    python -m benchmarks.search_many --uri http://127.0.0.1:19530

The plan of the page's "Many at once". Prints the ratio of wall times within each repeat as a median
with its range, so that a busy machine slows all alike, and how many trials were verified.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib.benchmark import runner, strategies
from lib.documents.corpora import CORPORA
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus import milvus_collections
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.results.plan import Plan
from lib.search import ask as search
from lib.settings import load

COLLECTION = "benchmark_search_many"
LOOP, GATHER, BATCH = STRATEGIES = ("sync_loop", "gather_limited", "one_batch")


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
            plan = Plan(
                operations=("similarity_search_with_score",),
                strategies=STRATEGIES,
                counts=(len(queries),),
                repeats=arguments.repeats,
                concurrency=(arguments.concurrency,),
                k=5,
                collection=COLLECTION,
                questions=tuple(queries),
            )
            trials = runner.run(plan, connection, model).trials
        finally:
            milvus_collections.drop(connection, COLLECTION)
            connection.close()
    print(f"{len(documents):,} rows, {arguments.queries} queries, {arguments.repeats} repeats")
    walls: dict[str, list[float]] = {}
    for trial in sorted(trials, key=lambda trial: trial.repeat):
        walls.setdefault(trial.strategy, []).append(trial.wall_s)
    for name in STRATEGIES:
        label = strategies.STRATEGIES[name].label(arguments.concurrency)
        print(f"  {label:22} median {1000 * statistics.median(walls[name]):8.0f} ms")
    for fast, slow in ((GATHER, LOOP), (BATCH, LOOP), (BATCH, GATHER)):
        ratios = [a / b for a, b in zip(walls[slow], walls[fast], strict=True)]
        print(f"{fast} against {slow}: {spread(ratios)}")
    print(f"verified: {sum(trial.verified for trial in trials)} of {len(trials)} trials")


if __name__ == "__main__":
    main()
