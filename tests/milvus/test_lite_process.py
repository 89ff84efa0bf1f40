"""Milvus Lite in a process of its own: killed or hanging it starts again, and nothing is lost."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from langchain_core.documents import Document
from pymilvus.exceptions import MilvusException

from lib.errors import ConnectionFailed
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.jobs import Job
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel
from lib.search import ask
from lib.settings import PROJECT_ROOT, Settings
from lib.workers import supervised
from tests.waiting import wait_until

ROWS = 601


def documents(count: int, first: int = 0) -> list[Document]:
    return [
        Document(page_content=f"row {i}", metadata={"number": i})
        for i in range(first, first + count)
    ]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(milvus_uri=str(tmp_path / "lab.db"))


@pytest.fixture
def opened(settings: Settings, model: EmbeddingModel) -> Iterator[Connection]:
    """A store with rows in `kept`."""
    connection = open_connection(settings)
    ingest(connection, model, documents(ROWS), IngestionPlan("kept"))
    yield connection
    connection.close()


def kill(opened: Connection) -> None:
    assert opened.lite is not None
    os.kill(opened.lite.served.pid, signal.SIGKILL)


def rows(opened: Connection, name: str = "kept") -> int:
    return milvus_collections.describe(opened, name).rows


def question(opened: Connection, model: EmbeddingModel) -> list[str]:
    request = ask.Request("similarity_search", query="row 77", k=3)
    return list(ask.call_method(opened, model, "kept", request).keys)


def said(opened: Connection) -> str:
    wait_until(lambda: opened.mishap)
    assert opened.mishap is not None
    return opened.mishap.sentence


def test_it_runs_in_a_process_that_ends_with_its_connection(settings: Settings) -> None:
    opened = open_connection(settings)
    assert opened.lite is not None
    process = psutil.Process(opened.lite.served.pid)
    assert process.pid != os.getpid()
    opened.close()
    wait_until(lambda: not process.is_running())


def test_killed_at_rest_it_is_there_for_the_next_question(
    opened: Connection, model: EmbeddingModel
) -> None:
    before = question(opened, model)
    for _ in range(2):
        kill(opened)
        assert question(opened, model) == before
        assert rows(opened) == ROWS
    assert "Milvus Lite ended (SIGKILL) and was started again" in said(opened)


def test_killed_during_an_ingestion_nothing_acknowledged_is_lost(
    opened: Connection, model: EmbeddingModel
) -> None:
    job = Job("ingest", "lane")

    def kill_in_mid_work() -> None:
        wait_until(lambda: job.progress.done >= 200)
        kill(opened)

    thread = threading.Thread(target=kill_in_mid_work)
    thread.start()
    with contextlib.suppress(ConnectionFailed):
        ingest(opened, model, documents(2_003), IngestionPlan("hurt", 20, 2), job=job)
    thread.join()
    acknowledged = int(job.progress.done)
    assert acknowledged >= 200
    assert rows(opened, "hurt") >= acknowledged
    assert "started again" in said(opened)
    ingest(opened, model, documents(2_003), IngestionPlan("hurt"))
    assert rows(opened, "hurt") == 2_003


@pytest.mark.parametrize("gathered", [False, True])
def test_killed_during_searches_the_others_are_answered(
    opened: Connection, model: EmbeddingModel, gathered: bool
) -> None:
    from lib import event_loop

    store = opened.store("kept", model.embeddings)
    threading.Timer(0.2, kill, [opened]).start()
    right = wrong = 0
    deadline = time.monotonic() + 20
    while opened.mishap is None or not right:
        assert time.monotonic() < deadline
        try:
            if gathered:
                found = event_loop.run(store.asimilarity_search("row 77", k=3))
            else:
                found = store.similarity_search("row 77", k=3)
            right += len(found) == 3
        except MilvusException:
            wrong += 1
    assert len(store.similarity_search("row 77", k=3)) == 3
    assert wrong <= 3


def test_killed_during_deletes_what_was_acknowledged_is_gone(
    opened: Connection, model: EmbeddingModel
) -> None:
    keys = sorted(row["pk"] for row in _all(opened))
    gone = 0
    threading.Timer(0.3, kill, [opened]).start()
    deadline = time.monotonic() + 30
    while opened.mishap is None and gone < len(keys) - 1:
        assert time.monotonic() < deadline
        with contextlib.suppress(MilvusException):
            opened.client.delete("kept", ids=[keys[gone]])
            gone += 1
    said(opened)
    left = {row["pk"] for row in _all(opened)}
    assert not left & set(keys[:gone])
    assert left >= set(keys[gone + 1 :])


def _all(opened: Connection) -> list[dict[str, str]]:
    found: list[dict[str, str]] = opened.client.query(
        "kept", filter="", output_fields=["pk"], limit=ROWS
    )
    return found


def test_one_that_hangs_is_ended_and_started_again(
    opened: Connection, model: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert opened.lite is not None
    first = opened.lite.served.pid
    monkeypatch.setattr(supervised, "HELD_S", 2.0)
    os.kill(first, signal.SIGSTOP)
    wait_until(lambda: opened.mishap)
    assert "Milvus Lite did not answer for" in said(opened)
    assert rows(opened) == ROWS
    assert opened.lite.served.pid != first


def test_a_second_process_is_told_that_the_file_is_open(settings: Settings) -> None:
    opened = open_connection(settings)
    other = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys; from lib.milvus.connection import open_connection\n"
            "from lib.settings import Settings\n"
            "open_connection(Settings(milvus_uri=sys.argv[1]))",
            settings.milvus_uri,
        ],
        check=False, cwd=PROJECT_ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert "Another process has the Milvus Lite file lab.db open." in other.stderr
    opened.close()


HOLD = """
import sys
from lib.milvus.connection import open_connection
from lib.settings import Settings
opened = open_connection(Settings(milvus_uri=sys.argv[1]))
print(opened.lite.served.pid, flush=True)
sys.stdin.read()
"""


def test_kill_9_of_the_app_ends_it_and_frees_the_file_at_once(settings: Settings) -> None:
    app = subprocess.Popen(
        [sys.executable, "-c", HOLD, settings.milvus_uri],
        cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert app.stdout is not None
    child = psutil.Process(int(app.stdout.readline()))
    app.kill()
    app.communicate()
    open_connection(settings).close()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_one_that_cannot_be_started_again_says_so(settings: Settings, tmp_path: Path) -> None:
    opened = open_connection(settings)
    manifest = tmp_path / "lab.db" / "collections" / "hurt" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{")
    kill(opened)
    assert "could not be started again: In lab.db the file" in said(opened)
    opened.close()
