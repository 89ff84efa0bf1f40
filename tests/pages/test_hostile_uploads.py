"""While somebody uploads what was made to do harm, the app goes on answering."""

import asyncio
import contextlib
import io
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lib.documents.sources import MEGABYTE
from scripts import soak
from scripts.processes import family_mb
from tests.documents.test_hostile_files import FILES
from tests.pages.test_uploads import warm

# For the health check, and for a page of somebody else.
HEALTH_S, OTHERS_PAGE_S = 1.0, 2.0
# For the page's process during one upload, whatever is in it.
GROWTH_MB = 50.0
LOOK_EVERY_S = 0.2
MOST_BYTES = 19 * MEGABYTE
NO_RUN = (
    b'{"kind":"milvus-async-lab/run","schema":2,"environment":{},"settings":{},"partial":false,'
    b'"trials":[%b]}'
)
RUNS = {
    "empty.json": NO_RUN % b",".join([b"{}"] * 50_000),
    "nested.json": b"[" * 5_000_000,
    "numbers.json": NO_RUN % b",".join([b"1"] * 5_000_000),
    "strings.json": NO_RUN % (b'"' + b"\\u001b" * 2_000_000 + b'"'),
    "keys.json": b"{" + b",".join(b'"%d":{}' % i for i in range(400_000)) + b"}",
}


class Watch:
    """Asks the app for its health, again and again, and looks at what its process takes."""

    def __init__(self, url: str, pid: int) -> None:
        self._url = f"{url}/_stcore/health"
        self._pid = pid
        self._ended = threading.Event()
        self._uploads: list[tuple[str, list[float]]] = []
        self.slowest_s = 0.0

    def begins(self, upload: str) -> None:
        self._uploads.append((upload, [family_mb(self._pid)[0]]))

    def grown_mb(self) -> dict[str, float]:
        """By how much the process grew during each upload, at most."""
        return {name: max(taken) - taken[0] for name, taken in self._uploads}

    def ask(self) -> None:
        while not self._ended.wait(0.05):
            began = time.perf_counter()
            urllib.request.urlopen(self._url, timeout=30).close()
            self.slowest_s = max(self.slowest_s, time.perf_counter() - began)

    def weigh(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            if self._uploads:
                self._uploads[-1][1].append(family_mb(self._pid)[0])

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        threads = [threading.Thread(target=work) for work in (self.ask, self.weigh)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()


async def attack(url: str, uploads: dict[str, bytes], runs: dict[str, bytes], watch: Watch) -> None:
    """Upload one file after another."""
    record = soak.Record()
    async with soak.visit(url, 0, record, float("inf"), keeps_cookie=True) as visitor:
        await visitor.act("open", "ingestion")
        await visitor.act("open", "ingestion", ingest_source="Files")
        for name, content in uploads.items():
            watch.begins(name)
            await visitor.upload("ingestion", "ingest_files", {name: content})
        for name, content in runs.items():
            await visitor.act("open", "runs")
            watch.begins(f"run {name}")
            await visitor.upload("runs", "runs_files", {name: content})
            await visitor.act("open", "runs", **{"FormSubmitter:import-Import": None})
    assert not record.exceptions, record.exceptions


async def visit_until(url: str, over: asyncio.Event) -> list[float]:
    """Open pages as another visitor until it is over; return the seconds of each."""
    record = soak.Record()
    async with soak.visit(url, 1, record, float("inf"), keeps_cookie=True) as visitor:
        while not over.is_set():
            for page in ("search", "", "runs"):
                await visitor.act("open", page)
            await asyncio.sleep(LOOK_EVERY_S)
    assert not record.exceptions, record.exceptions
    return record.seconds["open"]


async def attack_beside_another(
    url: str, uploads: dict[str, bytes], runs: dict[str, bytes], watch: Watch
) -> list[float]:
    """Attack while another visitor opens pages; return that visitor's seconds."""
    over = asyncio.Event()
    other = asyncio.create_task(visit_until(url, over))
    try:
        await attack(url, uploads, runs, watch)
    finally:
        over.set()
    return await other


def rows_as_parquet() -> bytes:
    """Return a small table as Parquet."""
    written = io.BytesIO()
    pq.write_table(pa.table({"text": ["one", "two"]}), written)
    return written.getvalue()


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_app_answers_at_once_while_hostile_files_are_uploaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_COLLECTION", "mine")  # which is not filled first
    made = {name: make(4) for name, make in FILES.items()}
    small = {name: content for name, content in made.items() if len(content) < MOST_BYTES}
    with soak.app(tmp_path) as (url, pid, log):
        asyncio.run(warm(url))
        watch = Watch(url, pid)
        # What a table and each page need is loaded once, and is nobody's attack.
        harmless = {"table.parquet": rows_as_parquet()}
        asyncio.run(attack_beside_another(url, harmless, {"none.json": NO_RUN % b""}, watch))
        watch = Watch(url, pid)
        with watch.watching():
            others_s = asyncio.run(attack_beside_another(url, small, RUNS, watch))
        assert "Traceback" not in log.read_text(encoding="utf-8")
    assert watch.slowest_s < HEALTH_S
    assert max(others_s) < OTHERS_PAGE_S
    grown = watch.grown_mb()
    assert len(grown) == len(small) + len(RUNS)
    assert {name: mb for name, mb in grown.items() if mb > GROWTH_MB} == {}
