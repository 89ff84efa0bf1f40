"""Uploaded files are bounded together: those of one visitor, and those of all."""

import asyncio
import gc
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from lib.documents.sources import MEGABYTE, Upload
from lib.settings import load
from lib.ui.widgets.uploads import Uploads, listed
from scripts import soak

LIMITS = replace(load({}), max_upload_mb=7, max_uploads_mb=11, max_all_uploads_mb=23)


class Owners(Uploads):
    """Uploads of sessions that are known."""

    def belongs(self, session_id: str, owner: str) -> None:
        self._owners[session_id] = owner


@pytest.fixture
def files() -> MemoryUploadedFileManager:
    return MemoryUploadedFileManager("/upload")


@pytest.fixture
def uploads(files: MemoryUploadedFileManager) -> Uploads:
    made = Owners(files, LIMITS)
    made.belongs("a1", "a")
    made.belongs("a2", "a")
    return made


def put(files: MemoryUploadedFileManager, session: str, name: str, megabytes: int) -> int:
    """Upload a file as the server does; return the megabytes that were kept of it."""
    data = bytes(megabytes * MEGABYTE)
    files.add_file(session, UploadedFileRec(name, f"{name}.txt", "text/plain", data))
    (kept,) = files.get_files(session, [name])
    return len(kept.data) // MEGABYTE


def test_the_files_of_one_visitor_are_counted_over_all_tabs(
    files: MemoryUploadedFileManager, uploads: Uploads
) -> None:
    assert put(files, "a1", "one", 7) == 7
    assert put(files, "a2", "two", 5) == 0
    assert "11 MB together" in uploads.refusal("two")
    assert put(files, "a2", "three", 4) == 4
    assert uploads.refusal("three") == ""
    assert put(files, "b", "four", 7) == 7  # another visitor is not hurt
    files.remove_file("a1", "one")
    assert put(files, "a2", "five", 7) == 7
    files.remove_session_files("a2")
    assert put(files, "a1", "six", 7) == 7


def test_one_file_and_all_files_are_bounded_too(
    files: MemoryUploadedFileManager, uploads: Uploads
) -> None:
    assert put(files, "a1", "large", 8) == 0
    assert "may have 7 MB" in uploads.refusal("large")
    for number in range(3):
        assert put(files, f"s{number}", f"f{number}", 7) == 7
    assert put(files, "late", "more", 3) == 0
    assert "all visitors" in uploads.refusal("more")
    assert put(files, "late", "less", 2) == 2
    # The same file again takes its own place.
    assert sum(each.size for each in uploads.held()) == 23 * MEGABYTE


def test_what_work_still_reads_counts_until_it_ends(
    files: MemoryUploadedFileManager, uploads: Uploads
) -> None:
    put(files, "a1", "one", 7)
    upload = Upload.of_bytes("one.txt", files.get_files("a1", ["one"])[0].data)
    uploads.note("a1", "one", upload)
    assert sum(each.size for each in uploads.held()) == 7 * MEGABYTE  # once
    files.remove_file("a1", "one")
    read = replace(upload, name="one (2).txt")  # as one of two files of a name
    del upload
    assert put(files, "a2", "two", 5) == 0
    del read
    gc.collect()
    assert put(files, "a2", "two", 5) == 5


def test_files_are_named_and_many_are_counted() -> None:
    assert listed(["a.csv"]) == "a.csv"
    assert listed([f"{each}.csv" for each in "abcde"]) == "a.csv, b.csv, c.csv and 2 more"


@pytest.mark.slow
def test_many_files_of_one_visitor_are_refused_in_a_sentence_and_others_go_on(
    filled_folder: Path,
) -> None:
    content = b"A row of text that somebody wrote.\n" * (19 * MEGABYTE // 35)

    async def many(url: str, count: int) -> list[str]:
        record = soak.Record()
        async with soak.visit(url, 0, record, float("inf"), keeps_cookie=True) as greedy:
            await greedy.act("open", "ingestion")
            await greedy.act("open", "ingestion", ingest_source="Files")
            names = {f"{number}.txt": content for number in range(count)}
            await greedy.upload("ingestion", "ingest_files", names)
            async with soak.visit(url, 1, record, float("inf"), keeps_cookie=True) as other:
                await other.act("open", "ingestion")
                await other.act("open", "ingestion", ingest_source="Files")
                await other.upload("ingestion", "ingest_files", {"mine.txt": b"A text. " * 99})
                assert any("mine.txt" in said for said in other.texts) or not record.refusals
                assert not any("not taken" in said for said in other.texts)
            assert not record.exceptions, record.exceptions
            return greedy.texts

    with soak.app(filled_folder) as (url, pid, log):
        # What one such file needs besides itself is loaded once.
        asyncio.run(many(url, 1))
        before = psutil.Process(pid).memory_info().rss
        texts = asyncio.run(many(url, 17))
        grown = (psutil.Process(pid).memory_info().rss - before) / MEGABYTE
        assert "Traceback" not in log.read_text(encoding="utf-8")
    plainly = " ".join(texts).replace("\\", "")
    assert "3.txt, 4.txt, 5.txt and 11 more were not taken. Your files may have" in plainly
    assert grown < 150, grown


async def warm(url: str) -> None:
    """Load what everybody needs."""
    async with soak.visit(url, 2, soak.Record(), float("inf"), keeps_cookie=True) as first:
        await first.act("open", "ingestion")
        await first.act("open", "ingestion", ingest_source="Files")
        await first.upload("ingestion", "ingest_files", {"first.txt": b"A text. " * 99})
