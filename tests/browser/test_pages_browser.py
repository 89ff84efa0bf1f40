"""Every page in a real browser: it draws, says no exception, and search answers at once."""

import re
from typing import TYPE_CHECKING

import pytest

from lib.runs import front
from tests.waiting import status

if TYPE_CHECKING:
    from playwright.sync_api import Page

QUESTION = "list all files whose names match a wildcard"


@pytest.fixture(scope="module")
def app(run_app) -> str:
    """One app on an embedded store of its own, empty at first."""
    return run_app({}, empty=True)


def test_a_deep_link_into_a_fresh_server_gets_the_whole_frame(
    app: str, chromium_page: "Page"
) -> None:
    chromium_page.goto(f"{app}/search?q=split+a+string")
    chromium_page.get_by_role("link", name="Search and MMR").first.wait_for()
    status(chromium_page).wait_for()
    assert chromium_page.get_by_role("link", name="app", exact=True).count() == 0
    chromium_page.get_by_role("heading", name="Search and MMR").wait_for()


def test_the_first_visit_ends_with_a_loaded_corpus(app: str, chromium_page: "Page") -> None:
    chromium_page.goto(app)
    status(chromium_page, "Milvus Lite · async_lab · 4,904 rows").wait_for()
    chromium_page.get_by_text("Loading: ").wait_for(state="hidden")
    assert chromium_page.get_by_text("Loading: ").count() == 0


def test_search_answers_the_question_of_the_readme(shared_app: str, chromium_page: "Page") -> None:
    chromium_page.goto(f"{shared_app}/search?q={QUESTION.replace(' ', '+')}")
    chromium_page.get_by_text("glob.glob", exact=False).first.wait_for()
    assert chromium_page.locator("[data-testid='stException']").count() == 0


def test_a_refresh_keeps_the_question(shared_app: str, chromium_page: "Page") -> None:
    chromium_page.goto(f"{shared_app}/search?q=split+a+string")
    box = chromium_page.get_by_role("textbox", name=re.compile("question|ask", re.IGNORECASE)).first
    box.wait_for()
    assert box.input_value() == "split a string"
    chromium_page.reload()
    box.wait_for()
    assert box.input_value() == "split a string"


def test_the_overview_starts_the_ten_seconds_at_once(
    shared_app: str, chromium_page: "Page"
) -> None:
    page, shown = chromium_page, front.read()
    assert shown is not None
    page.goto(shared_app)
    page.get_by_role("heading", level=1, name=shown.last["headline"]).wait_for()
    seen = [
        page.get_by_text(shown.last["lanes"][0]["shown"]),
        page.get_by_text("One batch", exact=True),
        page.get_by_text(shown.last["caveat"]),
        page.get_by_role("button", name="Measure it here"),
    ]
    for each in seen:
        box = each.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 800
    seen[-1].click()
    page.get_by_role("button", name="Stop the run").wait_for()
    assert "b_preset=quick" in page.url
    page.get_by_role("button", name="Stop the run").click()


def test_the_first_screen_s_control_moves_headline_lanes_and_caveat_together(
    shared_app: str, chromium_page: "Page"
) -> None:
    page, shown = chromium_page, front.read()
    assert shown is not None
    page.emulate_media(reduced_motion="reduce")
    page.goto(shared_app)
    control = page.get_by_role("radiogroup", name="An embedding takes")
    control.wait_for()
    for position in shown.positions:
        control.get_by_role("radio", name=position["label"], exact=True).click()
        assert page.get_by_role("heading", level=1).inner_text() == position["headline"]
        for lane in position["lanes"]:
            assert page.get_by_text(lane["shown"], exact=True).count()
            assert page.get_by_text(lane["gain"], exact=True).count()
        assert page.get_by_text(position["caveat"]).is_visible()
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("heading", level=1).inner_text() == shown.positions[-2]["headline"]
    # On a phone the numbers stay beside the lane's name.
    page.set_viewport_size({"width": 390, "height": 844})
    name, time = (
        page.get_by_text(text, exact=True).first.bounding_box()
        for text in ("Loop", shown.positions[-2]["lanes"][0]["shown"])
    )
    assert name is not None
    assert time is not None
    assert abs(name["y"] - time["y"]) < 12
    assert time["x"] + time["width"] <= 390


def test_lanes_that_are_played_can_be_chosen_anew_and_left_at_any_moment(
    shared_app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    page.emulate_media(reduced_motion="no-preference")
    page.goto(shared_app)
    page.get_by_role("radio", name="50 ms", exact=True).click()
    page.get_by_role("radio", name="200 ms", exact=True).click()
    page.get_by_role("button", name="Real speed").click()
    # Nothing goes wrong when they are taken away while they move.
    page.get_by_role("button", name="How this was measured").click()
    page.get_by_role("link", name="The recorded run").click()
    page.get_by_role("button", name="Export", exact=True).wait_for()
    assert page.get_by_text("BidiComponent Error").count() == 0


def test_lanes_play_once_at_a_speed_that_is_said_and_stand_still_where_that_is_asked_for(
    shared_app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    clock = page.locator(".lane .time").first
    page.goto(shared_app)
    clock.wait_for()
    first = clock.inner_text()
    page.wait_for_function(
        "([node, text]) => node.textContent !== text", arg=[clock.element_handle(), first]
    )
    page.get_by_text(re.compile(r"played \d+× faster")).wait_for()

    page.emulate_media(reduced_motion="reduce")
    page.reload()
    shown = front.read()
    assert shown is not None
    page.get_by_text("at its end").wait_for()
    assert clock.inner_text() == shown.last["lanes"][0]["shown"]
    # Two frames later nothing has moved.
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    assert clock.inner_text() == shown.last["lanes"][0]["shown"]
