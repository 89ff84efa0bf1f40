"""Thirty faults between the lab and a real Milvus server: ten of a network, in three operations.

    python -m benchmarks.faults [--idle 900]

A TCP proxy stands before the server. Each fault begins while an operation runs or just before it.
Asked: the operation succeeds or says what is wrong within ten seconds, and an ingestion that goes
on slowly leaves nobody longer than that without news; after the fault the same operation works at
the first try through the same connection; no acknowledged row is missing.

With `--idle` nothing is asked for that many seconds through a proxy that forgets a silent
connection after five minutes, as firewalls do; then each operation must work at the first try.
"""

import argparse
import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from langchain_core.documents import Document

from lib.errors import LabError
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.jobs import Job
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel, open_model
from lib.search import ask
from lib.settings import Settings
from scripts.milvus_server import MilvusServer
from scripts.tcp_proxy import FAULTS, TcpProxy

COLLECTION = "lab_bench_faults"
START_ROWS, NEW_ROWS, BATCH = 200, 600, 50
ALLOWED_S = 10.0
FORGETS_AFTER_S = 300.0


@dataclass(frozen=True)
class Outcome:
    """What one fault did. Times in seconds; `lost` counts acknowledged rows that are not there.

    `silent_s` is the longest time without news: of an ingestion's rows, or of the end.
    """

    fault: str
    operation: str
    took_s: float
    silent_s: float
    said: str
    back_s: float
    back_said: str
    lost: int

    @property
    def is_good(self) -> bool:
        """Say whether it recovered and lost nothing; the time is the caller's to judge."""
        return not self.back_said and not self.lost


class Bench:
    """One connection through a proxy, on which every fault is tried."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.proxy = proxy
        self.settings = Settings(milvus_uri=f"http://127.0.0.1:{proxy.port}")
        self.connection: Connection = open_connection(self.settings)
        self.model: EmbeddingModel = open_model(self.settings)
        self.rounds = 0
        self._began = 0.0
        self.ingest(_documents("start", START_ROWS), Job("start", "lane"))
        for asynchronous in (False, True):
            self.search(asynchronous)

    def search(self, asynchronous: bool) -> None:
        """Search once, as the search page does."""
        request = ask.Request("similarity_search", query="row 7", k=20, asynchronous=asynchronous)
        answer = ask.call_method(self.connection, self.model, COLLECTION, request)
        if not answer.keys:
            raise LabError("The search found nothing.")

    def ingest(self, documents: list[Document], job: Job) -> None:
        """Ingest documents as the ingestion page does."""
        plan = IngestionPlan(COLLECTION, BATCH, 2)
        ingest(self.connection, self.model, documents, plan, total=len(documents), job=job)

    def try_fault(self, fault: str, operation: str) -> Outcome:
        """Run an operation into a fault, heal it, run it again, and count the rows."""
        self.rounds += 1
        documents, job = _documents(f"round-{self.rounds}", NEW_ROWS), Job("ingest", "lane")
        before = milvus_collections.count(self.connection, COLLECTION)
        news: list[float] = []
        ended = threading.Event()
        listener = threading.Thread(target=_listen, args=(job, news, ended))
        begin = threading.Thread(target=self._begin, args=(fault, operation, job))
        listener.start()
        begin.start()
        if operation != "ingest":
            begin.join()
        work: dict[str, Callable[[], None]] = {
            "sync search": lambda: self.search(False),
            "async search": lambda: self.search(True),
            "ingest": lambda: self.ingest(documents, job),
        }
        took_s, said = _timed(work[operation])
        over = time.perf_counter()
        ended.set()
        listener.join()
        begin.join()
        silent_s = took_s
        if operation == "ingest":
            took_s = max(over - self._began, 0.0)
            heard = [self._began, *(each for each in news if each > self._began), over]
            silent_s = max(later - earlier for earlier, later in itertools.pairwise(heard))
        acknowledged = int(job.progress.done)
        self.proxy.heal()
        lost = 0
        if operation == "ingest":
            back_s, back_said = _timed(lambda: self._count_until_back(before + acknowledged))
            found = milvus_collections.count(self.connection, COLLECTION)
            lost = max(before + acknowledged - found, 0)
            if not back_said:
                back_s, back_said = _timed(lambda: self.ingest(documents, Job("again", "lane")))
                found = milvus_collections.count(self.connection, COLLECTION)
                lost += max(before + NEW_ROWS - found, 0)
        else:
            back_s, back_said = _timed(work[operation])
        return Outcome(fault, operation, took_s, silent_s, said, back_s, back_said, lost)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _begin(self, fault: str, operation: str, job: Job) -> None:
        deadline = time.monotonic() + 5
        while operation == "ingest" and job.progress.done < BATCH and time.monotonic() < deadline:
            time.sleep(0.002)
        self._began = time.perf_counter()
        self.proxy.fault = FAULTS[fault]

    def _count_until_back(self, wanted: int) -> None:
        found = milvus_collections.count(self.connection, COLLECTION)
        if found < wanted:
            raise LabError(f"{wanted - found} acknowledged rows are missing.")


def _listen(job: Job, news: list[float], ended: threading.Event) -> None:
    """Note when a job's progress changed on the page."""
    seen = (0.0, "")
    while not ended.wait(0.02):
        now = (job.progress.done, job.progress.message)
        if now != seen:
            seen = now
            news.append(time.perf_counter())


def _documents(source: str, rows: int) -> list[Document]:
    return [
        Document(page_content=f"row {i} of {source}", metadata={"source": source})
        for i in range(rows)
    ]


def _timed(work: Callable[[], None]) -> tuple[float, str]:
    """Return the seconds and what was said; anything but a LabError is a bug and is raised."""
    started = time.perf_counter()
    try:
        work()
        said = ""
    except (LabError, TimeoutError) as error:
        said = f"{type(error).__name__}: {error}"
    return time.perf_counter() - started, said


OPERATIONS = ("sync search", "async search", "ingest")


def main() -> int:
    """Print a line for each fault; fail when one was slow, stayed, or lost a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=float, metavar="SECONDS")
    parser.add_argument("--only", default="", help="only faults whose name contains this")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        MilvusServer(folder) as server,
        TcpProxy(server.port) as proxy,
    ):
        bench = Bench(proxy)
        if given.idle:
            return _idle(bench, given.idle)
        bad = tried = 0
        for fault in (each for each in FAULTS if given.only in each):
            for operation in OPERATIONS:
                outcome = bench.try_fault(fault, operation)
                good = outcome.is_good and outcome.silent_s <= ALLOWED_S
                tried, bad = tried + 1, bad + (not good)
                print(
                    f"{'ok ' if good else 'BAD'} {fault:28} {operation:13} {outcome.took_s:.1f} s, "
                    f"without news {outcome.silent_s:.1f} s: "
                    f"{outcome.said or 'succeeded'} | back in {outcome.back_s:.1f} s "
                    f"{outcome.back_said} | lost {outcome.lost}",
                    flush=True,
                )
        bench.close()
    print(f"{tried - bad} of {tried} faults: in time, recovered, nothing acknowledged lost")
    return 1 if bad else 0


def _idle(bench: Bench, seconds: float) -> int:
    bench.proxy.forgets_after_s = FORGETS_AFTER_S
    time.sleep(seconds)
    results = [
        _timed(lambda: bench.search(False)),
        _timed(lambda: bench.search(True)),
        _timed(lambda: bench.ingest(_documents("idle", NEW_ROWS), Job("idle", "lane"))),
    ]
    for operation, (took_s, said) in zip(OPERATIONS, results, strict=True):
        print(f"after {seconds:g} idle s: {operation} {took_s:.2f} s {said or 'succeeded'}")
    return 1 if any(said for _, said in results) else 0


if __name__ == "__main__":
    sys.exit(main())
