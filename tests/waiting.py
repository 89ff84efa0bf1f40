"""Wait for a condition instead of for a while."""

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

T = TypeVar("T")
# Generous: a busy machine is slow, and a condition that comes true ends the wait at once.
PATIENCE_S = 150.0
# The same for what a browser waits for; no measurement.
WAIT_MS = 120_000


def wait_until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Return once the condition is true; fail when it never is."""
    deadline = time.monotonic() + patience_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        pause.wait(0.01)


def page_of_another(browser: "Browser", **options: Any) -> "Page":
    """Return a page of another person, or of a browser with other settings."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(WAIT_MS)
    return page


def status(page: "Page", says: str = r"rows?") -> "Locator":
    """Return the sidebar's line on Milvus, collection and rows, once it says what is looked for."""
    sidebar = page.get_by_test_id("stSidebar")
    return sidebar.get_by_role("button", name=re.compile(rf"{says}\b"))


def wait_until_drawn(page: "Page") -> None:
    """Return once no run of the page's script is under way."""
    page.get_by_test_id("stApp").and_(
        page.locator("[data-test-script-state='notRunning']")
    ).wait_for(timeout=PATIENCE_S * 1_000)


def wait_until_still(page: "Page") -> None:
    """Return once nothing unfolds any more, so that a press lands where it was aimed.

    An expander grows for half a second, and what is in it moves meanwhile.
    """
    page.wait_for_function(
        "() => document.getAnimations().every(({playState, effect}) =>"
        " playState !== 'running' || effect.getTiming().iterations === Infinity)"
    )


def at_once(times: int, work: Callable[[int], T]) -> list[T]:
    """Do work in so many threads that begin together, each with its number; return its answers."""
    ready = threading.Barrier(times)

    def begin(number: int) -> T:
        ready.wait(PATIENCE_S)
        return work(number)

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(begin, range(times)))
