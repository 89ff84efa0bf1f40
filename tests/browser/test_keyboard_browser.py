"""By the keyboard alone: a menu that is opened by a key has the focus, and gives it back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_menu_that_is_opened_by_a_key_has_the_focus(
    shared_app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    page.goto(f"{shared_app}/benchmark")
    how = page.get_by_role("button", name="How this was measured", exact=True)
    how.focus()
    for key in ("Enter", " "):
        page.keyboard.press(key)
        page.wait_for_function(
            "document.activeElement.closest('[role=dialog]')?.innerText.includes('geometric mean')"
        )
        page.keyboard.press("Escape")
        page.wait_for_function("!document.querySelector('[role=dialog]')")
        assert how.evaluate("node => node === document.activeElement")
