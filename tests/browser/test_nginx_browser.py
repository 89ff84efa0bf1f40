"""The nginx block of docs/hosting.md, run by nginx itself: by host name, on another port."""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.processes import dying_with_parent, free_port, is_free
from tests.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent.parent
PREFIX = "/team/lab"
HOST = "lab.localhost"  # Chromium takes every name below localhost for this machine
# What the block is put into: a program of one process, in a folder of its own.
AROUND = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {block}
}}
"""


def documented_block() -> str:
    """Return the block that the guide tells a host to use."""
    guide = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```nginx\n(.*?)```", guide, re.DOTALL)
    return str(block)


def filled_in(block: str, **places: str) -> str:
    """Return the block with each place that a host fills in filled in; each is there."""
    for before, after in places.items():
        assert before in block
        block = block.replace(before, after)
    return block


@pytest.fixture(scope="module")
def port(run_app, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port on which nginx passes on to an app that lives below a path."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("needs nginx, for example from apt-get install nginx-light")
    upstream, port = run_app({"STREAMLIT_SERVER_BASE_URL_PATH": PREFIX}), free_port()
    folder = tmp_path_factory.mktemp("nginx")
    places = {
        "listen 80;": f"listen 127.0.0.1:{port};",
        "lab.example.com": HOST,
        "http://127.0.0.1:8501": upstream,
        "/team/lab/": f"{PREFIX}/",
    }
    block = filled_in(documented_block(), **places)
    config = folder / "nginx.conf"
    config.write_text(AROUND.format(folder=folder, block=block), encoding="utf-8")
    command = dying_with_parent([program, "-p", str(folder), "-c", str(config)])
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: process.poll() is not None or not is_free(port))
    assert process.poll() is None, process.communicate()[1]
    yield port
    process.terminate()
    process.communicate(timeout=10)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("host", [HOST, "127.0.0.1"])
def test_a_page_behind_nginx_is_live_and_takes_a_file_of_two_megabytes(
    port: int, chromium_page: "Page", tmp_path: Path, host: str
) -> None:
    page, sockets, answers = chromium_page, [], []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.on("response", lambda answer: answers.append((answer.status, answer.url)))
    large = tmp_path / "large.txt"
    lines = (
        f"Line {number} of a file that is larger than a megabyte.\n" for number in range(40_000)
    )
    large.write_text("".join(lines), encoding="utf-8")
    assert large.stat().st_size > 2_000_000
    page.goto(f"http://{host}:{port}{PREFIX}/ingestion?ingest_source=Files")
    page.get_by_test_id("stFileUploader").wait_for()
    page.locator("input[type=file]").set_input_files(large)
    page.get_by_text("The first chunks").wait_for()
    assert sockets
    assert all(each.startswith(f"ws://{host}:{port}{PREFIX}/") for each in sockets)
    # Below a page's own path Streamlit's browser part finds nothing at first, and asks above it.
    assert [each for each in answers if each[0] >= 400 and each[0] != 404] == []


def test_nginx_lets_through_what_the_app_lets_through() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    (most,) = re.findall(r"client_max_body_size (\d+)m;", documented_block())
    # The form around a file takes a few hundred bytes.
    assert int(most) > config["server"]["maxUploadSize"]
