"""How soon the page stands still after a press, and how far it moves while it arrives.

    python -m benchmarks.standing_still [--repeats 5]

Starts the app on an embedded store with the sample data. In turn: a preset, a view of a run, a view
of the search, a question, a saved cell, a deleted row, and the next page by click and by address.
The clock runs in the browser, from the press until nothing on the page changed for a quarter of a
second; by address from the request. Prints medians and the slowest.

Then each page is opened afresh, and what the browser counts as layout shift is added up, beside
that of a page of Streamlit's own with a link in its sidebar and a title: a sidebar comes with its
first element, and moves what Streamlit draws before.
"""

import argparse
import contextlib
import os
import re
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import TimeoutError as PlaywrightTimeout

from benchmarks.startup import AT_REST, CORPUS_IS_LOADED, PAGES, PROJECT_ROOT, TIMEOUT_MS, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    Press = Callable[[], None]

REDRAWN_S, NEXT_BY_CLICK_S, NEXT_BY_ADDRESS_S = 0.4, 0.5, 0.8
ROW_PX = 36
MOST_TRIES = 5
QUESTIONS = ("split a string at a separator", "wait for several things", "read numbers from a text")
# A page of Streamlit's own with what every page here has at the least.
BARE_SCRIPT = """
import streamlit as st

st.set_page_config(layout="wide", initial_sidebar_state=240)
st.sidebar.page_link("https://example.invalid", label="A link")
st.title("A page")
"""
# Notes when the page last changed, counted from the next press.
WATCH = """() => {
  window.still = { started: 0, changed: 0 };
  const start = () => { window.still = { started: performance.now(), changed: 0 }; };
  document.addEventListener("pointerdown", start, true);
  document.addEventListener("keydown", start, true);
  new MutationObserver(() => { window.still.changed = performance.now(); }).observe(
    document.querySelector("[data-testid=stAppViewContainer]"),
    { subtree: true, childList: true, characterData: true },
  );
}"""
STANDS_STILL = """() => {
  const app = document.querySelector("[data-testid=stApp]");
  const { started, changed } = window.still;
  return app.getAttribute("data-test-script-state") === "notRunning" && changed > started
    && performance.now() - changed > 250 && !document.querySelector("[data-stale=true]");
}"""
TOOK_MS = "() => window.still.changed - window.still.started"
NOTE_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput) window.shifts.push(each.value);
}).observe({ type: "layout-shift", buffered: true });
"""
SHIFTED = "() => window.shifts.reduce((sum, each) => sum + each, 0)"


def layout_shift(browser: "Browser", address: str) -> float:
    """Open a page afresh and return the sum of its layout shifts until it rests."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(NOTE_SHIFTS)
    page.goto(address)
    page.wait_for_function(AT_REST, timeout=TIMEOUT_MS)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
    shifted = float(page.evaluate(SHIFTED))
    page.close()
    return shifted


def took_s(page: "Page", press: "Press") -> float:
    """Press, wait until the page stands still, and return the seconds between."""
    page.wait_for_timeout(300)  # what came before is over
    press()
    page.wait_for_function(STANDS_STILL, timeout=TIMEOUT_MS)
    return float(page.evaluate(TOOK_MS)) / 1_000


def opened(page: "Page", address: str) -> None:
    """Open a page by its address and wait until it rests."""
    page.goto(address)
    page.wait_for_function(AT_REST, timeout=TIMEOUT_MS)
    page.wait_for_load_state("networkidle")
    page.evaluate(WATCH)


def edit(page: "Page") -> None:
    """Change the text of the first row, which is written by a press on Save."""
    grid = page.get_by_test_id("stDataFrame").last
    grid.scroll_into_view_if_needed()
    grid.dblclick(position={"x": 420, "y": 1.5 * ROW_PX})
    field = page.locator("#portal textarea")
    field.wait_for()
    field.press("End")
    field.press_sequentially("x", delay=10)
    field.press("Enter", delay=50)


def tick(page: "Page") -> None:
    """Mark the first row to be deleted."""
    grid = page.get_by_test_id("stDataFrame").last
    grid.scroll_into_view_if_needed()
    page.wait_for_timeout(1_000)  # it was drawn anew
    grid.click(position={"x": 16, "y": 1.5 * ROW_PX})
    page.keyboard.press("Delete")


def presses(page: "Page", address: str) -> Iterator[tuple[str, float]]:
    """Press what is pressed most, each once; yield its name and its seconds."""

    def link(name: str) -> "Press":
        return page.get_by_role("link", name=name, exact=True).first.click

    def radio(name: str) -> "Press":
        return page.get_by_role("radio", name=name, exact=True).first.click

    opened(page, f"{address}/benchmark")
    for preset in ("Quick", "Service", "Tutorial"):
        yield "a preset", took_s(page, radio(preset))
    for view in ("Scaling", "Data", "Calls"):
        yield "a view of a run", took_s(page, page.get_by_role("tab", name=view, exact=True).click)
    opened(page, f"{address}/search")
    for question in QUESTIONS:
        page.get_by_label("Question", exact=True).fill(question)
        press = page.get_by_role("button", name="Search", exact=False).first.click
        yield "a question", took_s(page, press)
    for view in ("Words", "Every method", "Similarity and MMR"):
        yield "a view of the search", took_s(page, radio(view))
    opened(page, f"{address}/collections")
    for name, mark in (("a saved cell", edit), ("a deleted row", tick)):
        save = page.get_by_role("button", name=re.compile("^Save: "))
        for _ in range(MOST_TRIES):
            mark(page)
            with contextlib.suppress(PlaywrightTimeout):  # a table that was drawn anew at the press
                save.wait_for(timeout=3_000)
                break
        page.wait_for_function(AT_REST)
        yield name, took_s(page, save.click)
    opened(page, address)
    for name in (*PAGES, "Overview"):
        if name not in {"Collections", "Runs"}:  # which are views of others
            yield "the next page, by click", took_s(page, link(name))
    for path in PAGES.values():
        started = time.perf_counter()
        page.goto(f"{address}/{path}")
        page.wait_for_function(AT_REST, timeout=TIMEOUT_MS)
        yield "the next page, by address", time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    from playwright.sync_api import sync_playwright

    times: dict[str, list[float]] = defaultdict(list)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE_SCRIPT)
        with served(bare, folder) as (address, _process):
            layout_shift(browser, address)
            of_bare = layout_shift(browser, address)
        with served(PROJECT_ROOT / "app.py", folder) as (address, _process):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(address)
            page.wait_for_function(CORPUS_IS_LOADED, timeout=TIMEOUT_MS)
            for turn in range(repeats + 1):
                for name, seconds in presses(page, address):
                    if turn:  # the first of each loads what it needs
                        times[name].append(seconds)
            page.close()
            shifts = {
                path or "overview": layout_shift(browser, f"{address}/{path}")
                for path in ("", *PAGES.values())
            }
        browser.close()
    bounds = {
        "the next page, by click": NEXT_BY_CLICK_S,
        "the next page, by address": NEXT_BY_ADDRESS_S,
    }
    for name, values in times.items():
        print(
            f"{name:26} median {statistics.median(values):.2f} s, slowest {max(values):.2f} s of "
            f"{len(values)} (at most {bounds.get(name, REDRAWN_S)} s)"
        )
    for name, shift in shifts.items():
        print(f"layout shift, {name:12} {shift:.3f}, Streamlit's own {of_bare:.3f}")
    print(f"load of this computer {os.getloadavg()[2]:.1f}")


if __name__ == "__main__":
    main()
