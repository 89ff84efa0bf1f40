"""Run the app as Streamlit Community Cloud does, and walk through all of it in Chromium.

    python -m scripts.imitate_cloud --python python3.12 --python python3.11

For each Python: a fresh environment with requirements.txt alone, a fresh copy of the files that
git knows, no variable but LAB_PUBLIC, no network after the installation, and 690 MB of memory,
the smallest size there. The app is ended when it takes more. Prints the cold start until the first
chart and the peak of memory; exit code 1 when a step of the tour fails.

Linux only. A namespace of the kernel (`unshare --net`) cuts the network, where that is allowed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from playwright.sync_api import Page, sync_playwright

from scripts.processes import dying_with_parent, family_mb, free_port

PROJECT_ROOT = Path(__file__).resolve().parent.parent
SMALLEST_MB = 690
# The script starts itself again inside the namespace, with this variable set.
INSIDE = "IMITATE_CLOUD_INSIDE"
WAIT_MS = 120_000
CHART = "[data-testid='stVegaLiteChart']"
LANES, RACE = "#lanes", "#race"
EXCEPTION = "[data-testid='stException']"


def main() -> int:
    """Install, cut the network, walk; once for each Python."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", help="an interpreter; may be repeated")
    parser.add_argument("--memory-mb", type=int, default=SMALLEST_MB)
    parser.add_argument("--app", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.app:
        return _walk(given.app, given.memory_mb)
    failed = 0
    for python in given.python or [sys.executable]:
        with tempfile.TemporaryDirectory(prefix="cloud-") as folder:
            home = Path(folder)
            if _install(python, home):
                failed += _inside(home, given.memory_mb) != 0
            else:
                failed += 1
    return 1 if failed else 0


def _install(python: str, home: Path) -> bool:
    """Copy the files of the repository and install what the app needs, and nothing else."""
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
    print(f"== {version.stdout.strip() or python}", flush=True)
    if version.returncode:
        print(f"not available: {version.stderr.strip().splitlines()[:1]}")
        return False
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=PROJECT_ROOT, text=True)
    for name in filter(None, listed.split("\0")):
        target = home / "app" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / name, target)
    started = time.perf_counter()
    subprocess.run([python, "-m", "venv", str(home / "venv")], check=True)
    install = [str(home / "venv/bin/python"), "-m", "pip", "install", "--quiet"]
    done = subprocess.run(
        [*install, "--disable-pip-version-check", "-r", str(home / "app/requirements.txt")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"installation failed:\n{done.stderr[-2_000:]}")
        return False
    print(f"installed requirements.txt in {time.perf_counter() - started:.0f} s", flush=True)
    return True


def _inside(home: Path, memory_mb: int) -> int:
    """Start this script again where there is no network but the machine's own address."""
    command = [sys.executable, "-m", "scripts.imitate_cloud", "--app", str(home)]
    command += ["--memory-mb", str(memory_mb)]
    cut = ["unshare", "--net", "--map-root-user"]
    if subprocess.call([*cut, "true"], stderr=subprocess.DEVNULL) == 0:
        command = [*cut, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    else:
        print("The network could not be cut: namespaces are not allowed here.")
    return subprocess.call(command, cwd=PROJECT_ROOT, env=os.environ | {INSIDE: "1"})


class Memory(threading.Thread):
    """Watches a process and its children, and ends them when they take too much."""

    def __init__(self, process: psutil.Process, most_mb: int) -> None:
        super().__init__(daemon=True)
        self.process = process
        self.most_mb = most_mb
        self.peak_mb = 0.0
        self.exceeded = False

    def run(self) -> None:
        """Look five times a second until the process has ended."""
        while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
            self.peak_mb = max(self.peak_mb, self.now_mb())
            if self.peak_mb > self.most_mb:
                self.exceeded = True
                for each in [*self.process.children(recursive=True), self.process]:
                    each.kill()
                return
            time.sleep(0.2)

    def now_mb(self) -> float:
        """Return the memory of all of them, in MB."""
        return family_mb(self.process.pid)[1]


def _walk(home: Path, memory_mb: int) -> int:
    """Start the app in an empty home, walk through it, and print what it took."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    (home / "home").mkdir()
    log = home / "app.log"
    started = time.perf_counter()
    with log.open("wb") as output:
        app = subprocess.Popen(
            dying_with_parent(
                [str(home / "venv/bin/python"), "-m", "streamlit", "run", "app.py",
                 "--server.headless=true", f"--server.port={port}", "--server.address=127.0.0.1"]
            ),
            cwd=home / "app",
            env={"PATH": "/usr/bin:/bin", "HOME": str(home / "home"), "LAB_PUBLIC": "1"},
            stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    memory = Memory(psutil.Process(app.pid), memory_mb)
    memory.start()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    done = False
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(WAIT_MS)
            done = tour(page, url, started, memory)
            browser.close()
    finally:
        app.terminate()
        app.wait(20)
    print(f"peak memory of the app: {memory.peak_mb:,.0f} MB of {memory_mb:,} allowed")
    if memory.exceeded:
        print("ended: it took more memory than there is")
    text = log.read_text(encoding="utf-8", errors="replace")
    if "Traceback" in text:
        print(f"the app's log has a traceback:\n{text[-3_000:]}")
        done = False
    print("tour green" if done and not memory.exceeded else "tour FAILED", flush=True)
    return 0 if done and not memory.exceeded else 1


def tour(page: Page, url: str, started: float, memory: Memory) -> bool:
    """Do what a visitor does on every page. Returns whether every step worked."""

    def first_chart() -> None:
        deadline = time.perf_counter() + WAIT_MS / 1000
        while True:
            try:
                page.goto(url)
                break
            except Exception:
                if time.perf_counter() > deadline:
                    raise
                time.sleep(0.1)
        page.locator(LANES).first.wait_for()
        print(f"cold start to the first chart: {time.perf_counter() - started:.1f} s", flush=True)

    def corpus() -> None:
        page.wait_for_function(
            "() => /[3-9],\\d{3} rows/.test(document.querySelector("
            "\"[data-testid='stSidebar'] .st-key-status\")?.textContent)"
        )

    def search() -> None:
        page.goto(f"{url}/search?q=list+all+files+whose+names+match+a+wildcard")
        page.get_by_text("glob.glob").first.wait_for()
        slider = page.get_by_role("slider").first
        slider.focus()
        slider.press("ArrowRight")
        page.locator(CHART).first.wait_for()

    def ingestion() -> None:
        page.goto(f"{url}/ingestion?ingest_source=Files")
        page.get_by_test_id("stFileUploader").wait_for()
        page.locator("input[type=file]").set_input_files(
            {"name": "walrus.md", "mimeType": "text/markdown", "buffer": b"# Walrus\n\nA walrus.\n"}
        )
        page.get_by_text("walrus.md").first.wait_for()
        page.get_by_role("button", name=re.compile(r"Ingest .*rows?$")).first.click()
        page.get_by_text("now holds").first.wait_for()

    def collections() -> None:
        page.goto(f"{url}/collections")
        page.get_by_test_id("stDataFrame").first.wait_for()

    def benchmark() -> None:
        page.goto(f"{url}/benchmark?b_preset=quick")
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_role("button", name="Stop the run").wait_for()
        page.get_by_role("button", name="Export", exact=True).wait_for()
        page.locator(RACE).first.wait_for()

    def runs() -> None:
        page.goto(f"{url}/runs")
        table = page.get_by_test_id("stDataFrame").first
        table.wait_for()
        table.click(position={"x": 16, "y": 52})  # the first run's box
        page.locator(CHART).first.wait_for()

    steps: dict[str, Callable[[], None]] = {
        "Overview": first_chart, "Corpus": corpus, "Search": search, "Ingestion": ingestion,
        "Collections": collections, "Benchmark": benchmark, "Runs": runs,
    }  # fmt: skip
    all_worked = True
    for name, step in steps.items():
        begun = time.perf_counter()
        try:
            step()
            said = page.locator(EXCEPTION).all_inner_texts()
            worked = not said
        except Exception as error:  # noqa: BLE001 - each step is reported, and the next one tried
            said, worked = [str(error).splitlines()[0]], False
        all_worked = all_worked and worked
        verdict = "ok" if worked else f"FAILED {said}"
        took = time.perf_counter() - begun
        print(f"{name:<12} {took:6.1f} s {memory.now_mb():6,.0f} MB  {verdict}", flush=True)
        if memory.exceeded:
            return False
    return all_worked


if __name__ == "__main__":
    raise SystemExit(main())
