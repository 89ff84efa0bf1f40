"""Settings come from the environment and from secrets; a wrong value is one clear line."""

import os
import subprocess
import sys

import pytest

from lib import settings
from lib.errors import SettingsError


def test_nothing_set_gives_an_embedded_store_and_the_bundled_model() -> None:
    loaded = settings.load(environment={})
    assert loaded.is_embedded
    assert loaded.milvus_uri.endswith("lab.db")
    assert loaded.embedding_provider == "bundled"


def test_every_variable_reaches_its_field() -> None:
    loaded = settings.load(
        environment={
            "MILVUS_URI": "http://milvus:19530",
            "MILVUS_TOKEN": "root:Milvus",
            "MILVUS_DATABASE": "lab",
            "MILVUS_COLLECTION": "mine",
            "EMBEDDING_PROVIDER": "OpenAI",
            "OPENAI_API_KEY": "sk-1",
            "OPENAI_BASE_URL": "http://localhost:9/v1",
            "OPENAI_EMBEDDING_MODEL": "m",
            "LAB_DATA_DIR": "elsewhere",
            "LAB_PUBLIC": "yes",
            "LAB_MAX_CALLS": "7",
            "LAB_MAX_ROWS": "8",
            "LAB_MAX_UPLOAD_MB": "9",
            "LAB_RPC_TIMEOUT_S": "2.5",
        }
    )
    assert (loaded.milvus_uri, loaded.milvus_token) == ("http://milvus:19530", "root:Milvus")
    assert (loaded.milvus_database, loaded.collection) == ("lab", "mine")
    assert (loaded.embedding_provider, loaded.openai_model) == ("openai", "m")
    assert (loaded.openai_api_key, loaded.openai_base_url) == ("sk-1", "http://localhost:9/v1")
    assert str(loaded.data_dir) == "elsewhere"
    assert (loaded.public, loaded.rpc_timeout_s) == (True, 2.5)
    assert (loaded.max_calls, loaded.max_rows, loaded.max_upload_mb) == (7, 8, 9)


def test_the_environment_wins_over_a_secret_and_unknown_secrets_are_ignored() -> None:
    loaded = settings.load(
        environment={"MILVUS_TOKEN": "from-environment"},
        secrets={"MILVUS_TOKEN": "from-secret", "MILVUS_DATABASE": "db", "other": {"x": 1}},
    )
    assert (loaded.milvus_token, loaded.milvus_database) == ("from-environment", "db")


def test_public_hosting_lowers_the_limits_unless_they_are_set() -> None:
    public = settings.load(environment={"LAB_PUBLIC": "1", "LAB_MAX_ROWS": "50"})
    assert public.max_rows == 50
    assert public.max_calls < settings.load(environment={}).max_calls


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MILVUS_URI", "milvus.txt"),
        ("MILVUS_URI", "ftp://milvus:19530"),
        ("MILVUS_URI", "http://"),
        ("MILVUS_URI", "http://host:99999999"),
        ("EMBEDDING_PROVIDER", "word2vec"),
        ("OPENAI_BASE_URL", "localhost:9"),
        ("LAB_PUBLIC", "maybe"),
        ("LAB_MAX_CALLS", "0"),
        ("LAB_MAX_ROWS", "many"),
        ("LAB_MAX_UPLOAD_MB", "-1"),
        ("LAB_RPC_TIMEOUT_S", "0"),
        ("LAB_RPC_TIMEOUT_S", "nan"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load(environment={variable: value})
    assert str(caught.value).startswith(variable)
    assert "\n" not in str(caught.value)


def test_secrets_do_not_show_in_the_printed_settings() -> None:
    shown = repr(settings.load(environment={"MILVUS_TOKEN": "t0ken", "OPENAI_API_KEY": "k3y"}))
    assert "t0ken" not in shown
    assert "k3y" not in shown


@pytest.mark.parametrize(
    "uri", ["/tmp/lab.db", "lab.db", "milvus.txt", "http://", "http://h:99999"]
)
def test_pymilvus_which_reads_the_same_variable_does_not_fail_at_its_value(uri: str) -> None:
    code = "import lib.milvus.connection, os; print(os.environ['MILVUS_URI'])"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"MILVUS_URI": uri},
        cwd=settings.PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout.strip() == uri, answer.stderr
