"""Take the pictures of the README from the running app, anew.

    python -m scripts.screenshots [--output assets/screenshots] [--all]

Starts the app on an empty folder, so that what it shows are the recorded runs and the bundled
corpus: calm data, the same on every machine. `--all` takes every page in both colour schemes and
three sizes instead, to be looked at. Needs Chromium.
"""

import argparse
import io
import itertools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import CHROMIUM_FLAGS, PROJECT_ROOT, AppRunner

OUTPUT = PROJECT_ROOT / "assets" / "screenshots"
CORPUS_IS_LOADED = """() => [...document.querySelectorAll(
  "[data-testid='stSidebar'] [data-testid='stMetricValue']")]
  .some(node => parseInt(node.textContent.replace(/[^0-9]/g, '')) > 3000)"""
IS_AT_REST = """() => document.querySelector("[data-testid='stApp']")
  ?.getAttribute("data-test-script-state") === "notRunning"
  && !document.querySelector("[data-testid='stSkeleton']")"""
PAGES = {
    "overview": "",
    "search": "/search?q=remove+a+directory+and+everything+inside+it",
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
README = ("overview", "benchmark", "search")
SIZES = {"1280": (1280, 800), "1920": (1920, 1080), "390": (390, 844)}
# The race loops; a picture of it shows one round.
ROUND_S, FRAMES_PER_S = 6.0, 10
RACE = "#race"
WAIT_MS = 60_000


def main() -> None:
    """Start the app, take the pictures, and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--all", action="store_true", help="every page, scheme and size")
    parser.add_argument("--only", help=f"pages with commas, of {', '.join(PAGES)}")
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
            names = given.only.split(",") if given.only else list(PAGES if given.all else README)
            shots = itertools.product(names, ("light", "dark"), SIZES) if given.all else ()
            for name, scheme, size in shots:
                _shoot(browser, url, name, scheme, size, given.output / f"{name}-{size}-{scheme}")
            if not given.all:
                for name in names:
                    _shoot(browser, url, name, "light", "1280", given.output / name)
                _film(browser, url, given.output / "race.webp")
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


def _save(png: bytes, path: Path) -> None:
    """Write a picture with 256 colours, which pages of text and flat colours do not exceed much."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def _film(browser: Browser, url: str, path: Path) -> None:
    """Write one round of the race as an animated picture."""
    page = open_page(browser, url, "light", "1280")
    race = page.locator(RACE)
    frames = []
    shoot: Callable[[], bytes] = race.screenshot
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


if __name__ == "__main__":
    main()
