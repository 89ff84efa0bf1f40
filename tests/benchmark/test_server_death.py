"""A server that dies in mid-run: said within ten seconds, and what was finished is kept."""

import time
from functools import partial
from pathlib import Path

import pytest

from lib.benchmark import runner
from lib.benchmark.command import main
from lib.errors import ConnectionFailed
from lib.jobs import Jobs, State
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.results import run_file
from lib.results.plan import Plan
from lib.results.trials import Trial
from lib.settings import Settings
from scripts.milvus_server import MilvusServer


@pytest.mark.alone
def test_a_server_killed_in_mid_run_is_reported_within_ten_seconds_by_page_and_command(
    milvus_server_class: type[MilvusServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    server = milvus_server_class(tmp_path / "server").start()
    try:
        settings = Settings(milvus_uri=server.uri)
        connection, model = open_connection(settings), open_model(settings)
        finished = {"page": 0, "command": 0}
        killed: list[float] = []

        def kill_when_both_have_three(who: str, trial: Trial) -> None:
            finished[who] += 1
            if min(finished.values()) == 3 and not killed:
                killed.append(time.perf_counter())
                server.kill()

        plan = Plan(
            operations=("similarity_search",), strategies=("sync_loop",), counts=(200,),
            repeats=100, warmup=0, rows=100,
        )  # fmt: skip
        told = partial(kill_when_both_have_three, "page")
        job = Jobs().submit(
            "test",
            lambda job: runner.run(plan, connection, model, job=job, on_trial=told),
            subject="test",
        )
        monkeypatch.setattr(
            "lib.benchmark.command._show_trial", partial(kill_when_both_have_three, "command")
        )
        output = tmp_path / "run.json"
        operations = "similarity_search_by_vector"
        arguments = ["--uri", server.uri, "--operations", operations, "--strategies", "gather"]
        arguments += ["--repeats", "100", "--counts", "200"]
        assert main([*arguments, "--output", str(output)]) == 1
        assert time.perf_counter() - killed[0] < 12
        assert "stopped answering" in capsys.readouterr().err
        read = run_file.read(output)
        assert read.partial
        assert len(read.trials) == finished["command"] >= 3
        assert "stopped answering" in read.note

        assert job.finished.wait(max(killed[0] + 10 - time.perf_counter(), 0))
        assert job.state is State.FAILED
        assert isinstance(job.error, ConnectionFailed)
        assert "stopped answering" in str(job.error)
        assert len(job.result.trials) == finished["page"] >= 3
        assert job.result.partial
        connection.close()
    finally:
        server.kill()
