"""The result card in a real browser: above the fold, short, and nothing beyond the side."""

from typing import TYPE_CHECKING

import pytest

from lib.runs.store import RECORDED_DIR
from tests.waiting import wait_until, wait_until_drawn

if TYPE_CHECKING:
    from playwright.sync_api import Page

PLACES = ("benchmark", "runs?r_runs=recorded-client-server-450ms")
RECORDED = sorted(path.stem for path in RECORDED_DIR.glob("*.json"))
# Pixels: how far down the first coloured mark may stand, and the fold, and the longest page.
MARK, FOLD, TALLEST = 320, 800, 1_100
# The top of the highest bar or mark of a chart that has a hue.
FIRST_MARK = """() => {
  const hue = (colour) => {
    const [red, green, blue, alpha = 1] = (colour.match(/[\\d.]+/g) || []).map(Number);
    return alpha > 0 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60;
  };
  const main = [...document.querySelectorAll("[data-testid=stMain] *")];
  const inside = main.flatMap((node) => [...(node.shadowRoot?.querySelectorAll("*") || [])]);
  const marks = [...main, ...inside].filter((node) => node.matches(".bar, svg path"));
  const coloured = marks.filter((node) => {
    const { fill, stroke, backgroundColor } = getComputedStyle(node);
    return [fill, stroke, backgroundColor].some(hue);
  });
  const boxes = coloured.map((node) => node.getBoundingClientRect());
  return Math.min(...boxes.filter(({ width, height }) => width + height > 3).map(({ y }) => y));
}"""


def open_card(page: "Page", url: str) -> None:
    """Open a page with a result card and wait until it is drawn and stands still."""
    page.emulate_media(reduced_motion="reduce")
    page.goto(url)
    page.locator(".bar").first.wait_for()
    page.locator("[data-testid=stVegaLiteChart] svg").first.wait_for()
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("place", PLACES)
def test_the_card_is_above_the_fold_and_the_page_is_short(
    shared_app: str, chromium_page: "Page", place: str
) -> None:
    page = chromium_page
    page.set_viewport_size({"width": 1280, "height": FOLD})
    open_card(page, f"{shared_app}/{place}")
    first, last = (
        page.locator(".bar").first.bounding_box(),
        page.locator(".bar").last.bounding_box(),
    )
    race = page.get_by_role("img", name="Loop: ").bounding_box()
    assert first is not None
    assert last is not None
    assert race is not None
    assert first["y"] < MARK
    for box in (last, race):
        assert box["y"] + box["height"] <= FOLD
    assert race["x"] > first["x"] + first["width"]  # beside the bars
    for name in ("Share", "Export", "How this was measured"):
        box = page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box is not None
        assert box["y"] < FOLD
    assert page.get_by_test_id("stMain").evaluate("node => node.scrollHeight") <= TALLEST


@pytest.mark.parametrize("run", RECORDED)
def test_a_recorded_run_is_a_short_page_whose_picture_stands_above_the_fold(
    shared_app: str, chromium_page: "Page", run: str
) -> None:
    page = chromium_page
    page.set_viewport_size({"width": 1280, "height": FOLD})
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{shared_app}/runs?r_runs=recorded-{run}")
    page.get_by_role("button", name="Export", exact=True).wait_for()
    page.locator("[data-testid=stVegaLiteChart] svg").last.wait_for()
    wait_until_drawn(page)
    page.wait_for_load_state("networkidle")
    assert page.evaluate(FIRST_MARK) < MARK
    assert page.get_by_test_id("stMain").evaluate("node => node.scrollHeight") <= TALLEST


@pytest.mark.parametrize("place", PLACES)
def test_on_a_phone_nothing_is_beyond_the_side(
    shared_app: str, chromium_page: "Page", place: str
) -> None:
    page = chromium_page
    page.set_viewport_size({"width": 390, "height": 844})
    open_card(page, f"{shared_app}/{place}")
    assert (
        page.get_by_test_id("stMain").evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    )
    box = page.locator(".bar").first.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 390


def test_the_method_opens_where_one_stands(shared_app: str, chromium_page: "Page") -> None:
    page = chromium_page
    open_card(page, f"{shared_app}/benchmark")
    page.get_by_role("button", name="How this was measured", exact=True).click()
    told = page.get_by_text("The time of a way is the geometric mean of its repeats")
    told.wait_for()
    # Nothing else was left for it.
    assert page.url.partition("?")[0] == f"{shared_app}/benchmark"


def test_a_ticked_run_comes_into_view(shared_app: str, chromium_page: "Page") -> None:
    page = chromium_page
    page.set_viewport_size({"width": 1280, "height": FOLD})
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{shared_app}/runs")
    table = page.get_by_test_id("stDataFrame").first
    table.wait_for()
    wait_until_drawn(page)
    table.click(position={"x": 16, "y": 52})  # the first run's box
    export = page.get_by_role("button", name="Export", exact=True)
    export.wait_for()
    wait_until(lambda: (export.bounding_box() or {"y": FOLD})["y"] < FOLD / 2)
