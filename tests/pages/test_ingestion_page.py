"""The ingestion page without a browser: from a source to a report, and what is said on the way."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from streamlit.testing.v1 import AppTest

from lib import jobs
from lib.documents import files, loaders
from lib.documents.sources import Part, Upload
from lib.ingestion import tuning
from lib.ingestion.report import Tally
from lib.jobs import Job
from lib.milvus import milvus_collections, rows
from lib.milvus.connection import Connection
from lib.settings import load
from lib.ui.ingestion.plan import named_after
from lib.ui.widgets import told
from lib.ui.widgets.text import literal
from tests.pages.conftest import OpenApp, figures, outcome, problems, said, wait_for_jobs
from tests.stores import copy_of, fill
from tests.waiting import PATIENCE_S

TEXT = "\n\n".join(f"Paragraph {i} tells of the walrus and of the carpenter." for i in range(40))
COLLECTION = load({}).collection


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a store with one row, so that no corpus is loaded by itself."""
    first = Document(page_content="A first row", metadata={"source": "before"}, id="first")
    return fill(tmp_path_factory.mktemp("filled") / "lab.db", [first])


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Iterator[Connection]:
    """Such a store; the page works on it too."""
    with copy_of(filled, tmp_path / "lab.db") as opened:
        yield opened


@pytest.fixture
def page(open_app: OpenApp, store: Connection, tmp_path: Path) -> AppTest:
    """The ingestion page on that store."""
    return open_app("pages/ingestion.py", query={}, MILVUS_URI=str(tmp_path / "lab.db"))


def choose(app: AppTest, source: str) -> AppTest:
    return app.segmented_control(key="ingest_source").set_value(source).run()


def paste(app: AppTest, text: str) -> AppTest:
    choose(app, "pasted")
    return app.text_area(key="ingest_pasted").set_value(text).run()


def upload(app: AppTest, *files: tuple[str, bytes], into: str = COLLECTION) -> AppTest:
    """Choose files, and the collection of the tests instead of one named after the first file."""
    choose(app, "files")
    given = [(name, content, "application/octet-stream") for name, content in files]
    app.file_uploader(key="ingest_files").set_value(given).run()
    return choose_into(app).set_value(into).run() if into else app


def choose_into(app: AppTest) -> Any:
    """Return the list of collections that rows can go into."""
    return next(each for each in app.selectbox if each.label == "Into")


def ingest_now(app: AppTest) -> AppTest:
    """Press the button and wait for the end, as the page's own refresh does."""
    app.button(key="ingest_start").click().run()
    wait_for_jobs()
    app.run()
    assert not app.exception
    return app


def announced(app: AppTest) -> int:
    """Return the number of rows that the button speaks of."""
    label = app.button(key="ingest_start").label
    return int(label.removeprefix("Ingest ").split()[0].replace(",", ""))


def stored(store: Connection, name: str = COLLECTION) -> list[dict[str, object]]:
    milvus_collections.count(store, name)
    return [row for part in rows.walk(store, name, fields=["*"]) for row in part]


def test_an_empty_page_says_where_rows_would_go_and_has_nothing_to_press(page: AppTest) -> None:
    assert not page.exception
    assert page.file_uploader(key="ingest_files")  # what the page opens with
    assert "Choose something to ingest." in said(page)
    assert page.button(key="ingest_start").disabled
    assert not figures(page)


def test_the_sample_goes_into_a_new_collection_that_is_named_after_it(
    page: AppTest, store: Connection
) -> None:
    page.toggle(key="ingest_sample").set_value(True).run()
    assert not page.exception
    assert "Into new collection «tickets»" in said(page)
    assert announced(page) == 24
    ingest_now(page)
    assert outcome(page) == {"added": 24}
    assert {row["source"] for row in stored(store, "tickets")} == {"tickets.csv"}
    assert [row["pk"] for row in stored(store)] == ["first"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("tickets.csv", "tickets"),
        ("Quarterly report (final) 2.docx", "Quarterly_report_final_2"),
        ("2024.jsonl", "file_2024"),
        ("señor.txt", "senor"),
        ("会議.pdf", "my_documents"),
        (f"{'long' * 99}.md", "long" * 15),
    ],
)
def test_a_collection_is_named_after_a_file_as_milvus_allows(file: str, name: str) -> None:
    assert named_after(file) == milvus_collections.check_name(name)


def test_a_text_of_nothing_cannot_be_ingested(page: AppTest) -> None:
    for text in ("", "   \n\t "):
        paste(page, text)
        assert not page.exception
        assert page.button(key="ingest_start").disabled


def test_a_pasted_text_goes_from_preview_to_report_and_into_the_collection(
    page: AppTest, store: Connection
) -> None:
    paste(page, TEXT)
    expected = announced(page)
    shown = [element.value for element in page.text]
    assert shown[0].startswith("Paragraph 0 tells")
    assert "repeat the one before" in said(page)
    ingest_now(page)
    assert outcome(page) == {"added": expected}
    new = [row for row in stored(store) if row["source"] == "pasted text.txt"]
    assert len(new) == expected > 1
    assert len(shown) == 2
    assert {row["text"] for row in new} >= set(shown)
    assert f"now holds {expected + 1} rows" in said(page).replace("\\", "")


def test_while_an_ingestion_runs_no_second_can_be_started(page: AppTest) -> None:
    gate = threading.Event()
    first = jobs.shared().submit("In front", lambda job: gate.wait(60), subject="test")
    try:
        paste(page, TEXT)
        page.button(key="ingest_start").click().run()
        started = page.query_params["ingestion"]
        page.run()
        # Its progress and its Stop stand in the button's place.
        assert not [each for each in page.button if each.key == "ingest_start"]
        assert page.button(key="ingestion_stop")
        assert page.query_params["ingestion"] == started
    finally:
        gate.set()
    assert first.finished.wait(PATIENCE_S)
    wait_for_jobs()
    page.run()
    assert page.button(key="ingest_start").label == "Ingested"


def test_an_ingestion_that_was_stopped_goes_on_with_the_rest(
    page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = Tally.show

    def show_and_stop(self: Tally, job: Job) -> None:
        show(self, job)
        jobs.shared().cancel(job)

    paste(page, TEXT)
    page.number_input(key="ingest_batch").set_value(1).run()
    page.number_input(key="ingest_concurrency").set_value(1).run()
    expected = announced(page)
    with monkeypatch.context() as patch:
        patch.setattr(Tally, "show", show_and_stop)
        ingest_now(page)
    stopped_at = outcome(page)["added"]
    assert 0 < stopped_at < expected
    assert f"Stopped at {stopped_at}: " in said(page).replace("\\", "")
    page.run()
    rest = expected - stopped_at
    assert page.button(key="ingest_start").label == f"Continue with {rest}"
    ingest_now(page)
    assert outcome(page) == {"added": rest, "unchanged": stopped_at}


def test_what_is_there_already_cannot_be_ingested_again_and_a_change_replaces(
    page: AppTest, open_app: OpenApp, store: Connection, tmp_path: Path
) -> None:
    ingest_now(paste(page, TEXT))
    before = len(stored(store))
    page.run()
    button = page.button(key="ingest_start")
    assert (button.label, button.disabled) == ("Ingested", True)
    assert f": **{before - 1} rows added.**" in said(page)
    assert "Search them" in [link.proto.label for link in page.get("page_link")]
    other = paste(open_app("pages/ingestion.py", MILVUS_URI=str(tmp_path / "lab.db")), TEXT)
    button = other.button(key="ingest_start")
    assert (button.label, button.disabled) == ("Nothing new to ingest", True)
    assert f"All {before - 1} rows are in" in said(other)
    paste(page, TEXT.replace("Paragraph 0 tells", "Paragraph 0 sings"))
    assert f"1 new, {before - 2} already there, 1 there and not in these files" in said(page)
    ingest_now(page)
    assert outcome(page) == {"replaced": 1, "unchanged": before - 2}
    assert len(stored(store)) == before


def test_a_shorter_text_keeps_its_old_rows_until_they_are_asked_to_go(
    page: AppTest, store: Connection
) -> None:
    ingest_now(paste(page, TEXT))
    before = len(stored(store))
    ingest_now(paste(page, TEXT[: len(TEXT) // 2]))
    assert "No longer in their files, and kept: " in said(page)
    assert len(stored(store)) == before
    assert page.checkbox(key="ingest_remove_gone").label == (
        "Delete rows that are no longer in the file"
    )
    assert "tick “Delete rows that are no longer in the file”" in said(page)
    page.checkbox(key="ingest_remove_gone").check().run()
    ingest_now(page)
    assert outcome(page)["deleted"] == before - len(stored(store)) > 0


def test_the_chunk_size_changes_how_many_chunks_there_are(page: AppTest) -> None:
    paste(page, TEXT)
    before = announced(page)
    page.number_input(key="ingest_chunk").set_value(200).run()
    assert not page.exception
    assert announced(page) > before
    assert all(len(element.value) <= 200 for element in page.text)


def test_a_table_shows_its_columns_and_goes_in_with_the_chosen_ones(
    page: AppTest, store: Connection
) -> None:
    table = b"id,body,lang,note\n1,The first text,en,x\n2,Der zweite Text,de,y\n"
    upload(page, ("texts.csv", table))
    assert page.selectbox(key="ingest_text_texts.csv").value == "body"
    page.multiselect(key="ingest_metadata_texts.csv_body").set_value(["lang"]).run()
    ingest_now(page)
    new = [row for row in stored(store) if row["source"] == "texts.csv"]
    assert {(row["text"], row["lang"]) for row in new} == {
        ("The first text", "en"),
        ("Der zweite Text", "de"),
    }
    assert not any({"id", "note"} & set(row) for row in new)


def _zip(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return packed.getvalue()


UNUSABLE = {
    "empty.txt": (b"", "it is empty"),
    "blank.txt": (b" \n \n", "it holds no text"),
    "binary.txt": (bytes(range(256)) * 40, "it holds binary data, not text"),
    "broken.pdf": (b"%PDF-1.7\nnothing of the kind", "it is damaged or no PDF"),
    "broken.docx": (b"PK\x03\x04 no archive", "it is damaged or no ZIP file"),
    "broken.parquet": (b"PAR1 no table", "it is damaged or no Parquet"),
    "broken.json": (b'{"text": ', "it is not JSON"),
    "headless.csv": (b"\n\n", "it holds no rows"),
    "broken.zip": (b"PK no archive", "it is damaged or no ZIP file"),
    "out.zip": (_zip(**{"..__..__etc__passwd.txt": b"root"}), "leads out of the archive"),
}


def test_a_file_that_cannot_be_used_is_named_before_the_button_can_be_pressed(
    page: AppTest, store: Connection
) -> None:
    sources = {"before"}
    for name, (content, reason) in UNUSABLE.items():
        upload(page, (name, content))
        assert not page.exception
        [warning] = page.warning
        assert reason in warning.value.replace("\\", ""), name
        assert name in warning.value
        assert "Error" not in warning.value
        button = page.button(key="ingest_start")
        assert (button.label, button.disabled) == ("Nothing to ingest", True)
        assert "Find the best settings" not in [each.label for each in page.expander]
        good = f"beside {name}.txt"
        upload(page, (name, content), (good, f"A good text {good}.".encode()))
        assert announced(page) == 1
        assert "1 will be skipped (" in said(page)
        ingest_now(page)
        skipped = next(frame.value for frame in page.main.dataframe if "Why" in frame.value)
        assert reason in " ".join(skipped["Why"])
        sources.add(good)
        assert {row["source"] for row in stored(store)} == sources


def test_the_good_files_of_an_archive_go_in_beside_the_refused_ones(
    page: AppTest, store: Connection
) -> None:
    packed = _zip(**{"..__evil.txt": b"root", "good.md": b"# Good\n\nA good text."})
    upload(page, ("mixed.zip", packed), ("also.txt", b"Another good text."))
    ingest_now(page)
    assert "Skipped: 1 part" in said(page)
    table = next(frame.value for frame in page.main.dataframe if "Added" in frame.value)
    rows = {row["Source"]: (row["Read"], row["Added"]) for row in table.to_dict("records")}
    assert rows == {"also.txt": (1, 1), "mixed.zip": (1, 0), "mixed.zip/good.md": (1, 1)}
    assert {row["source"] for row in stored(store)} == {"before", "mixed.zip/good.md", "also.txt"}


@pytest.mark.parametrize("metadata", [{}, {"position": 4}, {"position": "last", "page": [1]}])
def test_an_export_is_shown_and_goes_in_with_its_keys_vectors_and_metadata(
    page: AppTest, store: Connection, metadata: dict[str, object]
) -> None:
    vector = [0.5] * 256
    lines = [
        {"pk": key, "text": f"Text of {key}", "vector": vector, "metadata": metadata}
        for key in ("one", "two")
    ]
    upload(page, ("export.jsonl", "\n".join(map(json.dumps, lines)).encode()))
    assert not page.exception
    assert [element.value for element in page.text] == ["Text of one", "Text of two"]
    assert page.toggle(key="ingest_vectors").value
    ingest_now(page)
    new = {row["pk"]: row for row in stored(store) if row["pk"] != "first"}
    assert set(new) == {"one", "two"}
    assert new["one"]["vector"] == pytest.approx(vector)
    assert {name: new["one"][name] for name in metadata} == metadata


def test_two_files_of_one_name_are_both_kept(page: AppTest, store: Connection) -> None:
    upload(page, ("notes.txt", b"The first notes."), ("notes.txt", b"The other notes."))
    ingest_now(page)
    assert {row["text"] for row in stored(store)} == {
        "A first row",
        "The first notes.",
        "The other notes.",
    }


def test_a_collection_of_another_dimension_is_explained_and_left_alone(
    open_app: OpenApp, store: Connection, tmp_path: Path
) -> None:
    milvus_collections.create(store, "narrow", 8)
    store.client.insert("narrow", [{"pk": "a", "text": "theirs", "vector": [0.1] * 8}])
    page = open_app(
        "pages/ingestion.py", MILVUS_URI=str(tmp_path / "lab.db"), MILVUS_COLLECTION="narrow"
    )
    paste(page, TEXT)
    button = page.button(key="ingest_start")
    assert (button.label, button.disabled) == ("Not into this collection", True)
    assert "holds vectors of 8 dimensions, the embedding in use makes 256" in said(page)
    assert "Choose another collection, or" in said(page)
    assert [row["text"] for row in stored(store, "narrow")] == ["theirs"]


def test_a_new_collection_is_made_by_from_texts_once_and_its_name_is_checked(
    page: AppTest, store: Connection
) -> None:
    paste(page, TEXT)
    page.selectbox(key="ingest_method").select("from_texts").run()
    name = page.text_input(key="ingest_new_collection")
    name.set_value("no name!").run()
    page.button(key="ingest_start").click().run()
    assert not page.exception
    assert "cannot be a collection's name" in problems(page)
    page.text_input(key="ingest_new_collection").set_value("fresh").run()
    ingest_now(page)
    assert outcome(page)["added"] == milvus_collections.count(store, "fresh")
    ingest_now(page)
    assert "There is a collection named 'fresh' already" in problems(page)


def test_find_the_best_offers_settings_with_their_intervals_and_puts_one_into_the_form(
    page: AppTest, store: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "REPEATS", 3)  # as few as give an interval
    choose(page, "standard_library")
    page.number_input(key="ingest_size_standard_library").set_value(600).run()
    page.button(key="ingest_tune").click().run()
    job = jobs.shared().all()[-1]
    # It is no benchmark to the other pages, which would offer to watch it.
    assert job.subject == "tuning"
    assert job.label == f"Finding the best settings for {COLLECTION}"
    wait_for_jobs()
    page.run()
    assert not page.exception
    found = next(frame.value for frame in page.main.dataframe if "Rows/s" in frame.value)
    best = found.iloc[0]
    for _, row in found.iterrows():
        is_loop = row["Batches"] == "One after another"
        assert ("–" in row["Times one after another"]) != is_loop
    page.button(key="ingest_use_best").click().run()
    assert page.number_input(key="ingest_batch").value == best["Batch size"]
    assert page.number_input(key="ingest_concurrency").value == best["Concurrency"]
    assert store.client.list_collections() == [COLLECTION]


def test_a_file_is_parsed_once_for_preview_settings_and_ingestion(
    page: AppTest, store: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    read = loaders.read

    def counted(upload: Upload, *given: Any) -> Iterator[Part]:
        opened.append(upload.name)
        return read(upload, *given)

    monkeypatch.setattr(files, "read", counted)
    upload(page, ("table.csv", b"text,n\none,1\ntwo,2\n"), ("notes.md", TEXT.encode()))
    page.number_input(key="ingest_chunk").set_value(300).run()
    page.run()
    ingest_now(page)
    assert sorted(opened) == ["notes.md", "table.csv"]
    assert len(stored(store)) > 3


def test_too_little_to_find_the_best_with_is_said(page: AppTest) -> None:
    paste(page, TEXT)
    page.button(key="ingest_tune").click().run()
    wait_for_jobs()
    page.run()
    assert not page.exception
    assert "rows are too few to measure on" in problems(page)


def test_a_text_full_of_markup_is_shown_as_it_is(page: AppTest, store: Connection) -> None:
    markup = "**bold** [link](http://x) :red[x] $y$ <b> `code`"
    paste(page, markup)
    page.text_input(key="ingest_pasted_name").set_value(markup).run()
    assert [element.value for element in page.text] == [markup]
    ingest_now(page)
    assert markup in {row["text"] for row in stored(store)}


def test_what_was_ingested_is_found_at_once_also_by_who_left_the_page_before_its_end(
    page: AppTest,
) -> None:
    question = "Where do walruses sing?"
    page.switch_page("pages/search.py").run()
    page.text_input(key="q").set_value(question).run()
    assert "A first row" in said(page)
    page.switch_page("pages/ingestion.py").run()
    paste(page, "Walruses sing under the ice, and nobody knows why.")
    page.button(key="ingest_start").click().run()
    wait_for_jobs()
    # The ingestion page is not drawn again.
    page.switch_page("pages/search.py").run()
    page.text_input(key="q").set_value(question).run()
    assert not page.exception
    assert "under the ice" in said(page)


def test_the_result_is_one_line_in_view_with_the_reasons_and_many_warnings_are_folded(
    page: AppTest,
) -> None:
    table = "id,body\n" + "".join(f"{i},{'' if i % 5 == 0 else f'Ticket {i}'}\n" for i in range(20))
    upload(page, ("tickets.csv", table.encode()))
    assert page.expander[0].label == "4 warnings"
    assert not page.warning
    assert "4 will be skipped (no text in 'body')." in said(page)
    ingest_now(page)
    assert outcome(page) == {"added": 16, "skipped": 4}
    line = f"“{literal(COLLECTION)}”: **16 rows added, 4 skipped (no text in 'body').**"
    assert page.session_state[told.KEY][0] == line  # the toast
    assert line in [each.value for each in page.markdown]  # the bar at the bottom
