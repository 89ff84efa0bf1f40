"""Fixtures for what the tests share: real servers, a real browser, the running app.

    milvus_server     a real Milvus server, one for the whole run
    backend           an open connection to each of both in turn
    milvus_lite_uri   the path of a fresh Milvus Lite store
    model             the bundled model
    openai_endpoint   an OpenAI-compatible embeddings server, one for the whole run
    run_app           run_app({"LAB_PUBLIC": "1"}) starts the app and returns its address
    shared_app        the address of an app on the bundled corpus, one for the whole run
    chromium_page     a fresh page in Chromium

`make test` shares the tests out to three processes by groups (`group_of`), each with apps of its
own; one of them has all tests on the shared server. What is marked `alone` is judged by the clock
and comes afterwards, with nothing beside it.

With MILVUS_LAB_NO_SKIP=1 a test that skips fails: that is how CI proves that nothing was left out.
"""

import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from lib import settings
from lib.settings import VARIABLES
from scripts.processes import dying_with_parent, free_port
from tests.waiting import WAIT_MS, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from lib.benchmark.endpoint import OpenAIEndpoint
    from lib.milvus.connection import Connection
    from lib.milvus.embeddings import EmbeddingModel
    from scripts.milvus_server import MilvusServer

PROJECT_ROOT = Path(__file__).resolve().parent.parent
SKIPS_FAIL = os.environ.get("MILVUS_LAB_NO_SKIP") == "1"
MARKER_OF_FIXTURE = {
    "milvus_server": "server",
    "milvus_server_class": "server",
    "chromium": "browser",
}
SERVER_GROUP = "server"
FIRST = ("server", "browser", "slow")  # which groups begin early, by their markers
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = [
    "--no-sandbox",  # containers and CI run as root, where Chromium's sandbox refuses to start
    "--disable-gpu",
    # No calls home: tests run without a network.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]
SHOWN_OF_A_PAGE = 4_000  # characters
RUN_APP = [
    *(sys.executable, "-m", "streamlit", "run", "app.py"),
    "--server.headless=true",
    "--server.address=127.0.0.1",
    "--server.fileWatcherType=none",
]

PAGE = pytest.StashKey["Page"]()
# A slow machine is no failure, and the same inputs come on every machine of CI.
hypothesis.settings.register_profile("lab", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("lab")

# What the developer's own shell points the app at must not reach the tests.
for name in VARIABLES:
    os.environ.pop(name, None)
# Programs that tests start find `lib` where they begin, wherever pytest itself was called.
os.chdir(PROJECT_ROOT)
# A model that isn't in the repository is a mistake, not something to download.
os.environ["HF_HUB_OFFLINE"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they use, and put first what waits most.

    `-m "not server and not browser and not slow"` is what `make check` runs. Tests of whole pages
    are slow. A test that is repeated for each kind of Milvus uses the server where a parameter says
    so.

    What waits for a server or a browser is long, so it comes first, and the short tests fill up the
    processes to the end.
    """
    places: dict[str, int] = {SERVER_GROUP: -1}
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "milvus_server" in fixtures and "server" not in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid} uses the server, and its name does not say so.")
        for fixture, marker in MARKER_OF_FIXTURE.items():
            if fixture in fixtures:
                item.add_marker(marker)
        if item.path.parent.name == "pages":
            item.add_marker("slow")
        call = getattr(item, "callspec", None)
        if call is not None and "server" in call.params.values():
            item.add_marker("server")
        waits = (i for i, marker in enumerate(FIRST) if item.get_closest_marker(marker))
        group = group_of(item.nodeid)
        places[group] = min(places.get(group, len(FIRST)), next(waits, len(FIRST)))
    items.sort(key=lambda item: places[group_of(item.nodeid)])


def group_of(nodeid: str) -> str:
    """Return the group of a test: one process runs all tests of a group, one after another.

    The tests of a file share what it starts. All tests on the shared server are one group, so that
    one server is started: they wait while the other processes compute. Their names, or those of
    their parameters, say "server".
    """
    file = nodeid.partition("::")[0]
    return SERVER_GROUP if "server" in nodeid and "browser" not in file else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole groups; xdist's own groups do not work with pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc, unused-ignore]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what is left out where nothing may be; show the page beside a failure in a browser."""
    report = yield
    _fail_if_skipped(report)
    page = item.stash.get(PAGE, None)
    if report.when == "call" and report.failed and page is not None and not page.is_closed():
        shown = page.locator("body").inner_text()[:SHOWN_OF_A_PAGE]
        report.sections.append((f"The page {page.url}", shown))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a whole file that skips itself."""
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if SKIPS_FAIL and report.skipped:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"No test may be left out here. {why}"
        if hasattr(report, "wasxfail"):
            del report.wasxfail


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["MilvusServer"]:
    """A real Milvus server; the tests share it, so each uses collections of its own name.

    Its clock ticks four times as often as Milvus's default, because most of a test's time there is
    waiting for ticks. What the benchmark says of the default is in the recorded runs.
    """
    _skip_without_server()
    from scripts.milvus_server import MilvusServer

    with MilvusServer(tmp_path_factory.mktemp("milvus"), tick_ms=50) as server:
        yield server


@pytest.fixture(scope="session")
def milvus_server_class() -> "type[MilvusServer]":
    """The class itself, for tests that stop, restart or protect a server of their own."""
    _skip_without_server()
    from scripts.milvus_server import MilvusServer

    return MilvusServer


def _skip_without_server() -> None:
    if sys.platform != "linux":
        pytest.skip("needs the Milvus server, which the wheel has for Linux on x86-64 only")
    if importlib.util.find_spec("milvus") is None:
        pytest.skip("needs the Milvus server: pip install -r requirements-server.txt")


@pytest.fixture(scope="module", params=["lite", "server"])
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["Connection"]:
    """An open connection to each backend in turn, one a module."""
    # Here, because the process that hands out the tests runs none and need not load pymilvus.
    from lib.milvus.connection import open_connection

    if request.param == "lite":
        uri = str(tmp_path_factory.mktemp("lite") / "lab.db")
    else:
        server: MilvusServer = request.getfixturevalue("milvus_server")
        uri = server.uri
    opened = open_connection(settings.load({"MILVUS_URI": uri}))
    yield opened
    opened.close()


@pytest.fixture
def milvus_lite_uri(tmp_path: Path) -> str:
    """The path of a Milvus Lite store that doesn't exist yet, in a folder that does."""
    return str(tmp_path / "lab.db")


@pytest.fixture(scope="session")
def model() -> "EmbeddingModel":
    """The bundled model."""
    from lib.milvus.embeddings import open_model

    return open_model(settings.load({}))


@pytest.fixture(scope="session")
def openai_endpoint() -> Iterator["OpenAIEndpoint"]:
    """An OpenAI-compatible embeddings server; model names choose its failures."""
    from lib.benchmark.endpoint import OpenAIEndpoint

    with OpenAIEndpoint() as endpoint:
        yield endpoint


class AppRunner:
    """Starts the app as a person would, any number of times, and stops what it started."""

    def __init__(self, folder: Path, filled: Callable[[], Path] | None = None) -> None:
        self._folder = folder
        self._filled = filled
        self._apps: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}

    def __call__(self, env: dict[str, str] | None = None, *, empty: bool = False) -> str:
        """Start the app with these variables, wait until it serves, and return its address.

        Each start has a data folder of its own unless `env` names one. Its store holds the bundled
        corpus already where the runner can fill one; an `empty` one begins with the app's own load.
        """
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        folder = self._folder / str(port)
        folder.mkdir()
        log = folder / "app.log"
        has_own = {"LAB_DATA_DIR", "MILVUS_URI"} & (env or {}).keys()
        if self._filled and not (empty or has_own):
            shutil.copytree(self._filled(), folder / "data" / "lab.db")
        with log.open("wb") as output:
            process = subprocess.Popen(
                dying_with_parent([*RUN_APP, f"--server.port={port}"]),
                cwd=PROJECT_ROOT,
                env=os.environ | {"LAB_DATA_DIR": str(folder / "data")} | (env or {}),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._apps[url] = process, log
        self._wait_until_it_serves(url)
        return url

    def log(self, url: str) -> str:
        """Return what that app has printed so far."""
        return self._apps[url][1].read_text(encoding="utf-8", errors="replace")

    def pid(self, url: str) -> int:
        """Return the id of that app's process."""
        return self._apps[url][0].pid

    def kill(self, url: str) -> None:
        """End that app at once, as a crash would."""
        process = self._apps[url][0]
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, url: str) -> None:
        """Ask that app to end, as Ctrl-C would; kill it when it doesn't."""
        process = self._apps[url][0]
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill(url)

    def stop_all(self) -> None:
        """Stop every app that still runs."""
        for url in self._apps:
            self.stop(url)

    def _wait_until_it_serves(self, url: str) -> None:
        process = self._apps[url][0]

        def serves() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"The app did not start:\n{self.log(url)}")
            try:
                with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                    return True
            except urllib.error.HTTPError as error:
                return error.code == 404  # it serves below a path (`server.baseUrlPath`)
            except (OSError, urllib.error.URLError):
                return False

        wait_until(serves)


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Return a function that makes a file or a folder once for all processes side by side.

    `made_once("name", make)` calls `make(path)` unless it was made, and returns where it lies.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def once(name: str, make: Callable[[Path], object]) -> Path:
        path, half = folder / name, folder / f"half-{name}"
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                make(half)
                half.rename(path)
        return path

    return once


@pytest.fixture(scope="session")
def filled_store(made_once: MadeOnce) -> Callable[[], Path]:
    """Return where a store with the bundled corpus lies: read it, or copy it and write."""

    def make(path: Path) -> None:
        # Here, because the process that hands out the tests runs none and need not load pymilvus.
        from lib.documents.corpora import CORPORA
        from tests.stores import fill

        documents = CORPORA["standard_library"].documents(None, 0)
        # In a thread: beside Chromium this one has an event loop that is not the app's.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(fill, path, documents).result()

    return lambda: made_once("filled.db", make)


@pytest.fixture(scope="module")
def run_app(
    tmp_path_factory: pytest.TempPathFactory, filled_store: Callable[[], Path]
) -> Iterator[AppRunner]:
    """Call it with environment variables to get the address of a running app.

    Apps live until the end of the module, so that its tests can share one.
    """
    runner = AppRunner(tmp_path_factory.mktemp("app"), filled_store)
    yield runner
    runner.stop_all()


@pytest.fixture(scope="session")
def shared_app(
    tmp_path_factory: pytest.TempPathFactory, filled_store: Callable[[], Path]
) -> Iterator[str]:
    """The address of one app on the bundled corpus, for tests that leave it as it was."""
    runner = AppRunner(tmp_path_factory.mktemp("shared-app"), filled_store)
    yield runner()
    runner.stop_all()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator["BrowserContext"]:
    """Headless Chromium with a profile, one per module.

    A profile keeps the scripts that Chromium has compiled, which is half of what a page costs; a
    context of its own begins without them. Pages are as large as a projector's picture.

    While it is open, Playwright keeps an event loop running in this thread, and `asyncio.run`
    refuses to work. Hence not one for the whole run: keep browser tests in modules of their own.
    """
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if program is None:
        pytest.skip("needs Chromium, for example from apt-get install chromium")
    with sync_playwright() as playwright:
        profile = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("chromium"),
            executable_path=program,
            args=CHROMIUM_FLAGS,
            viewport={"width": 1280, "height": 800},
        )
        yield profile
        profile.close()


@pytest.fixture(scope="module")
def browser(chromium: "BrowserContext") -> "Browser":
    """The browser itself, for tests that need another person's or another setting's context."""
    assert chromium.browser is not None
    return chromium.browser


@pytest.fixture
def chromium_page(chromium: "BrowserContext", request: pytest.FixtureRequest) -> Iterator["Page"]:
    """A page of a browser without cookies or history of the tests before."""
    from playwright.sync_api import expect

    page = chromium.new_page()
    # What is waited for may be late on a busy machine; it is no measurement.
    page.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    request.node.stash[PAGE] = page
    yield page
    chromium.set_offline(False)
    blank = chromium.new_page()
    storage = chromium.new_cdp_session(blank)
    storage.send("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "local_storage"})
    chromium.clear_cookies()
    for each in chromium.pages:
        if each is not blank:
            each.close()
