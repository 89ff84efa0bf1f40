"""The walk of `scripts/imitate_cloud.py`, on an app that is started as others are."""

import time
from typing import TYPE_CHECKING

import psutil
import pytest

from scripts import imitate_cloud
from scripts.imitate_cloud import Memory

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.conftest import AppRunner


@pytest.mark.timeout(300)
def test_every_step_of_the_walk_is_done_in_a_public_app(
    run_app: "AppRunner", chromium_page: "Page", capsys: pytest.CaptureFixture[str]
) -> None:
    url = run_app({"LAB_PUBLIC": "1"})
    # The script ends an app that takes too much; here a debug build or another test may.
    memory = Memory(psutil.Process(run_app.pid(url)), most_mb=100_000)
    memory.start()
    done = imitate_cloud.tour(chromium_page, url, time.perf_counter(), memory)
    assert done, capsys.readouterr().out
    assert 100 < memory.peak_mb < 2_000
    assert "Traceback" not in run_app.log(url)
