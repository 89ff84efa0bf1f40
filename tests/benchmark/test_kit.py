"""The recording kit: several runs in one file, which is imported as one."""

import re
from pathlib import Path

import pytest

from lib.benchmark import kit
from lib.benchmark.command import main
from lib.benchmark.kit import Recording
from lib.errors import InvalidInput
from lib.results import run_file
from lib.results.trials import ENDPOINT_MS
from lib.runs.store import Origin, RunStore
from tests.run_builder import make_run

FEW = "--operations similarity_search --strategies sync_loop,gather --counts 2 --rows 7"
FEW += " --repeats 1 --warmup 0"


@pytest.mark.slow
def test_the_kit_s_file_is_imported_as_one_and_its_runs_are_called_by_their_milvus(
    milvus_lite_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    through_client = Recording(f"{FEW} --embedding openai", endpoint_ms=10, starts=3)
    few = {"few": Recording(FEW), "through-client": through_client}
    monkeypatch.setattr(kit, "RECORDINGS", {**few, "never": Recording("", overloads=True)})
    monkeypatch.setattr(kit, "REPEATS", 2)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_EMBEDDING_MODEL"):
        monkeypatch.setenv(name, "")
    output = tmp_path / "recorded.json-seq"
    assert main(["record", "--uri", milvus_lite_uri, "--output", str(output)]) == 0
    assert "2 of 2 runs" in capsys.readouterr().err
    store = RunStore(tmp_path / "runs")
    first, second = store.import_all(output.read_bytes(), output.name)
    assert first.card.origin == Origin.IMPORTED.name
    assert re.match(r"Milvus Lite \(embedded\) [\d.]+: Similarity search", first.card.name)
    run = second.load()
    assert run.environment[ENDPOINT_MS] == 10
    assert run.settings["repeats"] == 2
    assert all(trial.verified for trial in run.trials)


def test_an_unknown_recording_is_one_sentence_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["record", "--uri", "unused.db", "--only", "nonsense"]) == 2
    said = capsys.readouterr().err
    assert "nonsense" in said
    assert "sweep-server" in said
    assert "overload-server" not in said


def test_of_a_sequence_the_runs_before_a_damaged_one_are_kept(tmp_path: Path) -> None:
    whole = run_file.to_json(make_run()).encode()
    store = RunStore(tmp_path)
    with pytest.raises(InvalidInput, match=r"Run 3 of 3") as raised:
        store.import_all(run_file.sequence([whole, whole, whole[:-40]]), "three.json-seq")
    assert raised.value.kept == "2 runs before it were imported."
    assert len(list(tmp_path.glob("*.json"))) == 2
    # One run, in a sequence or not, is called as its file.
    for data in (whole, run_file.sequence([whole])):
        [entry] = store.import_all(data, "mine.json")
        assert entry.card.name == "mine"
    with pytest.raises(InvalidInput, match="more than 50"):
        run_file.parts(run_file.sequence([b"{}"] * 51))
