"""Let many visitors work at once in the public app, and print what they and the machine felt.

    python -m scripts.soak --sessions 25 --minutes 10

Starts the app in public mode on an embedded Milvus Lite (or on `--uri`) and opens real websocket
sessions, which speak Streamlit's own protocol. Each visitor plants a row, searches it, asks MMR for
more, deletes it and runs a quick benchmark, again and again. Printed: seconds an action (from the
message to the end of the script), seconds from the button to the end of a job, the machine's load,
memory over time and after they left, threads and open files, and the longest wait of the background
loop. Exit code 1 after an exception, or when a visitor received something of another: a planted
row, a job or a run.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import psutil
from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.DownloadButton_pb2 import DownloadButton
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from scripts.processes import dying_with_parent, family_mb, free_port

PROJECT_ROOT = Path(__file__).resolve().parent.parent
ACTION_TIMEOUT_S = 60.0
JOB_TIMEOUT_S = 600.0
BENCHMARK_EVERY = 4
# The parameters of an address that name a job or a run, which are their visitor's alone.
IDS = ("ingestion", "b_run")
LOOP_WAIT_MS = 50
FURTHER_VISITS = 3


@dataclass
class Record:
    """What all visitors together did and met."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    # From the button to the end of what it asked for, in s: the queue and the work.
    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    exceptions: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    began: float = 0.0
    missed: int = 0  # searches that did not bring what the same visitor had ingested
    # Every secret of a visitor: its planted row, its jobs, its runs.
    secrets: dict[str, int] = field(default_factory=dict)


class Visitor:
    """One browser without a browser: a websocket, the elements of the page, the widgets' states."""

    def __init__(
        self, number: int, socket: ClientConnection, record: Record, leaves: float, url: str = ""
    ) -> None:
        self.url = url
        self.number = number
        self.leaves = leaves
        self.turn = 0
        self.socket = socket
        self.record = record
        self.plant = f"planted{secrets.token_hex(8)}"
        record.secrets[self.plant] = number
        self.query = ""
        self.widgets: dict[str, tuple[str, str]] = {}  # key to the kind and the id
        self.states: dict[str, WidgetState] = {}  # what was typed and chosen on this page
        self.page = ""
        self.session = ""
        self.is_in_fragment = False
        self.script = ""  # the hash of the page's script; a fragment runs on it
        self.files: dict[str, DownloadButton] = {}  # what the page offers to download, by label
        self.refused = ""  # why the last press gave no file
        self.texts: list[str] = []
        self.fragments: dict[str, float] = {}
        self.cookie = ""  # what the page gives a browser to keep

    async def act(self, name: str, page: str, query: str = "", **values: Any) -> None:
        """Send one message as a browser would, and wait for the end of the script."""
        started = time.perf_counter()
        await self._send(page, query, values)
        await self._receive()
        self.record.seconds[name].append(time.perf_counter() - started)

    async def finished(self, name: str, page: str, *texts: str) -> bool:
        """Wait as `until` does, and note how long the work took with its time in the queue."""
        started = time.perf_counter()
        is_over = await self.until(page, *texts)
        if is_over:
            self.record.waits[name].append(time.perf_counter() - started)
        return is_over

    async def until(self, page: str, *texts: str) -> bool:
        """Redraw the fragments that ask for it, until one of these texts is on the page.

        A visitor whose time is over does not wait for the end after the first turn, and False is
        returned.
        """
        deadline = time.perf_counter() + JOB_TIMEOUT_S
        while not any(text in said for text in texts for said in self.texts):
            if self.turn > 1 and time.perf_counter() > self.leaves:
                return False
            if time.perf_counter() > deadline:
                self.record.exceptions.append(f"{page}: none of {texts} within {JOB_TIMEOUT_S} s")
                return False
            if not self.fragments:
                await asyncio.sleep(0.5)
                await self._send(page, self.query, {})
                await self._receive()
                continue
            name, interval = min(self.fragments.items(), key=lambda each: each[1])
            await asyncio.sleep(interval)
            await self._send(page, self.query, {}, fragment=name)
            await self._receive()
        return True

    async def upload(self, page: str, key: str, files: Mapping[str, bytes]) -> None:
        """Choose files in an uploader and wait for the end of the script."""
        kind, name = self.widgets[key]
        assert kind == "file_uploader"
        state = WidgetState(id=name)
        for filename, content in files.items():
            added = state.file_uploader_state_value.uploaded_file_info.add()
            added.file_id, added.name, added.size = str(uuid.uuid4()), filename, len(content)
            address = f"{self.url}/_stcore/upload_file/{self.session}/{added.file_id}"
            await asyncio.to_thread(put_file, self.url, address, filename, content)
        self.states[key] = state
        await self._send(page, self.query, {})
        await self._receive()

    async def address_of(self, label: str) -> str:
        """Press a download and return the path of its file.

        Empty when it could not be made; why stands in `refused` then.
        """
        button = self.files[label]
        if button.url:
            return str(button.url)
        message = BackMsg()
        asked = message.backend_operation_request
        asked.request_id, asked.session_id = secrets.token_hex(16), self.session
        asked.deferred_file.file_id = button.deferred_file_id
        await self.socket.send(message.SerializeToString())
        async with asyncio.timeout(ACTION_TIMEOUT_S):
            while True:
                data = await self.socket.recv()
                assert isinstance(data, bytes)
                answer = ForwardMsg.FromString(data)
                if answer.WhichOneof("type") == "backend_operation_response":
                    self.refused = str(answer.backend_operation_response.error_msg)
                    return str(answer.backend_operation_response.deferred_file.url)

    async def _send(
        self, page: str, query: str, values: dict[str, Any], fragment: str = ""
    ) -> None:
        message = BackMsg()
        state = message.rerun_script
        state.page_name, state.query_string, state.fragment_id = page, query, fragment
        state.is_auto_rerun = self.is_in_fragment = bool(fragment)
        if page != self.page:
            self.page, self.states, self.script = page, {}, ""
        # As a browser does. A fragment that runs the whole page anew would go to the default page.
        state.page_script_hash = self.script
        clicked = []
        for key, value in values.items():
            if key not in self.widgets:
                self.record.exceptions.append(f"{page}: there is no widget {key}")
                continue
            made = self._state(key, value)
            if made.trigger_value:
                clicked.append(made)
            else:
                self.states[key] = made
        state.widget_states.widgets.extend([*self.states.values(), *clicked])
        await self.socket.send(message.SerializeToString())

    def _state(self, key: str, value: Any) -> WidgetState:
        kind, name = self.widgets[key]
        state = WidgetState(id=name)
        if kind == "button":
            state.trigger_value = True
        elif kind == "button_group":
            state.string_array_value.data[:] = [value]
        elif isinstance(value, bool):
            state.bool_value = value
        else:
            state.string_value = value
        return state

    async def _receive(self) -> None:
        """Take messages in until a script has ended that no other follows."""
        async with asyncio.timeout(ACTION_TIMEOUT_S):
            while True:
                data = await self.socket.recv()
                assert isinstance(data, bytes)
                self._look_for_others(data)
                message = ForwardMsg.FromString(data)
                kind = message.WhichOneof("type")
                if kind == "new_session":
                    self.session = message.new_session.initialize.session_id
                    if not message.metadata.run.fragment_ids:
                        self.texts, self.fragments, self.files = [], {}, {}
                elif kind == "navigation":
                    self._note_page(message.navigation.page_script_hash)
                elif kind == "auto_rerun":
                    self.fragments[message.auto_rerun.fragment_id] = message.auto_rerun.interval
                elif kind == "page_info_changed":
                    self.query = message.page_info_changed.query_string
                    self._remember_ids()
                elif kind == "delta":
                    self._take(message)
                elif kind == "script_finished" and message.script_finished != (
                    ForwardMsg.FINISHED_EARLY_FOR_RERUN
                ):
                    return

    def _note_page(self, script: str) -> None:
        # At a process's first visit a page is run twice, by itself and then within the frame.
        if self.is_in_fragment and self.script not in ("", script):
            self.record.exceptions.append(f"{self.page or 'overview'}: another page was run")
        self.script = script

    def _remember_ids(self) -> None:
        given = parse_qs(self.query)
        for name in IDS:
            for value in given.get(name, []):
                self.record.secrets.setdefault(value, self.number)

    def _look_for_others(self, data: bytes) -> None:
        for secret, number in self.record.secrets.items():
            if number != self.number and secret.encode() in data:
                self.record.leaks.append(f"visitor {self.number} received {number}'s {secret}")

    def _take(self, message: ForwardMsg) -> None:
        is_block = message.delta.WhichOneof("type") == "add_block"
        element = message.delta.add_block if is_block else message.delta.new_element
        kind = element.WhichOneof("type")
        if kind is None:
            return
        body = getattr(element, kind)
        if kind == "exception":
            self.record.exceptions.append(f"{body.type}: {body.message}")
        if kind == "alert" and body.format == Alert.Format.ERROR:
            self.record.refusals.append(f"{body.title} {body.body}".strip())
        names = {each.name for each in body.DESCRIPTOR.fields}
        if kind == "download_button":
            self.files[body.label] = body
        if kind == "bidi_component" and body.component_name.endswith("visitor_cookie"):
            (given,) = json.loads(body.json)
            self.cookie = f"{given['name']}={given['value']}"
        if "id" in names and body.id.startswith("$$ID-"):
            self.widgets[body.id.split("-", 2)[2]] = kind, body.id
        self.texts.append(
            " ".join(str(getattr(body, each, "")) for each in ("title", "body", "label", "text"))
        )


def put_file(url: str, address: str, name: str, content: bytes) -> None:
    """Send a file as a browser does."""
    with urllib.request.urlopen(f"{url}/_stcore/health", timeout=ACTION_TIMEOUT_S) as answer:
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    border = secrets.token_hex(16).encode()
    head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
    body = b"--%b\r\n%b\r\n%b\r\n--%b--\r\n" % (border, head.encode(), content, border)
    headers = {
        "Content-Type": f"multipart/form-data; boundary={border.decode()}",
        "Cookie": cookie,
        "X-Xsrftoken": cookie.partition("=")[2].strip('"'),
    }
    asked = urllib.request.Request(address, body, headers, method="PUT")
    urllib.request.urlopen(asked, timeout=ACTION_TIMEOUT_S).close()


@contextlib.asynccontextmanager
async def visit(
    url: str, number: int, record: Record, leaves: float, *, keeps_cookie: bool = False
) -> AsyncIterator[Visitor]:
    """Open a session: a visitor of its own.

    One who keeps a cookie has taken it in a session before, as a browser does.
    """
    cookie = ""
    if keeps_cookie:
        async with session(url) as socket:
            first = Visitor(number, socket, Record(), leaves)
            # The very first screen waits for no Milvus, and its cookie comes with the sidebar.
            await first.act("open", "runs")
        record.exceptions += first.record.exceptions
        cookie = first.cookie
    async with session(url, cookie) as socket:
        visitor = Visitor(number, socket, record, leaves, url)
        visitor.cookie = cookie
        yield visitor


def session(url: str, cookie: str = "") -> connect:
    """Return a websocket to the app, opened with this cookie by `async with`."""
    return connect(
        url.replace("http://", "ws://") + "/_stcore/stream",
        additional_headers={"Cookie": cookie} if cookie else {},
        subprotocols=[Subprotocol("streamlit")],
        max_size=None,
        proxy=None,
        ping_timeout=None,
    )


async def work(visitor: Visitor) -> None:
    """Do what a visitor does, until it is time to go, one turn at least."""
    await visitor.act("open", "")
    while visitor.turn == 0 or time.perf_counter() < visitor.leaves:
        visitor.turn += 1
        await visitor.act("open", "ingestion")
        await visitor.act("open", "ingestion", ingest_source="Pasted text")
        text = f"{visitor.plant} {visitor.turn}. A row of one visitor alone, about async methods."
        await visitor.act("ingest", "ingestion", ingest_pasted=text)
        await visitor.act("ingest", "ingestion", visitor.query, ingest_start=None)
        if not await visitor.finished("one row", "ingestion", "now holds"):
            return  # what is still on its way cannot be found
        query = f"q={visitor.plant}"
        await visitor.act("search", "search", query)
        if not any(visitor.plant in said for said in visitor.texts):
            visitor.record.missed += 1
        await visitor.act("MMR", "search", f"{query}&fetch_k={15 + visitor.turn % 10}&k=3")
        await visitor.act("open", "collections")
        await visitor.act("delete", "collections", delete_expr='text like "planted%"')
        await visitor.act("delete", "collections", delete_start=None)
        if (visitor.turn - 1 + visitor.number) % BENCHMARK_EVERY:
            continue  # a benchmark takes ten seconds of everybody's queue
        await visitor.act("open", "benchmark")
        await visitor.act("benchmark", "benchmark", b_preset="Quick")
        await visitor.act("benchmark", "benchmark", visitor.query, b_go=None)
        await visitor.finished("benchmark", "benchmark", "same rows from every way")


@dataclass(frozen=True)
class Sample:
    """What the app's process takes at one moment."""

    at_s: float
    memory_mb: float
    threads: int
    files: int


def sample(process: psutil.Process, started: float) -> Sample:
    """Look at the app and its children."""
    threads = files = 0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # a worker that ended meanwhile
            threads, files = threads + each.num_threads(), files + each.num_fds()
    return Sample(time.perf_counter() - started, family_mb(process.pid)[1], threads, files)


async def watch(
    process: psutil.Process, started: float, kept: list[Sample], every_s: float
) -> None:
    """Take samples until cancelled."""
    while True:
        kept.append(sample(process, started))
        await asyncio.sleep(every_s)


async def _visit_and_work(url: str, number: int, record: Record, leaves: float) -> None:
    try:
        async with visit(url, number, record, leaves, keeps_cookie=True) as visitor:
            await work(visitor)
    except Exception as error:  # noqa: BLE001 - counted, and the other visitors go on
        record.exceptions.append(f"visitor {number}: {type(error).__name__}: {error}")


async def soak(
    url: str, pid: int, *, sessions: int, minutes: float, rest_minutes: float
) -> tuple[Record, list[Sample], list[Sample]]:
    """Let the visitors work, then wait; return what they met and the samples of both times."""
    record, process = Record(), psutil.Process(pid)
    # One visitor first: what everybody needs is loaded once, and is no leak.
    await _visit_and_work(url, 0, record, 0.0)
    record.seconds.clear()
    record.waits.clear()
    record.began = time.time()
    started = time.perf_counter()
    samples: list[Sample] = []
    watching = asyncio.create_task(watch(process, started, samples, 2.0))
    until = started + minutes * 60
    await asyncio.gather(
        *(_visit_and_work(url, number, record, until) for number in range(sessions))
    )
    watching.cancel()
    after = [sample(process, started)]
    end = time.perf_counter() + rest_minutes * 60
    while time.perf_counter() < end:
        await asyncio.sleep(min(5.0, rest_minutes * 60))
        after.append(sample(process, started))
    # Streamlit forgets a session that ended two minutes ago when the next one comes or goes; until
    # then its event loop keeps three files open.
    for _ in range(FURTHER_VISITS if rest_minutes else 0):
        async with visit(url, 0, record, 0.0) as visitor:
            await visitor.act("open", "")
        await asyncio.sleep(3.0)
    after.append(sample(process, started))
    return record, samples, after


@contextlib.contextmanager
def app(folder: Path, uri: str = "", *, public: bool = True) -> Any:
    """Start the app, in public mode if asked; give its address, its process id and its log."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = folder / "app.log"
    environment = {"LAB_PUBLIC": str(int(public)), "LAB_DATA_DIR": str(folder / "data")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            dying_with_parent(
                [sys.executable, "-m", "scripts.watched_app", "--server.headless=true",
                 f"--server.port={port}", "--server.address=127.0.0.1",
                 "--server.fileWatcherType=none"]
            ),
            cwd=PROJECT_ROOT,
            env=os.environ | environment | ({"MILVUS_URI": uri} if uri else {}),
            stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        deadline = time.perf_counter() + 2 * ACTION_TIMEOUT_S
        while True:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
                break
            except OSError as error:
                if process.poll() is not None or time.perf_counter() > deadline:
                    raise RuntimeError(f"no app: {log.read_text()[-2_000:]}") from error
                time.sleep(0.1)
        yield url, process.pid, log
    finally:
        process.terminate()
        process.wait(20)


def loop_waits(log: str, since: float) -> list[dict[str, Any]]:
    """Return when the background loop was late, in ms, from the app's log; `since` in s (UTC)."""
    lines = [json.loads(line) for line in log.splitlines() if '"action": "loop_held"' in line]
    return [line for line in lines if line["at"] > since]


def _jobs_done(log: str, since: float) -> dict[str, list[dict[str, Any]]]:
    """Return the finished jobs of the app's log by kind; `since` in s (UTC)."""
    found = defaultdict(list)
    for line in log.splitlines():
        if '"action": "job"' in line and (job := json.loads(line))["at"] > since:
            found[job["kind"]].append(job)
    return found


def report(record: Record, during: list[Sample], after: list[Sample], log: str) -> bool:
    """Print it all, and say whether nobody met an exception or something of another's."""
    every = [each for values in record.seconds.values() for each in values]
    for name, values in [*sorted(record.seconds.items()), ("all", every)]:
        p50, p95 = np.percentile(values, [50, 95]) if values else (float("nan"), float("nan"))
        print(f"{name:<10} {len(values):6,} actions  p50 {p50:6.2f} s  p95 {p95:6.2f} s")
    for name, values in sorted(record.waits.items()):
        p50, p95 = np.percentile(values, [50, 95])
        print(f"waited for {name}: {len(values):,}  p50 {p50:.1f} s  p95 {p95:.1f} s")
    for kind, done in sorted(_jobs_done(log, record.began).items()):
        for what in ("waited_s", "seconds"):
            p50, p95 = np.percentile([job[what] for job in done], [50, 95])
            print(f"jobs {kind}: {len(done):,}  {what} p50 {p50:.2f} s  p95 {p95:.2f} s")
    print(f"load of the machine: {', '.join(f'{each:.1f}' for each in os.getloadavg())}")
    first, last = during[0], after[-1]
    peak = max(each.memory_mb for each in (*during, *after))
    steps = during[:: max(1, len(during) // 10)]
    print("memory MB: " + ", ".join(f"{each.memory_mb:.0f} at {each.at_s:.0f} s" for each in steps))
    print(f"memory at the start {first.memory_mb:.0f} MB, most {peak:.0f} MB, "
          f"{last.at_s - after[0].at_s:.0f} s after they left {last.memory_mb:.0f} MB "
          f"({100 * (last.memory_mb / first.memory_mb - 1):+.0f} %)")  # fmt: skip
    print(f"threads {first.threads} → {last.threads}, open files {first.files} → {last.files}")
    waits = loop_waits(log, record.began)
    held = [each for each in waits if each["is_by_a_call"]]
    collected = [each for each in waits if each["ms"] - each["collected_ms"] < LOOP_WAIT_MS]
    longest = max((each["ms"] for each in waits), default=0.0)
    print(f"the background loop was late by over {LOOP_WAIT_MS} ms {len(waits)} times, at most "
          f"{longest:.0f} ms: {len(collected)} times for a garbage collection, "
          f"{len(held)} times for a call on it")  # fmt: skip
    for each in held:
        print(f"  {each}")
    tracebacks = log.count("Traceback")
    print(f"exceptions {len(record.exceptions)}, tracebacks in the log {tracebacks}, "
          f"seen of others {len(record.leaks)} (of {len(record.secrets)} secrets), "
          f"refusals {len(record.refusals)}, own rows not found {record.missed}")  # fmt: skip
    for line in [*record.exceptions[:5], *record.leaks[:5], *sorted(set(record.refusals))[:5]]:
        print(f"  {line}")
    return not (record.exceptions or record.leaks or tracebacks or record.missed)


def main() -> int:
    """Run it and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=25)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rest-minutes", type=float, default=5)
    parser.add_argument("--uri", default="", help="a Milvus server; without it Milvus Lite")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, app(Path(folder), given.uri) as up:
        url, pid, log = up
        found = asyncio.run(
            soak(url, pid, sessions=given.sessions, minutes=given.minutes,
                 rest_minutes=given.rest_minutes)
        )  # fmt: skip
        return 0 if report(*found, log.read_text(encoding="utf-8", errors="replace")) else 1


if __name__ == "__main__":
    raise SystemExit(main())
