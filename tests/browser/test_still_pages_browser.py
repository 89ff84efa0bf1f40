"""A page stays where it is while it arrives, apart from what Streamlit itself moves."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.standing_still import BARE_SCRIPT, SHIFT, layout_shift
from benchmarks.startup import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PATHS = ("", "ingestion", "collections", "search", "benchmark", "runs", "benchmark?b_view=Audit")


@pytest.fixture(scope="module")
def of_streamlit(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[float]:
    """The shift of a page of Streamlit's own that has a sidebar."""
    folder: Path = tmp_path_factory.mktemp("bare")
    script = folder / "bare.py"
    script.write_text(BARE_SCRIPT, encoding="utf-8")
    with served(script, str(folder)) as (address, _process):
        layout_shift(browser, address)
        yield layout_shift(browser, address)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: re.sub(r"\W", "_", path) or "overview")
def test_a_page_moves_little_while_it_arrives(
    shared_app: str, browser: "Browser", of_streamlit: float, path: str
) -> None:
    assert layout_shift(browser, f"{shared_app}/{path}") <= of_streamlit + SHIFT
