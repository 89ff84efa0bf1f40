"""While somebody uploads what was made to do harm, the app answers others and stays as it is."""

import asyncio
import contextlib
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lib.documents.sources import MEGABYTE
from scripts import soak
from tests.documents.test_hostile_files import FILES
from tests.pages.test_uploads import warm
from tests.test_hostile_input import LARGE

HEALTH_S, PAGE_S, GROWN_MB = 1.0, 2.0, 50.0
AT_ONCE = 9
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
    """Asks the app for its health, and looks at its memory, again and again."""

    def __init__(self, url: str, pid: int) -> None:
        self._url, self._process = f"{url}/_stcore/health", psutil.Process(pid)
        self._ended = threading.Event()
        self.slowest_s = 0.0
        self.before = self.most = self._process.memory_info().rss

    def run(self) -> None:
        while not self._ended.wait(0.05):
            began = time.perf_counter()
            urllib.request.urlopen(self._url, timeout=30).close()
            self.slowest_s = max(self.slowest_s, time.perf_counter() - began)
            self.most = max(self.most, self._process.memory_info().rss)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    @property
    def grown_mb(self) -> float:
        return (self.most - self.before) / MEGABYTE


async def keep_looking(url: str, taken: list[float]) -> None:
    """Open a page again and again, as another visitor."""
    async with soak.visit(url, 1, soak.Record(), float("inf"), keeps_cookie=True) as other:
        while True:
            began = time.perf_counter()
            await other.act("open", "collections")
            taken.append(time.perf_counter() - began)
            await asyncio.sleep(0.2)


async def attack(url: str, uploads: list[dict[str, bytes]], runs: dict[str, bytes]) -> None:
    record = soak.Record()
    async with soak.visit(url, 0, record, float("inf"), keeps_cookie=True) as visitor:
        await visitor.act("open", "ingestion")
        await visitor.act("open", "ingestion", ingest_source="Files")
        for files in uploads:
            await visitor.upload("ingestion", "ingest_files", files)
        for name, content in runs.items():
            await visitor.act("open", "runs")
            await visitor.upload("runs", "runs_files", {name: content})
            await visitor.act("open", "runs", **{"FormSubmitter:import-Import": None})
    assert not record.exceptions, record.exceptions


async def attacked(url: str, uploads: list[dict[str, bytes]]) -> list[float]:
    taken: list[float] = []
    looking = asyncio.create_task(keep_looking(url, taken))
    await attack(url, uploads, RUNS)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    return taken


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_hostile_files_hold_nobody_up_and_grow_nothing(tmp_path: Path) -> None:
    made = {name: make(4) for name, make in FILES.items()}
    made |= {f"large-{name}": make() for name, _, make in LARGE.values()}
    small = [(name, content) for name, content in made.items() if len(content) < MOST_BYTES]
    groups = [dict(small[start : start + AT_ONCE]) for start in range(0, len(small), AT_ONCE)]
    with soak.app(tmp_path) as (url, pid, log):
        asyncio.run(warm(url))
        watch = Watch(url, pid)
        with watch.watching():
            pages = asyncio.run(attacked(url, groups))
        assert "Traceback" not in log.read_text(encoding="utf-8")
    assert watch.slowest_s < HEALTH_S
    assert max(pages) < PAGE_S, pages
    assert watch.grown_mb < GROWN_MB
