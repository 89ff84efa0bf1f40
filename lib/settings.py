"""One frozen object of settings, read from the environment and from secrets handed in by the UI."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lib.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off", ""}


@dataclass(frozen=True)
class Settings:
    """Everything the app can be told from outside.

    `milvus_uri` is a path that ends in `.db` (Milvus Lite) or an http(s) address.
    Limits bound one action of one visitor; `rpc_timeout_s` bounds every single RPC, in seconds.
    """

    milvus_uri: str
    milvus_token: str = field(default="", repr=False)
    milvus_database: str = ""
    collection: str = "async_lab"
    embedding_provider: str = "bundled"
    openai_api_key: str = field(default="", repr=False)
    openai_base_url: str = ""
    openai_model: str = "text-embedding-3-small"
    data_dir: Path = PROJECT_ROOT / "data"
    public: bool = False
    max_calls: int = 10_000
    max_rows: int = 1_000_000
    max_upload_mb: int = 200
    rpc_timeout_s: float = 30.0

    @property
    def is_embedded(self) -> bool:
        """Say whether Milvus runs inside this process (Milvus Lite)."""
        return self.milvus_uri.endswith(".db")


def _text(name: str, value: str) -> str:
    return value.strip()


def _flag(name: str, value: str) -> bool:
    word = value.strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise SettingsError(f"{name} must be 1 or 0, not {value!r}.")
    return word in TRUE_WORDS


def _count(name: str, value: str) -> int:
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise SettingsError(f"{name} must be a whole number of at least 1, not {value!r}.")
    return number


def _seconds(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0.5 <= number <= 600:
        raise SettingsError(f"{name} must be between 0.5 and 600 seconds, not {value!r}.")
    return number


def _uri(name: str, value: str) -> str:
    return check_uri(value, name=name)


def _address(name: str, value: str) -> str:
    value = value.strip()
    if value and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
        raise SettingsError(f"{name} must start with http:// or https://, not {value!r}.")
    return value


def _provider(name: str, value: str) -> str:
    value = value.strip().lower()
    if value not in {"bundled", "openai"}:
        raise SettingsError(f"{name} must be 'bundled' or 'openai', not {value!r}.")
    return value


def check_uri(value: str, *, name: str = "The Milvus URI") -> str:
    """Return a usable Milvus URI: a `.db` path or an http(s) address.

    Raises SettingsError with the one line a person needs.
    """
    uri = value.strip()
    if not uri:
        raise SettingsError(f"{name} is empty. Give a path ending in .db or an http(s) address.")
    if "://" not in uri:
        if not uri.endswith(".db"):
            raise SettingsError(f"{name} must end in .db or start with http:// or https://.")
        return uri
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"}:
        raise SettingsError(f"{name} must start with http:// or https://, not {parts.scheme}://.")
    try:
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        port_is_valid = False
    if not parts.hostname or not port_is_valid:
        raise SettingsError(f"{name} has no usable host and port; try http://localhost:19530.")
    return uri


# Every variable the app reads, the field it fills, and how its text is checked.
_READERS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "MILVUS_URI": ("milvus_uri", _uri),
    "MILVUS_TOKEN": ("milvus_token", _text),
    "MILVUS_DATABASE": ("milvus_database", _text),
    "MILVUS_COLLECTION": ("collection", _text),
    "EMBEDDING_PROVIDER": ("embedding_provider", _provider),
    "OPENAI_API_KEY": ("openai_api_key", _text),
    "OPENAI_BASE_URL": ("openai_base_url", _address),
    "OPENAI_EMBEDDING_MODEL": ("openai_model", _text),
    "LAB_DATA_DIR": ("data_dir", lambda name, value: Path(value.strip()).expanduser()),
    "LAB_PUBLIC": ("public", _flag),
    "LAB_MAX_CALLS": ("max_calls", _count),
    "LAB_MAX_ROWS": ("max_rows", _count),
    "LAB_MAX_UPLOAD_MB": ("max_upload_mb", _count),
    "LAB_RPC_TIMEOUT_S": ("rpc_timeout_s", _seconds),
}
VARIABLES = tuple(_READERS)

# A hosted app shares one small machine among all visitors.
PUBLIC_LIMITS = {"max_calls": 1_000, "max_rows": 20_000, "max_upload_mb": 20}


def load(
    environment: Mapping[str, str] | None = None, secrets: Mapping[str, Any] | None = None
) -> Settings:
    """Read settings; an environment variable wins over a secret of the same name.

    Raises SettingsError, one line that names the variable, for a value that cannot be used.
    """
    environment = os.environ if environment is None else environment
    given = {name: str(value) for name, value in (secrets or {}).items() if name in _READERS}
    given |= {name: environment[name] for name in _READERS if environment.get(name)}
    values: dict[str, Any] = {}
    for name, text in given.items():
        field_name, read = _READERS[name]
        if text.strip():
            values[field_name] = read(name, text)
    data_dir = values.get("data_dir", PROJECT_ROOT / "data")
    values.setdefault("milvus_uri", str(data_dir / "lab.db"))
    if values.get("public"):
        values = PUBLIC_LIMITS | values
    return Settings(**values)
