"""A server that dies in mid-run: said within ten seconds, and what was finished is kept."""

import time
from pathlib import Path

import pytest

from lib.benchmark import run_file, runner
from lib.benchmark.__main__ import main
from lib.benchmark.trials import Trial
from lib.benchmark.workload import Plan
from lib.errors import ConnectionFailed
from lib.jobs import Jobs, State
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.settings import Settings
from scripts.milvus_server import MilvusServer


def test_a_server_killed_in_mid_run_is_reported_within_ten_seconds_by_page_and_command(
    milvus_server_class: type[MilvusServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    server = milvus_server_class(tmp_path / "server").start()
    try:
        settings = Settings(milvus_uri=server.uri)
        connection, model = open_connection(settings), open_model(settings)
        killed: list[float] = []

        def kill_after_three(trial: Trial) -> None:
            if trial.order == 2:
                server.kill()
                killed.append(time.perf_counter())

        plan = Plan(
            operations=("similarity_search",), strategies=("sync_loop",), counts=(200,),
            repeats=50, warmup=0, rows=100,
        )  # fmt: skip
        job = Jobs().submit(
            "test",
            lambda job: runner.run(plan, connection, model, job=job, on_trial=kill_after_three),
            subject="test",
        )
        assert job.finished.wait(90)
        assert time.perf_counter() - killed[0] < 10
        assert job.state is State.FAILED
        assert isinstance(job.error, ConnectionFailed)
        assert "stopped answering" in str(job.error)
        assert len(job.result.trials) == 3
        assert job.result.partial

        server.start()
        killed.clear()
        monkeypatch.setattr("lib.benchmark.__main__._show_trial", kill_after_three)
        output = tmp_path / "run.json"
        operations = "similarity_search_by_vector"
        arguments = ["--uri", server.uri, "--operations", operations, "--strategies", "gather"]
        arguments += ["--repeats", "50", "--counts", "200"]
        assert main([*arguments, "--output", str(output)]) == 1
        assert time.perf_counter() - killed[0] < 12
        assert "stopped answering" in capsys.readouterr().err
        read = run_file.read(output)
        assert read.partial
        assert len(read.trials) == 3
        assert "stopped answering" in read.note
        connection.close()
    finally:
        server.kill()
