"""Four places in a narrow sidebar, two of them with two views, each view with its own address."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.waiting import status, wait_until, wait_until_drawn

if TYPE_CHECKING:
    from playwright.sync_api import Page

PLACES = ["Overview", "Ingestion", "Search and MMR", "Benchmark"]
WIDEST_PX = 240


def test_a_fresh_server_begins_with_four_places_one_line_and_a_narrow_sidebar(
    run_app: Callable[[dict[str, str]], str], chromium_page: "Page"
) -> None:
    page = chromium_page
    page.goto(run_app({}))  # the first visit of a process, which Streamlit once drew wider
    sidebar = page.get_by_test_id("stSidebar")
    status(page, "Milvus Lite · async_lab · .* rows").wait_for()
    wait_until_drawn(page)
    box = sidebar.bounding_box()
    assert box is not None
    assert box["width"] <= WIDEST_PX
    links = sidebar.get_by_role("link")
    assert [text.strip().splitlines()[-1] for text in links.all_inner_texts()] == PLACES
    assert sidebar.get_by_role("button", name="Connect to another Milvus").is_visible()


@pytest.mark.parametrize(
    ("place", "views"),
    [
        ("Ingestion", {"Load": "ingestion", "Collections": "collections"}),
        ("Benchmark", {"Measure": "benchmark", "Runs": "runs"}),
    ],
)
def test_a_place_with_two_views_changes_between_their_addresses(
    shared_app: str, chromium_page: "Page", place: str, views: dict[str, str]
) -> None:
    page = chromium_page
    page.goto(f"{shared_app}/search")
    page.get_by_test_id("stSidebar").get_by_role("link", name=place).click()
    main = page.get_by_test_id("stMain")
    for view, path in reversed(views.items()):
        main.get_by_role("link", name=view, exact=True).click()
        page.wait_for_url(re.compile(rf"/{path}(\?|$)"))
    assert main.get_by_role("link", name=next(reversed(views)), exact=True).is_visible()


def test_on_a_phone_the_sidebar_makes_way_for_the_page_that_was_chosen(
    shared_app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{shared_app}/search")
    page.get_by_role("button", name="Expand sidebar").click()
    link = page.get_by_test_id("stSidebar").get_by_role("link", name="Benchmark")
    link.click()
    page.get_by_role("button", name="Run", exact=True).wait_for()
    wait_until(lambda: (link.bounding_box() or {"x": -1})["x"] < 0)
