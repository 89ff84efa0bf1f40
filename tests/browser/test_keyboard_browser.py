"""By the keyboard alone: from load to verdict, export and slides, and the focus always seen."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.waiting import wait_until, wait_until_drawn

if TYPE_CHECKING:
    from playwright.sync_api import Page

MOST_TABS = 80  # more than any page has stops
# What has the focus, in a component's tree of its own too: its name, and whether one sees it.
FOCUSED = """() => {
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  if (!node || node === document.body) return { name: "", seen: true, pressed: false };
  const marked = (each) => {
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(each);
    return (outlineStyle !== "none" && parseFloat(outlineWidth) > 0)
      || (boxShadow !== "none" && !boxShadow.includes("rgba(0, 0, 0, 0) 0px 0px 0px 0px"));
  };
  // Of an input what surrounds it is marked.
  const around = [node, node.parentElement, node.parentElement?.parentElement].filter(Boolean);
  const { width, height, top, bottom } = node.getBoundingClientRect();
  return {
    // What scrolls can have the focus too, and is nothing to press.
    pressed: node.matches("a, button, input, [role=button], [role=menuitem]"),
    name: (node.getAttribute("aria-label") || node.innerText || node.textContent || "").trim(),
    html: node.outerHTML.slice(0, 200),
    seen: around.some(marked) && width > 0 && height > 0 && bottom > 0 && top < innerHeight,
  };
}"""


def tab_to(page: "Page", name: str) -> None:
    """Press Tab until what has this name has the focus, which must be seen all the way."""
    passed = []
    for _ in range(MOST_TABS):
        focused = page.evaluate(FOCUSED)
        assert focused["seen"], focused
        if focused["pressed"] and re.search(name, focused["name"], re.MULTILINE):
            return
        passed.append(focused["name"])
        page.keyboard.press("Tab")
        # What is scrolled into view by the focus is there a frame later.
        page.evaluate("() => new Promise(requestAnimationFrame)")
    raise AssertionError(f"{name} was not among {passed}")


def test_from_load_to_verdict_export_and_slides_by_keyboard_alone(
    shared_app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    page.emulate_media(reduced_motion="reduce")
    page.goto(shared_app)
    page.get_by_role("button", name="Measure it here").wait_for()
    wait_until_drawn(page)
    tab_to(page, "Measure it here")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop the run").wait_for()
    export = page.get_by_role("button", name="Export", exact=True)
    export.wait_for()
    wait_until_drawn(page)

    tab_to(page, "^Export$")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.closest('[role=dialog]')")
    page.get_by_role("button", name="JSON").wait_for()  # its entries come one after another
    with page.expect_download() as downloaded:
        tab_to(page, "JSON")
        page.keyboard.press("Enter")
    measured = json.loads(Path(downloaded.value.path()).read_text(encoding="utf-8"))
    assert measured["settings"]["preset"] == "quick"
    assert not measured["partial"]
    page.keyboard.press("Escape")
    page.wait_for_function("!document.querySelector('[role=dialog]')")

    tab_to(page, "Present")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("present"))
    heading = page.get_by_role("heading", level=1)
    heading.wait_for()
    said = heading.inner_text()
    page.keyboard.press("End")
    wait_until(lambda: heading.inner_text() != said)
    page.keyboard.press("Home")
    wait_until(lambda: heading.inner_text() == said)


def test_a_menu_that_is_opened_by_a_key_has_the_focus(
    shared_app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    page.goto(f"{shared_app}/benchmark")
    page.get_by_test_id("stVegaLiteChart").first.wait_for()
    wait_until_drawn(page)
    page.wait_for_load_state("networkidle")  # what listens to keys is there too
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
