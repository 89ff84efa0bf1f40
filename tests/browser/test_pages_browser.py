"""Every page in a real browser: it draws, says no exception, and search answers at once."""

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from lib.ui.common import browser_ahead

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

QUESTION = "list all files whose names match a wildcard"
LOAD_TIMEOUT_MS = 60_000


@pytest.fixture(scope="module")
def app(run_app) -> str:
    """One app on an embedded store of its own, empty at first."""
    return run_app({}, empty=True)


def test_a_deep_link_into_a_fresh_server_gets_the_whole_frame(
    app: str, chromium_page: "Page"
) -> None:
    chromium_page.goto(f"{app}/search?q=split+a+string")
    chromium_page.get_by_role("link", name="Search and MMR").first.wait_for()
    chromium_page.get_by_text("Milvus Lite (embedded)").first.wait_for(timeout=LOAD_TIMEOUT_MS)
    assert chromium_page.get_by_role("link", name="app", exact=True).count() == 0
    chromium_page.get_by_role("heading", name="Search and MMR").wait_for()


def test_the_first_visit_ends_with_a_loaded_corpus(app: str, chromium_page: "Page") -> None:
    chromium_page.goto(app)
    chromium_page.get_by_text("Milvus Lite (embedded)").first.wait_for(timeout=LOAD_TIMEOUT_MS)
    rows = chromium_page.locator("[data-testid='stSidebar'] [data-testid='stMetricValue']").first
    expect(rows).to_have_text("4,904", timeout=LOAD_TIMEOUT_MS)
    chromium_page.get_by_text("Loading: ").wait_for(state="hidden", timeout=LOAD_TIMEOUT_MS)
    assert chromium_page.get_by_text("Loading: ").count() == 0


def test_search_answers_the_question_of_the_readme(shared_app: str, chromium_page: "Page") -> None:
    chromium_page.goto(f"{shared_app}/search?q={QUESTION.replace(' ', '+')}")
    chromium_page.get_by_text("glob.glob", exact=False).first.wait_for(timeout=LOAD_TIMEOUT_MS)
    assert chromium_page.locator("[data-testid='stException']").count() == 0


def test_a_refresh_keeps_the_question(shared_app: str, chromium_page: "Page") -> None:
    chromium_page.goto(f"{shared_app}/search?q=split+a+string")
    box = chromium_page.get_by_role("textbox", name=re.compile("question|ask", re.IGNORECASE)).first
    box.wait_for(timeout=LOAD_TIMEOUT_MS)
    assert box.input_value() == "split a string"
    chromium_page.reload()
    box.wait_for()
    assert box.input_value() == "split a string"


def test_the_overview_starts_the_ten_seconds_at_once(
    shared_app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    page.goto(shared_app)
    page.get_by_role("heading", level=1, name="80× faster, same results").wait_for()
    seen = [
        page.get_by_text("100 documents, one by one"),
        page.get_by_role("img", name="Async: "),
        page.get_by_text("With a simulated 450 ms embedding wait."),
        page.get_by_role("button", name="Measure it here"),
    ]
    for each in seen:
        box = each.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 800
    seen[-1].click()
    page.get_by_role("button", name="Stop the run").wait_for(timeout=20_000)
    assert "b_preset=quick" in page.url
    page.get_by_role("button", name="Stop the run").click()


def test_the_race_stands_still_where_reduced_motion_is_asked_for(
    shared_app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    clock = page.get_by_text(re.compile(r"Loop · \d+ of 100"))
    page.goto(shared_app)
    clock.wait_for()
    first = clock.inner_text()
    page.wait_for_function(
        "([node, text]) => node.textContent !== text", arg=[clock.element_handle(), first]
    )

    page.emulate_media(reduced_motion="reduce")
    page.reload()
    clock.wait_for()
    assert clock.inner_text().startswith("Loop · 1 of 100")
    # Two frames later nothing has moved.
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    assert clock.inner_text().startswith("Loop · 1 of 100")


RAN = """names => names.filter(name =>
    performance.getEntriesByType('resource').some(each => each.name.endsWith(name)))"""


def test_the_overview_runs_ahead_what_the_next_pages_draw_with(
    shared_app: str, browser: "Browser"
) -> None:
    assert len(browser_ahead.names()) == len(browser_ahead.SCRIPTS)
    page = browser.new_context().new_page()
    failed: list[str] = []
    page.on("console", lambda said: failed.append(said.text) if said.type == "error" else None)
    page.goto(shared_app)
    page.wait_for_function(
        f"names => ({RAN})(names).length === names.length", arg=browser_ahead.names()
    )
    assert failed == []
    page.context.close()


def test_a_browser_that_saves_data_loads_nothing_ahead(
    shared_app: str, chromium_page: "Page"
) -> None:
    chromium_page.goto(shared_app)
    chromium_page.wait_for_function(f"performance.now() > {3 * browser_ahead.AFTER_MS}")
    seen = chromium_page.evaluate(RAN, browser_ahead.names())
    assert not {"DataFrame", "FileUploader", "NumberInput"} & {n.partition(".")[0] for n in seen}
