"""Take the pictures of the README from the running app, anew.

    python -m scripts.screenshots [--output assets/screenshots] [--all | --states]

Starts the app on an empty folder, so that what it shows are the recorded runs and the bundled
corpus: calm data, the same on every machine. `--all` takes every page in both colour schemes and
three sizes instead, to be looked at; `--states` every state of the pages for ingestion, search and
collections. Needs Chromium.
"""

import argparse
import io
import itertools
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from lib.charts import charts
from lib.charts import data as chart_data
from lib.results import comparison, published, run_file
from lib.runs import pictures
from lib.runs.store import RECORDED_DIR
from tests.conftest import CHROMIUM_FLAGS, PROJECT_ROOT, AppRunner

OUTPUT = PROJECT_ROOT / "assets" / "screenshots"
CORPUS_IS_LOADED = """() => /[3-9],\\d{3} rows/.test(
  document.querySelector("[data-testid='stSidebar'] .st-key-status")?.textContent)"""
IS_AT_REST = """() => document.querySelector("[data-testid='stApp']")
  ?.getAttribute("data-test-script-state") === "notRunning"
  && !document.querySelector("[data-testid='stSkeleton']")"""
PAGES = {
    "overview": "",
    "search": "/search?q=random+integer+between+two+bounds",
    "benchmark": "/benchmark",
    "runs": "/runs",
    "run": "/runs?r_runs=recorded-tutorial-server-450ms",
    "all-operations": "/runs?r_runs=recorded-all-server",
    "sweep": "/runs?r_runs=recorded-sweep-server",
    "comparison": "/runs?r_runs=recorded-tutorial-server,recorded-tutorial-server-450ms",
    "ingestion": "/ingestion",
    "collections": "/collections",
    "present": "/?present=1",
}
WALRUS = b"# The walrus\n\n" + b"The time has come, the walrus said, to talk of things. " * 60
README = ("overview", "benchmark", "search")
SIZES = {"1280": (1280, 800), "1920": (1920, 1080), "390": (390, 844)}
# The lanes play for six seconds; a picture of them rests for a while at the end.
ROUND_S, FRAMES_PER_S = 8.0, 10
LANES = "#lanes"
TUTORIAL = {
    "a bare wait of 450 ms": "tutorial-server-450ms",
    "OpenAI's client over HTTP": "openai-tutorial-server-450ms",
}
WAIT_MS = 60_000


def main() -> None:
    """Start the app, take the pictures, and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--all", action="store_true", help="every page, scheme and size")
    parser.add_argument("--states", action="store_true", help="every state of three pages")
    parser.add_argument("--only", help=f"pages with commas, of {', '.join(PAGES)}, or states")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        apps = AppRunner(Path(folder))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS
        )
        try:
            url = apps()
            wait_for_the_corpus(browser, url)
            if given.states:
                for name in given.only.split(",") if given.only else STATES:
                    for scheme in ("light", "dark"):
                        _shoot_state(browser, url, name, scheme, given.output)
                return
            names = given.only.split(",") if given.only else list(PAGES if given.all else README)
            shots = itertools.product(names, ("light", "dark"), SIZES) if given.all else ()
            for name, scheme, size in shots:
                _shoot(browser, url, name, scheme, size, given.output / f"{name}-{size}-{scheme}")
            if not given.all:
                for name in names:
                    _shoot(browser, url, name, "light", "1280", given.output / name)
                _film(browser, url, given.output / "lanes.webp")
                _draw_tutorial(given.output / "tutorial.png")
        finally:
            browser.close()
            apps.stop_all()
    for path in sorted(given.output.iterdir()):
        print(f"{path.name:<32} {path.stat().st_size / 1e3:8,.0f} KB")


def open_page(browser: Browser, address: str, scheme: str, size: str) -> Page:
    """Return a page that shows the address in a colour scheme and a size, at rest."""
    width, height = SIZES[size]
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page.set_default_timeout(WAIT_MS)
    page.goto(address)
    page.wait_for_function(IS_AT_REST)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)  # charts grow into their place
    return page


def wait_for_the_corpus(browser: Browser, url: str) -> None:
    """Wait until the app has loaded its bundled corpus."""
    page = open_page(browser, url, "light", "1280")
    page.wait_for_function(CORPUS_IS_LOADED)
    page.close()


def _shoot(browser: Browser, url: str, name: str, scheme: str, size: str, path: Path) -> None:
    page = open_page(browser, url + PAGES[name], scheme, size)
    _save(page.screenshot(), path.with_suffix(".png"))
    page.close()


def _shoot_state(browser: Browser, url: str, name: str, scheme: str, output: Path) -> None:
    address, steps = STATES[name]
    page = open_page(browser, url + address, scheme, "1280")
    steps(page)
    for size in ("1280", "390"):
        width, height = SIZES[size]
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(700)  # the sidebar folds, charts take their width
        _save(page.screenshot(), output / f"{name}-{size}-{scheme}.png")
    page.close()


def _rest(page: Page) -> None:
    page.wait_for_timeout(300)
    page.wait_for_function(IS_AT_REST)


def _press(page: Page, name: str) -> None:
    button = page.get_by_test_id("stMain").get_by_text(name, exact=True).first
    button.scroll_into_view_if_needed()
    button.click()
    page.wait_for_timeout(500)
    button.evaluate("node => node.scrollIntoView({block: 'center'})")


def _tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    _rest(page)
    page.mouse.move(700, 600)
    page.mouse.wheel(0, 600)
    page.wait_for_timeout(800)


def _copy_with_words(page: Page) -> None:
    """Make the copy where there is none; it is chosen then."""
    page.get_by_role("button", name=re.compile("^(Copy|Search) .*async_lab_words")).click()
    page.get_by_text("by both").wait_for()


def _upload(page: Page, name: str, content: bytes) -> None:
    file: Any = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_test_id("stMain").get_by_text(name).first.wait_for()
    _rest(page)


def _documents(page: Page, number: int) -> None:
    box = page.get_by_label("Maximum documents")
    box.fill(str(number))
    box.press("Enter")
    _rest(page)


def _ingest(page: Page, *, documents: int, until: str) -> None:
    _documents(page, documents)
    page.get_by_role("button", name="Ingest ").click()
    page.get_by_test_id("stMain").get_by_text(until).first.wait_for()


def _create(page: Page, name: str) -> None:
    _press(page, "New collection")
    box = page.get_by_label("Name", exact=True)
    box.fill(f"{name}_{secrets.token_hex(2)}")
    box.press("Enter")
    _rest(page)
    page.get_by_role("button", name="Create").click()
    page.get_by_text("Created").wait_for()
    _rest(page)


def _ask_to_delete(page: Page, expression: str) -> None:
    _press(page, "Delete many")
    box = page.get_by_label("Expression")
    box.fill(expression)
    box.press("Enter")
    page.get_by_text("Matching:").wait_for()
    _rest(page)


def _save(png: bytes, path: Path) -> None:
    """Write a picture with 256 colours, which pages of text and flat colours do not exceed much."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def _film(browser: Browser, url: str, path: Path) -> None:
    """Write the lanes as they play as an animated picture."""
    page = open_page(browser, url, "light", "1280")
    page.get_by_role("button", name="Replay").click()
    frames = []
    shoot: Callable[[], bytes] = page.locator(LANES).screenshot
    for _ in range(int(ROUND_S * FRAMES_PER_S)):
        frames.append(Image.open(io.BytesIO(shoot())).convert("RGB"))
        page.wait_for_timeout(1000 / FRAMES_PER_S)
    page.close()
    first, *others = frames
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=round(1000 / FRAMES_PER_S),
        loop=0,
        quality=80,
        method=4,
    )


def _draw_tutorial(path: Path) -> None:
    """Draw the tutorial's experiments around a bare wait, through a client, and as published."""
    runs = [
        (title, run_file.read(RECORDED_DIR / f"{name}.json")) for title, name in TUTORIAL.items()
    ]
    cells = [
        cell
        for cell in comparison.compare(runs)
        if published.published_s(cell.key.operation, cell.key.count, cell.key.strategy)
        and cell.key.count == 100
    ]
    chart = charts.readable(charts.compared(chart_data.compared_cells(cells)))
    (drawn,) = pictures.drawn(charts.with_data(chart.properties(width=860)), ".png")
    _save(drawn, path)


# What is done on a page before its picture is taken, in this order: (address, steps).
Steps = Callable[[Page], object]
STATES: dict[str, tuple[str, Steps]] = {
    "search-empty": ("/search?q=", lambda page: None),
    "search-answer": (PAGES["search"], lambda page: None),
    "search-nothing": (
        "/search?q=asdf+qwer+zxcv",
        lambda page: page.get_by_text("Nothing here answers this well").wait_for(),
    ),
    "search-no-row": ("/search?q=a+file&filter=length+%3C+0", lambda page: None),
    "search-error": ("/search?q=a+file&filter=length+%3C%3C", lambda page: None),
    "search-options": (PAGES["search"], lambda page: _press(page, "Options")),
    "search-like": ("/search?q=a+file&like=shutil.rmtree", lambda page: None),
    "search-map": (PAGES["search"], lambda page: _tab(page, "Map of the candidates")),
    "search-code": (PAGES["search"], lambda page: _tab(page, "Code and export")),
    "search-methods": ("/search?view=Every+method&q=a+file", lambda page: None),
    "search-many": ("/search?view=Many+at+once", lambda page: None),
    "search-retriever": ("/search?view=Many+at+once&through=A+retriever", lambda page: None),
    "search-words-offered": ("/search?view=Words", lambda page: None),
    "search-words": ("/search?view=Words&q=a+file", _copy_with_words),
    "ingestion-nothing-chosen": ("/ingestion?ingest_source=Files", lambda page: None),
    "ingestion-before": (
        "/ingestion?ingest_source=Files",
        lambda page: _upload(page, "walrus.md", WALRUS),
    ),
    "ingestion-options": ("/ingestion?ingest_source=Files", lambda page: _press(page, "Options")),
    "ingestion-damaged": (
        "/ingestion?ingest_source=Files",
        lambda page: _upload(page, "damaged.pdf", b"%PDF-1.4 nothing"),
    ),
    "ingestion-while": (
        "/ingestion?ingest_source=Tutorial+documents",
        lambda page: _ingest(page, documents=20_000, until="Stop"),
    ),
    "ingestion-after": (
        "/ingestion?ingest_source=Tutorial+documents",
        lambda page: _ingest(page, documents=30 + secrets.randbelow(900), until="now holds"),
    ),
    "ingestion-nothing-new": (
        "/ingestion?ingest_source=Tutorial+documents",
        lambda page: _documents(page, 30),
    ),
    "collections": ("/collections", lambda page: None),
    "collections-created": ("/collections", lambda page: _create(page, "shelf")),
    "collections-filtered": ("/collections?rows_filter=money", lambda page: None),
    "collections-export": ("/collections", lambda page: _press(page, "Export and import")),
    "collections-delete": (
        "/collections",
        lambda page: _ask_to_delete(page, 'module == "decimal"'),
    ),
    "collections-delete-more": ("/collections", lambda page: _ask_to_delete(page, "length > 0")),
    "collections-drop": ("/collections", lambda page: _press(page, "Drop this collection")),
}


if __name__ == "__main__":
    main()
