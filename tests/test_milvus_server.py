"""The real server that other tests run against: it starts, comes back, and leaves nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pymilvus import MilvusClient, MilvusException

from scripts.milvus_server import MilvusServer, MilvusServerError

ROWS = [{"id": i, "vector": [i, 1.0, 0.0, 0.0]} for i in range(20)]


def count(server: MilvusServer, collection: str) -> int:
    client = MilvusClient(server.uri, token=server.token, dedicated=True)
    client.load_collection(collection)
    answer = client.query(collection, output_fields=["count(*)"], consistency_level="Strong")
    client.close()
    return int(answer[0]["count(*)"])


def processes_of(server: MilvusServer) -> list[psutil.Process]:
    folder = str(server.data)
    return [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == folder]


def test_a_protected_server_beside_another_keeps_its_rows_over_a_restart_and_leaves_no_process(
    milvus_server: MilvusServer, milvus_server_class: type[MilvusServer], tmp_path: Path
) -> None:
    with milvus_server_class(tmp_path / "second", authorization_enabled=True) as second:
        assert second.uri != milvus_server.uri
        assert len(processes_of(second)) == 1
        client = MilvusClient(second.uri, token=second.token, dedicated=True)
        assert client.list_collections() == []
        client.create_collection("survivors", dimension=4)
        client.insert("survivors", ROWS)
        client.close()
        with pytest.raises(MilvusException):
            MilvusClient(second.uri, token="root:wrong", timeout=5, dedicated=True)
        uri = second.uri

        second.stop()
        assert not second.running
        second.start()
        assert second.uri == uri
        assert count(second, "survivors") == len(ROWS)

        second.kill()
        assert processes_of(second) == []
        assert second.pid is None
    client = MilvusClient(milvus_server.uri, dedicated=True)
    assert "survivors" not in client.list_collections()
    client.close()


def test_the_command_stops_by_itself_and_its_server_dies_with_it(
    milvus_server_class: type[MilvusServer], tmp_path: Path
) -> None:
    probe = milvus_server_class(tmp_path / "probe")  # never started: it lends a free port
    command = [sys.executable, "-m", "scripts.milvus_server", "--port", str(probe.port)]

    finished = subprocess.run(
        [*command, "--data", str(tmp_path / "short"), "--for", "0.5"],
        check=False,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert finished.returncode == 0, finished.stderr
    assert f"http://127.0.0.1:{probe.port}" in finished.stdout

    killed = [*command, "--data", str(tmp_path / "killed")]
    running = subprocess.Popen(killed, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert "Milvus answers" in running.stdout.readline()
    server = milvus_server_class(tmp_path / "killed")
    left = processes_of(server)
    assert len(left) == 1
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    running.stdout.close()
    psutil.wait_procs(left, timeout=10)
    assert processes_of(server) == []


def test_a_taken_port_is_one_clear_line(
    milvus_server: MilvusServer, milvus_server_class: type[MilvusServer], tmp_path: Path
) -> None:
    with pytest.raises(MilvusServerError, match=f"Port {milvus_server.port} is taken"):
        milvus_server_class(tmp_path, port=milvus_server.port)


def test_a_missing_wheel_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "milvus", None)
    with pytest.raises(MilvusServerError, match=r"pip install -r requirements-server\.txt"):
        MilvusServer(tmp_path)
