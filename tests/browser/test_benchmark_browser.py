"""A benchmark in a real browser: progress, refresh, stop, downloads, and the report offline."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lib.charts.charts import CHARTS
from lib.results import run_file
from lib.runs import front, reports, story
from tests.run_builder import make_run, make_trial
from tests.waiting import page_of_another

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from scripts.milvus_server import MilvusServer
    from tests.conftest import AppRunner

CHART = "[data-testid='stVegaLiteChart'] >> css=svg, canvas"
MAX_DATA_BYTES = 5_000_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmark") / "data"


@pytest.fixture(scope="module")
def app(
    run_app: Callable[[dict[str, str]], str], data: Path, filled_store: Callable[[], Path]
) -> str:
    (data / "runs").mkdir(parents=True)
    sync = [make_trial(count=10_000, call_s=0.001 * 1.01**i, repeat=i) for i in range(3)]
    gather = [
        make_trial("gather", count=10_000, concurrency=None, call_s=1.01**i, repeat=i, lag_ms=9.0)
        for i in range(3)
    ]
    run_file.write(make_run(*sync, *gather), data / "runs" / "large.json")
    shutil.copytree(filled_store(), data / "lab.db")
    return run_app({"LAB_DATA_DIR": str(data)})


def open_benchmark(page: "Page", app: str, query: str) -> None:
    page.goto(f"{app}/benchmark?{query}")
    run = page.get_by_role("button", name="Run", exact=True)
    run.or_(page.get_by_role("button", name="Share")).first.wait_for()


def test_a_run_survives_a_refresh_and_a_stop_keeps_what_was_finished(
    app: str, chromium_page: "Page", tmp_path: Path
) -> None:
    open_benchmark(
        chromium_page,
        app,
        "b_preset=Custom&b_operations=Add+documents&b_strategies=sync+loop"
        "&b_strategies=gather%2C+no+limit&b_counts=20&b_repeats=50&b_latency=20&b_rows=50",
    )
    # The first request of a process names a page, as after a hosted app has slept.
    assert chromium_page.get_by_text("Page not found").count() == 0
    chromium_page.get_by_role("button", name="Run", exact=True).click()
    stop = chromium_page.get_by_role("button", name="Stop the run")
    stop.wait_for()
    before = chromium_page.get_by_text(" of 2,").first.inner_text()
    chromium_page.wait_for_function(
        "([text]) => !document.body.innerText.includes(text)", arg=[before]
    )

    chromium_page.reload()
    stop.wait_for()
    chromium_page.get_by_text("trials finished").wait_for()
    # What is further down is seen, and Stop and the link still are.
    chromium_page.set_viewport_size({"width": 1280, "height": 400})
    chromium_page.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, main.scrollHeight)")
    for button in (stop, chromium_page.get_by_role("button", name="Share")):
        box = button.bounding_box()
        assert box is not None
        assert 0 < box["y"] < 400 - box["height"]
    stop.click()
    chromium_page.get_by_text("Stopped early: partial result").wait_for()

    chromium_page.set_viewport_size({"width": 1280, "height": 800})
    chromium_page.get_by_role("button", name="Export", exact=True).click()
    with chromium_page.expect_download() as caught:
        chromium_page.get_by_role("button", name="Run (JSON)").click()
    caught.value.save_as(tmp_path / "run.json")
    assert "partial" in caught.value.suggested_filename
    document = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert document["partial"] is True
    assert 0 < len(document["trials"]) < 100


def test_a_quick_run_ends_in_headline_race_and_waterfall(app: str, chromium_page: "Page") -> None:
    open_benchmark(chromium_page, app, "b_preset=quick&b_latency=10")
    chromium_page.get_by_role("button", name="Run", exact=True).click()
    chromium_page.get_by_role("button", name="Stop the run").wait_for()
    chromium_page.get_by_role("button", name="Export", exact=True).wait_for()
    # Whichever way wins: a busy machine may leave no difference between two of them.
    chromium_page.get_by_role("heading", name=re.compile(r"\b20\b")).first.wait_for()
    chromium_page.get_by_role("img", name="Async: ").first.wait_for()
    chromium_page.locator(CHART).first.wait_for()
    chromium_page.get_by_text("finished all 20 calls in").wait_for()
    assert chromium_page.get_by_test_id("stException").count() == 0


def test_the_page_of_ten_thousand_calls_gets_little_data_and_stays_responsive(
    app: str, chromium_page: "Page"
) -> None:
    received = [0]

    def count(frame: bytes | str) -> None:
        received[0] += len(frame)

    chromium_page.on("websocket", lambda socket: socket.on("framereceived", count))
    open_benchmark(chromium_page, app, "b_run=large")
    chromium_page.get_by_text("of 10,000 calls a lane").wait_for()
    chromium_page.get_by_text("Latency", exact=True).click()
    chromium_page.get_by_text("Median latency of one call").wait_for()
    assert 0 < received[0] < MAX_DATA_BYTES


# The smallest letters of a slide's HTML and of its pictures, as they stand on the screen.
SMALLEST = """() => {
  const sizes = [];
  const look = (root) => {
    for (const node of root.querySelectorAll("*")) {
      if (node.shadowRoot) look(node.shadowRoot);
      const said = [...node.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
      if (said && node.getClientRects().length && root instanceof ShadowRoot) {
        sizes.push([parseFloat(getComputedStyle(node).fontSize), node.textContent]);
      }
      if (node.tagName === "IMG" && node.src.startsWith("data:image/svg")) {
        const svg = new DOMParser().parseFromString(atob(node.src.split(",")[1]), "image/svg+xml");
        const box = node.getBoundingClientRect();
        const scale = Math.min(box.width / node.naturalWidth, box.height / node.naturalHeight);
        for (const text of svg.querySelectorAll("text")) {
          const size = parseFloat(text.getAttribute("font-size")) * scale;
          if (text.textContent.trim()) sizes.push([size, text.textContent]);
        }
      }
    }
  };
  look(document);
  return sizes.filter(([size]) => size < 24);
}"""


@pytest.mark.parametrize("name", ["client-server-450ms", "sweep-server", "rate-server"])
def test_no_text_of_a_slide_is_smaller_than_24_pixels(
    shared_app: str, chromium_page: "Page", name: str
) -> None:
    page = chromium_page
    page.set_viewport_size({"width": 1280, "height": 720})
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{shared_app}/?present=1&run=recorded-{name}")
    count = page.locator("#count")
    count.wait_for()
    total = int(count.inner_text().split()[-1])
    for step in range(1, total + 1):
        page.get_by_text(f"{step} of {total}").wait_for()
        page.wait_for_function(
            "() => [...document.images].every((image) => image.complete)", timeout=30_000
        )
        assert page.evaluate(SMALLEST) == []
        # Nothing is beyond the screen.
        assert page.locator("#stage").evaluate("node => node.scrollHeight <= node.clientHeight + 1")
        page.keyboard.press("ArrowRight")


def test_the_presentation_goes_on_without_a_network_and_without_the_app(
    run_app: "AppRunner", chromium_page: "Page"
) -> None:
    page = chromium_page
    own = run_app({})
    page.goto(f"{own}/?present=1")
    said = page.get_by_role("heading", level=1)
    page.get_by_text("1 of 4").wait_for()
    assert page.get_by_test_id("stSidebar").count() == 0
    first = said.inner_text()
    page.keyboard.press("ArrowRight")
    shown = front.read()
    assert shown is not None
    # The number of the first screen, in its words.
    assert said.inner_text() == shown.last["headline"]
    for lane in shown.last["lanes"]:
        page.get_by_text(lane["shown"], exact=True).first.wait_for()
        page.get_by_text(lane["gain"], exact=True).first.wait_for()

    page.context.set_offline(True)
    run_app.kill(own)
    page.get_by_role("button", name="Back").click()
    assert said.inner_text() == first
    picture = page.get_by_role("img", name="Async finished all 100 calls")
    assert picture.evaluate("node => node.complete && node.naturalWidth > 100")
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Notes").click()
    opened.value.get_by_text("The staircase is the loop.").wait_for()
    page.keyboard.press("End")
    page.get_by_text("4 of 4").wait_for()
    assert said.inner_text() == story.MONDAY
    page.keyboard.press("ArrowLeft")
    page.get_by_text("3 of 4").wait_for()
    page.keyboard.press("Home")
    assert said.inner_text() == first


def test_a_run_just_made_is_presented_after_its_server_was_killed(
    run_app: "AppRunner",
    chromium_page: "Page",
    milvus_server_class: "type[MilvusServer]",
    tmp_path: Path,
) -> None:
    page = chromium_page
    with milvus_server_class(tmp_path) as server:
        own = run_app({"MILVUS_URI": server.uri})
        page.goto(own)
        page.get_by_role("button", name="Measure it here").click()
        page.get_by_role("button", name="Stop the run").wait_for()
        page.get_by_role("link", name="Present").first.wait_for()
        page.get_by_role("button", name="Export", exact=True).wait_for()
        page.get_by_role("link", name="Present").first.click()
        page.get_by_text("1 of 4").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Export", exact=True).wait_for()
        page.wait_for_url("**/benchmark?*")  # where it was opened
        page.get_by_role("link", name="Present").first.click()
        page.get_by_text("1 of 4").wait_for()
        server.kill()
    page.context.set_offline(True)
    seen = []
    for step in range(2, 5):
        page.keyboard.press("ArrowRight")
        page.get_by_text(f"{step} of 4").wait_for()
        seen.append(page.get_by_role("heading", level=1).inner_text())
    assert len(set(seen)) == 3
    page.keyboard.press("ArrowLeft")
    page.get_by_text("3 of 4").wait_for()
    assert page.get_by_role("heading", level=1).inner_text() == seen[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_draws_every_chart_from_disk_without_a_network(
    browser: "Browser", tmp_path: Path, scheme: str
) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(reports.html_report(make_run()))
    page = page_of_another(browser, offline=True, color_scheme=scheme)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto(path.as_uri())
    # This run has no sweep, no rates, no service with a neighbour, no chain, and nothing was lost.
    expected = len(CHARTS) - 6
    page.wait_for_function(f"document.querySelectorAll('figure svg').length === {expected}")
    assert problems == []
    # On a telephone nothing is cut off at the side, and the picture comes before the caveats.
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.context.close()
