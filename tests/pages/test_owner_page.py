"""The owner's page opens with the token alone, and neither it nor the log holds any content."""

import json
import logging
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lib import jobs
from lib.jobs import Job, Share
from lib.results import run_file
from tests.pages.conftest import OpenApp, problems, said, wait_for_jobs
from tests.run_builder import make_run

TOKEN = "an-owner-token-of-some-length"
PLANTED = "planted-name-of-a-visitor"


def knock(open_app: OpenApp, token: str) -> AppTest:
    """Open the page and give a token."""
    app = open_app("pages/owner.py", LAB_PUBLIC="1", LAB_OWNER_TOKEN=TOKEN)
    app.text_input(key="owner_token").set_value(token)
    return app.button[0].click().run()


def test_without_a_token_set_there_is_no_owners_page(open_app: OpenApp) -> None:
    app = open_app("pages/owner.py")
    assert "Set LAB_OWNER_TOKEN" in said(app)
    assert not app.metric


def test_a_wrong_token_shows_nothing_and_guessing_is_slowed(open_app: OpenApp) -> None:
    app = knock(open_app, "wrong")
    assert "not the owner" in problems(app)
    assert not app.main.metric
    for _ in range(10):
        app.text_input(key="owner_token").set_value("guess")
        app.button[0].click().run()
    assert "Too many tries" in problems(app)


def test_wrong_tokens_of_others_do_not_lock_the_owner_out(open_app: OpenApp) -> None:
    stranger = knock(open_app, "wrong")
    for _ in range(11):
        stranger.text_input(key="owner_token").set_value("guess")
        stranger.button[0].click().run()
    assert "Too many tries" in problems(stranger)
    owner = knock(open_app, TOKEN)
    assert not problems(owner)
    assert owner.main.metric


def test_the_owner_sees_numbers_jobs_and_leftovers_but_no_content(open_app: OpenApp) -> None:
    open_app(LAB_PUBLIC="1", LAB_OWNER_TOKEN=TOKEN)
    job = jobs.shared().submit(
        f"Ingesting {PLANTED}", lambda job: 1, subject=f"ingest:{PLANTED}", share=Share(owner="who")
    )
    wait_for_jobs()
    app = knock(open_app, TOKEN)
    assert not problems(app)
    labels = [metric.label for metric in app.main.metric]
    assert labels == [
        "Visitors known",
        "Sessions and jobs connected",
        "Running",
        "Waiting",
        "Memory",
    ]
    assert "ingest" in app.dataframe[0].value["Kind"].tolist()
    shown = str(app.main) + app.dataframe[0].value.to_string()
    assert PLANTED not in shown
    assert job.id not in shown
    assert TOKEN not in shown


def test_each_action_is_one_line_of_json_without_content(
    open_app: OpenApp, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # The handler writes to what standard output was when it was made.
    logging.getLogger("lab.actions").handlers.clear()
    open_app(empty=True, LAB_PUBLIC="1")
    wait_for_jobs()

    def fail(job: Job) -> None:
        raise RuntimeError(PLANTED)

    jobs.shared().submit(PLANTED, fail, subject=f"export:{PLANTED}", share=Share(owner="who"))
    wait_for_jobs()
    output = capfd.readouterr()
    lines = [json.loads(each) for each in output.out.splitlines() if each.startswith("{")]
    ended = [each for each in lines if each["action"] == "job"]
    assert {"kind": "ingest", "state": "done"}.items() <= ended[0].items()
    assert {"kind": "export", "state": "failed", "error": "LabError"}.items() <= ended[-1].items()
    assert PLANTED not in output.out + output.err


def test_what_a_visitor_does_is_logged_by_kind_and_number_alone(
    open_app: OpenApp, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("lab.actions").handlers.clear()
    # The tests of one process take more memory together than the app.
    public = {"LAB_PUBLIC": "1", "LAB_MAX_MEMORY_MB": "100000"}
    open_app(**public)
    wait_for_jobs()
    app = open_app(**public)
    app.query_params["q"] = PLANTED
    app.switch_page("pages/search.py").run()
    app.switch_page("pages/runs.py").run()
    app.file_uploader[0].upload(f"{PLANTED}.json", run_file.to_json(make_run()).encode())
    next(button for button in app.button if button.label == "Import").click()
    app.run()
    output = capfd.readouterr().out
    lines = [json.loads(each) for each in output.splitlines() if each.startswith("{")]
    found = {each["action"]: each for each in lines}
    assert found["searched"]["k"] == 5
    assert found["run_imported"]["bytes"] > 100
    assert found["searched"]["visitor"] == found["run_imported"]["visitor"] != "host"
    assert PLANTED not in output
