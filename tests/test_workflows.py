"""The workflows: what GitHub runs is run here, as far as it needs no GitHub."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT_ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = PROJECT_ROOT / "docs" / "ci" / "benchmark.yml"
WORKFLOWS = [EXAMPLE, *(PROJECT_ROOT / ".github" / "workflows").glob("*.yml")]
# Before these the actions ran on a Node.js that GitHub no longer has.
OLDEST = {"actions/checkout": 6, "actions/setup-python": 6, "actions/upload-artifact": 6}


def job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["jobs"]["slower"]
    return found


def compare(folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the step that measures, with GitHub's shell, beside the folders `base` and `change`."""
    [step] = [step for step in job()["steps"] if step.get("name") == "Measure and compare"]
    return subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=folder,
        env=os.environ | {"HF_HUB_OFFLINE": "1"} | job()["env"] | variables,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_asks_for_no_more_than_it_needs_and_uses_actions_of_today(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    used = re.findall(r"uses: ([\w./-]+)@v(\d+)", text)
    assert used
    assert all(int(version) >= OLDEST[name] for name, version in used)


@pytest.mark.parametrize(
    ("codes", "measured", "ends_with"),
    [
        ("0", 1, 0),
        ("3", 1, 3),
        ("1", 1, 1),
        ("5", 1, 5),
        ("4 0", 2, 0),
        ("4 3", 2, 3),
        ("4 4 4", 3, 0),
    ],
)
def test_what_is_undecided_is_measured_again_and_is_no_failure(
    codes: str, measured: int, ends_with: int, tmp_path: Path
) -> None:
    # Stands where the benchmark is and ends with one code after another.
    given = tmp_path / "codes"
    given.write_text("\n".join(codes.split()) + "\n")
    for name in ("base", "change"):
        python = tmp_path / name / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(
            f'#!/bin/sh\necho "$@" >> {tmp_path}/{name}.log\ncase "$*" in *--compare*)\n'
            f"code=$(head -n 1 {given}); sed -i 1d {given}; exit $code;; esac\n"
        )
        python.chmod(0o755)
    done = compare(tmp_path)
    assert done.returncode == ends_with
    assert ("::warning::" in done.stdout) == (codes == "4 4 4")
    logs = [(tmp_path / f"{name}.log").read_text().splitlines() for name in ("base", "change")]
    assert [len(log) for log in logs] == [measured, measured]
    assert [line.split("--repeats ")[1].split()[0] for line in logs[0]] == [
        *job()["env"]["ROUNDS"].split()[:measured]
    ]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_example_s_commands_run_on_milvus_lite_and_unchanged_code_is_not_red(
    tmp_path: Path,
) -> None:
    for name in ("base", "change"):
        copy = tmp_path / name
        copy.mkdir()
        for needed in (".venv", "lib", "assets"):
            (copy / needed).symlink_to(PROJECT_ROOT / needed)
    plan = job()["env"]["PLAN"].replace("--counts 200", "--counts 20 --rows 50")
    done = compare(tmp_path, PLAN=plan, ROUNDS="3 5", SLOWER="100%")
    assert done.returncode == 0, done.stderr
    assert "Verdict: " in done.stderr
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"baseline.json", "run.json"}
