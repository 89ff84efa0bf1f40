"""The compose file is valid and agrees with the app and with requirements.txt.

No container engine is needed: Compose itself checks the file, the rest is read from what it
makes of it.
"""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from lib import settings
from lib.settings import VARIABLES

PROJECT_ROOT = Path(__file__).resolve().parent.parent


def compose_command() -> list[str]:
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    docker = ["docker", "compose"]
    if (
        shutil.which("docker")
        and subprocess.call([*docker, "version"], stdout=subprocess.DEVNULL) == 0
    ):
        return docker
    pytest.skip("needs docker-compose, for example from apt-get install docker-compose")


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Compose makes of the file with no variable set, the optional services too."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    no_variables = tmp_path_factory.mktemp("compose") / "empty.env"
    no_variables.touch()
    answer = subprocess.run(
        [*compose_command(), "--env-file", str(no_variables), "--profile", "*", "config"],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return dict(yaml.safe_load(answer.stdout))


def test_every_variable_of_the_app_is_one_that_settings_reads(compose: dict[str, Any]) -> None:
    given = compose["services"]["app"]["environment"]
    assert given["MILVUS_URI"] == "http://milvus:19530"
    assert set(given) <= set(VARIABLES)


def test_every_port_is_reachable_from_this_machine_only(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        (port,) = service["ports"]
        # Compose 1 writes a text, Compose 2 a mapping.
        host = port["host_ip"] if isinstance(port, dict) else port.split(":")[0]
        assert host == "127.0.0.1", name


def test_every_service_has_a_limit_of_memory(compose: dict[str, Any]) -> None:
    assert {name for name, service in compose["services"].items() if service["mem_limit"]} == {
        "app",
        "attu",
        "milvus",
    }


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("KEY|TOKEN|PASSWORD|SECRET", name):
                assert not value, name


def test_attu_starts_only_where_it_is_asked_for(compose: dict[str, Any]) -> None:
    profiles = {name: service.get("profiles") for name, service in compose["services"].items()}
    assert profiles == {"app": None, "attu": ["attu"], "milvus": None}


def test_the_example_of_secrets_names_only_variables_that_settings_reads() -> None:
    example = PROJECT_ROOT / ".streamlit" / "secrets.toml.example"
    text = example.read_text(encoding="utf-8")
    given = tomllib.loads(re.sub(r"^# (?=[A-Z_]+ = )", "", text, flags=re.MULTILINE))
    assert given
    assert set(given) <= set(VARIABLES)
    settings.load({}, tomllib.loads(text))


def test_the_guide_explains_every_variable_that_compose_reads() -> None:
    text = (PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    guide = (PROJECT_ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"\$\{([A-Z_]+)", text)):
        assert f"`{name}`" in guide


def test_the_app_waits_for_a_healthy_milvus(compose: dict[str, Any]) -> None:
    waits_for = compose["services"]["app"]["depends_on"]
    assert waits_for["milvus"]["condition"] == "service_healthy"
    assert "http://localhost:9091/healthz" in compose["services"]["milvus"]["healthcheck"]["test"]


def test_milvus_has_the_version_of_the_pinned_client(compose: dict[str, Any]) -> None:
    requirements = (PROJECT_ROOT / "requirements.txt").read_text(encoding="utf-8")
    client = re.search(r"^pymilvus\S*==(\d+\.\d+)\.", requirements, re.MULTILINE)
    server = re.fullmatch(
        r"milvusdb/milvus:v(\d+\.\d+)\.\d+", compose["services"]["milvus"]["image"]
    )
    assert client
    assert server
    assert server[1] == client[1]


def test_milvus_keeps_its_data_in_the_one_named_volume(compose: dict[str, Any]) -> None:
    assert list(compose["volumes"]) == ["milvus-data"]
    assert "milvus-data" in str(compose["services"]["milvus"]["volumes"])
    assert "volumes" not in compose["services"]["app"]


def test_every_mounted_file_is_in_the_repository() -> None:
    text = (PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    mounted = re.findall(r"- \./(\S+?):", text)
    assert mounted
    for path in mounted:
        assert (PROJECT_ROOT / path).is_file()
