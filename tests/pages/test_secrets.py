"""Secrets live in the session only: after a tour they are found nowhere else."""

import logging
from pathlib import Path

import pytest

from lib import settings
from lib.ui.common.session import CHOSEN_KEY
from scripts.openai_endpoint import OpenAIEndpoint
from tests.pages.conftest import OpenApp, wait_for_jobs

HOSTS_KEY, HOSTS_TOKEN = "sk-planted-of-the-host", "planted:token-of-the-host"
VISITORS_KEY = "sk-planted-of-the-visitor"
PLANTED = (HOSTS_KEY, HOSTS_TOKEN, VISITORS_KEY)
PAGES = ("overview", "ingestion", "collections", "search", "benchmark", "runs", "owner")


@pytest.mark.parametrize("public", ["0", "1"])
def test_no_planted_secret_is_found_after_a_tour(
    open_app: OpenApp,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    openai_endpoint: OpenAIEndpoint,
    public: str,
) -> None:
    caplog.set_level(logging.INFO)
    environment = {
        "LAB_PUBLIC": public,
        "LAB_MAX_MEMORY_MB": "100000",
        "LAB_ALLOWED_HOSTS": f"127.0.0.1:{openai_endpoint.port}",
        "OPENAI_API_KEY": HOSTS_KEY,
        "MILVUS_TOKEN": HOSTS_TOKEN,
    }
    pages: list[str] = []
    for page in PAGES:
        app = open_app(f"pages/{page}.py", **environment)
        wait_for_jobs()
        pages += [str(app.main), str(app.sidebar), str(dict(app.query_params))]
    openai_endpoint.reset()
    host = settings.load()
    app = open_app("pages/ingestion.py", **environment)
    app.session_state[CHOSEN_KEY] = host.pointed_at(
        host,
        embedding_provider="openai",
        openai_base_url=openai_endpoint.base_url,
        openai_api_key=VISITORS_KEY,
        openai_model="hashing",
    )
    app.session_state["lab_collection"] = "of_the_visitor"
    app.segmented_control(key="ingest_source").set_value("pasted").run()
    app.text_area(key="ingest_pasted").set_value("Some text. " * 20).run()
    app.button(key="ingest_start").click().run()
    wait_for_jobs()
    app.run()
    pages += [str(app.main), str(dict(app.query_params))]
    app.switch_page("pages/benchmark.py").run()
    app.segmented_control(key="b_preset").set_value("quick").run()
    app.button(key="b_go").click().run()
    wait_for_jobs()
    app.run()
    pages += [str(app.main), str(dict(app.query_params))]
    # The tour did use the key, and sent it to its own address alone.
    assert {each["authorization"] for each in openai_endpoint.headers} == {f"Bearer {VISITORS_KEY}"}
    assert list((tmp_path / "data" / "runs").rglob("*.json"))
    output = capfd.readouterr()
    texts = [*pages, caplog.text, output.out, output.err]
    for secret in PLANTED:
        assert not [text for text in texts if secret in text]
        for path in (tmp_path / "data").rglob("*"):
            if path.is_file():
                assert secret.encode() not in path.read_bytes(), path
