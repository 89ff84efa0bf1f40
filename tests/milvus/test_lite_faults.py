"""Faults of the disk under Milvus Lite: said at once and clearly, over without a restart."""

import resource
import shutil
from pathlib import Path

import pytest
from langchain_core.documents import Document

from lib.errors import ConnectionFailed, LabError, OperationFailed
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.jobs import Job
from lib.milvus import lite, milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import open_model
from lib.search import ask
from lib.settings import Settings

PLAN = IngestionPlan("hurt", 100, 2)


def documents(count: int) -> list[Document]:
    return [Document(page_content=f"row {i}", metadata={"source": "x"}) for i in range(count)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(milvus_uri=str(tmp_path / "lab.db"))


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> Path:
    """A closed store with two collections."""
    opened, model = open_connection(settings), open_model(settings)
    for name in ("hurt", "whole"):
        ingest(opened, model, documents(50), IngestionPlan(name))
    opened.close()
    return tmp_path / "lab.db"


def limit_files(opened: Connection, size: int) -> None:
    """Let no file of Milvus Lite grow beyond so many bytes, as on a disk that is full."""
    assert opened.lite is not None
    resource.prlimit(opened.lite.served.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def rows(opened: Connection, name: str = "hurt") -> int:
    return milvus_collections.describe(opened, name).rows


def test_a_disk_that_is_full_is_named_and_no_acknowledged_row_is_lost(
    settings: Settings,
) -> None:
    opened, model = open_connection(settings), open_model(settings)
    limit_files(opened, 300_000)
    try:
        for given in (400, 600):
            job = Job("ingest", "lane")
            with pytest.raises(OperationFailed, match="disk is full") as failure:
                ingest(opened, model, documents(given), PLAN, job=job)
            acknowledged = int(job.progress.done)
            assert acknowledged
            assert "are kept" in str(failure.value)
            assert rows(opened) >= acknowledged
            request = ask.Request("similarity_search", query="row 7", k=5)
            assert ask.call_method(opened, model, "hurt", request).keys
        limit_files(opened, resource.RLIM_INFINITY)
        assert ingest(opened, model, documents(600), PLAN).rows == 600
    finally:
        opened.close()
    again = open_connection(settings)
    assert rows(again) == 600
    again.close()


def test_nothing_is_written_to_a_disk_that_is_nearly_full(
    settings: Settings, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, model = open_connection(settings), open_model(settings)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(lite, "ROOM_BYTES", shutil.disk_usage(store).total * 2)
            with pytest.raises(OperationFailed, match=r"The disk with lab.db has [\d,]+ MB left"):
                ingest(opened, model, documents(60), PLAN)
            assert rows(opened) == 50
        assert ingest(opened, model, documents(60), PLAN).rows == 60
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("pattern", "damage", "said"),
    [
        ("schema.json", b"", "A file of it is damaged: schema file 'collections/hurt/schema.json'"),
        ("schema.json", b"\xff\x00", "A file of it is damaged"),
        ("*.parquet", b"", "A file of it is damaged.*collections/hurt/partitions"),
        ("*.idx", b"\xff\x00", "Its index is damaged"),
    ],
)
def test_a_damaged_collection_is_named_and_the_others_work(
    settings: Settings, store: Path, pattern: str, damage: bytes, said: str
) -> None:
    file = next((store / "collections" / "hurt").rglob(pattern))
    whole = file.read_bytes()
    file.write_bytes(damage * len(whole) or whole[: len(whole) // 2])
    opened = open_connection(settings)
    try:
        assert opened.describe().collections == ("hurt", "whole")
        assert rows(opened, "whole") == 50
        with pytest.raises(LabError, match=said) as failure:
            rows(opened)
        assert str(store.parent) not in str(failure.value)
        assert not isinstance(failure.value, ConnectionFailed)
        if pattern == "*.idx":
            shutil.rmtree(file.parent)
        else:
            file.write_bytes(whole)
        assert rows(opened) == 50
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("pattern", "state"), [("manifest.json", "damaged"), ("*.parquet", "missing")]
)
def test_a_store_that_would_open_with_fewer_rows_is_not_opened(
    settings: Settings, store: Path, pattern: str, state: str
) -> None:
    file = next((store / "collections" / "hurt").rglob(pattern))
    whole = file.read_bytes()
    if state == "damaged":
        file.write_bytes(whole[: len(whole) // 2])
    else:
        file.unlink()
    with pytest.raises(ConnectionFailed, match=rf"collections/hurt/.*{file.name} is {state}"):
        open_connection(settings)
    file.write_bytes(whole)
    opened = open_connection(settings)
    assert rows(opened) == 50
    opened.close()


def test_a_folder_that_cannot_be_written_to_is_said() -> None:
    # Not even root makes a folder there.
    with pytest.raises(ConnectionFailed, match=r"could not open lab.db. Its folder cannot be"):
        open_connection(Settings(milvus_uri="/sys/lab.db"))
