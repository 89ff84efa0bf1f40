"""An embedding service in trouble, over real HTTP: what a visitor reads, and what is kept."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.documents import Document
from streamlit.testing.v1 import AppTest

from lib import jobs
from lib.benchmark.endpoint import OpenAIEndpoint
from lib.documents.corpora import CORPORA
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.search.chance import TEXTS
from lib.settings import Settings, load
from tests.pages.conftest import OpenApp, problems, said, wait_for_jobs
from tests.waiting import PATIENCE_S, wait_until

QUESTION_TEXTS = 5  # what one question may send, in all ways of asking it
TEXT = "\n\n".join(f"Paragraph {i} tells of the walrus and of the carpenter." for i in range(400))


@pytest.fixture
def service() -> Iterator[OpenAIEndpoint]:
    """An embedding service of this test's own, which may be stopped."""
    endpoint = OpenAIEndpoint(use_bundled_model=False).start()
    yield endpoint
    endpoint.close()


@pytest.fixture
def environment(service: OpenAIEndpoint, tmp_path: Path) -> dict[str, str]:
    """A store with rows of that service's vectors, and how to open the app on it."""
    given = {
        "MILVUS_URI": str(tmp_path / "lab.db"),
        "EMBEDDING_PROVIDER": "openai",
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": service.base_url,
        "OPENAI_EMBEDDING_MODEL": "hashed",
    }
    settings: Settings = load(given)
    connection = open_connection(settings)
    rows = [Document(page_content=f"walrus {i}", metadata={"source": "x"}) for i in range(10)]
    ingest(connection, open_model(settings), rows, IngestionPlan(settings.collection))
    connection.close()
    return given


def ask(app: AppTest, question: str) -> float:
    """Search, and return the seconds that it took."""
    started = time.perf_counter()
    app.text_input(key="q").set_value(question)
    next(each for each in app.button if each.label == "Search").click().run()
    return time.perf_counter() - started


def test_a_search_says_what_is_wrong_with_the_service_and_works_when_it_is_well_again(
    environment: dict[str, str], service: OpenAIEndpoint, open_app: OpenApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    app = open_app("pages/search.py", **environment)
    assert not problems(app)

    service.failure = "429-once"
    service.reset()
    ask(app, "a walrus that is asked for twice")
    assert "The embedding service refused at first: waited 1.0 s." in said(app)

    monkeypatch.setattr("lib.benchmark.endpoint.RETRY_AFTER_S", 30)
    for failure, words in {
        "429": ("limiting the rate", "It asks to wait 30 s"),
        "500": ("HTTP 500", "try again later"),
        "hang": ("did not answer within 8 s", "Check OPENAI_BASE_URL and the network"),
    }.items():
        service.failure = failure
        assert ask(app, f"a walrus and {failure}") < 10
        assert all(each in problems(app) for each in words), problems(app)

    service.failure = None
    ask(app, "a walrus at last")
    assert not problems(app)
    assert "Answered in" in said(app)


def test_a_search_sends_the_question_and_no_text_of_the_collection_unless_it_is_asked(
    environment: dict[str, str], service: OpenAIEndpoint, open_app: OpenApp
) -> None:
    settings: Settings = load(environment)
    connection = open_connection(settings)
    rows = CORPORA["standard_library"].documents(40, 0)  # words enough to make texts of
    ingest(connection, open_model(settings), rows, IngestionPlan(settings.collection))
    connection.close()
    app = open_app("pages/search.py", **environment)
    service.reset()
    ask(app, "a walrus")
    ask(app, "a carpenter")
    assert not problems(app)
    assert 1 <= service.texts <= 2 * QUESTION_TEXTS
    app.button(key="learn_chance").click().run()
    assert service.texts >= TEXTS
    assert not [each for each in app.button if each.key == "learn_chance"]


def test_an_ingestion_backs_off_says_so_and_keeps_what_was_written(
    environment: dict[str, str], service: OpenAIEndpoint, open_app: OpenApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("lib.ingestion.writing.WORK_S", 3.0)
    app = open_app("pages/ingestion.py", **environment)
    app.segmented_control(key="ingest_source").set_value("pasted").run()
    app.text_area(key="ingest_pasted").set_value(TEXT).run()
    start = next(each for each in app.button if each.label.startswith("Ingest "))

    service.failure = "429"
    start.click().run()
    job = jobs.shared().unfinished(f"ingest:{load({}).collection}")
    assert job is not None
    wait_until(lambda: "asking it again after 1 s" in job.progress.message)
    assert job.finished.wait(PATIENCE_S)
    app.run()
    assert "limiting the rate" in problems(app)
    assert "0 rows were written before and are kept" in problems(app)
    assert "It asks to wait 1 s" in problems(app)

    monkeypatch.setattr("lib.ui.widgets.progress.SILENT_S", 0.5)
    service.failure = "hang"
    next(each for each in app.button if each.label.startswith("Ingest ")).click().run()
    wait_until(lambda: "A call without an answer ends by itself" in said(app.run()))
    wait_for_jobs()
    app.run()
    assert "did not answer within 3 s" in problems(app)

    service.failure = "429-once"
    service.reset()
    next(each for each in app.button if each.label.startswith("Ingest ")).click().run()
    wait_for_jobs()
    app.run()
    assert not problems(app)
    assert "The embedding service refused calls" in said(app)


@pytest.mark.alone
def test_a_service_that_is_gone_is_named_once_on_the_page_and_found_again(
    environment: dict[str, str], service: OpenAIEndpoint, open_app: OpenApp
) -> None:
    gone = OpenAIEndpoint(use_bundled_model=False)
    environment |= {"OPENAI_BASE_URL": gone.base_url}
    started = time.perf_counter()
    app = open_app("pages/search.py", **environment)
    assert time.perf_counter() - started < 10
    assert "The embedding service cannot be reached" in problems(app)
    assert "choose the bundled model" in problems(app)
    gone.start()
    try:
        wait_until(lambda: not problems(app.run()))
        assert "Answered in" in said(app)
    finally:
        gone.close()
