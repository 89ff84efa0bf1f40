"""Build the image, bring docker-compose.yml up, and walk the pages as a stranger and as the host.

Needs a container engine, Compose and Chromium, and is run by hand:

    python -m scripts.compose_trial
    python -m scripts.compose_trial --stand-ins data/trial   # where no image can be pulled

With stand-ins, as root on a Debian with docker.io, docker-compose and debootstrap, the base of the
app's image is a debootstrap with this interpreter and the wheels of constraints.txt, and the server
of the wheel in requirements-server.txt stands in for Milvus's image. Containers, networks and
volumes are named `lab-trial` and removed at the end; images stay. Prints one line a step and ends
with 1 at the first that fails.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.processes import free_ports

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "lab-trial"
BASE, MILVUS = f"{PROJECT}-base", f"{PROJECT}-milvus"
OWNER_TOKEN = "the-owner-of-this-trial"
TIMEOUT_MS = 180_000
PAGES = {
    "ingestion": "Ingestion",
    "collections": "Collections",
    "search": "Search",
    "benchmark": "Benchmark",
    "runs": "Runs",
}
# Milvus's own image starts with `milvus run standalone` and asks its health with curl.
STAND_IN = """\
FROM lab-trial-base
RUN pip install --no-cache-dir milvus==2.3.5
COPY milvus curl /usr/local/bin/
"""
SERVER = "#!/bin/sh\nexec milvus-server --data /var/lib/milvus/stand-in\n"
CURL = "#!/opt/python/bin/python\nimport sys, urllib.request as r\nr.urlopen(sys.argv[-1])\n"


def run(*command: str, variables: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it prints; end the trial where it fails."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(variables or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def step(said: str) -> Iterator[None]:
    """Print what is tried, and how long it took."""
    started = time.monotonic()
    yield
    print(f"{time.monotonic() - started:7.1f} s  {said}", flush=True)


def make_stand_ins(folder: Path) -> None:
    """Make the two base images from Debian's packages and from wheels."""
    folder = folder.resolve()
    root, wheels = folder / "root", folder / "root" / "opt" / "wheels"
    if not root.exists():
        folder.mkdir(parents=True, exist_ok=True)
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(root))
        shutil.copytree(sys.base_prefix, root / "opt" / "python", symlinks=True)
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        for name in ("python", "python3"):
            (root / "opt" / "python" / "bin" / name).unlink(missing_ok=True)
            (root / "opt" / "python" / "bin" / name).symlink_to(python)
        pip = root / "opt" / "python" / "bin" / "pip"
        pip.write_text('#!/bin/sh\nexec python -m pip "$@"\n', encoding="utf-8")
        pip.chmod(0o755)
        (root / "etc" / "ld.so.conf.d" / "python.conf").write_text("/opt/python/lib\n", "utf-8")
        run("chroot", str(root), "ldconfig")
        files = ("-r", "requirements.txt", "-r", "requirements-server.txt")
        run(sys.executable, "-m", "pip", "download", "--quiet", *files, "--dest", str(wheels))
    changes = (
        "ENV PATH=/opt/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "ENV PIP_NO_INDEX=1",
        "ENV PIP_FIND_LINKS=/opt/wheels",
    )
    archive = folder / "root.tar"
    run("tar", "-C", str(root), "-cf", str(archive), ".")
    run("docker", "import", *(f"--change={each}" for each in changes), str(archive), BASE)
    archive.unlink()
    (folder / "milvus").mkdir(exist_ok=True)
    for name, text in {"Dockerfile": STAND_IN, "milvus": SERVER, "curl": CURL}.items():
        (folder / "milvus" / name).write_text(text, encoding="utf-8")
        (folder / "milvus" / name).chmod(0o755)
    run("docker", "build", "--tag", MILVUS, str(folder / "milvus"))


class Trial:
    """The compose file with chosen variables, under a name of its own."""

    def __init__(self, **variables: str) -> None:
        app, milvus = free_ports(2)
        self.url = f"http://127.0.0.1:{app}"
        self.variables = {"APP_PORT": str(app), "MILVUS_PORT": str(milvus), **variables}
        found = shutil.which("docker-compose")
        self._compose = [found] if found else ["docker", "compose"]

    def compose(self, *arguments: str, **more: str) -> str:
        """Run Compose and return what it prints."""
        command = [*self._compose, "--project-name", PROJECT, *arguments]
        return run(*command, variables={**self.variables, **more})

    def up(self, **more: str) -> None:
        """Start what is not running as these variables say, and wait until the app is healthy."""
        self.compose("up", "--detach", **more)
        self.wait("the app to be healthy", lambda: self.state() == "healthy")

    def container(self) -> str:
        """Return the id of the app's container."""
        return self.compose("ps", "--quiet", "app").strip()

    def state(self) -> str:
        """Return what the engine says of the app's health."""
        return run(
            "docker", "inspect", "--format", "{{.State.Health.Status}}", self.container()
        ).strip()

    def wait(self, what: str, is_so: Callable[[], bool], seconds: float = 300) -> None:
        """Wait for something; end the trial where it does not come."""
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"Waited {seconds:.0f} s for {what}.\n{self.compose('logs')[-4000:]}"
                )
            time.sleep(1)


def walk(page: "Page", url: str) -> None:
    """Open every page, and wait for its heading; no page may show an exception."""
    for path, heading in PAGES.items():
        page.goto(f"{url}/{path}")
        page.get_by_test_id("stMain").get_by_role("heading", name=heading).first.wait_for()
        assert page.get_by_test_id("stException").count() == 0, path


def rows_of(page: "Page", url: str) -> int:
    """Return the number of rows that the sidebar says, once there are some."""
    page.goto(f"{url}/collections")
    status = page.locator("[data-testid='stSidebar'] .st-key-status")
    status.filter(has_text=re.compile(r"\d,\d+ rows")).wait_for()
    page.get_by_text("Loading: ").wait_for(state="hidden")
    said = re.search(r"([\d,]+) rows", status.inner_text())
    assert said is not None
    return int(said.group(1).replace(",", ""))


def measure(page: "Page", url: str) -> None:
    """Start the shortest benchmark."""
    page.goto(f"{url}/benchmark?b_preset=quick")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Stop the run").wait_for()


def try_out(trial: Trial, page: "Page") -> None:
    """Do what a host and its visitors do."""
    page.set_default_timeout(TIMEOUT_MS)
    with step("a public app on a fresh Milvus is up and healthy"):
        trial.up(LAB_PUBLIC="1")
    with step("a stranger finds rows to search, and every page opens"):
        rows = rows_of(page, trial.url)
        assert rows > 3_000, rows
        walk(page, trial.url)
        page.goto(f"{trial.url}/search?q=read+a+file+line+by+line")
        page.get_by_text("Answered in").first.wait_for()
    with step("the owner's page opens with the token that Compose passed on"):
        page.goto(f"{trial.url}/owner")
        page.get_by_label("Owner's token").fill(OWNER_TOKEN)
        page.get_by_role("button", name="Open", exact=True).last.click()
        page.get_by_role("heading", name="Orphaned collections").wait_for()
    with step("the same, not public: a run is measured and kept"):
        trial.up(LAB_PUBLIC="0")
        measure(page, trial.url)
        page.get_by_role("button", name="Stop the run").wait_for(state="detached")
        page.goto(f"{trial.url}/runs")
        page.get_by_text("Quick").first.wait_for()
    with step("after `down` and `up` the rows and the run are there"):
        trial.compose("down")
        trial.up(LAB_PUBLIC="0")
        assert rows_of(page, trial.url) == rows
        page.goto(f"{trial.url}/runs")
        page.get_by_text("Quick").first.wait_for()
    with step("what a killed container left in Milvus is dropped by the next one"):
        measure(page, trial.url)
        trial.wait("a collection to measure", lambda: bool(scratch(trial)))
        run("docker", "kill", trial.container())
        left = scratch(trial)
        trial.compose("rm", "--force", "app")
        trial.up(LAB_PUBLIC="0")
        page.goto(trial.url)
        trial.wait("the leftovers to go", lambda: not left & scratch(trial))


def scratch(trial: Trial) -> set[str]:
    """Return the collections in Milvus that were made to measure."""
    from pymilvus import MilvusClient

    client = MilvusClient(f"http://127.0.0.1:{trial.variables['MILVUS_PORT']}", dedicated=True)
    try:
        return {name for name in client.list_collections() if name.startswith("lab_bench_")}
    finally:
        client.close()


def main() -> None:
    """Build, try out, and clean up."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stand-ins", type=Path, metavar="FOLDER")
    stand_ins = parser.parse_args().stand_ins
    variables = {"LAB_OWNER_TOKEN": OWNER_TOKEN}
    if stand_ins:
        with step("stand-ins for the base image and for Milvus's are made"):
            make_stand_ins(stand_ins)
        variables |= {"PYTHON_IMAGE": BASE, "MILVUS_IMAGE": MILVUS}
    trial = Trial(**variables)
    with step("the image is built"):
        trial.compose("build", "app")
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            try_out(trial, browser.new_page())
            browser.close()
    finally:
        trial.compose("down", "--volumes")


if __name__ == "__main__":
    main()
