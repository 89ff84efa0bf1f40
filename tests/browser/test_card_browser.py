"""The result card in a real browser: above the fold, short, and nothing beyond the side."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Each page with a card, and how far down its first coloured mark may stand.
PLACES = {"benchmark": 320, "runs?r_runs=recorded-client-server-450ms": 400}
FOLD, TALLEST = 800, 1_100


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
    assert first["y"] < PLACES[place]
    for box in (last, race):
        assert box["y"] + box["height"] <= FOLD
    assert race["x"] > first["x"] + first["width"]  # beside the bars
    for name in ("Share", "Export", "How this was measured"):
        box = page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box is not None
        assert box["y"] < FOLD
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
