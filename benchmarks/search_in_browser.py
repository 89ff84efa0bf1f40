"""How fast the search page answers in a browser: a click on Search, a move of the λ slider.

    python -m benchmarks.search_in_browser            # starts the app on an embedded store
    python -m benchmarks.search_in_browser --url http://127.0.0.1:8501

Prints medians in milliseconds over `--repeats` clicks and moves. The clock runs in the page, from
the click or key press to the last change of the page before it rests for a quarter second; for a
search also to the moment when the rows of both lists stand, which comes before the charts.
Beside each stands the ratio to the least that Streamlit can do on this machine at this moment: a
page with one slider and one line, moved in turn with ours.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from scripts.processes import free_port
from tests.conftest import CHROMIUM_FLAGS, RUN_APP, AppRunner

if TYPE_CHECKING:
    from playwright.sync_api import Page

BARE_SCRIPT = """
import streamlit as st

@st.fragment
def show():
    st.markdown(f"## value {st.slider('x', 0.0, 1.0, 0.5, 0.05)}")

show()
"""
QUESTIONS = (
    "split a string at a separator",
    "remove a directory and everything inside it",
    "wait for several things at the same time",
    "read numbers from a text",
    "pick random elements",
)
CHROMIUM = "/usr/bin/chromium"
LOAD_TIMEOUT_MS = 120_000

# Notes when the page last changed, counted from the next click or key press.
WATCH = """() => {
  window.lab = {started: 0, changed: 0, listed: 0};
  const start = () => {
    window.lab.started = performance.now();
    window.lab.changed = window.lab.listed = 0;
  };
  const column = '[data-testid=stColumn] [data-testid=stMarkdownContainer]';
  const cards = `h2, ${column} p:first-child > strong`;
  let titles = '';
  const look = () => {
    const now = [...document.querySelectorAll(cards)].map(node => node.textContent).join('|');
    if (now !== titles) { titles = now; window.lab.listed = performance.now(); }
    requestAnimationFrame(look);
  };
  look();
  document.addEventListener('pointerdown', start, true);
  document.addEventListener('keydown', start, true);
  new MutationObserver(() => { window.lab.changed = performance.now(); }).observe(
    document.querySelector('[data-testid=stMain]'),
    {subtree: true, childList: true, characterData: true},
  );
}"""
RESTED = """() => {
  const app = document.querySelector('[data-testid=stApp]');
  return app.getAttribute('data-test-script-state') === 'notRunning'
    && window.lab.listed > window.lab.started
    && performance.now() - window.lab.changed > 250;
}"""
TOOK = "() => window.lab.changed - window.lab.started"
LISTED = "() => window.lab.listed - window.lab.started"


def open_search(page: "Page", url: str) -> None:
    """Open the search page with an answer on it, the corpus loaded."""
    page.goto(url)
    status = page.locator("[data-testid='stSidebar'] .st-key-status")
    status.filter(has_text=re.compile(r"[3-9],\d{3} rows")).wait_for(timeout=LOAD_TIMEOUT_MS)
    page.goto(f"{url}/search?{urlencode({'q': QUESTIONS[0]})}")
    page.get_by_text("Why each row was picked").wait_for(timeout=LOAD_TIMEOUT_MS)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1_000)
    page.evaluate(WATCH)


def search_ms(page: "Page", question: str) -> tuple[float, float]:
    """Type a question, click Search; return the milliseconds until its rows and the page stand."""
    page.get_by_label("Question", exact=True).fill(question)
    page.get_by_role("button", name="Search", exact=False).first.click()
    page.wait_for_function(RESTED)
    return float(page.evaluate(LISTED)), float(page.evaluate(TOOK))


def first_answer_ms(page: "Page", url: str) -> float:
    """Open the page anew; return the milliseconds from its title to the first answer."""
    page.goto(f"{url}/search")
    page.get_by_role("heading", name="Search and MMR").wait_for(timeout=LOAD_TIMEOUT_MS)
    drawn = time.perf_counter()
    page.locator("h2").wait_for(timeout=LOAD_TIMEOUT_MS)
    return 1000 * (time.perf_counter() - drawn)


def slider_ms(page: "Page", key: str) -> float:
    """Move λ one step and return the milliseconds until the page is redrawn."""
    page.get_by_role("slider").focus()
    page.keyboard.press(key)
    page.wait_for_function(RESTED)
    return float(page.evaluate(TOOK))


def measure(page: "Page", bare: "Page", url: str, repeats: int) -> dict[str, list[float]]:
    """Return the times of searches, slider moves and moves on the bare page, taken in turn.

    One of each is made first and not kept.
    """
    open_search(page, url)
    times: dict[str, list[float]] = {"rows": [], "search": [], "slider": [], "bare": []}
    times["opening"] = [first_answer_ms(page, url) for _ in range(repeats)]
    open_search(page, url)
    for i in range(repeats + 1):
        key = ("ArrowLeft", "ArrowRight")[i // 4 % 2]
        taken = {"bare": slider_ms(bare, key), "slider": slider_ms(page, key)}
        taken["rows"], taken["search"] = search_ms(page, QUESTIONS[(i + 1) % len(QUESTIONS)])
        if i:
            for name, took in taken.items():
                times[name].append(took)
    return times


@contextmanager
def bare_page(chromium: Any, folder: Path) -> Iterator["Page"]:
    """Serve the smallest page with a slider, and open it."""
    script = folder / "bare.py"
    script.write_text(BARE_SCRIPT, encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script), *RUN_APP[5:]]
    process = subprocess.Popen(
        [*command, f"--server.port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                page.goto(f"http://127.0.0.1:{port}")
                break
            except Exception:  # noqa: BLE001  # not serving yet
                time.sleep(0.2)
        page.get_by_text("value 0.5").wait_for(timeout=LOAD_TIMEOUT_MS)
        page.evaluate(WATCH)
        yield page
    finally:
        process.terminate()
        process.wait(10)


def summary(times: list[float], bare: list[float]) -> str:
    """Return median, fastest, slowest, and the ratio to the bare page."""
    median = statistics.median(times)
    return (
        f"median {median:.0f} ms ({min(times):.0f} to {max(times):.0f}, n = {len(times)}), "
        f"{median / statistics.median(bare):.1f}× the bare page"
    )


def contention() -> float:
    """Return how many times longer than its CPU time a loop takes: 1 on a machine at rest."""
    started, cpu = time.perf_counter(), time.process_time()
    sum(range(30_000_000))
    return (time.perf_counter() - started) / (time.process_time() - cpu)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running app; without it one is started")
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        runner = AppRunner(folder)
        chromium: Any = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        try:
            url = arguments.url or runner()
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            before = contention()
            with bare_page(chromium, folder) as bare:
                times = measure(page, bare, url, arguments.repeats)
            print(f"Search to results (at most 300 ms): {summary(times['rows'], times['bare'])}")
            print(f"Search to the whole page at rest: {summary(times['search'], times['bare'])}")
            print(f"λ to redrawn page (at most 150 ms): {summary(times['slider'], times['bare'])}")
            opening = summary(times["opening"], times["bare"])
            print(f"Title to first answer on opening (at most 600 ms): {opening}")
            print(f"The bare page: median {statistics.median(times['bare']):.0f} ms")
            print(
                f"A busy loop took {before:.1f}× and {contention():.1f}× its CPU time (1 = idle)."
            )
        finally:
            chromium.close()
            runner.stop_all()


if __name__ == "__main__":
    main()
