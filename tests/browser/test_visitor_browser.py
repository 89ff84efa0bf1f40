"""A browser keeps the cookie that the page gives it, also on a phone, and is known by it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

COOKIE = "document.cookie.split('; ').find((each) => each.startsWith('lab_visitor_'))"


def cookie_of(page: "Page") -> str:
    """Wait until the page's browser has a visitor's cookie, and return it."""
    page.wait_for_function(COOKIE)
    return str(page.evaluate(COOKIE))


def test_a_browser_gets_a_cookie_at_its_first_visit_and_is_known_by_it(
    run_app: Callable[..., str], chromium_page: "Page"
) -> None:
    url = run_app({"LAB_PUBLIC": "1"})
    chromium_page.set_viewport_size({"width": 390, "height": 800})
    chromium_page.goto(f"{url}/runs")
    given = cookie_of(chromium_page)
    chromium_page.reload()
    # A visitor who is not known gets another one with the sidebar, which comes before the page.
    expect(chromium_page.get_by_role("heading", name="Runs")).to_be_visible()
    assert cookie_of(chromium_page) == given
