"""The terminal command: exit codes, one line for what is wrong, and files that are kept."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lib.benchmark import __main__ as command
from lib.benchmark import run_file
from lib.benchmark.__main__ import main
from lib.milvus.connection import open_connection
from lib.settings import Settings

pytestmark = pytest.mark.slow

SMALL = ["--operations", "add_documents,get_pks", "--counts", "3", "--repeats", "1", "--warmup",
         "0", "--rows", "20"]  # fmt: skip


def test_a_run_is_written_summarised_on_standard_error_and_ends_with_0(
    milvus_lite_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run.json"
    assert main(["--uri", milvus_lite_uri, *SMALL, "--output", str(output)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "speed-up (95 % interval)" in said.err
    assert "Async" in said.err
    read = run_file.read(output)
    assert len(read.trials) == 4
    assert not read.partial
    assert str(tmp_path) not in output.read_text()
    assert not list(tmp_path.glob("*.part"))


def test_a_dash_sends_the_file_and_nothing_else_to_standard_output(
    milvus_lite_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--uri", milvus_lite_uri, *SMALL, "--embedding-latency-ms", "5", "--output", "-"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["environment"]["simulated_latency_ms"] == 5
    assert "simulated: 5 ms" in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--preset tutorial"),
        (["--preset", "tutoral"], "Did you mean 'tutorial'?"),
        (["--operations", "similarity_serch"], "Did you mean 'similarity_search'?"),
        (["--preset", "quick", "--strategies", "gather_limit"], "Did you mean 'gather_limited'?"),
        (["--preset", "quick", "--counts", "0"], "between 1 and 10,000, not 0"),
        (["--preset", "quick", "--counts", "1000000000"], "not 1,000,000,000"),
        (["--preset", "quick", "--counts", "ten"], "whole numbers with commas, not 'ten'"),
        (["--preset", "quick", "--repeats", "0"], "repeats must be between 1 and 100, not 0"),
        (["--preset", "quick", "--repeats", "many"], "a whole number, not 'many'"),
        (["--preset", "quick", "--embedding", "opnai"], "Did you mean 'openai'?"),
        (["--preset", "quick", "--embedding", "openai"], "No OpenAI key is set"),
        (["--preset", "quick", "--uri", "ftp://x"], "--uri must start with http"),
        (["--preset", "quick", "--uri", "store"], "--uri must end in .db"),
        (["--preset", "quick", "--turbo"], "unrecognized arguments: --turbo"),
        (["--preset", "quick", "--output", "missing/run.json"], "run.json cannot be written: No"),
        (["--preset", "quick", "--output", "."], "is a folder"),
    ],
)
def test_wrong_arguments_end_with_2_and_one_line_that_says_which(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MILVUS_URI", str(tmp_path / "lab.db"))
    try:
        code = main(arguments)
    except SystemExit as ended:  # argparse's own way
        code = int(str(ended.code))
    assert code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run.json").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said_before_the_run_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "open_connection", lambda settings: pytest.fail("it started"))
    uri = str(tmp_path / "lab.db")
    assert main(["--uri", uri, "--preset", "quick", "--output", "/dev/full"]) == 2
    assert "No space left on device" in capsys.readouterr().err


def test_an_unreachable_server_ends_with_2_within_ten_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = taken.getsockname()[1]
        started = time.perf_counter()
        output = tmp_path / "run.json"
        uri = f"http://127.0.0.1:{port}"
        assert main(["--uri", uri, "--preset", "quick", "--output", str(output)]) == 2
    assert time.perf_counter() - started < 10
    assert f"No Milvus answered at 127.0.0.1:{port}" in capsys.readouterr().err
    assert not output.exists()


def test_trials_that_fail_their_check_end_with_1_and_are_in_the_file(
    milvus_lite_uri: str, tmp_path: Path, openai_endpoint: Any, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secretsecret")
    monkeypatch.setenv("OPENAI_BASE_URL", openai_endpoint.base_url)
    show = command._show_trial

    def fail_from_now_on(trial: Any) -> None:
        openai_endpoint.failure = "401"
        show(trial)

    monkeypatch.setattr(command, "_show_trial", fail_from_now_on)
    output = tmp_path / "run.json"
    try:
        code = main(
            ["--uri", milvus_lite_uri, *SMALL, "--embedding", "openai", "--output", str(output)]
        )
    finally:
        openai_endpoint.failure = None
    assert code == 1
    assert "refused the key" in capsys.readouterr().err
    assert "sk-secret" not in output.read_text()
    verified = [trial.verified for trial in run_file.read(output).trials]
    assert verified == [True, False, True, True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_writes_a_partial_file_with_what_was_finished(
    number: signal.Signals, milvus_lite_uri: str, tmp_path: Path
) -> None:
    output = tmp_path / "run.json"
    plan = "--operations get_pks,add_documents --counts 20 --rows 50 --repeats 10"
    arguments = ["--uri", milvus_lite_uri, *plan.split(), "--embedding-latency-ms", "50"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lib.benchmark", *arguments, "--output", str(output)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "add_documents × 20" in line:
            break
    process.send_signal(number)
    asked = time.perf_counter()
    rest = process.stderr.read()
    assert process.wait(10) == 128 + number
    assert time.perf_counter() - asked < 5
    assert "Traceback" not in rest
    read = run_file.read(output)
    assert read.partial
    assert len(read.trials) > 20
    assert all(trial.verified for trial in read.trials)
    connection = open_connection(Settings(milvus_uri=milvus_lite_uri))
    assert connection.client.list_collections() == []
    connection.close()


def test_help_names_every_option_of_the_format_s_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for option in ("--uri", "--token", "--operations", "--strategies", "--counts", "--repeats",
                   "--warmup", "--concurrency", "--rows", "--embedding", "--embedding-latency-ms",
                   "--seed", "--output", "--preset"):  # fmt: skip
        assert option in text
