"""How long the first screen's button takes from the press to the verdict, on fresh visits.

    python -m benchmarks.press_to_verdict [--visits 10]

Each visit is a fresh process of the app with an empty data folder, opened in Chromium. Every other
one presses while the sample data are still loading, the rest when they are in. The clock runs from
the press until the verdict's card is on the screen. Ends with 1 when one took more than 10.5 s.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time

from playwright.sync_api import Browser, sync_playwright

from benchmarks.startup import CORPUS_IS_LOADED, PROJECT_ROOT, TIMEOUT_MS, served

ASKED_S = 10.5
CORPUS_IS_LOADING = """() => document.querySelector("[data-testid='stSidebar']")
  ?.querySelector("[data-testid='stProgress'], [data-testid='stAlert']")"""


def press(browser: Browser, *, while_loading: bool) -> tuple[float, str]:
    """Visit a fresh app and press; return the seconds until the verdict, and what it says."""
    app = PROJECT_ROOT / "app.py"
    with tempfile.TemporaryDirectory() as folder, served(app, folder) as (address, _process):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(address)
        button = page.get_by_role("button", name="Measure it here")
        button.wait_for()
        page.wait_for_function(CORPUS_IS_LOADING if while_loading else CORPUS_IS_LOADED)
        started = time.perf_counter()
        button.click()
        page.get_by_role("button", name="Export", exact=True).wait_for()
        took_s = time.perf_counter() - started
        said = page.get_by_role("heading", level=1).first.inner_text()
        page.close()
    return took_s, said


def main() -> int:
    """Press on each visit and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--visits", type=int, default=10)
    visits = parser.parse_args().visits
    times = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for i in range(visits):
            while_loading = i % 2 == 0
            took_s, said = press(browser, while_loading=while_loading)
            times.append(took_s)
            when = "while sample data load" if while_loading else "with sample data"
            print(f"{took_s:6.2f} s  {when:24}{said}", flush=True)
        browser.close()
    print(
        f"median {statistics.median(times):.2f} s, longest {max(times):.2f} s of {len(times)} "
        f"(at most {ASKED_S} s); load of this computer {os.getloadavg()[2]:.1f}"
    )
    return int(max(times) > ASKED_S)


if __name__ == "__main__":
    sys.exit(main())
