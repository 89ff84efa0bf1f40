"""While somebody uploads what was made to do harm, the app goes on answering."""

import asyncio
import contextlib
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.documents.sources import MEGABYTE
from scripts import soak
from tests.documents.test_hostile_files import FILES
from tests.pages.test_uploads import warm

HEALTH_S = 1.0
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
    """Asks the app for its health, again and again."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/_stcore/health"
        self._ended = threading.Event()
        self.slowest_s = 0.0

    def run(self) -> None:
        while not self._ended.wait(0.05):
            began = time.perf_counter()
            urllib.request.urlopen(self._url, timeout=30).close()
            self.slowest_s = max(self.slowest_s, time.perf_counter() - began)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()


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


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_app_answers_at_once_while_hostile_files_are_uploaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_COLLECTION", "mine")  # which is not filled first
    made = {name: make(4) for name, make in FILES.items()}
    small = [(name, content) for name, content in made.items() if len(content) < MOST_BYTES]
    groups = [dict(small[start : start + AT_ONCE]) for start in range(0, len(small), AT_ONCE)]
    with soak.app(tmp_path) as (url, _, log):
        asyncio.run(warm(url))
        watch = Watch(url)
        with watch.watching():
            asyncio.run(attack(url, groups, RUNS))
        assert "Traceback" not in log.read_text(encoding="utf-8")
    assert watch.slowest_s < HEALTH_S
