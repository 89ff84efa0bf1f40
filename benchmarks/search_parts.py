"""Where a search's time goes on Milvus Lite, and what re-ranking for another λ costs.

    python -m benchmarks.search_parts

Prints the median split of `lib.search.ask.fetch` over the whole standard library, its own part
beyond embedding and Milvus (at most 5 ms), the wall time as a ratio to the library's own MMR method
called in turn, and one re-ranking against langchain's function on the same vectors.
"""

import statistics
import tempfile
import time
from pathlib import Path

from langchain_core.vectorstores.utils import maximal_marginal_relevance

from lib.documents.corpora import CORPORA
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus import milvus_collections
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.search import ask as search
from lib.search import mmr
from lib.search.ask import Question
from lib.settings import load

COLLECTION = "benchmark_search_parts"
REPEATS = 200
SIZES = ((5, 20), (10, 50), (20, 100), (100, 500))


def ms_since(started: float) -> float:
    """Return milliseconds."""
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load({"MILVUS_URI": str(Path(folder) / "lab.db")})
        connection, model = open_connection(settings), open_model(settings)
        documents = CORPORA["standard_library"].documents(None, 0)
        ingest(connection, model, documents, IngestionPlan(collection=COLLECTION))
        milvus_collections.prepare_for_search(connection, COLLECTION)
        queries = search.sample_queries(connection, model, COLLECTION, REPEATS)
        store = connection.store(COLLECTION, model.embeddings)
        search.fetch(connection, model, COLLECTION, Question(queries[0]))
        timings, library = [], []
        for query in queries:
            timings.append(search.fetch(connection, model, COLLECTION, Question(query)).timing)
            started = time.perf_counter()
            store.max_marginal_relevance_search(query, k=5, fetch_k=20)
            library.append(ms_since(started))
        total = [timing.total_ms for timing in timings]
        print(f"{len(documents):,} rows on Milvus Lite, {REPEATS} questions, medians:")
        for part in ("total_ms", "embed_ms", "milvus_ms", "app_ms"):
            values = [getattr(timing, part) for timing in timings]
            print(f"  {part:10} {statistics.median(values):7.2f}")
        ratio = statistics.median(total) / statistics.median(library)
        print(f"fetch against max_marginal_relevance_search of the library: {ratio:.2f}×")
        for k, fetch_k in SIZES:
            found = search.fetch(connection, model, COLLECTION, Question(queries[0], k, fetch_k))
            started = time.perf_counter()
            theirs = maximal_marginal_relevance(
                found.query_vector, list(found.vectors), lambda_mult=0.5, k=k
            )
            their_ms = ms_since(started)
            started = time.perf_counter()
            ours = mmr.order(found.space, k, 0.5)
            our_ms = ms_since(started)
            same = "the same order" if list(ours) == theirs else "ANOTHER ORDER"
            print(
                f"k = {k}, fetch_k = {fetch_k}: re-ranking {our_ms:.2f} ms, "
                f"langchain's function {their_ms:.1f} ms, {same}"
            )
        connection.close()


if __name__ == "__main__":
    main()
