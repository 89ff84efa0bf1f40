"""Count the words that each page shows, at rest and with everything unfolded.

    python -m scripts.count_words [--texts FOLDER]

Starts the app on an empty folder and opens each page in Chromium in its main states. Counted is
what stands in the main part of the page, the rows of a search included: without the sidebar, code,
icons, and what is drawn as a picture or a table. `--texts` writes the texts themselves.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from scripts.screenshots import IS_AT_REST, open_page, wait_for_the_corpus
from tests.conftest import CHROMIUM_FLAGS, AppRunner

QUESTION = "q=remove+a+directory+and+everything+inside+it"
RUN = "/runs?r_runs=recorded-"
STATES = {
    "overview": "",
    "ingestion": "/ingestion",
    "collections": "/collections",
    "search": f"/search?{QUESTION}",
    "search, every method": f"/search?view=Every+method&{QUESTION}",
    "search, words": f"/search?view=Words&{QUESTION}",
    "search, many at once": "/search?view=Many+at+once",
    "search, retriever": "/search?view=Many+at+once&through=A+retriever",
    "benchmark": "/benchmark",
    "benchmark, custom": "/benchmark?b_preset=custom",
    "benchmark, a run": "/benchmark?b_run=recorded-tutorial-server-450ms",
    "runs, the list": "/runs",
    "runs, tutorial with a wait": f"{RUN}tutorial-server-450ms",
    "runs, tutorial": f"{RUN}tutorial-server",
    "runs, all operations": f"{RUN}all-server",
    "runs, sweep": f"{RUN}sweep-server",
    "runs, rate": f"{RUN}rate-server",
    "runs, overload": f"{RUN}overload-server",
    "runs, comparison": f"{RUN}tutorial-server,recorded-tutorial-server-450ms",
}
TEXT = """() => {
  const main = document.querySelector("[data-testid='stMain']");
  const hidden = [...main.querySelectorAll(
    "pre, svg, [data-testid='stIconMaterial'], [data-testid='stElementToolbar']")];
  hidden.forEach(node => { node.style.display = "none"; });
  const text = main.innerText;
  hidden.forEach(node => { node.style.display = ""; });
  return text;
}"""
UNFOLD = """() => document.querySelectorAll("[data-testid='stMain'] details:not([open]) > summary")
  .forEach(summary => summary.click())"""


def words(text: str) -> int:
    """Count what holds a letter or a digit."""
    return sum(any(char.isalnum() for char in word) for word in text.split())


def _text(page: Page, *, unfold: bool) -> str:
    if unfold:
        page.evaluate(UNFOLD)
        page.wait_for_timeout(800)
        page.wait_for_function(IS_AT_REST)
    return str(page.evaluate(TEXT))


def main() -> None:
    """Open each page in each state and print its words, at rest and unfolded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--texts", type=Path, help="a folder for the texts themselves")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        apps = AppRunner(Path(folder))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS
        )
        totals = [0, 0]
        print(f"{'page':<30} {'at rest':>8} {'unfolded':>9}")
        try:
            url = apps()
            wait_for_the_corpus(browser, url)
            for name, address in STATES.items():
                page = open_page(browser, url + address, "light", "1280")
                texts = [_text(page, unfold=unfold) for unfold in (False, True)]
                page.close()
                counts = [words(text) for text in texts]
                totals = [total + count for total, count in zip(totals, counts, strict=True)]
                print(f"{name:<30} {counts[0]:>8,} {counts[1]:>9,}", flush=True)
                if given.texts:
                    given.texts.mkdir(parents=True, exist_ok=True)
                    (given.texts / f"{name.replace(', ', '-')}.txt").write_text(texts[1])
            print(f"{'all':<30} {totals[0]:>8,} {totals[1]:>9,}")
        finally:
            browser.close()
            apps.stop_all()


if __name__ == "__main__":
    main()
