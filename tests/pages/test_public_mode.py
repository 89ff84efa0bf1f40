"""A public app: strangers read the host's rows, write their own, and see nothing of each other."""

import asyncio
import io
import os
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import streamlit as st
from pymilvus import MilvusClient
from streamlit.testing.v1 import AppTest

from lib import jobs
from lib.jobs import Share
from lib.milvus import milvus_collections
from lib.milvus.connection import Description, open_connection, open_lease
from lib.milvus.embeddings import open_model
from lib.milvus.territory import expiry
from lib.results import run_file
from lib.settings import BUNDLED_MODEL_DIR, load
from lib.ui.visitor import session
from lib.ui.visitor.visitor import VISITOR_KEY
from lib.words import shown_name
from tests.pages.conftest import OpenApp, problems, said, wait_for_jobs
from tests.run_builder import make_run
from tests.territories import new_territory
from tests.waiting import wait_until

if TYPE_CHECKING:
    from scripts.milvus_server import MilvusServer

# The tests of one process take more memory together than the app.
PUBLIC = {"LAB_PUBLIC": "1", "LAB_MAX_MEMORY_MB": "100000"}


def visit(open_app: OpenApp, page: str = "pages/overview.py", **environment: str) -> AppTest:
    """Open a page of the public app after the host's rows were loaded."""
    return open_app(page, **(PUBLIC | environment))


def ingest_text(app: AppTest, text: str) -> AppTest:
    """Ingest a pasted text."""
    app.segmented_control(key="ingest_source").set_value("pasted").run()
    app.text_area(key="ingest_pasted").set_value(text).run()
    return app.button(key="ingest_start").click().run()


def test_a_visitors_copy_with_words_is_theirs_and_its_shown_name_confirms_a_delete(
    open_app: OpenApp,
) -> None:
    app = visit(open_app, LAB_UNDO_MB="1")
    app.query_params["view"] = "Words"
    app.switch_page("pages/search.py").run()
    next(button for button in app.button if button.label.startswith("Copy")).click().run()
    copy = next(job for job in jobs.shared().all() if job.id == app.query_params["copy"])
    wait_for_jobs()
    app.run()
    assert app.session_state[session.NEXT_KEY] == copy.result

    def in_the_copy() -> AppTest:
        """Go on there; AppTest draws no sidebar after a page's first run, which would hold it."""
        app.session_state[session.COLLECTION_KEY] = copy.result
        return app

    in_the_copy().switch_page("pages/collections.py").run()
    in_the_copy().text_input(key="delete_expr").set_value("length > 0").run()
    assert app.button(key="delete_start").disabled
    in_the_copy().text_input(key=f"delete_name_{copy.result}").set_value("async_lab_words").run()
    assert not app.button(key="delete_start").disabled


def collections_of(app: AppTest) -> list[str]:
    """Return the names in the sidebar's list."""
    return list(app.sidebar.selectbox[0].options)


def test_the_hosts_rows_are_loaded_and_can_only_be_read(open_app: OpenApp) -> None:
    app = visit(open_app, "pages/collections.py")
    assert not app.exception
    assert not problems(app)
    assert "belong to the host" in said(app)
    keys = {button.key for button in app.button}
    assert keys.isdisjoint({"delete_start", "drop_start", "rows_save"})
    # A fresh visit: AppTest drops the sidebar of a page's second run under st.navigation.
    assert int(open_app(**PUBLIC).sidebar.metric[0].value.replace(",", "")) > 3000


def test_a_new_server_of_a_public_host_is_filled_unless_the_host_named_the_collection(
    open_app: OpenApp, milvus_server: "MilvusServer"
) -> None:
    root = MilvusClient(milvus_server.uri, dedicated=True)
    root.create_database("new_here")
    whole = MilvusClient(milvus_server.uri, db_name="new_here", dedicated=True)
    server = {"MILVUS_URI": milvus_server.uri, "MILVUS_DATABASE": "new_here"}
    for named in ("mine", "async_lab"):
        open_app(LAB_PUBLIC="1", MILVUS_COLLECTION=named, **server)
        wait_for_jobs()
    assert whole.list_collections() == []
    # Whose server it is, where the app is not public, nobody knows.
    os.environ.pop("MILVUS_COLLECTION")
    st.cache_resource.clear()
    open_app(LAB_PUBLIC="0", **server)
    wait_for_jobs()
    assert whole.list_collections() == []
    st.cache_resource.clear()
    open_app(LAB_PUBLIC="1", **server)
    wait_for_jobs()
    (counted,) = whole.query("async_lab", output_fields=["count(*)"], consistency_level="Strong")
    assert counted["count(*)"] > 3_000
    whole.drop_collection("async_lab")
    whole.close()
    root.drop_database("new_here")
    root.close()


def test_an_embedded_collection_that_the_host_named_is_not_filled(open_app: OpenApp) -> None:
    before = len(jobs.shared().all())
    for named in ("mine", "async_lab"):
        assert not problems(open_app(MILVUS_COLLECTION=named))
        wait_for_jobs()
    assert len(jobs.shared().all()) == before


def test_a_visitor_cannot_stop_what_the_host_started(open_app: OpenApp) -> None:
    app = open_app(**PUBLIC)
    assert "Stop" not in [button.label for button in app.sidebar.button]


def test_what_a_visitor_without_a_cookie_made_is_dropped_when_the_session_ends(
    open_app: OpenApp,
) -> None:
    first = visit(open_app, "pages/ingestion.py")
    ingest_text(first, "A row that nobody can come back to. " * 20)
    wait_for_jobs()
    territory = first.session_state[VISITOR_KEY].territory
    settings = session.host_settings()
    page = open_lease(settings, territory)
    other_tab = page.connection.lease()

    def own() -> list[str]:
        return [name for name in _all_collections() if territory.owns(name)]

    assert own()
    session._release(page)
    session._release(other_tab)
    wait_until(lambda: not own())


def test_what_a_visitor_ingests_is_theirs_alone(open_app: OpenApp) -> None:
    first = visit(open_app, "pages/ingestion.py")
    ingest_text(first, "A planted row of the first visitor. " * 20)
    assert not problems(first)
    job_id = first.query_params["ingestion"]
    wait_for_jobs()
    assert "“my\\_documents” now holds" in said(first.run())
    assert jobs.shared().get(job_id) is None
    made = [job for job in jobs.shared().all() if job.id == job_id]
    assert made[0].result.tally.added >= 1
    names = [name for name in _all_collections() if expiry(name) is not None]
    assert [shown_name(name) for name in names] == ["my_documents"]

    assert collections_of(open_app(**PUBLIC)) == ["async_lab (read only)"]
    other = open_app("pages/ingestion.py", **PUBLIC)
    other.query_params["ingestion"] = job_id
    other.run()
    assert "ingestion_seen" not in other.session_state
    assert "planted" not in said(other)
    first.run()
    assert first.session_state["ingestion_seen"] == job_id


def _all_collections() -> list[str]:
    opened = open_connection(load())
    names = list(opened.client.list_collections())
    opened.close()
    return names


def test_a_benchmark_of_one_visitor_is_found_by_no_other(open_app: OpenApp) -> None:
    first = visit(open_app, "pages/benchmark.py")
    first.segmented_control(key="b_preset").set_value("quick").run()
    first.number_input(key="b_repeats").set_value(1).run()
    first.number_input(key="b_latency").set_value(5.0).run()
    first.button(key="b_go").click().run()
    assert not problems(first)
    wait_for_jobs()
    run_id = jobs.shared().all()[-1].id
    first.run()
    assert first.session_state["benchmark_run"] == run_id
    other = open_app("pages/benchmark.py", **PUBLIC)
    other.query_params["b_run"] = run_id
    other.run()
    assert "benchmark_run" not in other.session_state
    runs = open_app("pages/runs.py", **PUBLIC)
    assert run_id not in str(runs.main)


def test_each_limit_is_shown_before_it_strikes(open_app: OpenApp) -> None:
    app = visit(open_app)
    limits = load(PUBLIC)
    shown = " ".join(each.value for each in (*app.sidebar.markdown, *app.sidebar.caption))
    for number in (
        limits.max_collections,
        limits.max_kept_rows,
        limits.max_runs,
        limits.max_rows,
        limits.max_runs_mb,
        limits.max_upload_mb,
        limits.max_uploads_mb,
        limits.max_unpacked_mb,
        limits.max_text_chars,
        limits.max_calls,
        limits.max_concurrency,
        limits.max_jobs,
        limits.max_run_s,
        limits.max_disk_mb,
        limits.max_memory_mb,
    ):
        assert f"{number:,}" in shown
    assert "dropped at" in shown
    assert "Memory:" in shown


@pytest.mark.parametrize("variable", ["LAB_MAX_MEMORY_MB", "LAB_MAX_DISK_MB"])
def test_heavy_work_is_refused_with_a_sentence_before_room_runs_out(
    open_app: OpenApp, variable: str
) -> None:
    app = visit(open_app, "pages/ingestion.py", **{variable: "1"})
    before = len(jobs.shared().all())
    ingest_text(app, "A text. " * 20)
    assert "too little memory" in problems(app) or "as full as it may be" in problems(app)
    assert len(jobs.shared().all()) == before


def test_an_archive_that_would_unpack_to_too_much_is_not_read(open_app: OpenApp) -> None:
    app = visit(open_app, "pages/ingestion.py", LAB_MAX_UNPACKED_MB="1")
    packed: Any = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.txt", b"x" * 2_000_000)
    app.segmented_control(key="ingest_source").set_value("files").run()
    app.file_uploader(key="ingest_files").set_value(
        ("a.zip", packed.getvalue(), "application/zip")
    ).run()
    assert "it would unpack to 2 MB; 1 MB are taken here" in said(app)


def test_a_hosted_app_says_where_the_recorded_runs_are_while_it_sleeps(open_app: OpenApp) -> None:
    address = "https://runs.example.com/"
    app = open_app(**(PUBLIC | {"LAB_GALLERY_URL": address}))
    assert address in [each.proto.page for each in app.sidebar.get("page_link")]


def test_a_session_that_ends_on_the_web_servers_loop_closes_its_connection(tmp_path: Path) -> None:
    settings = load({"LAB_DATA_DIR": str(tmp_path)})
    lease, model = open_lease(settings, None), open_model(settings)
    milvus_collections.create(lease.connection, "used", model.dimension)
    lease.connection.store("used", model.embeddings)

    async def end() -> None:
        session._release(lease)

    asyncio.run(end())
    wait_until(lambda: lease.connection.closed)


def own_collection(open_app: OpenApp) -> tuple[AppTest, str]:
    """Ingest a text as a visitor; return their session and the full name of their collection."""
    app = visit(open_app, "pages/ingestion.py")
    ingest_text(app, "A planted row of the first visitor. " * 20)
    wait_for_jobs()
    app.run()
    (name,) = (name for name in _all_collections() if expiry(name) is not None)
    return app, name


def test_an_undo_of_one_visitor_is_seen_and_had_by_no_other(open_app: OpenApp) -> None:
    first, name = own_collection(open_app)

    def run_there(app: AppTest) -> AppTest:
        """Run with that collection chosen; AppTest forgets the choice with the sidebar."""
        app.session_state["lab_collection"] = name
        return app.run()

    run_there(first.switch_page("pages/collections.py"))
    first.text_input(key="delete_expr").set_value('pk != ""')
    run_there(first)
    first.button(key="delete_start").click()
    run_there(first)
    assert "Deleted 1 row from “my\\_documents”" in said(first)
    assert first.button(key="rows_undo_start")
    # Even to one who has guessed the name, which holds 128 random bits.
    other = run_there(open_app("pages/collections.py", **PUBLIC))
    assert not other.exception
    assert "rows_undo" not in other.session_state
    assert "rows_undo_start" not in [button.key for button in other.button]
    assert "planted" not in said(other)
    assert name not in collections_of(open_app(**PUBLIC))
    first.button(key="rows_undo_start").click()
    run_there(first)
    assert "Put back 1 row" in said(first)


def test_a_job_and_its_file_are_seen_stopped_and_had_by_no_other(open_app: OpenApp) -> None:
    first, gate = visit(open_app, "pages/collections.py"), threading.Event()
    jobs.shared().submit("The host's", lambda job: gate.wait(60), subject="a")
    first.text_input(key="export_filter").set_value("length > 999999").run()
    first.button(key="export_start").click().run()
    job_id = first.query_params["export"]
    assert first.button(key="export_stop")
    others = {
        page: open_app(f"pages/{page}.py", **PUBLIC)
        for page in ("collections", "ingestion", "search", "benchmark", "runs")
    }
    names = ("export", "ingestion", "tuning", "copy", "many", "b_run", "file")

    def strangers_find_nothing() -> None:
        for page, other in others.items():
            for name in names:
                other.query_params[name] = job_id
            other.run()
            assert not other.exception
            assert not [each.key for each in other.button if str(each.key).endswith("_stop")], page
            labels = [each.label for each in other.get("download_button")]
            assert not [label for label in labels if label.endswith(" MB)")], page
            assert "Exporting" not in said(other)

    strangers_find_nothing()
    gate.set()
    wait_for_jobs()
    first.run()
    labels = [each.label for each in first.get("download_button")]
    assert [label for label in labels if label.startswith("Download 0 rows")]
    strangers_find_nothing()


def test_a_copy_with_words_is_the_visitors_own_job_and_counts_as_one(open_app: OpenApp) -> None:
    app, gate = visit(open_app, LAB_MAX_JOBS="1"), threading.Event()
    app.query_params["view"] = "Words"
    app.switch_page("pages/search.py").run()
    jobs.shared().submit("The host's", lambda job: gate.wait(60), subject="a")
    copy = next(button for button in app.button if button.label.startswith("Copy"))
    assert "lab_v" not in copy.label
    copy.click().run()
    made = next(job for job in jobs.shared().all() if job.id == app.query_params["copy"])
    assert made.owner
    assert app.button(key="copy_stop")
    jobs.shared().cancel(made)
    gate.set()
    wait_for_jobs()
    app.run()
    gate.clear()
    jobs.shared().submit("The host's", lambda job: gate.wait(60), subject="a")
    mine = Share(owner=made.owner)
    jobs.shared().submit("Another of mine", lambda job: 1, subject="a", share=mine)
    next(button for button in app.button if button.label.startswith("Copy")).click().run()
    assert "a visitor may have 1 at a time" in problems(app)
    gate.set()


def test_a_visitor_names_a_new_collection_and_never_sees_the_prefix(open_app: OpenApp) -> None:
    app, name = own_collection(open_app)
    app.selectbox(key="ingest_method").set_value("from_texts").run()
    assert app.text_input(key="ingest_new_collection").value == "my_documents_new"
    app.text_input(key="ingest_new_collection").set_value("fresh").run()
    app.button(key="ingest_start").click().run()
    wait_for_jobs()
    app.run()
    assert not problems(app)
    assert {shown_name(each) for each in _all_collections() if expiry(each)} == {
        "my_documents",
        "fresh",
    }
    assert name.removesuffix("my_documents") not in said(app)


def test_a_visitor_keeps_at_most_so_many_runs_and_files(open_app: OpenApp, tmp_path: Path) -> None:
    app = visit(open_app, "pages/runs.py", LAB_MAX_RUNS="2")
    for name in ("one.json", "two.json", "three.json"):
        app.file_uploader[0].upload(name, run_file.to_json(make_run()).encode())
        next(button for button in app.button if button.label == "Import").click()
        app.run()
    assert "2 runs may be kept here" in problems(app)
    (folder,) = (tmp_path / "data" / "runs").glob("visitor-*")
    kept = [path.stem for path in folder.glob("*.json")]
    assert len(kept) == 2
    benchmark = open_app("pages/benchmark.py", **PUBLIC)
    benchmark.session_state["lab_visitor"] = app.session_state["lab_visitor"]
    before = len(jobs.shared().all())
    benchmark.button(key="b_go").click().run()
    assert "2 runs may be kept here" in problems(benchmark)
    assert len(jobs.shared().all()) == before
    # A visitor's files are at most three, and the newest are kept.
    mine = app.session_state["lab_visitor"]
    app = open_app(**PUBLIC)
    app.session_state["lab_visitor"] = mine
    app.query_params["r_runs"] = kept[0]
    app.switch_page("pages/runs.py").run()
    paths = []
    for _ in range(5):
        app.button(key="r_make_calls").click().run()
        wait_for_jobs()
        (job,) = (each for each in jobs.shared().all() if each.id == app.query_params["file"])
        paths.append(job.result.path)
    assert [path.is_file() for path in paths] == [False, False, True, True, True]


def test_a_look_that_began_before_a_write_is_not_shown_after_it(open_app: OpenApp) -> None:
    app = visit(open_app)
    territory = app.session_state[VISITOR_KEY].territory
    with open_lease(session.host_settings(), territory) as opened:
        looked = opened.describe

        def overtaken() -> Description:
            found = looked()
            milvus_collections.create(opened, territory.full_name("late"), 4)
            session.rows_changed(territory)
            return found

        opened.describe = overtaken
        session.description(opened)
        opened.describe = looked
        assert territory.full_name("late") in session.description(opened).collections
        # Another visitor's writes change nothing here.
        before = session.rows_version(opened)
        session.rows_changed(new_territory(60, territory.quota))
        assert session.rows_version(opened) == before


def test_the_measured_code_names_no_folder_of_the_host(open_app: OpenApp) -> None:
    app = open_app(**PUBLIC)
    app.query_params["r_runs"] = "recorded-tutorial-server"
    app.query_params["r_view"] = "Method"
    app.switch_page("pages/runs.py").run()
    code = " ".join(each.value for each in app.code)
    assert BUNDLED_MODEL_DIR.name in code
    assert str(BUNDLED_MODEL_DIR.parent) not in code
