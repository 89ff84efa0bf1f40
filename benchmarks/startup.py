"""From server start to an interactive first page with the corpus loaded, seen in Chromium.

    python -m benchmarks.startup [--repeats 3]

Prints seconds; the reference beside it is the start of an empty Streamlit page on the same machine.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from scripts.processes import free_port

PROJECT_ROOT = Path(__file__).resolve().parent.parent
CORPUS_IS_LOADED = """() => {
  const value = document.querySelector(
    "[data-testid='stSidebar'] [data-testid='stMetricValue']");
  return value && parseInt(value.textContent.replace(/[^0-9]/g, '')) > 3000;
}"""
# As `make demo` starts it.
SERVER_FLAGS = [
    "--server.headless=true",
    "--server.address=127.0.0.1",
    "--server.fileWatcherType=none",
]
PAGE_IS_DRAWN = "() => document.querySelector('h1') !== null"


def seconds_until(page: Page, script: Path, ready: str) -> float:
    """Start a Streamlit script and return the seconds until the page says it is ready."""
    port = free_port()
    flags = [*SERVER_FLAGS, f"--server.port={port}"]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", str(script), *flags],
            cwd=PROJECT_ROOT,
            env=os.environ | {"LAB_DATA_DIR": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while True:
                try:
                    page.goto(f"http://127.0.0.1:{port}", timeout=60_000)
                    break
                except Exception:
                    if time.perf_counter() - started > 60:
                        raise
                    time.sleep(0.05)
            page.wait_for_function(ready, timeout=60_000)
            return time.perf_counter() - started
        finally:
            server.terminate()
            server.wait(timeout=20)


def main() -> None:
    """Alternate the app and an empty page, and print both medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    app: list[float] = []
    empty: list[float] = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        blank = Path(folder) / "blank.py"
        blank.write_text("import streamlit as st\n\nst.title('Empty')\n")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for _ in range(repeats):
            for script, ready, times in (
                (PROJECT_ROOT / "app.py", CORPUS_IS_LOADED, app),
                (blank, PAGE_IS_DRAWN, empty),
            ):
                page = browser.new_page()
                times.append(seconds_until(page, script, ready))
                page.close()
        browser.close()
    print(f"first page, corpus loaded: median {statistics.median(app):.1f} s of {repeats}")
    print(f"an empty Streamlit page:   median {statistics.median(empty):.1f} s of {repeats}")
    print(f"ratio: {statistics.median(app) / statistics.median(empty):.1f}")


if __name__ == "__main__":
    main()
