"""The search page without a browser: what it shows, what it asks of Milvus, what it never does."""

import functools
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from streamlit.testing.v1 import AppTest

from lib.documents.corpora import CORPORA
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.search import ask as search
from lib.search.hybrid import WAYS
from lib.settings import load
from lib.ui.search.form import EXAMPLES
from lib.ui.visitor.session import COLLECTION_KEY, NEXT_KEY
from tests.milvus.test_filters import NASTY
from tests.pages.conftest import OpenApp, problems, said, wait_for_jobs

QUESTION = "split a string at a separator"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, filled_store: Callable[[], Path]) -> str:
    """The path of a store that holds the standard library."""
    path = tmp_path_factory.mktemp("search_page") / "lab.db"
    shutil.copytree(filled_store(), path)
    return str(path)


@pytest.fixture
def loaded(open_app: OpenApp, store: str) -> OpenApp:
    """The app on that store."""
    return functools.partial(open_app, query={}, MILVUS_URI=store)


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> list[search.Question]:
    """Every question that reaches Milvus."""
    asked: list[search.Question] = []
    fetch = search.fetch

    def counted(*arguments: Any) -> search.Candidates:
        asked.append(arguments[-1])
        return fetch(*arguments)

    monkeypatch.setattr(search, "fetch", counted)
    return asked


def heading(app: AppTest) -> str:
    """Return the sentence that says what λ changes."""
    return next(str(text.value) for text in app.markdown if str(text.value).startswith("##"))


def ask(app: AppTest, **fields: Any) -> AppTest:
    """Fill the form and search."""
    for key, value in fields.items():
        widget = app.text_input if isinstance(value, str) else app.number_input
        widget(key=key).set_value(value)
    app.button[0].click() if not app.form_submit_button else app.form_submit_button[0].click()
    return app.run()


def test_the_page_compares_both_lists_and_shows_where_the_time_went(
    loaded: OpenApp, fetches: list[search.Question]
) -> None:
    app = ask(loaded("pages/search.py"), q=QUESTION)
    assert not app.exception
    assert heading(app).startswith("## MMR")
    assert "Answered in" in said(app)
    assert "embedding" in said(app)
    assert len(app.get("vega_lite_chart")) == 1
    # A closer look is drawn when its tab is opened, and asks nothing again.
    for tab, text in (("Map of the candidates", "of 256 dimensions"), ("Code and export", "")):
        app.session_state["closer"] = tab
        app.run()
        assert not app.exception
        assert text in said(app)
        code = " ".join(block.value for block in app.code)
        assert ("store.amax_marginal_relevance_search(" in code) == (tab == "Code and export")
    assert [question.query for question in fetches] == [EXAMPLES[0], QUESTION]


def test_the_page_opens_with_the_answer_to_an_example(
    loaded: OpenApp, fetches: list[search.Question]
) -> None:
    app = loaded("pages/search.py")
    assert not app.exception
    assert fetches == [search.Question(EXAMPLES[0])]
    assert app.text_input(key="q").value == EXAMPLES[0]
    assert heading(app).startswith("## MMR replaces")
    assert "**1. random.randint**" in said(app)


def test_an_answer_no_better_than_chance_is_said_to_be_none(loaded: OpenApp) -> None:
    app = loaded("pages/search.py")
    for question, answered in ((QUESTION, True), ("blargh snorf", False)):
        told = [f"{each.title}: {each.value}" for each in ask(app, q=question).warning]
        weak = "Nothing here answers this well: These scores are no better than for random text."
        assert (weak in told) is not answered
    assert app.slider(key="lambda").label == "λ: variety (0) to closeness (1)"


def test_moving_lambda_asks_nothing_of_milvus_and_changes_the_answer(
    loaded: OpenApp, fetches: list[search.Question]
) -> None:
    app = ask(loaded("pages/search.py"), q=QUESTION)
    seen = {heading(app)}
    for lambda_mult in (0.0, 0.25, 0.75, 1.0):
        app.slider(key="lambda").set_value(lambda_mult).run()
        assert not app.exception
        seen.add(heading(app))
    assert "same order" in said(app)
    assert len(seen) >= 3
    assert [question.query for question in fetches] == [EXAMPLES[0], QUESTION]


def test_a_deep_link_asks_its_question_with_all_its_settings(
    loaded: OpenApp, fetches: list[search.Question]
) -> None:
    query = {"q": QUESTION, "k": "3", "fetch_k": "12", "filter": 'kind == "method"'}
    app = loaded("pages/search.py", query=query | {"lambda": "0.2"})
    assert fetches == [search.Question(QUESTION, k=3, fetch_k=12, expr='kind == "method"')]
    assert app.slider(key="lambda").value == 0.2
    assert "The filter leaves" in said(app)


def test_a_mistyped_expression_is_looked_for_as_words_and_says_so(loaded: OpenApp) -> None:
    app = ask(loaded("pages/search.py"), q=QUESTION, filter='kind == "class" and')
    assert not app.exception
    assert "taken as words" in said(app)
    assert "No text holds these words. They are no expression either: " in said(app)
    app.button(key="filter_other").click().run()
    assert "Milvus cannot use this filter" in problems(app)
    assert "end of expression" in problems(app)
    assert "Answered in" not in said(app)
    assert not ask(app, filter='kind == "class"').error
    # A filter that nothing matches is no failure.
    ask(app, filter='kind == "nothing"')
    assert not app.exception
    assert not app.error
    assert "No row matches" in said(app)


def test_a_filter_by_a_field_that_is_not_there_is_said_with_the_fields_that_are(
    loaded: OpenApp,
) -> None:
    app = ask(loaded("pages/search.py"), q=QUESTION, filter='knd == "class" and length > 20')
    assert not app.exception
    assert (
        "No row matches. `knd` is not a field of this collection; it has `kind`, `length`, "
        "`module`, `name`, `pk`, `text`."
    ) in said(app)
    hint = app.text_input(key="filter").placeholder
    assert hint == 'Words in the text, or kind == "method"'
    # What it shows finds rows, and a field that no row matches is still one.
    assert heading(ask(app, filter=hint.rpartition("or ")[2])).startswith("## MMR")
    assert "not a field" not in said(ask(app, filter='kind == "nothing"'))


def test_no_typed_filter_reaches_the_page_as_a_traceback(loaded: OpenApp) -> None:
    chance = random.Random(3)
    typed = [
        *NASTY,
        "(" * 5_000,
        "not " * 5_000 + "true",
        "[" * 99 + "]" * 99,
        "kind == 1e999",
        "length > 99999999999999999999",
        "a" * 70_000,
        *("".join(chance.sample("\"'\\()[]=<>!&|andor $meta01", 12)) for _ in range(20)),
    ]
    app = loaded("pages/search.py")
    for text in typed:
        ask(app, q=QUESTION, filter=text)
        assert not app.exception, text[:80]
        told = ("MMR", "No row matches", "No text holds these words")
        assert app.error or any(each in said(app) for each in told), text[:80]


def test_the_builder_adds_a_safe_condition_to_what_is_typed(loaded: OpenApp) -> None:
    app = ask(loaded("pages/search.py"), q=QUESTION, filter="length > 20 or length < 5")
    app.session_state["builder"] = True
    app.run()
    assert app.selectbox(key="builder_field").options == [
        *("kind", "length", "module", "name"),
        *("pk", "text"),
    ]
    app.selectbox(key="builder_field").select("kind").run()
    next(button for button in app.button if button.label == "Add").click().run()
    assert not app.exception
    assert app.text_input(key="filter").value == '(length > 20 or length < 5) and kind == "class"'


@pytest.mark.parametrize("operation", search.METHODS)
def test_every_method_can_be_called_from_the_page_both_ways(
    loaded: OpenApp, operation: str
) -> None:
    app = loaded(
        "pages/search.py",
        query={
            "view": "Every method",
            "method": operation,
            "q": QUESTION,
            "like": "str.split",
            "filter": 'kind == "method"',
        },
    )
    for way in ("async", "sync"):
        app.segmented_control(key="way").set_value(way).run()
        app.form_submit_button[0].click().run()
        assert not app.exception
        assert not app.error, problems(app)
        method = operation if way == "sync" else f"a{operation}"
        assert f"`{method}` returned" in said(app)
        assert len(app.dataframe[0].value) > 0
        assert f"store.{method}(" in " ".join(code.value for code in app.code)


@pytest.mark.parametrize(
    ("key", "through", "ways"),
    [("many", "The vector store", 3), ("retriever", "A retriever", 5)],
)
def test_many_questions_are_a_benchmark_of_the_collection_with_its_checks_and_charts(
    loaded: OpenApp, key: str, through: str, ways: int
) -> None:
    app = loaded("pages/search.py", query={"view": "Many at once", "through": through})
    assert app.text_area(key=f"{key}_text").value  # ready to be asked
    app.number_input(key=f"{key}_count").set_value(20).run()
    app.button(key=f"{key}_new").click().run()
    assert len(app.text_area(key=f"{key}_text").value.splitlines()) == 20
    app.form_submit_button[0].click().run()
    wait_for_jobs()
    app.run()
    assert not app.exception
    assert not app.error, problems(app)
    assert re.search(r"answered 20 searches|× 20", said(app))
    assert app.get("vega_lite_chart")
    app.session_state[f"{key}_view"] = "Data"
    app.run()
    summary = next(frame.value for frame in app.dataframe if "geomean_wall_s" in frame.value)
    assert len(summary) == ways
    assert list(summary["failed_trials"]) == [0] * ways
    app.session_state[f"{key}_view"] = "Method"
    app.run()
    code = " ".join(block.value for block in app.code)
    assert ("asimilarity_search_with_score(question" if key == "many" else "abatch(") in code
    assert "--collection" in code


def test_nothing_to_ask_is_said_in_one_line(loaded: OpenApp) -> None:
    app = loaded("pages/search.py", query={"view": "Many at once"})
    app.text_area(key="many_text").set_value("")
    app.form_submit_button[0].click().run()
    assert "Questions and the collection" in problems(app)


def test_a_copy_with_words_is_made_from_the_page_and_searched_both_ways(
    open_app: OpenApp, tmp_path: Path
) -> None:
    path = str(tmp_path / "words.db")
    settings = load({"MILVUS_URI": path})
    connection = open_connection(settings)
    documents = CORPORA["standard_library"].documents(None, 0)[:300]
    ingest(connection, open_model(settings), documents, IngestionPlan(settings.collection))
    connection.close()
    app = open_app("pages/search.py", query={"view": "Words"}, MILVUS_URI=path)
    assert said(app).count("Word search needs a second index (BM25).") == 1
    next(button for button in app.button if button.label.startswith("Copy")).click().run()
    wait_for_jobs()
    app.run()
    assert not app.exception
    # AppTest draws no sidebar after a page's first run, which would take the name from here.
    assert app.session_state[NEXT_KEY] == f"{settings.collection}_words"
    app.session_state[COLLECTION_KEY] = app.session_state[NEXT_KEY]
    app.run()
    for way in ("rrf", "weighted"):
        app.segmented_control(key="hybrid_way").set_value(way).run()
        assert not app.exception
        assert not app.error, problems(app)
        for label in ("By words (BM25)", "By vector", WAYS[way].label):
            assert f"**{label}**" in said(app)
        # Three columns of five rows each, all with a rank and a snippet.
        assert len(re.findall(r"\*\*5\. ", said(app))) == 3
        assert re.search(r"by both|Both searches found all 5 rows", said(app))
    app.session_state[COLLECTION_KEY] = settings.collection
    del app.session_state[NEXT_KEY]
    app.run()
    next(button for button in app.button if button.label.startswith("Search async")).click().run()
    assert app.session_state[NEXT_KEY] == f"{settings.collection}_words"


def test_a_question_in_markup_is_shown_as_it_is(loaded: OpenApp) -> None:
    app = ask(loaded("pages/search.py"), q="**bold** [link](http://x) :red[x] $y$ <b> `code`")
    assert not app.exception
    assert "MMR" in said(app)


def test_a_link_can_carry_any_filter(loaded: OpenApp) -> None:
    app = loaded(
        "pages/search.py",
        query={"q": QUESTION, "filter": quote('kind == "'), "filter_as": "expression"},
    )
    assert not app.exception
    assert "Milvus cannot use this filter" in problems(app)


def test_an_address_that_leaves_the_call_empty_calls_async_as_without_it(loaded: OpenApp) -> None:
    app = loaded("pages/search.py", query={"view": "Every method", "way": ""})
    assert not app.exception
    assert app.form_submit_button[0].label.startswith("Call a")
