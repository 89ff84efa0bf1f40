"""How soon a visitor sees something, how soon the next page stands, and what a tour costs.

    python -m benchmarks.startup [--repeats 5] [--app DIRECTORY]

Starts the app and an empty Streamlit page in turn, each in a fresh process, and opens both in
Chromium. Times count from the server's first answer to its health check. Prints medians in
seconds, as ratios to the empty page where that is fair, and the server's memory after a tour.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from scripts.processes import family_mb, free_port

PROJECT_ROOT = Path(__file__).resolve().parent.parent
# As `make demo` starts it.
SERVER_FLAGS = [
    "--server.headless=true",
    "--server.address=127.0.0.1",
    "--server.fileWatcherType=none",
]
# Components draw in a tree of their own, which a query of the document does not enter.
HEADLINE = """() => [document, ...[...document.querySelectorAll('*')].map(each => each.shadowRoot)]
  .some(tree => tree?.querySelector('h1'))"""
HEADLINE_AND_LANES = """() => [...document.querySelectorAll('*')]
  .some(each => each.shadowRoot?.querySelector('#lanes .bar'))"""
# A page rests when its script has ended and nothing was left over from the page before.
AT_REST = """() => document.querySelector('[data-testid="stApp"]')
    ?.getAttribute('data-test-script-state') === 'notRunning'
  && !document.querySelector('[data-testid="stSkeleton"]')
  && !document.querySelector('[data-stale="true"]')"""
# Rows are counted while they arrive; the progress bar is there until all are in.
CORPUS_IS_LOADED = """() => {
  const bar = document.querySelector("[data-testid='stSidebar']");
  return /[3-9],\\d{3} rows/.test(bar?.querySelector(".st-key-status")?.textContent)
    && !bar.querySelector("[data-testid='stProgress']");
}"""
# The first screen is at rest before Milvus is opened; then the sidebar is drawn.
MILVUS_IS_SHOWN = """() => document.querySelector("[data-testid='stSidebar'] .st-key-status")"""
PAGES = {
    "Ingestion": "ingestion",
    "Collections": "collections",
    "Search and MMR": "search",
    "Benchmark": "benchmark",
    "Runs": "runs",
}
FIRST_PAGE = ("headline and lanes", "at rest", "Milvus in the sidebar")
TIMEOUT_MS = 60_000


@contextmanager
def served(script: Path, folder: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start a Streamlit script; yield its address once it answers, and its process."""
    port = free_port()
    flags = [*SERVER_FLAGS, f"--server.port={port}"]
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(script), *flags],
        cwd=script.parent,
        env=os.environ | {"LAB_DATA_DIR": folder},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        started = time.perf_counter()
        while True:
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).close()
                break
            except OSError:
                if time.perf_counter() - started > 60:
                    raise
                time.sleep(0.02)
        yield address, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(timeout=20)


def seconds(page: Page, ready: str, started: float) -> float:
    """Return the seconds from `started` until the page says that it is ready."""
    page.wait_for_function(ready, timeout=TIMEOUT_MS)
    return time.perf_counter() - started


def note_memory(figures: dict[str, list[float]], process: psutil.Process, when: str) -> None:
    """Note what the page's process takes, and all of the app's."""
    own, together = family_mb(process.pid)
    figures[f"MB {when}, page"].append(own)
    figures[f"MB {when}, all"].append(together)


def visit(browser: Browser, app: Path, figures: dict[str, list[float]]) -> None:
    """Open the app in a fresh process, walk through it twice, and note what it took."""
    with tempfile.TemporaryDirectory() as folder, served(app, folder) as (address, process):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        started = time.perf_counter()
        page.goto(address)
        figures["headline and lanes"].append(seconds(page, HEADLINE_AND_LANES, started))
        figures["at rest"].append(seconds(page, AT_REST, started))
        figures["Milvus in the sidebar"].append(seconds(page, MILVUS_IS_SHOWN, started))
        note_memory(figures, process, "after the first page")
        page.wait_for_function(CORPUS_IS_LOADED, timeout=TIMEOUT_MS)
        for turn in ("first", "again"):
            for link, path in PAGES.items():
                started = time.perf_counter()
                page.get_by_role("link", name=link, exact=True).first.click()
                page.wait_for_url(re.compile(rf"/{path}(\?|$)"))
                figures[f"{link}, {turn}"].append(seconds(page, AT_REST, started))
        note_memory(figures, process, "after the tour")
        page.close()


def main() -> None:
    """Alternate the app and an empty page, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--app", type=Path, default=PROJECT_ROOT, help="another copy of the app")
    given = parser.parse_args()
    figures: dict[str, list[float]] = defaultdict(list)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        blank = Path(folder) / "blank.py"
        blank.write_text("import streamlit as st\n\nst.title('Empty')\n")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for _ in range(given.repeats):
            with served(blank, folder) as (address, _process):
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                started = time.perf_counter()
                page.goto(address)
                seconds(page, HEADLINE, started)
                figures["empty page"].append(seconds(page, AT_REST, started))
                page.close()
            visit(browser, given.app.resolve() / "app.py", figures)
        browser.close()
    empty = statistics.median(figures["empty page"])
    for name, values in figures.items():
        median = statistics.median(values)
        text = f"{median:6.0f}" if name.startswith("MB") else f"{median:6.2f} s"
        ratio = f"  {median / empty:.2f} times the empty page" if name in FIRST_PAGE else ""
        print(f"{name:28}{text}  of {len(values)}{ratio}")


if __name__ == "__main__":
    main()
