"""Every documented command has a rule that runs it or says why not."""

from pathlib import Path

import pytest

from scripts.documented_commands import LITE, RULES, commands, rule_of, run


def test_every_command_of_readme_and_docs_is_run_or_has_a_reason_why_not() -> None:
    found = commands()
    assert len(found) > 20
    for command in found:
        rule = rule_of(command)
        assert bool(rule.why_not) != bool(rule.where and not rule.why_not)


def test_every_rule_is_for_a_command_that_is_shown() -> None:
    unused = {rule.begins for rule in RULES} - {rule_of(command).begins for command in commands()}
    assert unused <= {
        "docker-compose config",
        "python -m scripts.documented_commands",
        "streamlit run",
    }


def test_a_command_without_a_rule_is_not_overlooked() -> None:
    with pytest.raises(LookupError, match="add one to RULES"):
        rule_of("python -m scripts.new")


def test_an_exit_code_other_than_the_promised_one_is_seen(tmp_path: Path) -> None:
    good = run("python -m lib.benchmark", LITE, str(tmp_path / "lab.db"), tmp_path)
    assert (good.code, good.promised, good.is_as_promised) == (2, 2, True)
    assert "Say what to run" in good.said
    bad = run("python -m lib.benchmark --preset tutoral", LITE, str(tmp_path / "lab.db"), tmp_path)
    assert (bad.code, bad.promised, bad.is_as_promised) == (2, 0, False)
