"""The runs page without a browser: list, filter, import, rename, delete, undo."""

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib import jobs
from lib.jobs import State
from lib.results import analysis, run_file
from lib.results.analysis import Analysis, analyse
from lib.results.trials import Run
from lib.runs import card
from lib.runs import store as run_store
from lib.runs.store import RECORDED_DIR, RunStore
from lib.ui.runs.list import DELETED_KEY, table_key
from tests.pages.conftest import OpenApp, wait_for_jobs
from tests.run_builder import make_run
from tests.runs.test_store import BROKEN

PAGE = "pages/runs.py"


@pytest.fixture(autouse=True)
def no_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the corpus that a first visit loads: this page needs none."""
    monkeypatch.setattr("lib.ui.frame.corpus.first_load", lambda opened: None)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """The store that the app of `open_app` uses."""
    return RunStore(tmp_path / "data" / "runs")


def names(app: AppTest) -> list[str]:
    """Return the names in the table of runs."""
    return list(app.dataframe[0].value["Name"])


def messages(app: AppTest) -> str:
    """Return what the page says in boxes."""
    boxes = [*app.error, *app.info, *app.warning, *app.success]
    return " ".join(f"{getattr(box, 'title', None) or ''} {box.value}" for box in boxes)


def upload(app: AppTest, name: str, data: bytes) -> None:
    """Import one file."""
    app.file_uploader[0].upload(name, data)
    next(button for button in app.button if button.label == "Import").click()
    app.run()


def test_runs_of_this_host_are_listed_and_filtered(open_app: OpenApp, store: RunStore) -> None:
    store.save(make_run(), name="On a server")
    store.save(make_run(environment={"backend_label": "Milvus Lite"}), name="Embedded")
    app = open_app(PAGE)
    assert {"On a server", "Embedded"} <= set(names(app))
    app.text_input(key="r_filter").set_value("milvus lite").run()
    assert "Embedded" in names(app)
    assert "On a server" not in names(app)
    app.text_input(key="r_filter").set_value("no such run").run()
    assert "No run matches the filter" in messages(app)


@pytest.mark.parametrize("name", ["sweep-server", "rate-server", "overload-server"])
def test_a_recorded_run_of_a_preset_opens_with_its_advice(open_app: OpenApp, name: str) -> None:
    app = open_app()
    app.query_params["r_runs"] = f"recorded-{name}"
    app.switch_page(PAGE).run()
    assert not app.exception
    found = analyse(run_file.read(RECORDED_DIR / f"{name}.json"))
    assert app.title[0].value.replace("\\", "") == card.headline(found)
    text = " ".join(each.value for each in (*app.caption, *app.markdown)).replace("\\", "")
    assert all(sentence in text for sentence in found.sentences)
    # The picture of what is advised, on the card.
    assert app.get("vega_lite_chart")


@pytest.mark.parametrize("kind", [kind for kind in BROKEN if kind != "60 MB"])
def test_a_broken_upload_is_one_message_and_the_page_goes_on(
    open_app: OpenApp, store: RunStore, kind: str
) -> None:
    store.save(make_run(), name="Mine")
    make, _ = BROKEN[kind]
    app = open_app(PAGE)
    upload(app, "<script>alert(1)</script>.json", make())
    assert not app.exception
    assert len(app.error) == 1
    assert "Mine" in names(app)


def test_an_upload_that_is_good_is_listed_as_imported(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    upload(app, "colleague.json", run_file.to_json(make_run()).encode())
    assert "colleague was imported" in messages(app)
    assert "colleague" in names(app)


def test_a_deleted_run_can_be_had_back(open_app: OpenApp, store: RunStore) -> None:
    entry = store.save(make_run(), name="Precious")
    store.save(make_run(), name="Other")
    app = open_app(PAGE)
    store.delete(entry)
    app.session_state[DELETED_KEY] = (entry.id, "Precious")
    app.run()
    assert "“Precious” was deleted" in messages(app)
    assert "Precious" not in names(app)
    app.button(key="r_undo").click().run()
    assert "Precious" in names(app)
    assert "was deleted" not in messages(app)


def test_visitors_of_a_public_host_do_not_see_each_others_runs(
    open_app: OpenApp, store: RunStore
) -> None:
    store.save(make_run(), name="Of the host")
    app = open_app(PAGE, LAB_PUBLIC="1")
    upload(app, "mine.json", run_file.to_json(make_run()).encode())
    assert "mine" in names(app)
    assert "Of the host" not in names(app)
    stranger = open_app(PAGE, LAB_PUBLIC="1")
    listed = names(stranger) if stranger.dataframe else []
    assert "mine" not in listed


def made_files(app: AppTest) -> list[Any]:
    """Return the buttons that download what a job made."""
    return [each for each in app.get("download_button") if each.label.endswith(" MB)")]


def test_what_takes_seconds_is_made_by_a_job_that_can_be_stopped_and_is_then_downloaded(
    open_app: OpenApp, store: RunStore
) -> None:
    entry = store.save(make_run(), name="Mine")
    app = open_app()
    app.query_params["r_runs"] = entry.id
    app.switch_page(PAGE).run()
    before, gate = jobs.shared(), threading.Event()
    before.submit("Another", lambda job: gate.wait(30), subject="benchmark")
    app.button(key="r_make_deck").click().run()
    made = before.get(app.query_params["file"])
    assert made is not None
    assert made.state is State.QUEUED
    assert "Behind “Another" in messages(app)
    assert not app.button(key="file_stop").disabled
    before.cancel(made)
    gate.set()
    wait_for_jobs()
    assert (made.state, made.result) == (State.STOPPED, None)
    app.run()
    assert "There is no file" in messages(app)
    for name, begins in (("html", b"<!doctype html>"), ("deck", b"PK"), ("pictures", b"PK")):
        app.button(key=f"r_make_{name}").click().run()
        wait_for_jobs()
        app.run()
        made = before.get(app.query_params["file"])
        assert made is not None
        assert made.state is State.DONE
        assert made.progress.total > 3
        assert made.result.path.read_bytes().startswith(begins)
        (button,) = made_files(app)
        # Read when it is pressed, not at every rerun.
        assert button.proto.deferred_file_id
    assert not app.exception
    # The file belongs to its run: beside another it is not offered.
    other = store.save(make_run(settings={"preset": "sweep"}), name="Other")
    app.query_params["r_runs"] = other.id
    app.run()
    assert not made_files(app)


@pytest.mark.parametrize("count", [1, 2, 8, 9, 13, 40])
def test_lists_of_runs_that_differ_anywhere_have_keys_that_differ(count: int) -> None:
    runs = [f"2026-01-{number:02}-a-run-with-a-long-name" for number in range(1, count + 1)]
    others = [[*runs[:place], "another", *runs[place + 1 :]] for place in range(count)]
    others += [[*runs[:place], *runs[place + 1 :]] for place in range(count)]
    others += [[*runs[:place], "another", *runs[place:]] for place in range(count + 1)]
    keys = {table_key(each) for each in others}
    assert len(keys) == len(others)
    assert table_key(runs) not in keys


def test_each_recorded_run_is_analysed_once_a_page(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Counter[str] = Counter()
    analysed = analysis._analysed

    def counting(run: Run) -> Analysis:
        made[run.source] += 1
        return analysed(run)

    monkeypatch.setattr(analysis, "_analysed", counting)
    app = open_app("pages/benchmark.py")
    for path in sorted(RECORDED_DIR.glob("*.json")):
        run_store._read.cache_clear()
        made.clear()
        app.query_params["b_run"] = f"recorded-{path.stem}"
        assert not app.run().exception
        assert app.title
        # Beside it stand runs without which its figures would mislead.
        assert made[path.name] == 1
        assert set(made.values()) == {1}
