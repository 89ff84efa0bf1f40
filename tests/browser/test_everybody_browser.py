"""For everybody: contrast, keyboard, headings, what a screen reader hears, and a quiet console."""

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.waiting import wait_until_drawn, wait_until_still

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# Each page, and what is the last thing that it draws.
PLACES = {
    "": "text=The async method has",
    "ingestion": "text=Python's standard library",
    "collections": "text=Danger zone",
    "search?q=remove+a+directory": "[data-testid=stVegaLiteChart] svg",
    "search?view=Any+method": "[data-testid=stMain] button",
    "benchmark": 'role=button[name="Export"]',
    "runs?r_runs=recorded-all-server": 'role=button[name="Export"]',
    "runs?r_runs=recorded-tutorial-server,recorded-all-server": "text=faster in both runs",
    "owner": "h1",
    "?present=1": "h1",
}


PAGES = {path.stem for path in (Path(__file__).resolve().parents[2] / "pages").glob("*.py")}
# On a deep link Streamlit looks for its server beside the page first and at the root next.
PROBED = re.compile(r"/(\w+)/_stcore/(health|host-config)$")


def findings(page: "Page") -> list[str]:
    """Return axe's serious and critical findings."""
    page.evaluate(AXE)
    violations: list[dict[str, Any]] = page.evaluate(
        "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
    )
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
        for violation in violations
        if violation["impact"] in ("serious", "critical") or violation["id"] == "heading-order"
        for node in violation["nodes"]
    ]


def test_every_page_is_among_the_places() -> None:
    assert {place.partition("?")[0] or "overview" for place in PLACES} == PAGES


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", PLACES)
def test_every_page_is_for_everybody_and_quiet(
    shared_app: str, chromium_page: "Page", place: str, scheme: str
) -> None:
    page = chromium_page
    said: list[str] = []
    page.on(
        "console",
        lambda message: (
            said.append(f"{message.type}: {message.text} {message.location['url']}")
            if message.type in ("warning", "error") and not PROBED.search(message.location["url"])
            else None
        ),
    )
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "response",
        lambda answer: (
            said.append(f"{answer.status} {answer.url}")
            if answer.status >= 400 and not PROBED.search(answer.url)
            else None
        ),
    )
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((shared_app, "data:", "blob:"))
            else said.append(f"asked another host: {request.url}")
        ),
    )
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(f"{shared_app}/{place}")
    page.locator(PLACES[place]).last.wait_for()
    page.wait_for_load_state("networkidle")
    # Nothing is being redrawn: what is stale is faint, and becomes so and clear again slowly.
    page.wait_for_function("() => !document.querySelector('[data-stale=true], .stSpinner')")
    wait_until_drawn(page)
    wait_until_still(page)
    assert page.get_by_test_id("stException").count() == 0
    assert findings(page) == []
    assert said == []
    described = page.locator("[data-testid=stVegaLiteChart] [role='graphics-document']")
    for sentence in described.evaluate_all("all => all.map(n => n.getAttribute('aria-label'))"):
        assert re.search(r"\d", sentence), sentence
        assert "_" not in re.sub(r"\b(a?[a-z]+_)+[a-z]+\b", "", sentence), sentence
    marks = page.locator("[data-testid=stVegaLiteChart] .role-mark [aria-label]")
    assert marks.count() == 0


@pytest.mark.parametrize(
    ("path", "button"), [("benchmark", "Run"), ("", "Measure it here, in ten seconds")]
)
def test_the_run_button_is_at_most_six_presses_from_the_top(
    shared_app: str, chromium_page: "Page", path: str, button: str
) -> None:
    page = chromium_page
    page.goto(f"{shared_app}/{path}")
    wanted = page.get_by_role("button", name=button, exact=False).first
    wanted.wait_for()
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Tab")
    assert "Skip" in page.evaluate("document.activeElement.innerText")
    page.keyboard.press("Enter")
    presses = 2
    while not wanted.evaluate("node => node === document.activeElement") and presses < 12:
        page.keyboard.press("Tab")
        presses += 1
    assert presses <= 6


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_focus_is_seen_on_whatever_the_keyboard_reaches(
    shared_app: str, chromium_page: "Page", scheme: str
) -> None:
    page = chromium_page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(f"{shared_app}/benchmark")
    page.get_by_role("button", name="Run", exact=True).wait_for()
    page.wait_for_load_state("networkidle")
    unseen = []
    for _ in range(16):
        page.keyboard.press("Tab")
        where = page.evaluate(
            "() => {const box = document.activeElement.getBoundingClientRect();"
            "return {x: Math.max(0, box.x - 6), y: Math.max(0, box.y - 6),"
            "width: box.width + 12, height: Math.min(box.height + 12, 200)}}"
        )
        name = page.evaluate(
            "() => document.activeElement.ariaLabel || document.activeElement.innerText"
        )
        if page.evaluate("() => document.activeElement.tagName") == "MAIN":
            continue  # the page itself, where the skip link leads
        focused = page.screenshot(clip=where, animations="disabled", caret="hide")
        page.evaluate("() => {window.last = document.activeElement; window.last.blur()}")
        if page.screenshot(clip=where, animations="disabled", caret="hide") == focused:
            unseen.append(name)
        page.evaluate("() => window.last.focus({focusVisible: true})")
    assert unseen == []
