"""The dialog "Connect" in a real browser: secrets, addresses, and a visitor after a refresh."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from lib.benchmark.endpoint import OpenAIEndpoint
from tests.waiting import page_of_another, status, wait_until_drawn

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

HOSTS_KEY, OWN_KEY = "sk-planted-of-the-host", "sk-of-the-visitor"
RunApp = Callable[..., str]


def fill(page: "Page", **typed: str) -> None:
    """Fill the dialog's fields by their labels and submit."""
    dialog = page.get_by_role("dialog")
    for label, text in typed.items():
        dialog.get_by_label(label.replace("_", " "), exact=True).fill(text)
    dialog.get_by_role("button", name="Connect", exact=True).click()


def chosen_collection(page: "Page") -> "Locator":
    """Return the list of collections, behind the sidebar's line."""
    status(page).click()
    return page.get_by_role("combobox", name="Collection")


def open_dialog(page: "Page") -> None:
    """Open it once the page is drawn."""
    status(page).wait_for()
    # Before that the sidebar grows, and a press may fall beside the button.
    wait_until_drawn(page)
    page.get_by_role("button", name="Connect to another Milvus").click()
    page.get_by_role("dialog").get_by_label("Milvus URI", exact=True).wait_for()


def test_the_hosts_key_is_not_sent_to_an_address_that_a_visitor_chose_before(
    run_app: RunApp, chromium_page: "Page"
) -> None:
    url = run_app({"OPENAI_API_KEY": HOSTS_KEY})
    page = chromium_page
    with OpenAIEndpoint() as own:
        page.goto(url)
        open_dialog(page)
        page.get_by_role("dialog").get_by_text("OpenAI-compatible").click()
        fill(page, OpenAI_key=OWN_KEY, OpenAI_base_URL=own.base_url, OpenAI_model="first")
        status(page).click()
        page.get_by_text("OpenAI-compatible: first").first.wait_for()
        page.keyboard.press("Escape")
        open_dialog(page)
        page.get_by_role("dialog").get_by_role("combobox", name="HTTP client").click()
        page.get_by_role("option", name="aiohttp").click()
        fill(page, OpenAI_model="second")
        status(page).click()
        page.get_by_text("OpenAI-compatible: second, over aiohttp").first.wait_for()
        keys = {each["authorization"] for each in own.headers}
    assert keys == {f"Bearer {OWN_KEY}"}


def test_what_is_typed_into_the_dialog_stays_when_the_first_load_ends(
    run_app: RunApp, chromium_page: "Page"
) -> None:
    page = chromium_page
    page.goto(f"{run_app({}, empty=True)}/runs")
    open_dialog(page)
    address = page.get_by_role("dialog").get_by_label("Milvus URI", exact=True)
    address.fill("localhost:1")
    progress = page.get_by_test_id("stSidebar").get_by_test_id("stProgress")
    expect(progress).to_contain_text("ended")
    assert address.input_value() == "localhost:1"
    page.keyboard.press("Escape")
    address.wait_for(state="hidden")
    status(page, "4,904 rows").wait_for()
    page.get_by_role("link", name="Benchmark").click()
    page.get_by_role("button", name="Run", exact=True).wait_for()
    assert not page.get_by_role("dialog").is_visible()


def test_a_stranger_is_refused_an_address_and_keeps_what_is_theirs_after_a_refresh(
    run_app: RunApp, chromium_page: "Page"
) -> None:
    url = run_app({"LAB_PUBLIC": "1"})
    page = chromium_page
    page.goto(f"{url}/ingestion")
    open_dialog(page)
    fill(page, Milvus_URI="http://127.0.0.1:22")
    page.get_by_text("does not connect to that address").first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("Pasted text", exact=True).click()
    page.get_by_label("Text", exact=True).fill("A planted row. " * 20)
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Ingest 1 row").click()
    status(page, r"my_documents · \d+ rows?").wait_for()
    page.reload()
    chosen_collection(page).click()
    page.get_by_role("option", name="my_documents").wait_for()
    other = page_of_another(page.context.browser)  # another browser knows nothing of it
    try:
        other.goto(f"{url}/ingestion")
        chosen_collection(other).click()
        other.get_by_role("option", name="async_lab").wait_for()
        assert other.get_by_role("option").count() == 1
    finally:
        other.context.close()
