"""`kill -9` at ten random moments of a 20,000-row ingestion, each repeated to its end.

    python -m benchmarks.ingestion_kills [--backends lite server]

The ingestion runs in a process of its own. An undisturbed one is timed first and its rows are
remembered: their number and a checksum over the primary keys and texts. Then, ten times in a new
collection, the process is killed at a random moment of that time and started again without a kill.
Asked: the same number and the same checksum, ten times out of ten.
"""

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.ingestion_backends import address, arguments
from lib import settings
from lib.documents.corpora import CORPORA
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import open_model
from lib.milvus.reading import walk

BATCH_SIZE = 200
CONCURRENCY = 4


def main() -> int:
    """Print what was there after each kill and repetition."""
    parser = arguments(__doc__, "lite", "server")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ingest-into", help="(used by itself) the collection to ingest into")
    given = parser.parse_args()
    if given.ingest_into:
        return _ingest(given.uri, given.ingest_into, given.rows)
    good = True
    for backend in given.backends:
        with address(backend, given.uri) as uri:
            equal = _kill_and_repeat(backend, uri, given.rows, given.kills, given.seed)
        print(f"{backend}: {equal} of {given.kills} ended with the rows of an undisturbed run")
        good &= equal == given.kills
    return 0 if good else 1


def _kill_and_repeat(backend: str, uri: str, count: int, kills: int, seed: int) -> int:
    dice = random.Random(seed)
    equal = 0
    with tempfile.TemporaryDirectory() as folder:
        began, ended = _run(uri, "lab_bench_undisturbed", count)
        wanted = _state(uri, "lab_bench_undisturbed")
        print(f"{backend}: undisturbed: {wanted[0]:,} rows, checksum {wanted[1]}", flush=True)
        for number in range(kills):
            name = f"lab_bench_killed_{number}"
            if backend == "lite":
                uri = str(Path(folder) / f"{name}.db")
            # From the first batch on; before it there is nothing to lose.
            moment = dice.uniform(0.0, ended - began)
            _run(uri, name, count, kill_after_s=moment)
            left = _state(uri, name, keep=True)[0]
            _run(uri, name, count)
            found = _state(uri, name)
            equal += found == wanted
            print(
                f"{backend}: killed {moment:.2f} s in, {left:,} rows were there; repeated: "
                f"{found[0]:,} rows, checksum {found[1]} {'ok' if found == wanted else 'DIFFERS'}",
                flush=True,
            )
    return equal


def _run(
    uri: str, name: str, count: int, *, kill_after_s: float | None = None
) -> tuple[float, float]:
    """Ingest in another process; return the moments of its first batch and its end."""
    command = [sys.executable, "-m", "benchmarks.ingestion_kills", "--ingest-into", name]
    command += ["--uri", uri, "--rows", str(count)]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    if process.stdout.readline().strip() != "writing":
        raise SystemExit("The ingestion did not begin.")
    began = time.perf_counter()
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        process.kill()
        process.wait()
    elif process.wait():
        raise SystemExit("The ingestion failed.")
    return began, time.perf_counter()


def _ingest(uri: str, name: str, count: int) -> int:
    model = open_model(settings.load({}))
    connection = open_connection(settings.load({"MILVUS_URI": uri}))
    documents = CORPORA["tutorial"].documents(count, 0)
    print("writing", flush=True)
    ingest(connection, model, documents, IngestionPlan(name, BATCH_SIZE, CONCURRENCY))
    connection.close()
    return 0


def _state(uri: str, name: str, *, keep: bool = False) -> tuple[int, str]:
    """Return the number of rows and a checksum over keys and texts; drop the collection."""
    connection = open_connection(settings.load({"MILVUS_URI": uri}))
    try:
        if not milvus_collections.exists(connection, name):
            return 0, ""
        count = milvus_collections.count(connection, name)
        state = count, _checksum(connection, name)
        if not keep:
            milvus_collections.drop(connection, name)
        return state
    finally:
        connection.close()


def _checksum(connection: Connection, name: str) -> str:
    pairs = sorted(
        (row["pk"], row["text"])
        for part in walk(connection, name, "", fields=["pk", "text"])
        for row in part
    )
    return hashlib.sha256(repr(pairs).encode()).hexdigest()[:16]


if __name__ == "__main__":
    raise SystemExit(main())
