"""Below a path of a host, behind a reverse proxy: pages, links, downloads, pictures, websocket."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.processes import free_port
from tests.waiting import status

if TYPE_CHECKING:
    from playwright.sync_api import Page

PREFIX = "/team/lab"


class PathProxy:
    """Passes on what is asked below one path, as nginx would, and has nothing anywhere else."""

    def __init__(self, upstream: int, prefix: str) -> None:
        self.port = free_port()
        self.elsewhere: list[str] = []  # what was asked of the rest of the host
        self.websockets = 0
        self._upstream, self._prefix = upstream, prefix
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)

    @property
    def url(self) -> str:
        """The app's address for the browser."""
        return f"http://127.0.0.1:{self.port}{self._prefix}"

    def close(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode().partition("?")[0]
            if path != self._prefix and not path.startswith(f"{self._prefix}/"):
                self.elsewhere.append(path)
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                writer.close()
                return
            lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
            if b"upgrade: websocket" in head.lower():
                self.websockets += 1
            else:  # one request a connection keeps the proxy this short
                lines = [each for each in lines if not each.lower().startswith(b"connection:")]
                lines.append(b"Connection: close")
            there, to_app = await asyncio.open_connection("127.0.0.1", self._upstream)
            to_app.write(b"\r\n".join(lines) + b"\r\n\r\n")
            await asyncio.gather(_pass_on(reader, to_app), _pass_on(there, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()


@pytest.fixture(scope="module")
def proxy(run_app) -> Iterator[PathProxy]:
    """The app below a path, behind the proxy."""
    url = run_app({"STREAMLIT_SERVER_BASE_URL_PATH": PREFIX})
    made = PathProxy(int(url.rpartition(":")[2]), PREFIX)
    yield made
    made.close()


@pytest.mark.timeout(240)
def test_pages_links_downloads_and_the_websocket_work_below_a_path(
    proxy: PathProxy, chromium_page: "Page"
) -> None:
    page, problems = chromium_page, []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((proxy.url, proxy.url.replace("http", "ws"), "data:", "blob:"))
            else problems.append(asked.url)
        ),
    )
    page.goto(f"{proxy.url}/")
    page.get_by_role("button", name="Measure it here").wait_for()
    assert proxy.websockets >= 1
    # An export waits in the queue for the first load.
    status(page, r"\d,\d+ rows").wait_for()
    page.get_by_text("Loading: ").wait_for(state="hidden")
    page.get_by_role("button", name="How this was measured").click()
    page.get_by_role("link", name="The recorded run").click()
    page.get_by_role("button", name="Export", exact=True).wait_for()
    assert page.url.startswith(f"{proxy.url}/runs?r_runs=")
    # The link to share leads a fresh browser to the same run.
    page.context.grant_permissions(["clipboard-read"])
    page.get_by_role("button", name="Share").click()
    page.get_by_role("button", name="Copied").wait_for()
    shared = page.evaluate("navigator.clipboard.readText()")
    assert shared.startswith(f"{proxy.url}/runs?r_runs=")
    headline = page.get_by_role("heading", level=1).first.inner_text()
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Summary (CSV)").click()
    assert caught.value.url.startswith((proxy.url, "blob:"))
    assert Path(caught.value.path()).read_bytes().startswith(b"operation")
    page.get_by_role("button", name="Calls (CSV)").click()
    made = page.get_by_role("button", name="Download Calls")
    made.wait_for()
    with page.expect_download() as caught:
        made.click()
    assert Path(caught.value.path()).read_bytes().startswith(b"operation")
    page.goto(shared)
    page.get_by_role("heading", name=headline).first.wait_for()
    page.get_by_role("link", name="Present").first.click()
    page.wait_for_url("**?present=1*")
    assert page.url.startswith(f"{proxy.url}/?present=1")
    page.get_by_role("heading", level=1).wait_for()
    for name in ("owner", "benchmark"):
        page.goto(f"{proxy.url}/{name}")
        page.get_by_test_id("stMain").get_by_role("heading", level=1).wait_for()
        assert page.get_by_text("Page not found").count() == 0
    # A page's own address keeps the path when another page is chosen.
    for link, name in (
        ("Ingestion", "ingestion"),
        ("Collections", "collections"),
        ("Search and MMR", "search"),
        ("Benchmark", "benchmark"),
        ("Runs", "runs"),
    ):
        page.get_by_role("link", name=link, exact=True).first.click()
        page.wait_for_url(f"{proxy.url}/{name}*")
        # The benchmark page's title is the headline of the run that it shows.
        title = None if link == "Benchmark" else link
        page.get_by_test_id("stMain").get_by_role("heading", level=1, name=title).wait_for()
    assert problems == []
