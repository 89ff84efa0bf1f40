"""Leave the search page alone for a quarter of an hour, then search: it works at the first try.

    python -m benchmarks.idle_in_browser [--idle 900] [--uri http://localhost:19530]

Without `--uri` the app runs on its embedded store. Prints the milliseconds until the rows stand,
before and after.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.search_in_browser import CHROMIUM, QUESTIONS, open_search, search_ms
from tests.conftest import CHROMIUM_FLAGS, AppRunner


def main() -> int:
    """Search, wait, search again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=float, default=900, metavar="SECONDS")
    parser.add_argument("--uri")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        runner = AppRunner(Path(folder))
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        try:
            page = chromium.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(60_000)
            open_search(page, runner({"MILVUS_URI": given.uri} if given.uri else {}))
            before = search_ms(page, QUESTIONS[1])[0]
            time.sleep(given.idle)
            after = search_ms(page, QUESTIONS[2])[0]
            errors = page.locator("[data-testid='stException'], [data-testid='stAlert']").count()
        finally:
            chromium.close()
            runner.stop_all()
    print(f"before {before:.0f} ms, after {given.idle:g} idle s {after:.0f} ms, {errors} messages")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
