"""The terminal command: exit codes, one line for what is wrong, and files that are kept."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lib.benchmark import command, options
from lib.benchmark.answers import OTHER_ROWS
from lib.benchmark.command import main
from lib.benchmark.endpoint import RETRY_AFTER_S, OpenAIEndpoint
from lib.benchmark.recorder import NO_EFFECT
from lib.benchmark.runner import plan_settings
from lib.milvus.connection import open_connection
from lib.results import run_file
from lib.results.effects import NEEDS
from lib.results.plan import Plan
from lib.results.trials import Run
from lib.settings import PROJECT_ROOT, Settings
from tests.run_builder import trial

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
    assert "speed-up (95% interval)" in said.err
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
    assert code_of(arguments) == 2
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


@pytest.mark.alone
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


# Option → words in which it would change nothing, and what is said of that.
SEARCH, ADD = "--operations get_pks --counts 3", "--operations add_documents --counts 3"
BY_VECTOR = "--operations similarity_search_by_vector"
RATE = f"--experiment rate {BY_VECTOR} --strategies open_constant --seconds 2 --p99-ms 50"
WITHOUT_EFFECT = [
    (f"{SEARCH} --fail-if-slower 15%", "it takes --compare"),
    (f"{SEARCH} --yes", "it is for --experiment overload"),
    (f"{SEARCH} --token root:Milvus", "it is for a server"),
    (f"{SEARCH} --http-client aiohttp", "it takes --embedding openai"),
    (f"{RATE} --operations similarity_search_by_vector,similarity_search", "one operation"),
    ("--preset overload --strategies sync_loop,gather_limited", "and overload makes gather,"),
    (f"{RATE} --strategies open_constant,sync_loop", "takes one open loop"),
    ("--preset sweep --counts 7", "as many calls as they have time for"),
    (f"{SEARCH} --concurrency 5", "a strategy with a limit"),
    (f"{RATE} --concurrency 5", "rate finds its own"),
    ("--preset overload --concurrency 5,7", "overload takes one limit"),
    (f"{SEARCH} --k 5", "no operation of the plan searches"),
    ("--operations similarity_search --fetch-k 30", "takes a max_marginal_relevance_search"),
    ("--operations similarity_search --lambda-mult 0.3", "takes a max_marginal_relevance_search"),
    (f"{SEARCH} --delete-by id", "no operation of the plan deletes"),
    (f"{SEARCH} --delete-consistency Bounded", "no operation of the plan deletes"),
    (f"{SEARCH} --embedding-latency-ms 50", "no operation of the plan embeds"),
    (f"{ADD} --embedding-jitter-ms 50", "takes an embedding_latency_ms"),
    (f"{SEARCH} --embedding-latency-ms 9 --embedding-jitter-ms 50", "of the plan embeds"),
    (f"{SEARCH} --rates 100", "takes an open loop or a token bucket"),
    (f"{RATE} --rates 100", "rate searches for it"),
    ("--preset overload --rates 100,200", "overload takes one rate"),
    (f"{ADD} --strategies one_batch --batches 2", "a strategy that makes several calls"),
    (f"{SEARCH} --strategies sync_loop --retries 3", "an async strategy"),
    (f"{RATE} --retries 3", "an async strategy"),
    (f"{SEARCH} --p99-ms 50", "takes --experiment rate"),
    ("--collection c --questions QUESTIONS --operations similarity_search --rows 7", "its own"),
    (
        "--collection c --questions QUESTIONS --operations similarity_search --index FLAT",
        "keeps its index",
    ),
    (f"{BY_VECTOR} --least-recall 0.9", "an --index that is not exact"),
    (f"{BY_VECTOR} --index FLAT --least-recall 0.9", "an --index that is not exact"),
    # Refused for their values, or together with the others they do not go with.
    ("--preset sweep --seconds 0", "a number above 0, not '0'"),
    ("--preset sweep --seconds nan", "a number above 0, not 'nan'"),
    ("--preset rate --p99-ms 0", "a number above 0, not '0'"),
    ("--preset overload --seconds 2", "timed"),
    ("--preset rate --strategies gather_limited", "takes an open loop"),
    (f"{SEARCH} --rates ,", "numbers with commas, not ','"),
    (f"{SEARCH} --batches ,", "whole numbers with commas, not ','"),
    (f"{SEARCH} --questions QUESTIONS", "go together"),
    (f"{SEARCH} --collection c", "go together"),
    (f"{SEARCH} --fail-if-slower 0", "a share such as 15%, not '0'"),
]
# Whatever is run, these change something.
ALWAYS = {"--help", "--preset", "--uri", "--repeats", "--warmup", "--embedding", "--seed",
          "--experiment", "--note", "--compare", "--output"}  # fmt: skip


def code_of(arguments: list[str]) -> int:
    """Run the command; argparse ends it in a way of its own."""
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(str(ended.code))


@pytest.mark.parametrize(("words", "said"), WITHOUT_EFFECT)
def test_an_option_that_would_change_nothing_is_refused_in_one_sentence(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("questions.txt").write_text("What is a list?\n", encoding="utf-16")
    monkeypatch.setattr(command, "open_connection", lambda settings: pytest.fail("it started"))
    arguments = ["--uri", "lab.db", *words.replace("QUESTIONS", "questions.txt").split()]
    assert code_of(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("run.json").exists()


def test_every_option_changes_something_or_is_refused_where_it_does_not() -> None:
    known = {name for action in options.parser()._actions for name in action.option_strings}
    tried = {word for words, _ in WITHOUT_EFFECT for word in words.split() if word in known}
    assert known - {"-h"} == ALWAYS | (tried - {"--preset", "--operations"}) | {"--operations"}
    # The rules and the options name each other.
    assert {f"--{name.replace('_', '-')}" for name in NEEDS} <= known


def test_a_run_that_is_there_is_not_overwritten_unless_it_is_named(
    milvus_lite_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    tiny = ["--uri", milvus_lite_uri, "--operations", "get_pks", "--counts", "1", "--repeats", "1",
            "--warmup", "0", "--rows", "2"]  # fmt: skip
    Path("run.json").write_text("mine")
    Path("run-2.json").mkdir()
    assert main(tiny) == 0
    assert "Written to run-3.json; run.json is kept as it was." in capsys.readouterr().err
    assert Path("run.json").read_text() == "mine"
    assert len(run_file.read(Path("run-3.json")).trials) == 2
    assert main([*tiny, "--output", "run.json"]) == 0
    assert len(run_file.read(Path("run.json")).trials) == 2
    assert sorted(path.name for path in tmp_path.glob("run*")) == [
        "run-2.json", "run-3.json", "run.json",
    ]  # fmt: skip


def test_a_run_of_void_trials_ends_with_a_code_of_its_own(
    milvus_lite_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Milvus Lite works in the client's own process, which cannot start so many beside it.
    words = f"{BY_VECTOR} --strategies open_constant --rates 1000 --seconds 2 --repeats 1"
    arguments = ["--uri", milvus_lite_uri, *words.split(), "--warmup", "0", "--rows", "10"]
    assert main([*arguments, "--output", str(tmp_path / "run.json")]) == options.NO_VERDICT
    assert "No verdict" in capsys.readouterr().err
    assert all(trial.is_void for trial in run_file.read(tmp_path / "run.json").trials)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ([{}], options.VERIFIED),
        ([{"verified": False}, {}], options.FAILED),
        ([{"verified": False, "refused": {"full": 3}}], options.NO_VERDICT),
        ([{"verified": False, "refused": {"full": 3}}, {}], options.VERIFIED),
    ],
)
def test_the_exit_code_follows_from_the_trials(changes: list[dict[str, Any]], code: int) -> None:
    trials = tuple(replace(trial(1.0, i), **each) for i, each in enumerate(changes))
    assert command._code(Run(environment={}, settings={}, trials=trials)) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("MilvusException: deadline exceeded", options.VERIFIED),
        (OTHER_ROWS, options.FAILED),
        (NO_EFFECT, options.FAILED),
    ],
)
def test_an_overload_may_lose_calls_but_not_answer_wrongly(error: str, code: int) -> None:
    good, bad = trial(1.0), trial(1.0, 1)
    lost = replace(bad.calls[0], ok=False, error=error)
    bad = replace(bad, calls=(lost, *bad.calls[1:]), verified=False)
    run = Run(environment={}, settings={"experiment": "overload"}, trials=(good, bad))
    assert command._code(run) == code


def test_a_search_for_a_rate_whose_rates_are_all_void_has_no_verdict() -> None:
    closed = replace(trial(1.0), verified=True)
    void = replace(trial(1.0, 1), rate_per_s=100.0, verified=False, refused={"void": 1})
    run = Run(environment={}, settings={"experiment": "rate"}, trials=(closed, void))
    assert command._code(run) == options.NO_VERDICT
    held = replace(void, verified=True)
    assert command._code(replace(run, trials=(closed, held))) == options.VERIFIED


def test_a_baseline_of_more_calls_than_this_app_makes_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(operations=("get_pks",), counts=(20_011,), rows=30_000)
    baseline = Run(environment={}, settings=plan_settings(plan), trials=(trial(1.0),))
    run_file.write(baseline, tmp_path / "baseline.json")
    arguments = ["--uri", str(tmp_path / "lab.db"), "--compare", str(tmp_path / "baseline.json")]
    assert main(arguments) == 2
    assert "count must be between 1 and 10,000, not 20,011" in capsys.readouterr().err
    monkeypatch.setenv("LAB_MAX_CALLS", "30000")
    monkeypatch.setenv("LAB_MAX_CONCURRENCY", "30000")  # a gather has all of them in flight
    given = options.parser().parse_args(arguments)
    assert options.plan_of(given, options.settings_of(given), baseline) == plan


def test_refusals_inside_the_provider_s_client_are_counted_kept_and_said(
    milvus_lite_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secretsecret")
    plan = "--operations similarity_search --counts 13 --concurrency 3 --repeats 1 --warmup 0"
    ways = ["--strategies", "gather,gather_limited", "--rows", "20", "--embedding", "openai"]
    output = tmp_path / "run.json"
    with OpenAIEndpoint(latency_s=0.5, use_bundled_model=False, most_in_flight=3) as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.base_url)
        arguments = ["--uri", milvus_lite_uri, *plan.split(), *ways, "--output", str(output)]
        assert main(arguments) == 0
        refused = endpoint.refused.total()
    trials = {trial.strategy: trial for trial in run_file.read(output).trials}
    gathered, limited = trials["gather"], trials["gather_limited"]
    assert gathered.provider_refused == refused >= 10
    assert gathered.provider_sent == 13 + refused
    assert gathered.provider_waited_s == pytest.approx(refused * RETRY_AFTER_S)
    assert (limited.provider_sent, limited.provider_refused) == (13, 0)
    assert limited.provider_waited_s == 0
    said = capsys.readouterr().err
    assert f"turned away {refused} of {13 + refused} requests, after which" in said
    assert f"turned away {refused} of {26 + refused} requests: a limit" in said


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_writes_a_partial_file_with_what_was_finished(
    number: signal.Signals, milvus_lite_uri: str, tmp_path: Path
) -> None:
    output = tmp_path / "run.json"
    plan = "--operations get_pks,add_documents --counts 20 --rows 50 --repeats 10"
    arguments = ["--uri", milvus_lite_uri, *plan.split(), "--embedding-latency-ms", "50"]
    process = started([*arguments, "--output", str(output)])
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


def started(arguments: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "lib.benchmark", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )


# A line of standard error after which the signal is sent; imports are listed as they end.
MOMENTS = {
    "the first import": "lib.benchmark.interruption",
    "numpy's import": "numpy._core.multiarray",
    "pymilvus's import": "pymilvus.settings",
    "langchain's import": "langchain_core.embeddings",
    "the last import": "lib.benchmark.command",
    "set-up": "very roughly",
    "a trial": "get_pks × 7",
    "the end": "Written to",
}


@pytest.mark.parametrize(
    ("moment", "times"), [(moment, 1 + i % 2) for i, moment in enumerate(MOMENTS)]
)
def test_ctrl_c_at_any_moment_ends_without_a_traceback(
    moment: str, times: int, milvus_lite_uri: str, tmp_path: Path
) -> None:
    output = tmp_path / "run.json"
    plan = "--operations get_pks,add_documents --counts 7 --rows 20 --repeats 3 --warmup 0"
    process = started(["--uri", milvus_lite_uri, *plan.split(), "--output", str(output)])
    assert process.stderr is not None
    for line in process.stderr:
        if MOMENTS[moment] in line:
            break
    else:
        pytest.fail(f"never said {MOMENTS[moment]}")
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    said = "".join(line for line in process.stderr if not line.startswith("import time:"))
    # After its last line a run is whole, and the signal may find that it has ended.
    assert process.wait(20) in ({0, 130} if moment == "the end" else {130})
    assert "Traceback" not in said
    assert "Exception" not in said
    if output.exists():
        kept = run_file.read(output)
        assert kept.partial == (moment != "the end")
        assert kept.trials
    else:
        assert "measured" in said or "nothing was written" in said
    assert not list(tmp_path.glob("*.part"))


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


def test_the_exit_codes_stand_in_the_help_the_readme_and_the_docs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    docs = (PROJECT_ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    assert "docs/exit-codes.md" in (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    for code, meaning in options.CODES.items():
        assert f"{code}: {meaning}" in said
        assert f"| {code} | {meaning} |" in docs
