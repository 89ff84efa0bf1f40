"""Faults as a person sees them: a page that goes, an app that dies, a server that is away."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.documents import Document

from lib.benchmark.endpoint import OpenAIEndpoint
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus import milvus_collections
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.settings import load
from scripts.tcp_proxy import FAULTS, TcpProxy
from tests.waiting import page_of_another, status, wait_until, wait_until_drawn

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.conftest import AppRunner

ROWS = 2_000
SEEDED = 50
COLLECTION = "lab_faults_in_browser"


@pytest.fixture
def slow_embeddings() -> Iterator[OpenAIEndpoint]:
    """An embedding service that makes an ingestion take seconds."""
    with OpenAIEndpoint(latency_s=0.5, use_bundled_model=False) as endpoint:
        yield endpoint


def seed(environment: dict[str, str]) -> None:
    """Put rows in, so that the app loads no corpus by itself."""
    settings = load(environment)

    def work() -> None:
        opened = open_connection(settings)
        rows = [
            Document(page_content=f"walrus {i}", metadata={"source": "s"}) for i in range(SEEDED)
        ]
        ingest(opened, open_model(settings), rows, IngestionPlan(settings.collection))
        opened.close()

    with ThreadPoolExecutor(1) as other_thread:  # Playwright's loop runs in this one
        other_thread.submit(work).result()


def start_ingestion(page: "Page", app: str, name: str) -> int:
    """Upload a table of that name, press the button, and return the rows of the first news."""
    table = "id,body\n" + "".join(f"{name}{i},Row {i} of {name}\n" for i in range(ROWS))
    page.goto(f"{app}/ingestion?ingest_source=Files")
    page.get_by_test_id("stFileUploader").wait_for()
    page.locator("input[type=file]").set_input_files(
        {"name": f"{name}.csv", "mimeType": "text/csv", "buffer": table.encode()}
    )
    # Once the file was read, the page names a new collection after it.
    page.get_by_text(f"Into new collection «{name}»").wait_for()
    wait_until_drawn(page)
    into = page.get_by_role("combobox", name="Into")
    into.fill(COLLECTION)
    page.get_by_role("option", name=COLLECTION).click()
    page.get_by_text(f"Into “{COLLECTION}”").wait_for()
    page.get_by_role("button", name=re.compile(r"Ingest .*rows?$")).first.click()
    news = page.get_by_text(re.compile(r"[1-9][\d,]* of [\d,]+ rows"))
    said = news.first.inner_text()
    page.locator("#batches i").first.wait_for()  # the batches are drawn as they go in
    return int(re.sub(r"\D", "", said.partition(" of ")[0]))


def rows_in_sidebar(page: "Page", app: str) -> int:
    """Open the collections page and return the rows of the collection."""
    page.goto(f"{app}/collections")
    said = re.search(r"([\d,]+) rows?", status(page).inner_text())
    assert said is not None
    return int(said.group(1).replace(",", ""))


def test_an_ingestion_outlives_its_page_and_what_it_wrote_outlives_the_app(
    run_app: "AppRunner", browser: "Browser", slow_embeddings: OpenAIEndpoint, tmp_path: Path
) -> None:
    environment = {
        "EMBEDDING_PROVIDER": "openai",
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": slow_embeddings.base_url,
        "OPENAI_EMBEDDING_MODEL": "hashed",
        "MILVUS_URI": str(tmp_path / "lab.db"),
        "MILVUS_COLLECTION": COLLECTION,
        "LAB_DATA_DIR": str(tmp_path / "data"),
    }
    seed(environment)
    app = run_app(environment)
    page = page_of_another(browser)
    start_ingestion(page, app, "walrus")
    page.reload()
    page.context.close()

    page = page_of_another(browser)
    wait_until(lambda: rows_in_sidebar(page, app) == SEEDED + ROWS)

    # So slow that it cannot be over before the app is killed, on a busy machine either.
    slow_embeddings.latency_s = 4.0
    acknowledged = start_ingestion(page, app, "carpenter")
    run_app.kill(app)
    page.context.close()
    slow_embeddings.latency_s = 0.0

    app = run_app(environment)
    page = page_of_another(browser)
    assert SEEDED + ROWS + acknowledged <= rows_in_sidebar(page, app) < SEEDED + 2 * ROWS


@pytest.mark.alone
def test_a_server_that_is_away_is_said_in_time_and_found_at_the_first_try(
    run_app: Callable[[dict[str, str]], str], chromium_page: "Page", milvus_server: Any
) -> None:
    page = chromium_page
    with TcpProxy(milvus_server.port) as proxy:
        environment = {
            "MILVUS_URI": f"http://127.0.0.1:{proxy.port}",
            "MILVUS_COLLECTION": COLLECTION,
        }
        seed(environment)
        app = run_app(environment)
        with ThreadPoolExecutor(1) as other_thread:
            page.goto(f"{app}/search?q=a+walrus")
            answered = page.get_by_text("Answered in").first
            answered.wait_for()
            question = page.get_by_role("textbox", name="Question")
            for fault in ("gone", "accepts and stays silent"):
                proxy.fault = FAULTS[fault]
                question.fill(f"the server is {fault}")
                question.press("Enter")
                started = time.perf_counter()
                page.get_by_text(f"127.0.0.1:{proxy.port}").nth(1).wait_for(timeout=10_000)
                page.get_by_test_id("stMain").get_by_test_id("stAlert").first.wait_for(
                    timeout=10_000
                )
                assert time.perf_counter() - started < 10
                answered.wait_for(state="hidden")

                proxy.heal()
                page.reload()
                answered.wait_for()
                assert page.get_by_test_id("stMain").get_by_test_id("stAlert").count() == 0
            other_thread.submit(
                lambda: milvus_collections.drop(open_connection(load(environment)), COLLECTION)
            ).result()
