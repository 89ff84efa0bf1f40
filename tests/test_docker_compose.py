"""The compose file is valid and agrees with the app and with requirements.txt.

No container engine is needed: Compose itself checks the file, the rest is read from what it
makes of it.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

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
    """What Compose makes of the file with no variable set."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    no_variables = tmp_path_factory.mktemp("compose") / "empty.env"
    no_variables.touch()
    answer = subprocess.run(
        [*compose_command(), "--env-file", str(no_variables), "config"],
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


def test_only_the_app_publishes_a_port(compose: dict[str, Any]) -> None:
    assert [name for name, service in compose["services"].items() if service.get("ports")] == [
        "app"
    ]
    assert len(compose["services"]["app"]["ports"]) == 1


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
