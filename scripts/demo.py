"""Walk through the one-minute demo in Chromium, with the clock beside each step.

    python -m scripts.demo

Open, start, race, result, share, present: on an app that starts with an empty folder.
"""

import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS, AppRunner

SIZE = {"width": 1280, "height": 800}
WAIT_MS = 60_000


def main() -> None:
    """Start the app, walk through the demo and print the clock."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        apps = AppRunner(Path(folder))
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS
        )
        context = chromium.new_context(viewport=SIZE)  # type: ignore[arg-type]
        context.set_default_timeout(WAIT_MS)
        try:
            url = apps()
            page = context.new_page()
            started = time.perf_counter()

            def clock(step: str) -> None:
                print(f"{time.perf_counter() - started:5.1f} s  {step}", flush=True)

            page.goto(url)
            page.get_by_role("radiogroup", name="An embedding takes").wait_for()
            clock("open: the headline and the lanes are drawn")
            page.get_by_role("button", name="Measure it here").click()
            page.get_by_role("button", name="Stop the run").wait_for()
            clock("start: the run is on, Stop is in view")
            page.get_by_text("trials finished").wait_for()
            clock("race: the first calls that both sides have finished")
            page.get_by_role("button", name="Stop the run").wait_for(state="detached")
            page.get_by_role("button", name="Export", exact=True).wait_for()
            clock(f"result: {page.get_by_role('heading', level=1).first.inner_text()}")
            reader = context.new_page()
            reader.goto(page.url)
            reader.get_by_role("button", name="Export", exact=True).wait_for()
            clock("share: a second tab shows the result from the link")
            page.get_by_role("link", name="Present").first.click()
            page.get_by_text("1 of 4", exact=True).wait_for()
            clock("present: the run just made, in four slides")
        finally:
            chromium.close()
            apps.stop_all()


if __name__ == "__main__":
    main()
