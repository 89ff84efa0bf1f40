"""Files into a collection and rows out of it again, in a real browser."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from langchain_core.documents import Document

from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.settings import Settings, load
from tests.waiting import status, wait_until_drawn, wait_until_still

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

COLLECTION = load({}).collection
EXCEPTION = "[data-testid='stException']"
SEEDED = 70
ROW_PX = 36
MARKDOWN = "# The walrus\n\n" + "\n\n".join(
    f"Paragraph {i}. The time has come, the walrus said, to talk of many things." for i in range(40)
)
TABLE = "id,body,lang,note\n" + "".join(
    f"{i},Row {i} is about cabbages,{'en' if i % 2 else 'de'},note {i}\n" for i in range(6)
)


def _seed(settings: Settings) -> None:
    opened = open_connection(settings)
    seeds = [
        Document(page_content=f"Seed {i}", metadata={"n": i, "source": "seed.txt"}, id=f"k{i:03}")
        for i in range(SEEDED)
    ]
    ingest(opened, open_model(settings), seeds, IngestionPlan(COLLECTION))
    opened.close()


@pytest.fixture(scope="module")
def app(
    run_app: Callable[[dict[str, str]], str],
    tmp_path_factory: pytest.TempPathFactory,
    browser: "Browser",
) -> str:
    """The app on an embedded store with seventy rows, and a second, empty collection."""
    settings = load({"MILVUS_URI": str(tmp_path_factory.mktemp("store") / "lab.db")})
    with ThreadPoolExecutor(1) as other_thread:  # Playwright's loop runs in this one
        other_thread.submit(_seed, settings).result()
    return run_app({"MILVUS_URI": settings.milvus_uri})


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A Markdown file and a table."""
    (tmp_path / "walrus.md").write_text(MARKDOWN, encoding="utf-8")
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    return [tmp_path / "walrus.md", tmp_path / "table.csv"]


def number(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def toast(page: "Page", text: str) -> None:
    """Wait until this is said where the eye is, wherever the page stands."""
    page.get_by_test_id("stToast").filter(has_text=text).first.wait_for()


def expect_rows_in_sidebar(page: "Page", rows: int) -> None:
    status(page, f"· {rows:,} rows?").wait_for()


def open_files(page: "Page", app: str, files: list[Path], into: str = COLLECTION) -> None:
    page.goto(f"{app}/ingestion?ingest_source=Files")
    page.get_by_test_id("stFileUploader").wait_for()
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_text("The first chunks").wait_for()
    # What is typed while the page is still drawn would be taken back with the list of names.
    wait_until_drawn(page)
    if into:
        choose_into(page, into)


def choose_into(page: "Page", name: str) -> None:
    """Choose the collection that the rows go into, instead of one named after the file."""
    into = page.get_by_role("combobox", name="Into")
    into.fill(name)
    into.press("Enter")
    page.get_by_text(re.compile(f"Into “{name}”|rows are in")).wait_for()


def open_rows(page: "Page", app: str) -> int:
    """Open the collections page and return how many rows it says there are."""
    page.goto(f"{app}/collections")
    page.get_by_role("heading", name="The whole collection").wait_for()
    return rows_said(page)


def rows_said(page: "Page") -> int:
    return number(page.get_by_text(re.compile(r"^[\d,]+ rows?$")).first.inner_text())


def expect_rows(page: "Page", rows: int) -> None:
    page.get_by_text(f"{rows:,} rows", exact=True).first.wait_for()
    expect_rows_in_sidebar(page, rows)


def grid(page: "Page") -> "Locator":
    """Return the table of rows, which is drawn on a canvas with a readable twin beside it."""
    table = page.get_by_test_id("stDataFrame").last
    # In one step: between two of them the page may draw the table anew.
    table.evaluate("node => node.scrollIntoView({block: 'center'})")
    return table


def column_of(page: "Page", name: str) -> str:
    """Return a column's number in the table, once it is drawn."""
    head = grid(page).locator("th").filter(has_text=re.compile(f"^{name}$"))
    head.wait_for(state="attached")
    return str(head.get_attribute("aria-colindex"))


def expect_cell(page: "Page", row: int, column: str, text: str) -> None:
    """Wait until a cell of the table says this, by its place and its column's name."""
    cell = grid(page).get_by_test_id(f"glide-cell-{column_of(page, column)}-{row}")
    cell.filter(has_text=re.compile(f"^{text}$")).wait_for(state="attached")


def filter_rows(page: "Page", expr: str) -> None:
    page.get_by_role("textbox", name="Filter", exact=True).fill(expr)
    page.keyboard.press("Enter")


def edit(page: "Page", x: int, row: int, text: str) -> None:
    """Double-click a cell, type and press Enter, no faster than a person."""
    grid(page).dblclick(position={"x": x, "y": (row + 1.5) * ROW_PX})
    field = page.locator("#portal textarea")
    field.wait_for()
    field.press("ControlOrMeta+a")
    field.press_sequentially(text, delay=10)
    page.wait_for_function("text => document.activeElement.value === text", arg=text)
    field.press("Enter", delay=50)


def ingest_button(page: "Page") -> "Locator":
    """Return the button once it says how many rows it will ingest."""
    button = page.get_by_role("button", name=re.compile(r"^Ingest [\d,]+ rows?$"))
    button.wait_for()
    return button


def test_files_go_from_preview_to_report_and_only_once(
    app: str, chromium_page: "Page", files: list[Path]
) -> None:
    from playwright.sync_api import expect

    page = chromium_page
    before = open_rows(page, app)
    open_files(page, app, files)
    expect(page.get_by_text(re.compile(r"^Chunk \d ·"))).to_have_count(2)
    page.get_by_text("Paragraph 0.").first.wait_for()
    button = ingest_button(page)
    # However far down the page is, the button and what it will do stay in view.
    page.get_by_text("The code for this").scroll_into_view_if_needed()
    expect(button).to_be_in_viewport()
    rows = number(button.inner_text())

    button.click()
    page.get_by_text(f"now holds {before + rows} rows").wait_for()
    page.get_by_text(f"{rows:,} rows added in").wait_for()
    expect_rows_in_sidebar(page, before + rows)

    nothing = page.get_by_role("button", name="Ingested")
    nothing.wait_for()
    assert nothing.is_disabled()
    wait_until_drawn(page)
    page.get_by_text("Each source", exact=True).click()
    wait_until_still(page)
    with page.expect_download() as caught:
        page.get_by_role("button", name="Download the report").click()
    report = Path(caught.value.path()).read_text(encoding="utf-8").splitlines()
    assert report[0] == "Source,Read,Skipped,Added,Unchanged,Replaced,Deleted,Why"
    assert {line.split(",")[0] for line in report[1:]} == {"table.csv", "walrus.md"}
    assert open_rows(page, app) == before + rows
    assert page.locator(EXCEPTION).count() == 0


def test_the_columns_that_were_picked_are_what_is_stored(
    app: str, chromium_page: "Page", tmp_path: Path
) -> None:
    page = chromium_page
    table = tmp_path / "picked.csv"
    table.write_text(TABLE.replace("Row", "Line"), encoding="utf-8")
    open_files(page, app, [table])
    page.get_by_role("combobox", name="Text").click()
    page.get_by_role("option", name="note").click()
    page.get_by_test_id("stText").get_by_text("note 0", exact=True).wait_for()
    ingest_button(page).click()
    page.get_by_text("now holds").wait_for()
    open_rows(page, app)
    filter_rows(page, 'source == "picked.csv" and lang == "de"')
    page.get_by_text("3 rows", exact=True).wait_for()
    texts = grid(page).locator(f"[data-testid^='glide-cell-{column_of(page, 'text')}-']")
    assert sorted(texts.all_text_contents()) == ["note 0", "note 2", "note 4"]
    assert page.locator(EXCEPTION).count() == 0


def test_a_file_goes_into_a_new_collection_and_is_searched_there(
    app: str, chromium_page: "Page", tmp_path: Path
) -> None:
    page = chromium_page
    table = tmp_path / "cabbages.csv"
    table.write_text(TABLE, encoding="utf-8")
    open_files(page, app, [table], into="")
    page.get_by_text("Into new collection «cabbages»").wait_for()
    ingest_button(page).click()
    page.get_by_text("“cabbages”: 6 rows added.").first.wait_for()
    expect_rows_in_sidebar(page, 6)
    page.get_by_role("link", name="Search them").click()
    page.get_by_text("about cabbages").first.wait_for()
    assert page.locator(EXCEPTION).count() == 0


def test_an_edited_cell_is_stored_when_it_is_saved_not_before_and_can_be_undone(
    app: str, chromium_page: "Page"
) -> None:
    from playwright.sync_api import expect

    page = chromium_page
    rows = open_rows(page, app)
    filter_rows(page, 'pk == "k005"')
    page.get_by_text("1 row", exact=True).wait_for()
    edit(page, 200, 0, "A seed that was changed")
    save = page.get_by_role("button", name="Save: change 1 row")
    # Beside the cell: the window need not be scrolled.
    expect(save).to_be_in_viewport()

    other = page.context.new_page()
    open_rows(other, app)
    filter_rows(other, 'pk == "k005"')
    other.get_by_text("1 row", exact=True).wait_for()
    expect_cell(other, 0, "text", "Seed 5")

    save.click()
    toast(page, "Changed 1 row of")
    expect_cell(page, 0, "text", "A seed that was changed")
    open_rows(other, app)
    filter_rows(other, 'text == "A seed that was changed"')
    other.get_by_text("1 row", exact=True).wait_for()
    expect_cell(other, 0, "pk", "k005")
    expect_cell(other, 0, "n", "5")
    expect_rows_in_sidebar(other, rows)

    page.get_by_role("button", name="Undo").click()
    toast(page, "Put back 1 row.")
    expect_cell(page, 0, "text", "Seed 5")
    assert page.get_by_role("button", name="Undo").count() == 0
    assert page.locator(EXCEPTION).count() == 0


def test_selected_rows_are_deleted_on_save_and_undo_brings_them_back(
    app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    rows = open_rows(page, app)
    filter_rows(page, 'pk in ["k010", "k011", "k012"]')
    page.get_by_text("3 rows", exact=True).wait_for()
    for row in (0, 1):
        grid(page).click(position={"x": 16, "y": (row + 1.5) * ROW_PX})
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Save: delete 2 rows").click()
    toast(page, "Deleted 2 rows")
    page.get_by_text("1 row", exact=True).wait_for()
    expect_cell(page, 0, "pk", "k012")
    expect_rows_in_sidebar(page, rows - 2)
    page.get_by_role("button", name="Undo").click()
    toast(page, "Put back 2 rows")
    page.get_by_text("3 rows", exact=True).wait_for()
    expect_rows_in_sidebar(page, rows)
    assert page.locator(EXCEPTION).count() == 0


def test_a_delete_by_keys_says_how_many_before_it_deletes(app: str, chromium_page: "Page") -> None:
    from playwright.sync_api import expect

    page = chromium_page
    rows = open_rows(page, app)
    page.get_by_text("Delete many", exact=True).click()
    wait_until_still(page)
    page.get_by_text("By keys", exact=True).click()
    field = page.get_by_role("textbox", name="Keys, one a line")
    field.fill("k020\nk021\nnobody")
    field.press("ControlOrMeta+Enter")
    page.get_by_text(f"Matching: 2 of {rows} rows.").wait_for()
    expect_rows(page, rows)
    filter_rows(page, "n > 1000")
    page.get_by_text("No row matches.").wait_for()
    expect(field).to_be_visible()
    filter_rows(page, "")
    expect_rows(page, rows)
    page.get_by_role("button", name="Delete 2 rows").click()
    expect_rows(page, rows - 2)
    # The undo is where the person is, and what was open stays open.
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_be_in_viewport()
    expect(field).to_be_visible()
    undo.click()
    expect_rows(page, rows)
    assert page.locator(EXCEPTION).count() == 0


def test_an_export_is_downloaded_and_comes_back_in_with_its_keys(
    app: str, chromium_page: "Page", tmp_path: Path
) -> None:
    page = chromium_page
    rows = open_rows(page, app)
    page.get_by_text("Export and import", exact=True).click()
    wait_until_still(page)
    page.get_by_text("JSON lines", exact=True).click()
    page.get_by_role("textbox", name="Only rows that match").fill('pk < "k004"')
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Prepare the file").click()
    download = page.get_by_role("button", name=re.compile(r"Download \d+ rows"))
    download.wait_for()
    with page.expect_download() as caught:
        download.click()
    path = tmp_path / "export.jsonl"
    caught.value.save_as(path)
    assert caught.value.suggested_filename == f"{COLLECTION}.jsonl"
    written = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {"k000", "k001", "k002", "k003"} <= {row["pk"] for row in written}
    assert {len(row["vector"]) for row in written} == {256}

    open_files(page, app, [path])
    page.get_by_text("Use the vectors in the file").wait_for()
    page.get_by_role("button", name="Nothing new to ingest").wait_for()
    page.get_by_text(f"All {len(written):,} rows are in").wait_for()
    expect_rows_in_sidebar(page, rows)
    assert page.locator(EXCEPTION).count() == 0


def create_collection(page: "Page", name: str) -> None:
    """Make an empty collection of this name on the page of collections."""
    page.get_by_text("New collection", exact=True).click()
    wait_until_still(page)
    page.get_by_role("textbox", name="Name", exact=True).fill(name)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Create", exact=True).click()


def choose_collection(page: "Page", name: str) -> None:
    """Press the row of the list that has this name."""
    wait_until_drawn(page)
    listed = page.get_by_test_id("stDataFrame").first
    listed.scroll_into_view_if_needed()
    cell = listed.locator("[data-testid^='glide-cell-']", has_text=re.compile(f"^{name}$"))
    row = int(str(cell.get_attribute("data-testid")).rpartition("-")[2])
    listed.click(position={"x": 320, "y": (row + 1.5) * ROW_PX})
    page.get_by_role("heading", name=f"Rows of {name}").wait_for()


def test_a_collection_is_created_chosen_and_dropped_after_its_name_was_typed(
    app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    rows = open_rows(page, app)
    create_collection(page, "spare")
    toast(page, "Created “spare”")
    page.get_by_role("heading", name="Rows of spare").wait_for()
    expect_rows(page, 0)
    choose_collection(page, COLLECTION)
    expect_rows(page, rows)
    choose_collection(page, "spare")
    expect_rows(page, 0)

    page.get_by_text("Drop this collection", exact=True).click()
    wait_until_still(page)
    name = page.get_by_role("textbox", name="Type its name to confirm")
    drop = page.get_by_role("button", name="Drop", exact=True)
    name.fill("Spare")
    name.press("Enter")
    wait_until_drawn(page)
    assert drop.is_disabled()
    name.fill("spare")
    name.press("Enter")
    drop.click()
    toast(page, "Dropped “spare”")
    page.get_by_role("heading", name=f"Rows of {COLLECTION}").wait_for()
    # The danger zone of what is gone has closed.
    wait_until_still(page)
    assert name.is_hidden()
    expect_rows(page, rows)
    listed = page.get_by_test_id("stDataFrame").first
    listed.get_by_text("spare").wait_for(state="detached")
    assert page.locator(EXCEPTION).count() == 0


def test_a_chosen_collection_stays_chosen_on_other_pages_and_after_a_reload(
    app: str, chromium_page: "Page"
) -> None:
    page = chromium_page
    rows = open_rows(page, app)
    create_collection(page, "other")
    page.get_by_role("heading", name="Rows of other").wait_for()
    # By hand in the sidebar, then by the page: what the browser last sent is not the choice.
    status(page, r"· other · \d+").click()
    page.get_by_role("combobox", name="Collection").first.click()
    page.get_by_role("option", name=COLLECTION).click()
    page.get_by_role("heading", name=f"Rows of {COLLECTION}").wait_for()
    page.keyboard.press("Escape")
    expect_rows(page, rows)
    choose_collection(page, "other")
    status(page, r"· other · \d+").wait_for()
    page.get_by_role("link", name="Benchmark").first.click()
    page.get_by_role("radio", name="Quick").wait_for()
    wait_until_drawn(page)
    status(page, r"· other · \d+").wait_for()
    page.reload()
    page.get_by_role("radio", name="Quick").wait_for()
    status(page, r"· other · \d+").wait_for()
    # Another tab of this browser begins with the host's own.
    second = page.context.new_page()
    second.goto(f"{app}/search")
    status(second, rf"· {COLLECTION} · \d+").wait_for()

    page.goto(f"{app}/collections")
    page.get_by_role("heading", name="Rows of other").wait_for()
    page.get_by_text("Drop this collection", exact=True).click()
    wait_until_still(page)
    name = page.get_by_role("textbox", name="Type its name to confirm")
    name.fill("other")
    name.press("Enter")
    page.get_by_role("button", name="Drop", exact=True).click()
    page.get_by_role("heading", name=f"Rows of {COLLECTION}").wait_for()
    page.reload()
    page.get_by_role("heading", name=f"Rows of {COLLECTION}").wait_for()
    assert page.locator(EXCEPTION).count() == 0


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_runs_out_of_either_page(
    app: str, chromium_page: "Page", files: list[Path], width: int
) -> None:
    page = chromium_page
    page.set_viewport_size({"width": width, "height": 900})
    fits = "() => document.querySelector('[data-testid=stMain]').scrollWidth <= window.innerWidth"
    open_files(page, app, files)
    assert page.evaluate(fits)
    open_rows(page, app)
    assert page.evaluate(fits)
