"""Start a real Milvus server from the wheel: no container engine, any number side by side.

    python -m scripts.milvus_server --data data/server

The wheel's own `milvus-server` command moves a server to free ports too, but leaves out etcd's
peer port, so that a second one on the same machine dies at once. Here every port is chosen,
and the server ends with the program that started it.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from scripts.processes import dying_with_parent, free_ports, is_free

DEFAULT_PORT = 19530
ROOT_TOKEN = "root:Milvus"  # what Milvus itself starts with when authorization is on
STOP_TIMEOUT_S = 5  # rows are in the log on disk before an insert returns, so a kill loses none

ETCD_CONFIG = """\
name: default
listen-client-urls: http://127.0.0.1:{client}
advertise-client-urls: http://127.0.0.1:{client}
listen-peer-urls: http://127.0.0.1:{peer}
initial-advertise-peer-urls: http://127.0.0.1:{peer}
initial-cluster: default=http://127.0.0.1:{peer}
"""


class MilvusServerError(RuntimeError):
    """The server can't start or died; the text says why and what to do."""


class MilvusServer:
    """One Milvus server as a child process, on ports of its own.

    Ports and data stay the same over `stop()` and `start()`, so that a client can come back.
    The kernel kills the server when the thread that called `start()` ends: call it from one
    that lives as long as the server should.
    """

    def __init__(
        self,
        data: str | Path,
        *,
        port: int | None = None,
        authorization_enabled: bool = False,
        certificate: Path | None = None,
        tick_ms: int = 200,
    ) -> None:
        """Choose the ports; `port=None` takes a free one.

        `tick_ms` is how often the server's clock ticks. Milvus's own default is 200: a strongly
        consistent read and a delete by metadata wait for a tick or two.
        `certificate` is a PEM file for 127.0.0.1 with its key beside it, ending in .key: the
        server then speaks TLS only.
        """
        self.data = Path(data).resolve()
        self.authorization_enabled = authorization_enabled
        self.certificate = certificate
        self._tick_ms = tick_ms
        self._process: subprocess.Popen[bytes] | None = None
        if port is not None and not is_free(port):
            raise MilvusServerError(
                f"Port {port} is taken: stop what listens there, or choose another port."
            )
        self._config = _wheel().MilvusServerConfig(data_dir=str(self.data))
        names = [name for name in self._config.configurable_items if name.endswith("_port")]
        free = free_ports(len(names) + 2)
        self._ports: dict[str, int] = dict(zip([*names, "etcd_peer", "metrics"], free, strict=True))
        if port is not None:
            self._ports["proxy_port"] = port
        self._alias = f"port-{self.port}"

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return self._ports["proxy_port"]

    @property
    def uri(self) -> str:
        """What `MilvusClient(uri)` takes."""
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """The token that opens this server; empty when it asks for none."""
        return ROOT_TOKEN if self.authorization_enabled else ""

    @property
    def pid(self) -> int | None:
        """The server's process, which is also its process group; None when it isn't running."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """Tell whether the process is alive, ready or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        """The file that the server's output goes to."""
        return self.data / "server.log"

    def start(self, timeout: float = 90) -> Self:
        """Start the server and wait until it answers."""
        if self.running:
            return self
        program = _unpacked() / "bin"
        self._write_config()
        environment = os.environ | {
            "DEPLOY_MODE": "STANDALONE",
            "ETCD_CONFIG_PATH": str(self.data / "configs" / "etcd.yaml"),
            "LD_LIBRARY_PATH": str(program),
            "METRICS_PORT": str(self._ports["metrics"]),
        }
        # The alias names a lock file that all servers on the machine would share otherwise.
        command = [str(program / "milvus"), "run", "standalone", "-alias", self._alias]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                dying_with_parent(command),
                cwd=self.data,  # where the server looks for configs/milvus.yaml
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a group of its own, and no Ctrl-C from the terminal
            )
        atexit.register(self.kill)
        try:
            self.wait_ready(timeout)
        except BaseException:
            self.kill()
            raise
        return self

    def wait_ready(self, timeout: float = 90) -> None:
        """Wait until a real request works; raise MilvusServerError when it doesn't in time."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self.running:
                raise MilvusServerError(f"Milvus ended while starting:\n{self._tail()}")
            # The client logs every failed connect, so ask the health page first.
            if self._is_healthy() and self._answers():
                return
            time.sleep(0.1)
        raise MilvusServerError(f"Milvus did not answer in {timeout:.0f} s; see {self.log.name}.")

    def stop(self) -> None:
        """Ask the server to end, and make it when it takes too long."""
        if self.running and self._process:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """End the server's process group at once; nothing of it is left when this returns."""
        atexit.unregister(self.kill)
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        # Two small files that Milvus leaves in folders shared by the whole machine.
        for leftover in (
            Path("/run/milvus", f"standalone-{self._alias}.pid"),
            Path("/tmp/milvus", f"standalone-{self._alias}.pid"),
            Path("/tmp/milvus", f"server_id_{self._process.pid}"),
        ):
            with contextlib.suppress(OSError):
                leftover.unlink(missing_ok=True)
        self._process = None

    def __enter__(self) -> Self:
        """Start the server."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()

    def _write_config(self) -> None:
        """Fill the wheel's configuration template with our ports."""
        self._config.resolve_storage()
        for name, port in self._ports.items():
            self._config.set(name, port)
        self._config.set("authorization_enabled", self.authorization_enabled)
        if self.certificate:
            self._config.set("tls_mode", 1)
            self._config.set("server_pem_path", str(self.certificate))
            self._config.set("server_key_path", str(self.certificate.with_suffix(".key")))
        self._config.set("log.level", "warn")
        self._config.set("proxy.timeTickInterval", self._tick_ms)
        # A stop waits for loaded collections for half an hour by default, and a start after a
        # kill for the old sessions to run out.
        self._config.set("common.gracefulStopTimeout", 1)
        self._config.set("common.session.ttl", 10)
        self._config.write_config()
        etcd = ETCD_CONFIG.format(client=self._ports["etcd_port"], peer=self._ports["etcd_peer"])
        (self.data / "configs" / "etcd.yaml").write_text(etcd, encoding="utf-8")

    def _is_healthy(self) -> bool:
        """Ask the server's health page."""
        page = f"http://127.0.0.1:{self._ports['metrics']}/healthz"
        try:
            with urllib.request.urlopen(page, timeout=2) as answer:
                return bool(answer.read() == b"OK")
        except (OSError, urllib.error.URLError):
            return False

    def _answers(self) -> bool:
        """Make one request as any client would."""
        from pymilvus import MilvusClient, MilvusException

        try:
            trust = {"server_pem_path": str(self.certificate)} if self.certificate else {}
            client = MilvusClient(self.uri, token=self.token, timeout=5, **trust)
        except MilvusException:
            return False
        try:
            client.list_collections(timeout=5)
        except MilvusException:
            return False
        finally:
            client.close()
        return True

    def _tail(self) -> str:
        """Return the end of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(line[:300] for line in lines[-8:])


def _wheel() -> Any:
    """Import the wheel's module."""
    try:
        import milvus
    except ImportError:
        raise MilvusServerError(
            "The Milvus server is not installed: pip install -r requirements-server.txt "
            "(Linux on x86-64 only)."
        ) from None
    return milvus


def _unpacked() -> Path:
    """Unpack the server's 240 MB once per environment, not once per data folder."""
    home = Path(sys.prefix, "milvus-server")
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _wheel()._initialize_data_files(str(home))  # does nothing when all is in place
    return home


def main() -> int:
    """Run a server until Ctrl-C, SIGTERM, or the time given."""
    parser = argparse.ArgumentParser(description="Start a real Milvus server from the wheel.")
    parser.add_argument("--data", type=Path, default=Path("data/server"), help="its folder")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--for", dest="seconds", type=float, help="stop after this many seconds")
    parser.add_argument("--auth", action="store_true", help=f"ask for a token ({ROOT_TOKEN})")
    arguments = parser.parse_args()

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        server = MilvusServer(
            arguments.data, port=arguments.port, authorization_enabled=arguments.auth
        )
        with server:
            print(
                f"Milvus answers at {server.uri}, data in {arguments.data}. Ctrl-C stops it.",
                flush=True,
            )
            deadline = time.monotonic() + (arguments.seconds or float("inf"))
            while server.running and not ended.wait(0.2) and time.monotonic() < deadline:
                pass
            if not server.running:
                raise MilvusServerError(f"Milvus ended by itself; see {server.log}.")
    except MilvusServerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
