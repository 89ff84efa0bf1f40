"""Kill a real Milvus server ten times in mid-work: how long until it is said, and what is kept.

    python -m benchmarks.server_death

Four times a benchmark runs, once for each strategy, and six times an ingestion, in both modes.
Asked: said within ten seconds; the trials finished before are kept; no acknowledged row is missing
when the server is back, and the same ingestion through the same connection ends with all rows.
"""

import random
import tempfile
import threading
import time

from langchain_core.documents import Document

from lib.benchmark import runner
from lib.errors import LabError, OperationFailed
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.jobs import Job, Jobs
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import open_model
from lib.results.plan import Plan
from lib.results.trials import Trial
from lib.settings import Settings
from scripts.milvus_server import MilvusServer

ALLOWED_S = 10.0
FINISHED_BEFORE = 3
ROWS, BATCH = 6_000, 50
LOADED_S = 120.0


def main() -> int:
    """Kill a server ten times; fail when it was said late or an acknowledged row is missing."""
    slowest, lost = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        server = MilvusServer(folder)
        for strategy in ("sync_loop", "thread_pool", "gather", "gather_limited"):
            server.start()
            seconds, kept, error = _kill_during(strategy, server)
            slowest = max(slowest, seconds)
            print(
                f"{strategy}: said after {seconds:.1f} s, {kept} trials kept: {error}", flush=True
            )
        dice = random.Random(0)
        for number in range(6):
            mode = ("gather", "sync_loop")[number % 2]
            server.start()
            seconds, missing = _kill_ingestion(mode, number, dice.uniform(0.05, 0.9), server)
            slowest, lost = max(slowest, seconds), lost + missing
    print(f"10 kills: slowest {slowest:.1f} s, allowed {ALLOWED_S:g} s; {lost} rows lost")
    return 0 if slowest <= ALLOWED_S and not lost else 1


def _kill_during(strategy: str, server: MilvusServer) -> tuple[float, int, str]:
    settings = Settings(milvus_uri=server.uri)
    connection, model = open_connection(settings), open_model(settings)
    plan = Plan(
        operations=("similarity_search",),
        strategies=(strategy,),
        counts=(500,),
        repeats=50,
        rows=500,
        warmup=0,
    )
    killed: list[float] = []

    def kill(trial: Trial) -> None:
        if trial.order == FINISHED_BEFORE - 1:
            server.kill()
            killed.append(time.perf_counter())

    def work(job: Job) -> object:
        return runner.run(plan, connection, model, job=job, on_trial=kill)

    job = Jobs().submit("benchmark", work, subject=runner.SUBJECT)
    job.finished.wait()
    seconds = time.perf_counter() - killed[0]
    connection.close()
    return seconds, len(job.result.trials), str(job.error)


def _kill_ingestion(
    mode: str, number: int, share: float, server: MilvusServer
) -> tuple[float, int]:
    """Kill the server when a share of the rows is in; return when it was said and what is lost."""
    settings = Settings(milvus_uri=server.uri)
    connection, model = open_connection(settings), open_model(settings)
    documents = [
        Document(page_content=f"row {i}", metadata={"source": "kill"}) for i in range(ROWS)
    ]
    plan = IngestionPlan(f"lab_bench_death_{number}", BATCH, 4, mode=mode)
    job, killed, over = Job("ingest", "lane"), [0.0], threading.Event()

    def kill() -> None:
        while job.progress.done < share * ROWS and not over.wait(0.002):
            pass
        killed[0] = time.perf_counter()
        server.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        ingest(connection, model, documents, plan, total=ROWS, job=job)
        said = "nothing, it was over"
    except LabError as error:
        said = str(error)
    ended, acknowledged = time.perf_counter(), int(job.progress.done)
    over.set()
    killer.join()
    seconds = max(ended - killed[0], 0.0)
    server.start()
    loaded_s, found = _rows_when_loaded(connection, plan.collection)
    again = ingest(connection, model, documents, plan).rows
    missing = max(acknowledged - found, 0) + max(ROWS - again, 0)
    print(
        f"ingestion in mode {mode}: said after {seconds:.1f} s: {said} | {acknowledged:,} rows "
        f"acknowledged, {found:,} there {loaded_s:.0f} s after the restart, "
        f"{again:,} after ingesting again",
        flush=True,
    )
    milvus_collections.drop(connection, plan.collection)
    connection.close()
    server.kill()
    return seconds, missing


def _rows_when_loaded(connection: Connection, name: str) -> tuple[float, int]:
    """Return the seconds until the restarted server had loaded a collection, and its rows."""
    started = time.perf_counter()
    while True:
        try:
            rows = milvus_collections.describe(connection, name).rows
            return time.perf_counter() - started, rows
        except OperationFailed as error:
            if "still loading" not in error.what or time.perf_counter() - started > LOADED_S:
                raise


if __name__ == "__main__":
    raise SystemExit(main())
