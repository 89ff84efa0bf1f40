"""The gallery: recorded runs as static pages, opened from a folder in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lib.runs.store import RECORDED_DIR
from scripts import gallery

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Alone also where nothing is timed: the pages are written once, and that takes long.
pytestmark = [pytest.mark.slow, pytest.mark.alone]

MB = 1_000_000
# Of the time that the quickest page takes beside it.
MOST_TIMES = 3.0
WHEN_DRAWN = """
const look = () => document.querySelector("figure svg")
  ? (window.firstChartMs = performance.now()) : requestAnimationFrame(look);
requestAnimationFrame(look);
"""


@pytest.fixture(scope="module")
def site(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The gallery, written once."""
    return made_once("site", gallery.write)


def test_every_recorded_run_has_a_page_and_all_are_small(site: Path) -> None:
    recorded = {path.stem for path in RECORDED_DIR.glob("*.json")}
    pages = {path.stem for path in site.glob("*.html")} - {"index"}
    assert pages == recorded
    index = (site / "index.html").read_text(encoding="utf-8")
    assert {name.removesuffix(".html") for name in re.findall(r'href="([^"]+)"', index)} == recorded
    assert sum(path.stat().st_size for path in site.iterdir()) < 6 * MB


def test_each_page_draws_its_first_chart_about_as_soon_as_the_quickest_and_asks_no_other_host(
    site: Path, chromium_page: "Page"
) -> None:
    asked: list[str] = []
    problems: list[str] = []
    chromium_page.on("request", lambda request: asked.append(request.url))
    chromium_page.on(
        "console", lambda told: problems.append(told.text) if told.type == "error" else None
    )
    chromium_page.on("pageerror", lambda error: problems.append(str(error)))
    chromium_page.add_init_script(WHEN_DRAWN)
    drawn_ms: dict[str, float] = {}
    # Twice, because the first page that a browser ever draws pays for its start.
    for path in sorted(site.glob("*.html")) * 2:
        chromium_page.goto(path.as_uri(), wait_until="commit")
        took_ms = chromium_page.wait_for_function("window.firstChartMs").json_value()
        drawn_ms[path.name] = min(took_ms, drawn_ms.get(path.name, took_ms))
        places = chromium_page.locator("figure[data-spec]").count()
        chromium_page.wait_for_function(
            "n => document.querySelectorAll('figure svg').length === n", arg=places
        )
    assert max(drawn_ms.values()) < MOST_TIMES * min(drawn_ms.values()), drawn_ms
    assert not problems
    assert all(url.startswith(site.as_uri()) for url in asked)
