"""What every page does when the settings, the server or the embedding cannot be used."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from langchain_core.documents import Document
from streamlit.testing.v1 import AppTest

from lib import jobs
from lib.benchmark import measurement
from lib.documents.corpora import CORPORA
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.jobs import Job, State
from lib.milvus import milvus_collections
from lib.milvus.connection import CONNECT_TIMEOUT_S, open_connection
from lib.milvus.embeddings import open_model
from lib.results.trials import Run
from lib.runs import front
from lib.settings import Settings
from lib.ui.frame import opening
from lib.ui.frame.first_screen import MEASURE_KEY
from lib.ui.search import form
from lib.workers.supervised import Supervised
from tests.pages.conftest import OpenApp, said, wait_for_jobs
from tests.run_builder import make_run
from tests.stores import fill
from tests.waiting import wait_until

PAGES = sorted(f"pages/{path.name}" for path in (Path(__file__).parents[2] / "pages").glob("*.py"))
SHOW_NO_MILVUS = {"pages/overview.py", "pages/runs.py", "pages/owner.py"}
PAGES_THAT_NEED_MILVUS = [page for page in PAGES if page not in SHOW_NO_MILVUS]


def messages(app: AppTest) -> str:
    """Return all that the page says in error boxes."""
    return " ".join(f"{error.title or ''} {error.value}" for error in app.error)


def nobody() -> str:
    """Return the address of a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_draws_on_an_embedded_store_without_an_exception(
    open_app: OpenApp, page: str
) -> None:
    app = open_app(page)
    assert not app.exception
    assert not app.error
    assert app.title or app.header


def test_the_first_visit_loads_the_corpus_by_itself_and_only_once(
    open_app: OpenApp,
) -> None:
    before = {job.id for job in jobs.shared().all()}
    open_app(empty=True)
    wait_for_jobs()
    # A fresh visit each time: AppTest drops the sidebar of a page's second run under st.navigation.
    rows = int(open_app().sidebar.metric[0].value.replace(",", ""))
    assert rows > 3000
    # By name: of the jobs that ended before, the oldest are dropped.
    assert len({job.id for job in jobs.shared().all()} - before) == 1
    assert int(open_app().sidebar.metric[0].value.replace(",", "")) == rows


def test_measuring_here_waits_for_a_batch_of_the_first_load_and_says_so(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go, order = threading.Event(), threading.Event(), []

    def slow(*arguments: Any, job: Job, **more: Any) -> Any:
        # As within a batch, and then between two.
        begun.set()
        assert go.wait(30)
        job.give_way()
        try:
            return ingest(*arguments, job=job, **more)
        finally:
            order.append("load")

    def measure(*arguments: Any, **more: Any) -> Run:
        order.append("measure")
        return make_run()

    monkeypatch.setattr("lib.ingestion.writing.ingest", slow)
    monkeypatch.setattr(measurement, "apart", measure)
    app = open_app(empty=True)
    assert begun.wait(30)
    [button] = [each for each in app.button if each.label.startswith("Measure it here")]
    button.click().run()
    assert not app.exception
    job = jobs.shared().unfinished("benchmark")
    assert job is not None
    assert job.state is State.QUEUED
    assert "Queued Behind “Loading: " in said(app).replace("\\", "")
    assert CORPORA["standard_library"].label in said(app)
    go.set()
    wait_for_jobs()
    assert order == ["measure", "load"]


def test_a_store_that_held_rows_is_not_filled_by_itself_after_they_were_deleted(
    open_app: OpenApp, tmp_path: Path
) -> None:
    settings = Settings(milvus_uri=str(tmp_path / "data" / "lab.db"))
    model, opened = open_model(settings), open_connection(settings)
    documents = CORPORA["tutorial"].documents(10, 0)
    ingest(opened, model, documents, IngestionPlan(settings.collection))
    before = len(jobs.shared()._jobs)
    assert open_app().sidebar.metric[0].value == "10"
    opened.client.delete(settings.collection, filter='pk != ""')
    opened.close()
    st.cache_data.clear()
    assert open_app().sidebar.metric[0].value == "0"
    assert len(jobs.shared()._jobs) == before


def test_the_first_screen_of_a_process_does_not_wait_for_milvus_and_is_drawn_with_it_after(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_opened", threading.Event())
    monkeypatch.setattr(opening, "_failures", [])
    opening.begin.cache_clear()
    app = open_app(MILVUS_URI=nobody())
    assert not app.exception
    assert "Opening Milvus" in app.sidebar.caption[0].value
    assert any("Fourteen method pairs" in each.value for each in app.header)
    wait_until(opening.is_done)
    # It was tried once, beside the page: the page says what came of it, and does not try again.
    began = time.monotonic()
    app = open_app()
    assert "Not connected" in " ".join(each.value for each in app.sidebar.markdown)
    assert any("No Milvus answered" in each.value for each in app.sidebar.caption)
    assert time.monotonic() - began < CONNECT_TIMEOUT_S, "it waited for it once more"


@pytest.mark.alone
def test_a_server_that_nobody_answers_for_is_one_message_on_every_page_within_ten_seconds(
    open_app: OpenApp,
) -> None:
    started = time.perf_counter()
    app = open_app(MILVUS_URI=nobody())
    took = time.perf_counter() - started
    assert took < 15  # sidebar and page each try once
    for page in PAGES_THAT_NEED_MILVUS:
        app.switch_page(page).run()
        assert not app.exception, page
        assert "No Milvus answered at 127.0.0.1" in messages(app), page
        assert "MILVUS_URI" in messages(app), page


@pytest.mark.parametrize("page", ["pages/overview.py", "pages/search.py"])
def test_a_wrong_setting_is_one_line_that_names_the_variable(open_app: OpenApp, page: str) -> None:
    app = open_app(page, LAB_MAX_ROWS="many")
    assert not app.exception
    assert "LAB_MAX_ROWS must be a whole number" in messages(app)


@pytest.mark.parametrize("page", ["pages/search.py", "pages/ingestion.py"])
def test_a_missing_openai_key_is_one_message(open_app: OpenApp, page: str) -> None:
    app = open_app(page, EMBEDDING_PROVIDER="openai")
    assert not app.exception
    assert "No OpenAI key is set" in messages(app)


def test_a_collection_of_another_dimension_is_explained_and_not_touched(
    open_app: OpenApp, tmp_path: Path
) -> None:
    uri = str(tmp_path / "other.db")
    opened = open_connection(Settings(milvus_uri=uri))
    milvus_collections.create(opened, "theirs", 4, embedding="other/model")
    opened.client.insert("theirs", [{"pk": "a", "text": "t", "vector": [0.1, 0.2, 0.3, 0.4]}])
    opened.close()
    app = open_app("pages/search.py", MILVUS_URI=uri, MILVUS_COLLECTION="theirs")
    assert not app.exception
    assert "holds vectors of 4 dimensions" in messages(app)
    assert "Nothing was written" in messages(app)
    reopened = open_connection(Settings(milvus_uri=uri))
    assert milvus_collections.count(reopened, "theirs") == 1
    reopened.close()


def test_an_openai_endpoint_that_refuses_the_key_is_one_message(
    open_app: OpenApp, openai_endpoint: Any
) -> None:
    app = open_app(
        "pages/ingestion.py",
        EMBEDDING_PROVIDER="openai",
        OPENAI_API_KEY="sk-wrong",
        OPENAI_BASE_URL=openai_endpoint.base_url,
        OPENAI_EMBEDDING_MODEL="fail-401",
    )
    assert not app.exception
    assert "refused the key" in messages(app)


def test_code_is_made_when_it_is_unfolded(open_app: OpenApp) -> None:
    app = open_app("pages/collections.py")
    wait_for_jobs()
    app.session_state["collections_code"] = False
    app.run()
    assert not app.code
    app.session_state["collections_code"] = True
    app.run()
    assert "store.aupsert(" in " ".join(each.value for each in app.code)


def test_the_first_load_finds_out_what_the_next_pages_would_wait_for(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def noted(name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            asked.append(name)
            return ask(*arguments)

        return call

    monkeypatch.setattr(form, "measure_chance", noted("chance", form.measure_chance))
    app = open_app(empty=True)
    wait_for_jobs()
    assert asked == ["chance"]
    app.switch_page("pages/search.py").run()
    assert asked == ["chance"]


def test_a_milvus_lite_that_was_killed_is_said_and_the_page_goes_on(
    open_app: OpenApp, tmp_path: Path
) -> None:
    path = fill(tmp_path / "killed.db", [Document(page_content=f"row {i}") for i in range(7)])
    open_app(MILVUS_URI=str(path))
    served = Supervised._running[path]
    os.kill(served.pid, signal.SIGKILL)
    wait_until(lambda: served.mishap)
    app = open_app(MILVUS_URI=str(path))
    assert messages(app) == ""
    [warning] = app.sidebar.warning
    assert "Milvus Lite ended (SIGKILL) and was started again" in warning.value
    assert "What was stored is there" in warning.value


def test_without_recorded_runs_the_overview_says_what_the_app_can_do_and_measures(
    open_app: OpenApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "FRONT", tmp_path / "none.json")
    front.read.cache_clear()
    try:
        app = open_app()
    finally:
        front.read.cache_clear()
    assert not app.exception
    assert app.title[0].value == "What does async buy you?"
    assert "one by one, in threads, awaited together and as one batch" in said(app)
    assert app.button(key=MEASURE_KEY)
