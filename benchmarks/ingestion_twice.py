"""The same folder of files ingested twice: nothing is added, and it takes a fraction of the time.

    python -m benchmarks.ingestion_twice [--backends lite server]

Text files of standard library docstrings, cut into chunks, with the bundled model. Asked: zero
rows added the second time, and at least 5 times faster. The time is that of the whole ingestion:
reading, cutting, looking up, writing, and looking for rows that are no longer in their file.
"""

import itertools
import tempfile
import time
from pathlib import Path

from benchmarks._uploads import upload_of
from benchmarks.ingestion_backends import arguments, opened, scratch, verdict
from lib import settings
from lib.documents.chunking import Chunking
from lib.documents.corpora import CORPORA
from lib.documents.files import parsed
from lib.documents.sources import Reading
from lib.ingestion.chosen import ingest_chosen, of_files
from lib.ingestion.plan import default_plan
from lib.ingestion.report import IngestionReport
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel, open_model

LEAST = 5.0
TEXTS_A_FILE = 50


def main() -> int:
    """Print the paired ratios for each backend."""
    parser = arguments(__doc__, "lite", "server")
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    model = open_model(settings.load({}))
    good = True
    with tempfile.TemporaryDirectory() as folder:
        files = _write_files(Path(folder), given.texts)
        for backend in given.backends:
            with opened(backend, given.uri) as connection:
                ratios = []
                for _ in range(given.repeats):
                    with scratch(connection) as name:
                        first_s, first = _ingest(connection, model, name, files)
                        again_s, again = _ingest(connection, model, name, files)
                    ratios.append(first_s / again_s)
                    nothing = not (again.tally.added or again.tally.updated or again.tally.removed)
                    good &= nothing and again.rows == first.rows
                    print(
                        f"{backend}: {first.tally.added:,} rows from {len(files)} files in "
                        f"{first_s:.2f} s, again in {again_s:.2f} s, added {again.tally.added:,}, "
                        f"unchanged {again.tally.unchanged:,}",
                        flush=True,
                    )
                good &= verdict(f"{backend}: the second time, times faster", ratios, LEAST)
    return 0 if good else 1


def _write_files(folder: Path, texts: int) -> list[Path]:
    corpus = CORPORA["standard_library"].documents(None, 0)
    numbered = (f"{again}. {each.page_content}" for again in itertools.count() for each in corpus)
    files = []
    for start in range(0, texts, TEXTS_A_FILE):
        path = folder / f"part_{start:05}.txt"
        part = itertools.islice(numbered, min(TEXTS_A_FILE, texts - start))
        path.write_text("\n\n".join(part), encoding="utf-8")
        files.append(path)
    return files


def _ingest(
    connection: Connection, model: EmbeddingModel, name: str, files: list[Path]
) -> tuple[float, IngestionReport]:
    started = time.perf_counter()
    plan = default_plan(connection, model, name)
    uploads = parsed([upload_of(path) for path in files], 1 << 30)
    report = ingest_chosen(connection, model, of_files(uploads, Reading(), Chunking()), plan)
    return time.perf_counter() - started, report


if __name__ == "__main__":
    raise SystemExit(main())
