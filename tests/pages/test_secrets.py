"""Secrets live in the session only: after a tour they are found nowhere else."""

import io
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib import jobs, settings
from lib.benchmark.endpoint import OpenAIEndpoint
from lib.milvus import lite
from lib.results import run_file
from lib.results.findings import ALONE
from lib.runs.reports import EXPORTS
from lib.ui.visitor.session import CHOICE_KEY, CHOSEN_KEY
from tests.pages.conftest import OpenApp, problems, wait_for_jobs

HOSTS_KEY, HOSTS_TOKEN = "sk-planted-of-the-host", "planted:token-of-the-host"
VISITORS_KEY, VISITORS_TOKEN = "sk-planted-of-the-visitor", "planted:token-of-the-visitor"
PLANTED = (HOSTS_KEY, HOSTS_TOKEN, VISITORS_KEY, VISITORS_TOKEN)
PAGES = ("overview", "ingestion", "collections", "search", "benchmark", "runs", "owner")


@pytest.fixture
def other_milvus(tmp_path: Path) -> Iterator[str]:
    """The address of a Milvus of the visitor's own, which takes any token."""
    server = lite.acquire(tmp_path / "other.db")
    yield f"http://127.0.0.1:{server.port}"
    server.release()


@pytest.mark.parametrize("public", ["0", "1"])
def test_no_planted_secret_is_found_after_a_tour(
    open_app: OpenApp,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    openai_endpoint: OpenAIEndpoint,
    other_milvus: str,
    public: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    environment = {
        "LAB_PUBLIC": public,
        "LAB_MAX_MEMORY_MB": "100000",
        "LAB_ALLOWED_HOSTS": f"127.0.0.1:{openai_endpoint.port},"
        + other_milvus.removeprefix("http://"),
        "OPENAI_API_KEY": HOSTS_KEY,
        "MILVUS_TOKEN": HOSTS_TOKEN,
    }
    pages: list[str] = []

    def look(app: AppTest) -> AppTest:
        wait_for_jobs()
        app.run()
        pages.extend((str(app.main), str(app.sidebar), str(dict(app.query_params))))
        pages.append(str([(each.proto, str(each.proto)) for each in app.get("download_button")]))
        return app

    for page in PAGES:
        look(open_app(f"pages/{page}.py", **environment))
    openai_endpoint.reset()
    host = settings.load()
    own = {
        "milvus_uri": other_milvus,
        "milvus_token": VISITORS_TOKEN,
        "embedding_provider": "openai",
        "openai_base_url": openai_endpoint.base_url,
        "openai_api_key": VISITORS_KEY,
        "openai_model": "hashing",
    }
    app = open_app("pages/ingestion.py", **environment)
    app.session_state[CHOSEN_KEY] = host.pointed_at(host, **own)
    app.session_state[CHOICE_KEY] = "of the visitor"
    app.segmented_control(key="ingest_source").set_value("pasted").run()
    app.text_area(key="ingest_pasted").set_value("Some text. " * 20).run()
    app.button(key="ingest_start").click().run()
    look(app)
    app.session_state["lab_collection"] = made = _made(app)
    # Search, MMR and a filter that fails; then a benchmark and what is taken away of both.
    app.query_params["q"] = "some text"
    look(app.switch_page("pages/search.py").run())
    app.query_params["filter"] = "n ==="
    look(app.switch_page("pages/search.py").run())
    app.session_state["lab_collection"] = made
    app.switch_page("pages/collections.py").run()
    app.button(key="export_start").click().run()
    look(app)
    app.switch_page("pages/benchmark.py").run()
    app.segmented_control(key="b_preset").set_value("quick").run()
    app.button(key="b_go").click().run()
    look(app)
    # A key that is refused, and a Milvus that is not there.
    refused = host.pointed_at(host, **(own | {"openai_model": "fail-401"}))
    nobody = {"MILVUS_URI": "http://127.0.0.1:9", "MILVUS_TOKEN": VISITORS_TOKEN}
    for chosen in (refused, settings.load(environment | nobody)):
        failing = open_app("pages/search.py", **environment)
        failing.session_state[CHOSEN_KEY] = chosen
        failing.session_state[CHOICE_KEY] = chosen.openai_model
        failing.run()
        assert problems(failing)
        look(failing)
    # The tour did use the key, and sent it to its own address alone.
    assert {each["authorization"] for each in openai_endpoint.headers} == {f"Bearer {VISITORS_KEY}"}
    output = capfd.readouterr()
    texts = [*pages, caplog.text, output.out, output.err]
    texts += [f"{job.label} {job.subject} {job.error!r} {job.progress}" for job in _jobs()]
    files = {
        path.name: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()
    }
    (kept,) = (tmp_path / "data" / "runs").rglob("*.json")
    run = run_file.read(kept)
    drawn = (EXPORTS["html"], EXPORTS["deck"]) if public == "1" else ()
    for export in (EXPORTS["json"], EXPORTS["calls"], *drawn):
        files |= _unpacked(export.suffix, export.make(run, ALONE))
    assert len(files) > 10
    for secret in PLANTED:
        assert not [text for text in texts if secret in text]
        assert not [name for name, content in files.items() if secret.encode() in content]


def _jobs() -> list[jobs.Job]:
    return jobs.shared().all()


def _made(app: AppTest) -> str:
    """Return the full name of the collection that the last ingestion wrote."""
    made = [job for job in _jobs() if job.id == app.query_params["ingestion"]]
    return str(made[0].result.collection)


def _unpacked(name: str, content: bytes) -> dict[str, Any]:
    """Return a file, and the files inside it when it is an archive."""
    if not content.startswith(b"PK"):
        return {name: content}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {f"{name}/{each}": archive.read(each) for each in archive.namelist()}
