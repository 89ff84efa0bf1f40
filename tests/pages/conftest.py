"""Run the app's script without a browser."""

import functools
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from lib import jobs
from lib.ui.frame import opening
from lib.ui.widgets import told

PROJECT_ROOT = Path(__file__).resolve().parents[2]
OpenApp = Callable[..., AppTest]


@pytest.fixture(scope="session", autouse=True)
def packages_are_read_once() -> Iterator[None]:
    """Let Streamlit look through the installed packages once, not for every AppTest (0.3 s)."""
    with pytest.MonkeyPatch.context() as patch:
        scan = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        yield


@pytest.fixture(scope="session", autouse=True)
def milvus_counts_as_opened() -> None:
    """The first screen of a process is drawn before Milvus is opened; a test reads what follows."""
    opening.done()


# What is made when it is unfolded; the tests read it.
RUN_KEYS = [
    f"{view}_{part}"
    for view in ("b", "r", "many", "retriever")
    for part in ("figures", "method", "code")
]
FOLDED = ("ingestion_code", "collections_code", "search_code", "method_code", *RUN_KEYS)


@pytest.fixture
def open_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filled_store: Callable[[], Path]
) -> Iterator[OpenApp]:
    """Return a function that opens a page of the app with these environment variables.

    The store is an embedded one in a folder of the test's own unless MILVUS_URI is given. It holds
    the bundled corpus already; an `empty` one begins with the app's own load, which takes seconds.
    With a `query`, which may be empty, the page is opened by its address, not after the overview.
    """
    st.cache_resource.clear()
    st.cache_data.clear()

    def open_page(
        page: str = "pages/overview.py",
        *,
        empty: bool = False,
        query: Mapping[str, str] | None = None,
        **environment: str,
    ) -> AppTest:
        data = tmp_path / "data"
        monkeypatch.setenv("LAB_DATA_DIR", str(data))
        # A process of tests holds more than one app: it would refuse heavy work near its bound.
        monkeypatch.setenv("LAB_MAX_MEMORY_MB", "100000")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        if not (empty or data.exists() or "MILVUS_URI" in os.environ):
            shutil.copytree(filled_store(), data / "lab.db")
            # What pages ask first they find out themselves.
            monkeypatch.setattr("lib.ui.frame.corpus._learn", lambda *_: None)
        app = AppTest.from_file(str(PROJECT_ROOT / "app.py"), default_timeout=150)
        for key in FOLDED:
            app.session_state[key] = True
        if query is not None:
            app.query_params |= query
            # Before the first run a page goes by the name of its file, as its address does here.
            return app.switch_page(page).run()
        app.run()
        if page != "pages/overview.py":
            app.switch_page(page).run()
        return app

    yield open_page
    # The first load of a store, which few tests wait for, takes seconds.
    for job in list(jobs.shared()._jobs.values()):
        job.cancel()
    wait_for_jobs()
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def filled_folder(tmp_path: Path, filled_store: Callable[[], Path]) -> Path:
    """A folder for an app of its own, whose store holds the bundled corpus already."""
    shutil.copytree(filled_store(), tmp_path / "data" / "lab.db")
    return tmp_path


def wait_for_jobs() -> None:
    """Wait until no job runs, so that nothing writes to a store that is being closed."""
    for job in list(jobs.shared()._jobs.values()):
        assert job.finished.wait(180)


def said(app: AppTest) -> str:
    """Return all text of the page beside its error boxes."""
    headings = (app.title, app.header, app.subheader)
    kinds = (*headings, app.markdown, app.caption, app.text, app.info, app.warning, app.success)
    # AppTest draws no toast after a page's first run.
    toast = app.session_state[told.KEY][0] if told.KEY in app.session_state else ""
    return f"{toast} " + " ".join(
        f"{getattr(element, 'title', None) or ''} {element.value}"
        for kind in kinds
        for element in kind
    )


def problems(app: AppTest) -> str:
    """Return all that stands in error boxes."""
    return " ".join(f"{error.title or ''} {error.value}" for error in app.error)


def outcome(app: AppTest) -> dict[str, int]:
    """Return the numbers of rows in the one line that an ingestion's result is, by their fate."""
    [line] = [each.value for each in app.markdown if "now holds" in each.value]
    found = re.findall(r"([\d,]+) (?:rows? )?(added|replaced|unchanged|deleted|skipped)", line)
    return {fate: int(number.replace(",", "")) for number, fate in found}


def figures(app: AppTest) -> dict[str, str]:
    """Return the page's own metrics by their labels."""
    return {metric.label: metric.value for metric in app.main.metric}
