"""What the address shows is what runs: Back, Forward, refresh and shared links in a browser."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from lib.milvus import lite
from lib.results import run_file
from lib.results.analysis import analyse
from lib.results.plan import PRESETS
from lib.runs import card
from lib.runs.store import RECORDED_DIR
from tests.waiting import page_of_another, status, wait_until_drawn

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

# What the inputs of the quick preset show: the latency in ms, and the repeats.
OF_QUICK = (
    f"{PRESETS['quick'].plan.embedding_latency_ms:g}",
    str(PRESETS["quick"].plan.repeats),
)


@pytest.fixture(scope="module")
def app(run_app: Callable[[dict[str, str]], str], browser: "Browser") -> str:
    """An app that no other file's tests use, after its first visit."""
    url = run_app({})
    page = page_of_another(browser)
    page.goto(url)
    status(page, r"\d,\d+ rows").wait_for()
    page.context.close()
    return url


def number(page: "Page", label: str) -> "Locator":
    """Return a number input of the form, the form unfolded and the page at rest."""
    box = page.get_by_role("spinbutton", name=label)
    more = page.get_by_text("Settings", exact=True)
    more.wait_for()
    wait_until_drawn(page)
    if not box.is_visible():
        more.click()
    box.wait_for()
    return box


def type_into(page: "Page", label: str, value: str, name: str) -> None:
    """Type a number and wait until the address has it."""
    box = number(page, label)
    box.fill(value)
    box.press("Enter")
    wait_for_query(page, name, value)


def values(page: "Page") -> tuple[str, str]:
    """Return the latency and the repeats that would run."""
    latency = number(page, "Simulated embedding latency (ms)").input_value()
    return latency, number(page, "Repeats").input_value()


def query(page: "Page") -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query, keep_blank_values=True)


def wait_for_query(page: "Page", name: str, value: str) -> None:
    page.wait_for_url(re.compile(rf"[?&]{name}={re.escape(value)}(&|$)"))


def test_back_and_forward_keep_what_would_run(app: str, chromium_page: "Page") -> None:
    page = chromium_page
    page.goto(f"{app}/benchmark?b_preset=quick")
    said = page.get_by_text("calls, about").first.inner_text()
    run = page.get_by_role("button", name="Run", exact=True)
    page.get_by_role("link", name="Runs").first.click()
    run.wait_for(state="hidden")
    page.go_back()
    run.wait_for()
    assert values(page) == OF_QUICK
    assert page.get_by_text("calls, about").first.inner_text() == said
    page.go_forward()
    run.wait_for(state="hidden")
    page.go_back()
    run.wait_for()
    assert values(page) == OF_QUICK


def test_back_and_forward_step_through_what_was_typed(app: str, chromium_page: "Page") -> None:
    page = chromium_page
    page.goto(f"{app}/benchmark?b_preset=quick")
    repeats = number(page, "Repeats")
    repeats.fill("7")
    repeats.press("Enter")
    wait_for_query(page, "b_repeats", "7")
    page.go_back()
    page.wait_for_function(f"node => node.value === '{OF_QUICK[1]}'", arg=repeats.element_handle())
    assert "b_repeats" not in query(page)
    page.go_forward()
    page.wait_for_function("node => node.value === '7'", arg=repeats.element_handle())
    assert query(page)["b_repeats"] == ["7"]


def test_a_shared_address_says_the_lowest_values_too(
    app: str, chromium_page: "Page", browser: "Browser"
) -> None:
    page = chromium_page
    page.goto(f"{app}/benchmark?b_preset=quick")
    for label, value, name in (
        ("Simulated embedding latency (ms)", "0", "b_latency"),
        ("Repeats", "1", "b_repeats"),
    ):
        type_into(page, label, value, name)
    said = page.get_by_text("164 calls, about").inner_text()

    reader = page_of_another(browser)
    reader.goto(page.url)
    assert values(reader) == ("0", "1")
    assert reader.get_by_text("calls, about").first.inner_text() == said
    assert query(reader)["b_latency"] == ["0"]
    reader.context.close()


def test_an_input_that_is_drawn_late_has_the_forms_value(app: str, chromium_page: "Page") -> None:
    """A slow browser gets the script that draws numbers after another run of the form."""
    page = chromium_page
    late: list[Route] = []

    def hold(route: "Route") -> None:
        late.append(route)

    page.route("**/NumberInput.*.js", hold)
    page.goto(f"{app}/benchmark?b_preset=batches")
    page.get_by_text("Settings", exact=True).click()
    rows = page.get_by_role("textbox", name="Rows a call")
    rows.fill("7")
    rows.press("Enter")
    wait_for_query(page, "b_batches", "7")
    wait_until_drawn(page)
    for route in late:
        route.continue_()
    page.unroute("**/NumberInput.*.js")
    repeats = page.get_by_role("spinbutton", name="Repeats")
    repeats.wait_for()
    assert repeats.input_value() == str(PRESETS["batches"].plan.repeats)
    type_into(page, "Repeats", "1", "b_repeats")


def test_a_value_that_the_address_leaves_out_is_the_presets_own(
    app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    page.goto(f"{app}/benchmark?b_preset=quick&b_repeats=2")
    assert values(page) == (OF_QUICK[0], "2")
    page.goto(f"{app}/benchmark?b_preset=sweep")
    assert values(page) == ("0", "3")


def test_the_form_stays_as_it_was_left_when_another_page_was_looked_at(
    app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    page.goto(f"{app}/benchmark?b_preset=quick&b_repeats=2")
    assert values(page) == (OF_QUICK[0], "2")
    page.get_by_role("link", name="Runs").click()
    page.get_by_role("heading", name="Runs", exact=True).wait_for()
    page.get_by_role("link", name="Benchmark").click()
    assert values(page) == (OF_QUICK[0], "2")
    wait_for_query(page, "b_repeats", "2")


@pytest.fixture
def other_milvus(tmp_path: Path) -> Iterator[str]:
    """The address of a second Milvus: an embedded store that this process serves."""
    server = lite.acquire(tmp_path / "other.db")
    yield f"127.0.0.1:{server.port}"
    server.release()


def open_dialog(page: "Page", button: str = "Connect to another Milvus") -> "Locator":
    page.get_by_role("button", name=button).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Milvus URI").wait_for()
    return dialog


def connect(page: "Page", address: str) -> None:
    dialog = open_dialog(page)
    dialog.get_by_role("textbox", name="Milvus URI").fill(address)
    dialog.get_by_role("textbox", name="Token").fill("secret-token")
    dialog.get_by_role("button", name="Connect", exact=True).click()
    dialog.wait_for(state="hidden")


def test_a_refresh_says_which_connection_it_ended_and_runs_nothing_elsewhere(
    app: str, chromium_page: "Page", other_milvus: str
) -> None:
    page = chromium_page
    page.goto(f"{app}/search")
    connect(page, other_milvus)
    status(page).click()
    page.get_by_text(other_milvus).wait_for()
    page.keyboard.press("Escape")
    page.wait_for_function("sessionStorage.length > 0 && document.cookie.includes('elsewhere')")
    page.goto(f"{app}/search?q=split+a+string")
    notice = page.get_by_test_id("stAlert")
    notice.filter(has_text="This tab was connected to").wait_for()
    assert f"http://{other_milvus}" in notice.inner_text()
    assert page.get_by_role("textbox").count() == 0
    assert status(page).count() == 0
    kept = page.evaluate("JSON.stringify({...sessionStorage}) + document.cookie")
    assert "secret-token" not in kept

    dialog = open_dialog(page, "Connect again")
    assert (
        dialog.get_by_role("textbox", name="Milvus URI").input_value() == f"http://{other_milvus}"
    )
    assert dialog.get_by_role("textbox", name="Token").input_value() == ""
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Use the host's own Milvus").click()
    status(page, "Milvus Lite · async_lab · .* rows").wait_for()
    page.reload()
    status(page, "Milvus Lite · async_lab · .* rows").wait_for()


def test_another_tab_of_the_browser_is_asked_nothing(
    app: str, chromium_page: "Page", other_milvus: str
) -> None:
    chromium_page.goto(f"{app}/runs")
    connect(chromium_page, other_milvus)
    second = chromium_page.context.new_page()
    second.goto(f"{app}/runs")
    status(second, "Milvus Lite · async_lab · .* rows").wait_for()
    assert second.get_by_text("This tab was connected to").count() == 0


def test_a_failed_connection_is_said_in_view(app: str, chromium_page: "Page") -> None:
    page = chromium_page
    page.goto(f"{app}/runs")
    dialog = open_dialog(page)
    assert dialog.get_by_role("textbox", name="OpenAI key").count() == 0
    for provider, reason in (
        ("OpenAI-compatible", "No OpenAI key is set"),
        ("Bundled model", "localhost:1"),
    ):
        dialog.get_by_text(provider, exact=True).click()
        shown = "visible" if provider.startswith("OpenAI") else "hidden"
        dialog.get_by_role("textbox", name="OpenAI key").wait_for(state=shown)
        dialog.get_by_role("textbox", name="Milvus URI").fill("localhost:1")
        dialog.get_by_role("button", name="Connect", exact=True).click()
        message = dialog.get_by_test_id("stAlert").filter(has_text=reason)
        message.wait_for()
        box = message.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 800


def test_a_page_opened_plainly_links_to_the_benchmark_that_runs(
    app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    page.goto(
        f"{app}/benchmark?b_preset=custom&b_operations=add_documents&b_counts=20&b_repeats=50"
    )
    page.get_by_role("button", name="Run", exact=True).click()
    stop = page.get_by_role("button", name="Stop the run")
    stop.wait_for()
    run = query(page)["b_run"]

    second = page.context.new_page()
    second.goto(f"{app}/runs")
    second.get_by_test_id("stSidebar").get_by_role("link", name="Running: ").wait_for()
    second.goto(f"{app}/benchmark")
    second.get_by_role("link", name="Watch it").click()
    second.get_by_role("button", name="Stop the run").wait_for()
    assert query(second)["b_run"] == run
    stop.click()
    page.get_by_text("Stopped early: partial result").wait_for()


def test_the_chosen_runs_are_in_the_address(app: str, chromium_page: "Page") -> None:
    page = chromium_page
    page.goto(f"{app}/runs?r_runs=recorded-sweep-server")
    found = card.headline(analyse(run_file.read(RECORDED_DIR / "sweep-server.json")))
    page.get_by_role("heading", name=found).wait_for()
    page.get_by_role("tab", name="Calls", selected=True).wait_for()
    page.context.grant_permissions(["clipboard-read"])
    page.get_by_role("button", name="Share").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{app}/runs?r_runs=recorded-sweep-server"
    page.goto(f"{app}/runs?r_runs=recorded-tutorial-server,recorded-tutorial-server-450ms")
    page.get_by_text("Async is faster in both runs").wait_for()
    page.reload()
    page.get_by_text("Async is faster in both runs").wait_for()
    named = parse_qs(urlsplit(page.url).query)["r_runs"][0].split(",")
    assert sorted(named) == ["recorded-tutorial-server", "recorded-tutorial-server-450ms"]
