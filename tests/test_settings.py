"""Settings come from the environment and from secrets; a wrong value is one clear line."""

import copy
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest

from lib import settings
from lib.errors import SettingsError
from lib.settings import OPENAI_ADDRESS, Secret, Settings, canonical

HOST = Settings(
    milvus_uri="https://milvus.example:19530",
    milvus_token="host:token",
    milvus_database="host_database",
    openai_api_key="sk-host",
)
SECRETS = {"milvus_token", "milvus_database", "openai_api_key"}


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
        ("OPENAI_HTTP_CLIENT", "curl"),
        ("OPENAI_BASE_URL", "localhost:9"),
        ("LAB_ALLOWED_HOSTS", "https://milvus.example/"),
        ("LAB_ALLOWED_HOSTS", "a b"),
        ("LAB_ALLOWED_HOSTS", "*"),
        ("LAB_OWNER_TOKEN", "short"),
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


@pytest.mark.parametrize("uri", ["/tmp/lab.db", "http://", "http://h:99999"])
def test_pymilvus_which_reads_the_same_variable_does_not_fail_at_its_value(uri: str) -> None:
    code = (
        "import lib, os, sys; assert 'pymilvus' not in sys.modules; "
        "import langchain_milvus, pymilvus; print(os.environ['MILVUS_URI'])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"MILVUS_URI": uri},
        cwd=settings.PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout.strip() == uri, answer.stderr


@pytest.mark.parametrize(
    "change",
    [
        {"milvus_uri": "https://visitor.example:19530"},
        {"milvus_uri": "http://milvus.example:19530"},
        {"milvus_uri": "https://milvus.example:19531"},
        {"milvus_uri": "https://milvus.example:19530", "openai_base_url": "http://visitor/v1"},
        {"openai_base_url": "http://visitor.example/v1"},
        {"openai_base_url": "https://api.openai.com/v2"},
        {"openai_base_url": "https://api.openai.com:8443/v1"},
        {"openai_base_url": "https://api.openai.com.visitor.example/v1"},
    ],
)
def test_settings_refuse_to_hold_a_secret_beside_another_address(change: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="belongs to another address"):
        replace(HOST, **change)


def test_a_secret_stays_with_the_same_address_however_it_is_written() -> None:
    same = replace(
        HOST,
        milvus_uri="HTTPS://Milvus.Example:19530/",
        openai_base_url="https://API.openai.com:443/v1/",
    )
    assert (same.milvus_token, same.openai_api_key) == ("host:token", "sk-host")
    assert replace(HOST, openai_base_url="").openai_base_url == OPENAI_ADDRESS


def test_a_secret_is_in_no_text_of_the_settings_and_in_no_pickle() -> None:
    assert not any(text in repr(HOST) for text in ("host:token", "host_database", "sk-host"))
    assert "sk-host" not in repr(HOST.openai_api_key)
    for write in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            write(HOST.openai_api_key)


def test_a_visitors_choice_takes_only_secrets_that_were_given_for_its_addresses() -> None:
    """Both directions, step by step: the host's never to a visitor's, nor theirs to the host's."""
    own = HOST.pointed_at(
        HOST,
        milvus_uri="http://visitor.example:19530",
        milvus_token="",
        openai_base_url="http://visitor.example/v1",
        openai_api_key="sk-visitor",
    )
    assert {name: str(getattr(own, name)) for name in SECRETS} == {
        "milvus_token": "",
        "milvus_database": "",
        "openai_api_key": "sk-visitor",
    }
    # The dialog opened again, nothing typed: the visitor's key for the visitor's address.
    again = own.pointed_at(HOST, openai_base_url=own.openai_base_url, openai_api_key="")
    assert again.openai_api_key == "sk-visitor"
    # Another address, no key; and back at the host's the host's own.
    third = again.pointed_at(HOST, openai_base_url="http://third.example/v1", openai_api_key="")
    assert third.openai_api_key == ""
    back = again.pointed_at(HOST, openai_base_url="", milvus_uri=HOST.milvus_uri)
    assert (back.openai_api_key, back.milvus_token) == ("sk-host", "host:token")
    assert back.milvus_database == "host_database"


@pytest.mark.parametrize("database", ["other", "default", "HOST_DATABASE", " "])
def test_the_token_of_a_public_host_goes_with_its_database_alone(database: str) -> None:
    host = replace(HOST, public=True)
    blank = {"milvus_uri": host.milvus_uri, "milvus_token": "", "milvus_database": ""}
    assert host.pointed_at(host, **blank).milvus_token == "host:token"
    for before in (host, host.pointed_at(host, **blank | {"milvus_database": "theirs"})):
        chosen = before.pointed_at(host, **blank | {"milvus_database": database})
        assert (chosen.milvus_database, chosen.milvus_token) == (database, "")
        chosen = before.pointed_at(host, milvus_database=database)
        assert chosen.milvus_token == ""
        # A token of the visitor's own goes where the visitor says.
        theirs = before.pointed_at(
            host, **blank | {"milvus_database": database, "milvus_token": "visitor:token"}
        )
        assert theirs.milvus_token == "visitor:token"
    # Where the app is not public the visitor is the host.
    assert HOST.pointed_at(HOST, milvus_database=database).milvus_token == "host:token"


def test_the_key_of_a_public_host_goes_with_its_model_alone() -> None:
    host = replace(HOST, public=True)
    dear = host.pointed_at(host, openai_base_url="", openai_model="text-embedding-3-large")
    assert dear.openai_api_key == ""
    assert host.pointed_at(host, openai_base_url="").openai_api_key == "sk-host"


def test_an_http_address_without_a_port_is_pymilvuss_port_for_a_milvus_and_the_webs_else() -> None:
    host = Settings(milvus_uri="http://milvus", milvus_token="host:token")
    assert host.pointed_at(host, milvus_uri="http://milvus:19530").milvus_token == "host:token"
    assert host.pointed_at(host, milvus_uri="http://milvus:80").milvus_token == ""
    web = Settings(milvus_uri="lab.db", openai_base_url="http://api/v1", openai_api_key="sk-host")
    assert web.pointed_at(web, openai_base_url="http://api:80/v1").openai_api_key == "sk-host"
    assert web.pointed_at(web, openai_base_url="http://api:19530/v1").openai_api_key == ""


def test_only_a_collection_that_the_host_names_counts_as_named() -> None:
    assert not settings.load({}).collection_is_named
    assert not settings.load({"MILVUS_COLLECTION": " "}).collection_is_named
    for name in ("mine", "async_lab"):
        assert settings.load({"MILVUS_COLLECTION": name}).collection_is_named
        assert settings.load({}, {"MILVUS_COLLECTION": name}).collection_is_named


def test_no_secret_follows_a_choice_of_the_same_name_in_another_form() -> None:
    for uri in (
        "http://milvus.example:19530",
        "https://milvus.example",
        "https://milvus.example.:19530",
    ):
        chosen = HOST.pointed_at(HOST, milvus_uri=uri)
        assert (chosen.milvus_token, chosen.milvus_database) == ("", "")


@pytest.mark.parametrize("uri", ["http://root:Milvus@milvus:19530", "https://token@milvus:19530"])
def test_a_secret_inside_an_address_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(SettingsError, match="user or a password") as caught:
        settings.check_uri(uri)
    assert uri not in str(caught.value)
    with pytest.raises(SettingsError, match="user or a password"):
        settings.check_address(uri, name="The OpenAI base URL")


def test_canonical_addresses_keep_what_tells_them_apart() -> None:
    assert canonical(" http://A.example/v1/ ") == canonical("http://a.example:80/v1")
    assert canonical("http://a.example/x") != canonical("http://a.example/y")
    assert canonical("/data/lab.db") == "/data/lab.db"
    assert Secret("x", "http://a").address == canonical("http://a")


def test_community_cloud_is_public_unless_the_owner_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not settings.load(environment={}).public
    monkeypatch.setattr(settings, "PROJECT_ROOT", settings.CLOUD_FOLDER / "milvus-lab")
    assert settings.load(environment={}).public
    assert not settings.load(environment={"LAB_PUBLIC": "0"}).public
