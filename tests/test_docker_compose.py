"""The compose file is valid and agrees with the app and with requirements.txt.

No container engine is needed: Compose itself checks the file, the rest is read from what it
makes of it.
"""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
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


ComposeConfig = Callable[[dict[str, str]], dict[str, Any]]


@pytest.fixture(scope="module")
def run_compose(tmp_path_factory: pytest.TempPathFactory) -> ComposeConfig:
    """Return what Compose makes of the file with these variables, the optional services too."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    no_variables = tmp_path_factory.mktemp("compose") / "empty.env"
    no_variables.touch()

    def config(variables: dict[str, str]) -> dict[str, Any]:
        answer = subprocess.run(
            [*compose_command(), "--env-file", str(no_variables), "--profile", "*", "config"],
            cwd=PROJECT_ROOT,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        return dict(yaml.safe_load(answer.stdout))

    return config


@pytest.fixture(scope="module")
def compose(run_compose: ComposeConfig) -> dict[str, Any]:
    """What Compose makes of the file with no variable set."""
    return run_compose({})


def test_every_setting_is_passed_on_and_no_other(compose: dict[str, Any]) -> None:
    given = compose["services"]["app"]["environment"]
    assert given["MILVUS_URI"] == "http://milvus:19530"
    # Where the image keeps its data, and what Streamlit itself reads.
    assert set(given) == set(VARIABLES) - {"LAB_DATA_DIR"} | {"STREAMLIT_SERVER_BASE_URL_PATH"}


def test_what_is_set_reaches_the_app_under_its_own_name(run_compose: ComposeConfig) -> None:
    chosen = {name: f"a value of {name}" for name in {*VARIABLES} - {"LAB_DATA_DIR"}}
    given = run_compose(chosen)["services"]["app"]["environment"]
    assert chosen.items() <= given.items()


def test_nothing_set_is_the_settings_defaults(compose: dict[str, Any]) -> None:
    given = compose["services"]["app"]["environment"]
    loaded = settings.load({name: str(value or "") for name, value in given.items()})
    assert loaded == settings.load({"MILVUS_URI": "http://milvus:19530"})


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


def test_the_guide_or_the_readme_explains_every_variable_that_compose_reads() -> None:
    text = (PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    guide = (PROJECT_ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    read = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert read >= {"LAB_OWNER_TOKEN", "APP_PORT"}
    for name in read - set(VARIABLES):
        assert f"`{name}" in guide
    for name in read & set(VARIABLES):  # tests/test_readme.py holds the README to the settings
        assert f"`{name}`" in readme


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


def test_rows_and_saved_runs_outlive_the_containers(compose: dict[str, Any]) -> None:
    assert sorted(compose["volumes"]) == ["app-data", "milvus-data"]
    assert "milvus-data" in str(compose["services"]["milvus"]["volumes"])
    (volume,) = compose["services"]["app"]["volumes"]
    # Compose 1 writes a text, Compose 2 a mapping.
    source, target = (
        (volume["source"], volume["target"]) if isinstance(volume, dict) else volume.split(":")[:2]
    )
    (data_dir,) = re.findall(
        r"LAB_DATA_DIR=(\S+)", (PROJECT_ROOT / "Dockerfile").read_text(encoding="utf-8")
    )
    assert (source, target) == ("app-data", data_dir)


def test_a_recreated_container_keeps_the_name_by_which_leftovers_are_judged(
    compose: dict[str, Any],
) -> None:
    assert compose["services"]["app"]["hostname"] == "milvus-async-lab"


def test_every_mounted_file_is_in_the_repository() -> None:
    text = (PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    mounted = re.findall(r"- \./(\S+?):", text)
    assert mounted
    for path in mounted:
        assert (PROJECT_ROOT / path).is_file()
