"""Gathered batches against a sync loop of the same batches, 200 ms simulated embedding latency.

    python -m benchmarks.ingestion_gather [--backends lite server]

SIMULATED latency: every embedding call waits 200 ms, at most 8 batches are under way. Asked: at
least 6 times the rows per second.
"""

from dataclasses import replace

from benchmarks.ingestion_backends import arguments, opened, scratch, verdict
from lib import settings
from lib.documents.corpora import CORPORA
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus.embeddings import open_model

LATENCY_MS = 200.0
LIMIT = 8
LEAST = 6.0


def main() -> int:
    """Print the paired ratios for each backend."""
    parser = arguments(__doc__, "lite", "server")
    parser.add_argument("--batches", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    model = open_model(settings.load({})).slowed(LATENCY_MS)
    documents = CORPORA["tutorial"].documents(given.batches * given.batch_size, 0)
    good = True
    for backend in given.backends:
        with opened(backend, given.uri) as connection:
            ratios = []
            for repeat in range(given.repeats):
                rates = {}
                modes = ("sync_loop", "gather") if repeat % 2 else ("gather", "sync_loop")
                for mode in modes:
                    with scratch(connection) as name:
                        plan = IngestionPlan(name, given.batch_size, LIMIT)
                        report = ingest(connection, model, documents, replace(plan, mode=mode))
                        if report.rows != len(documents):
                            raise SystemExit(f"{report.rows:,} rows came in")
                        rates[mode] = report.rows_per_s
                ratios.append(rates["gather"] / rates["sync_loop"])
                print(
                    f"{backend}: sync loop {rates['sync_loop']:,.0f} rows/s, gather, at most "
                    f"{LIMIT}: {rates['gather']:,.0f} (200 ms SIMULATED embedding latency)",
                    flush=True,
                )
            good &= verdict(f"{backend}: gather against the sync loop", ratios, LEAST)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
