"""The result page of a run of 10,000 calls, beside that of 100 calls: time and bytes in Chromium.

    python -m benchmarks.page_ten_thousand_calls [--rounds 5]

Starts the app on a store of its own. Prints the median time from navigation to the last chart and
to the answer of the next click, the ratio to the small run, and what the browser received: data
over the websocket, and files that the browser did not have from the page before.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from lib.results import run_file
from tests.conftest import CHROMIUM_FLAGS, CHROMIUM_NAMES, AppRunner
from tests.run_builder import make_run, make_trial

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SIZES = {"small": 100, "large": 10_000}
STRATEGIES = (("sync_loop", 1), ("gather", None), ("gather_limited", 128), ("thread_pool", 32))


def write_runs(folder: Path) -> None:
    """Write one run of each size: four strategies, three repeats."""
    folder.mkdir(parents=True)
    for name, count in SIZES.items():
        trials = [
            make_trial(
                strategy,
                count=count,
                concurrency=limit,
                repeat=repeat,
                call_s=(0.001 if limit == 1 else 0.5) * 1.01**repeat,
                embed_s=0.0005,
                lag_ms=10.0 if "gather" in strategy else None,
            )
            for repeat in range(3)
            for strategy, limit in STRATEGIES
        ]
        run_file.write(make_run(*trials), folder / f"{name}.json")


def visit(browser: "Browser", app: str, name: str) -> dict[str, float]:
    """Open the run's page in a fresh browser session and click once."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    received = {"socket": 0, "files": 0}

    def on_frame(frame: bytes | str) -> None:
        received["socket"] += len(frame)

    def on_file(finished: dict[str, float]) -> None:
        received["files"] += int(finished["encodedDataLength"])  # 0 for what the cache had

    page.goto(f"{app}/runs")  # Streamlit's files are loaded, as for anybody who comes from a page
    page.get_by_text("Import runs").wait_for(timeout=60_000)
    page.on("websocket", lambda socket: socket.on("framereceived", on_frame))
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.loadingFinished", on_file)
    started = time.perf_counter()
    page.goto(f"{app}/benchmark?b_run={name}")
    page.get_by_role("button", name="Export", exact=True).wait_for(timeout=60_000)
    page.locator("[data-testid='stVegaLiteChart']").first.locator("svg, canvas").first.wait_for()
    drawn_s = time.perf_counter() - started
    started = time.perf_counter()
    page.get_by_text("Latency", exact=True).click()
    page.get_by_text("Median latency of one call").wait_for(timeout=60_000)
    clicked_s = time.perf_counter() - started
    page.context.close()
    return {"drawn_s": drawn_s, "clicked_s": clicked_s, **received}


def main() -> None:
    """Measure both sizes in turn and print their medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    folder = Path(tempfile.mkdtemp())
    write_runs(folder / "data" / "runs")
    runner = AppRunner(folder)
    program = next(filter(None, map(shutil.which, CHROMIUM_NAMES)))
    try:
        app = runner({"LAB_DATA_DIR": str(folder / "data")})
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
            for name in SIZES:
                visit(browser, app, name)  # the first visit loads the corpus and parses the file
            found: dict[str, list[dict[str, float]]] = {name: [] for name in SIZES}
            for _ in range(rounds):
                for name in SIZES:
                    found[name].append(visit(browser, app, name))
            browser.close()
    finally:
        runner.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
    middle = {
        name: {key: statistics.median(one[key] for one in visits) for key in visits[0]}
        for name, visits in found.items()
    }
    for name, values in middle.items():
        print(
            f"{SIZES[name]:>6,} calls a trial: drawn after {values['drawn_s']:.2f} s, next click "
            f"answered after {values['clicked_s']:.2f} s, {values['socket'] / 1e6:.2f} MB of data, "
            f"{values['files'] / 1e6:.2f} MB of files"
        )
    for key in ("drawn_s", "clicked_s", "socket"):
        print(f"ratio of {key}: {middle['large'][key] / middle['small'][key]:.2f}")


if __name__ == "__main__":
    main()
