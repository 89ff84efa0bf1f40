"""Downloads while others use the app: what a button made is there when the browser asks for it."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.testing.v1 import AppTest

from lib.ui.widgets import exports, held_files
from lib.ui.widgets.exports import parts_of, read_part
from lib.ui.widgets.held_files import HeldFiles
from scripts import soak
from scripts.soak import Visitor
from tests.pages.conftest import said, wait_for_jobs
from tests.waiting import wait_until

BUSY = 5
# How many scripts of others end between a press and the browser's request for the file. Streamlit
# forgets after two.
ENDS_BETWEEN = 3
RUN = "r_runs=recorded-tutorial-server"
Show = Callable[[Visitor], Coroutine[Any, Any, None]]


async def show_run(visitor: Visitor) -> None:
    await visitor.act("open", "runs", RUN)


async def show_code_of_a_run(visitor: Visitor) -> None:
    await visitor.act("open", "runs", RUN)
    await visitor.act("open", "runs", RUN, r_view="Method")
    await visitor.act("open", "runs", RUN, r_code=True)


def made_by_a_job(kind: str) -> Show:
    async def show(visitor: Visitor) -> None:
        await visitor.act("open", "runs", RUN)
        await visitor.act("open", "runs", RUN, **{f"r_make_{kind}": None})
        await visitor.until("runs", "Download ")

    return show


async def show_search(visitor: Visitor) -> None:
    question = "q=A+row+of+one+visitor"
    await visitor.act("open", "search", question)
    await visitor.act("open", "search", question, closer="Code and export")
    await visitor.act("open", "search", question, search_code=True)


async def show_collection(visitor: Visitor) -> None:
    await visitor.act("open", "collections")
    await visitor.act("open", "collections", export_start=None)
    await visitor.until("collections", "Download ")


async def show_ingestion(visitor: Visitor) -> None:
    await visitor.act("open", "ingestion")
    await visitor.act("open", "ingestion", ingest_source="Pasted text")
    await visitor.act("open", "ingestion", ingest_pasted=f"A row of one visitor. {visitor.plant}")
    await visitor.act("open", "ingestion", visitor.query, ingest_start=None)
    await visitor.until("ingestion", "now holds")
    await visitor.act("open", "ingestion", visitor.query, ingestion_code=True)


CODE = ("Download as script", "Open as notebook")
# What is shown, and how the labels of the downloads that are then on the page begin.
PLACES: dict[str, tuple[Show, tuple[str, ...]]] = {
    "run": (show_run, ("Run (JSON)", "Summary (CSV)", "PNG", "SVG")),
    "code of a run": (show_code_of_a_run, CODE),
    "report": (made_by_a_job("html"), ("Download Report (HTML)",)),
    "calls": (made_by_a_job("calls"), ("Download Calls (CSV)",)),
    "charts": (made_by_a_job("pictures"), ("Download Charts (ZIP)",)),
    "slides": (made_by_a_job("deck"), ("Download Slides (PPTX)",)),
    "ingestion": (show_ingestion, ("Download the report", *CODE)),
    "collection": (show_collection, ("Download ",)),
    "search": (show_search, ("CSV", "JSON", *CODE)),
}


class Others:
    """Visitors who draw a page again and again."""

    def __init__(self, url: str) -> None:
        self._ended = asyncio.Condition()
        self._url = url

    async def keep_busy(self, number: int) -> None:
        async with soak.visit(self._url, number, soak.Record(), 0.0) as visitor:
            while True:
                await visitor.act("open", "owner")
                async with self._ended:
                    self._ended.notify_all()

    async def end_some(self) -> None:
        for _ in range(ENDS_BETWEEN):
            async with self._ended:
                await self._ended.wait()


def fetch(url: str) -> int | str:
    """Return the status of an answer, and a sentence where nothing was in it."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status if answer.read() else "nothing was in it"
    except urllib.error.HTTPError as error:
        return error.code


async def press_all(url: str) -> dict[str, int | str]:
    """Press every download while five others are busy; return the statuses."""
    others, found = Others(url), dict[str, int | str]()
    busy = [asyncio.create_task(others.keep_busy(number)) for number in range(1, 1 + BUSY)]
    for place, (show, labels) in PLACES.items():
        record = soak.Record()
        async with soak.visit(url, 0, record, float("inf")) as visitor:
            await show(visitor)
            assert not record.exceptions, record.exceptions
            for start in labels:
                name = next((each for each in visitor.files if each.startswith(start)), "")
                assert name, f"{place}: {start} is not among {list(visitor.files)}"
                path = await visitor.address_of(name)
                await others.end_some()
                found[f"{place}: {name}"] = await asyncio.to_thread(fetch, url + path)
    for each in busy:
        each.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    return found


@pytest.mark.timeout(300)
def test_every_download_is_there_however_busy_the_app_is(filled_folder: Path) -> None:
    with soak.app(filled_folder, public=False) as (url, _, log):
        found = asyncio.run(press_all(url))
        text = log.read_text(encoding="utf-8")
    assert {name: answer for name, answer in found.items() if answer != 200} == {}
    assert len(found) >= sum(len(labels) for _, labels in PLACES.values())
    assert "Traceback" not in text


@pytest.mark.slow
def test_a_download_that_fails_says_why_below_its_button(
    filled_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_MAX_DRAW_MB", "1")

    async def press(url: str) -> tuple[str, str]:
        async with soak.visit(url, 0, soak.Record(), float("inf")) as visitor:
            await show_run(visitor)
            return await visitor.address_of("PNG"), visitor.refused

    with soak.app(filled_folder, public=False) as (url, _, log):
        address, said = asyncio.run(press(url))
        assert "Traceback" not in log.read_text(encoding="utf-8")
    assert address == ""
    assert said.startswith("The picture needs more than 1 MB to be drawn. The run is as it was.")


def test_held_files_are_bounded_and_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_files, "MOST_BYTES", 1_000)
    storage = MemoryMediaFileStorage("/media")
    files = MediaFileManager(storage)
    held = HeldFiles(files)

    def sizes() -> list[int]:
        for _ in range(3):  # as three scripts do when they end
            files.remove_orphaned_files()
        return sorted(file.content_size for file in storage._files_by_id.values())

    for number in range(7):
        held.hold(bytes([number]) * 331, "text/csv", f"{number}.csv", seconds=600)
    assert sizes() == [331] * 3
    held.hold(b"x" * 5_003, "text/csv", "large.csv", seconds=600)
    assert sizes() == [5_003]  # the newest is held, however large
    held.hold(b"y" * 7, "text/csv", "short.csv", seconds=0)
    wait_until(lambda: sizes() == [])


@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 13, 14, 1_009])
def test_the_parts_of_a_file_are_the_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(number % 251 for number in range(size)))
    parts = [read_part(path, *part) for part in parts_of(size, 7)]
    assert b"".join(parts) == path.read_bytes()
    assert all(len(part) <= 7 for part in parts)
    assert len(parts) == max(1, -(-size // 7))


def test_a_large_file_is_offered_in_parts_on_a_public_app(
    open_app: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PART_BYTES", 5_000)
    page = open_app(LAB_PUBLIC="1")
    page.query_params["r_runs"] = "recorded-tutorial-server"
    page.switch_page("pages/runs.py").run()
    page.button(key="r_make_calls").click().run()
    wait_for_jobs()
    page.run()
    labels = [each.label for each in page.get("download_button")]
    assert [label for label in labels if "part" in label][:2] == [
        "Download part 1 (0.0 MB)",
        "Download part 2 (0.0 MB)",
    ]
    assert "cat milvus-async-lab" in said(page)
