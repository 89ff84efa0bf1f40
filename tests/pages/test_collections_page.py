"""The collections page without a browser: list, create, browse, delete with undo, export, drop."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from langchain_core.documents import Document
from streamlit.testing.v1 import AppTest

from lib.errors import OperationFailed
from lib.milvus import milvus_collections, rows
from lib.milvus.connection import Connection
from lib.milvus.territory import SCRATCH_PREFIX
from lib.settings import load
from lib.ui.collections import rows as collection_rows
from tests.pages.conftest import OpenApp, problems, said, wait_for_jobs
from tests.stores import copy_of, fill

COLLECTION = load({}).collection
COUNT = 120


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a store whose collection fills two pages and a bit."""
    documents = [
        Document(
            page_content=f"Text number {i}",
            metadata={"n": i, "kind": "even" if i % 2 == 0 else "odd"},
            id=f"k{i:03}",
        )
        for i in range(COUNT)
    ]
    return fill(tmp_path_factory.mktemp("filled") / "lab.db", documents)


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Iterator[Connection]:
    """Such a store; the page works on it too."""
    with copy_of(filled, tmp_path / "lab.db") as opened:
        yield opened


@pytest.fixture
def page(open_app: OpenApp, store: Connection, tmp_path: Path) -> AppTest:
    """The collections page on that store."""
    return open_app("pages/collections.py", query={}, MILVUS_URI=str(tmp_path / "lab.db"))


def stored(store: Connection) -> dict[str, dict[str, object]]:
    milvus_collections.count(store, COLLECTION)
    return {row["pk"]: row for part in rows.walk(store, COLLECTION, fields=["*"]) for row in part}


def listed(app: AppTest) -> dict[str, dict[str, object]]:
    """Return the list of collections by name."""
    frame = next(each.value for each in app.main.dataframe if "Collection" in each.value)
    return {row["Collection"]: row for row in frame.to_dict("records")}


def shown(app: AppTest) -> list[str]:
    """Return the keys of the rows on the page."""
    return next(list(each.value["pk"]) for each in app.main.dataframe if "pk" in each.value)


def test_the_list_tells_what_each_collection_is_and_whether_it_fits(
    open_app: OpenApp, store: Connection, tmp_path: Path
) -> None:
    milvus_collections.create(store, "narrow", 8, metric_type="L2")
    milvus_collections.create(store, f"{SCRATCH_PREFIX}left_over", 8)
    app = open_app("pages/collections.py", MILVUS_URI=str(tmp_path / "lab.db"))
    assert not app.exception
    found = listed(app)
    assert set(found) == {COLLECTION, "narrow"}
    own = found[COLLECTION]
    assert (own["Rows"], own["Dimensions"], own["Status"]) == (COUNT, 256, "in use, ready")
    assert found["narrow"]["Status"] == "read only"
    assert found["narrow"]["Metric"] == "L2"
    assert "8 dimensions" in said(app)


def test_the_rows_come_a_page_at_a_time(page: AppTest, store: Connection) -> None:
    keys = sorted(stored(store))
    assert f"**{COUNT}** rows" in said(page)
    assert shown(page) == keys[:50]
    page.pagination[0].set_value(3).run()
    assert not page.exception
    assert shown(page) == keys[100:]


def test_a_filter_narrows_the_rows_and_an_unusable_one_is_one_message(page: AppTest) -> None:
    page.text_input(key="rows_filter").set_value('kind == "odd" and n < 10').run()
    assert shown(page) == ["k001", "k003", "k005", "k007", "k009"]
    page.text_input(key="rows_filter").set_value("n > 1000").run()
    assert "No row matches" in said(page)
    # Plain words search the text.
    page.text_input(key="rows_filter").set_value("NUMBER 17").run()
    assert shown(page) == ["k017", "k117"]
    assert "taken as words" in said(page)
    page.text_input(key="rows_filter").set_value("kind ==").run()
    assert not page.exception
    assert "No text holds these words. They are no expression either: " in said(page)
    page.button(key="rows_filter_other").click().run()
    [error] = page.error
    assert error.title.startswith("Milvus cannot use this filter")
    assert page.query_params["rows_filter_as"] == "expression"
    page.button(key="rows_filter_other").click().run()
    assert not page.error
    # What was said holds for that text alone.
    page.text_input(key="rows_filter").set_value("NUMBER 17").run()
    assert shown(page) == ["k017", "k117"]
    assert "rows_filter_as" not in page.query_params


def test_an_unusable_expression_to_delete_by_is_one_message_and_has_no_button(
    page: AppTest, store: Connection
) -> None:
    for expr in ("kind ==", "nonsense ~ 3", 'kind == "odd', "(" * 3_000):
        page.text_input(key="delete_expr").set_value(expr).run()
        assert not page.exception
        assert "Milvus cannot use this filter" in problems(page)
        assert len(page.error) == 1
        assert not [each for each in page.button if each.key == "delete_start"]
        assert len(stored(store)) == COUNT


def test_a_delete_by_expression_shows_its_count_first_and_can_be_undone(
    page: AppTest, store: Connection
) -> None:
    before = stored(store)
    page.text_input(key="delete_expr").set_value('kind == "odd"').run()
    assert f"Matching: **60** of {COUNT} rows" in said(page)
    assert len(stored(store)) == COUNT
    delete = page.button(key="delete_start")
    assert delete.label == "Delete 60 rows"
    delete.click().run()
    assert not page.exception
    assert "Deleted 60 rows from" in said(page)
    assert "**60** rows" in said(page)
    assert {row["kind"] for row in stored(store).values()} == {"even"}
    page.button(key="rows_undo_start").click().run()
    assert not page.exception
    assert "Put back 60 rows" in said(page)
    assert f"**{COUNT}** rows" in said(page)
    assert stored(store) == before


def test_rows_are_deleted_by_keys_and_unknown_keys_count_for_nothing(
    page: AppTest, store: Connection
) -> None:
    page.segmented_control(key="delete_how").set_value("keys").run()
    page.text_area(key="delete_keys").set_value("k003\n k004 \n\nmissing\nk003").run()
    assert f"Matching: **2** of {COUNT} rows" in said(page)
    page.button(key="delete_start").click().run()
    assert set(range(COUNT)) - {int(key[1:]) for key in stored(store)} == {3, 4}


def test_more_than_an_undo_holds_is_deleted_only_after_the_name_was_typed(
    open_app: OpenApp, store: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_rows, "ROOM", 1e-4)  # of 1 MB: a hundred bytes
    page = open_app("pages/collections.py", MILVUS_URI=str(tmp_path / "lab.db"), LAB_UNDO_MB="1")
    page.text_input(key="delete_expr").set_value('kind == "odd"').run()
    assert f"Matching: **60** of {COUNT} rows" in said(page)
    assert "an undo holds 1 MB" in said(page)
    assert page.button(key="delete_start").disabled
    name = page.text_input(key=f"delete_name_{COLLECTION}")
    name.set_value(COLLECTION.upper()).run()
    assert page.button(key="delete_start").disabled
    page.text_input(key=f"delete_name_{COLLECTION}").set_value(COLLECTION).run()
    page.button(key="delete_start").click().run()
    assert not page.exception
    assert len(stored(store)) == COUNT - 60
    assert "Deleted 60 rows from" in said(page)
    assert not [each for each in page.button if each.key == "rows_undo_start"]


def test_what_matches_nothing_cannot_be_deleted_and_a_forgotten_delete_offers_no_undo(
    page: AppTest,
) -> None:
    page.text_input(key="delete_expr").set_value("n > 1000").run()
    assert page.button(key="delete_start").disabled
    page.text_input(key="delete_expr").set_value("n == 5").run()
    page.button(key="delete_start").click().run()
    assert "Deleted 1 row from" in said(page)
    page.button(key="rows_undo_forget").click().run()
    assert "Deleted" not in said(page)
    assert not [each for each in page.button if each.key == "rows_undo_start"]


def test_a_failed_delete_leaves_what_could_be_undone_before_it(
    page: AppTest, store: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationFailed("The rows could not be deleted.")

    before = stored(store)
    page.text_input(key="delete_expr").set_value("n == 5").run()
    page.button(key="delete_start").click().run()
    page.text_input(key="delete_expr").set_value("n == 6").run()
    with monkeypatch.context() as patch:
        patch.setattr(rows, "delete", fail)
        page.button(key="delete_start").click().run()
    assert "The rows could not be deleted." in problems(page)
    page.button(key="rows_undo_start").click().run()
    assert stored(store) == before


def test_what_was_deleted_before_a_deadline_ran_out_is_said_and_can_be_undone(
    page: AppTest, store: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = rows.delete

    def time_out(*given: Any, **named: Any) -> None:
        delete(*given, **named)
        raise TimeoutError("30 s")

    before = stored(store)
    page.text_input(key="delete_expr").set_value("n == 5").run()
    with monkeypatch.context() as patch:
        patch.setattr(rows, "delete", time_out)
        page.button(key="delete_start").click().run()
    assert not page.exception
    assert "Milvus is busy: it did not answer in time." in problems(page)
    assert "What stands below was done before that." in problems(page)
    assert "Deleted 1 row from" in said(page)
    page.button(key="rows_undo_start").click().run()
    assert stored(store) == before


def test_a_collection_is_created_with_the_chosen_index(page: AppTest, store: Connection) -> None:
    page.text_input(key="create_name").set_value("graph").run()
    page.selectbox(key="create_index").select("HNSW").run()
    page.number_input(key="create_HNSW_M").set_value(8).run()
    page.selectbox(key="create_metric").select("IP").run()
    page.button(key="create_start").click().run()
    assert not page.exception
    assert not page.error
    facts = milvus_collections.describe(store, "graph")
    assert (facts.index_type, facts.metric_type, facts.dimension) == ("HNSW", "IP", 256)
    assert listed(page)["graph"]["Rows"] == 0
    assert "Created “graph”" in said(page)


def test_a_refused_name_or_one_that_is_taken_is_a_message(page: AppTest, store: Connection) -> None:
    for name, reason in (("2 bad!", "cannot be a collection's name"), (COLLECTION, "already")):
        page.text_input(key="create_name").set_value(name).run()
        page.button(key="create_start").click().run()
        assert not page.exception
        assert reason in problems(page) + said(page)
    assert store.client.list_collections() == [COLLECTION]


def test_an_index_parameter_out_of_its_bounds_never_reaches_milvus(
    page: AppTest, store: Connection
) -> None:
    page.text_input(key="create_name").set_value("graph").run()
    page.selectbox(key="create_index").select("HNSW").run()
    # A browser's field refuses it too; what comes in a request all the same is not believed.
    page.number_input(key="create_HNSW_M").set_value(1_000).run()
    page.button(key="create_start").click().run()
    assert not page.exception
    assert store.client.describe_index("graph", "vector")["params"]["M"] == 16


def test_a_drop_needs_the_exact_name_after_which_the_page_says_what_to_do(
    page: AppTest, store: Connection
) -> None:
    for typed in ("", COLLECTION.upper(), f"{COLLECTION} ", COLLECTION[:-1]):
        page.text_input(key=f"drop_name_{COLLECTION}").set_value(typed).run()
        assert page.button(key="drop_start").disabled
    page.text_input(key=f"drop_name_{COLLECTION}").set_value(COLLECTION).run()
    page.button(key="drop_start").click().run()
    assert not page.exception
    assert store.client.list_collections() == []
    assert "Dropped “async" in said(page)
    assert "There is no collection yet" in said(page)
    assert "does not exist yet. Ingest something" in said(page)
    assert not page.main.header


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_an_export_holds_the_rows_that_match_with_their_vectors(
    page: AppTest, store: Connection, tmp_path: Path, ending: str
) -> None:
    page.segmented_control(key="export_format").set_value(ending).run()
    page.text_input(key="export_filter").set_value("n < 7").run()
    page.button(key="export_start").click().run()
    wait_for_jobs()
    page.run()
    assert not page.exception
    buttons = page.get("download_button")
    (button,) = (each for each in buttons if each.label.startswith("Download 7 rows"))
    # A rerun reads nothing of the file: it is opened when the button is pressed.
    assert button.proto.deferred_file_id
    [path] = (tmp_path / "data" / "exports").iterdir()
    assert path.suffix == ending
    if ending == ".jsonl":
        written = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    else:
        written = pyarrow.parquet.read_table(path).to_pylist()
    assert [each["pk"] for each in written] == sorted(stored(store))[:7]
    assert {len(each["vector"]) for each in written} == {256}


def test_an_export_of_an_unusable_filter_is_a_message(page: AppTest) -> None:
    page.text_input(key="export_filter").set_value("n <").run()
    assert "taken as words" in said(page)
    page.button(key="export_filter_other").click().run()
    assert not page.exception
    assert "Milvus cannot use this filter" in problems(page)
    assert page.button(key="export_start").disabled


def test_the_texts_of_another_model_cannot_be_changed(
    open_app: OpenApp, store: Connection, tmp_path: Path
) -> None:
    milvus_collections.create(store, "theirs", 256, embedding="other/model")
    store.client.insert("theirs", [{"pk": "a", "text": "theirs", "vector": [0.1] * 256}])
    app = open_app(
        "pages/collections.py", MILVUS_URI=str(tmp_path / "lab.db"), MILVUS_COLLECTION="theirs"
    )
    assert not app.exception
    assert "The column text is fixed" in said(app)
    assert "embedded with other/model" in said(app)
    assert shown(app) == ["a"]


def test_a_collection_without_rows_says_so(
    open_app: OpenApp, store: Connection, tmp_path: Path
) -> None:
    milvus_collections.create(store, "bare", 256)
    app = open_app("pages/collections.py", MILVUS_URI=str(tmp_path / "lab.db"))
    assert not app.exception
    app.session_state["lab_collection"] = "bare"
    app.run()
    assert "**0** rows" in said(app)
    assert "No row matches" in said(app)
