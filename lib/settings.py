"""One frozen object of settings, read from the environment and from secrets handed in by the UI."""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

from lib.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
BUNDLED_MODEL_DIR = PROJECT_ROOT / "assets" / "embedding-model"
TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off", ""}
OPENAI_ADDRESS = "https://api.openai.com/v1"
# What OpenAI's async client sends its requests with: its default, the same with more kept
# connections, or aiohttp, which takes less of a processor.
HTTPX, HTTPX_MORE, AIOHTTP = HTTP_CLIENTS = ("httpx", "httpx-more", "aiohttp")
MORE_CONNECTIONS = 1_000  # kept by httpx-more; OpenAI's default keeps 100
# A name or an address, and perhaps a port. A name may begin with "*." for all below it.
HOST = re.compile(r"((\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:\d{1,5})?")
# Every secret, and the field with the address that it was configured for.
ADDRESS_OF = {
    "milvus_token": "milvus_uri",
    "milvus_database": "milvus_uri",
    "openai_api_key": "openai_base_url",
}
# The port of an http address that names none: pymilvus's own, and the web's.
HTTP_PORTS = {"milvus_uri": 19530, "openai_base_url": 80}
# Of a public host: what a secret may be used for, besides its address. A visitor chooses these too.
USED_FOR = {"milvus_token": "milvus_database", "openai_api_key": "openai_model"}


class Secret(str):
    """A secret with the one address that it may be sent to; its text is in no repr."""

    __slots__ = ("address",)
    address: str

    def __new__(cls, text: str, address: str) -> Self:
        """Bind a text to an address, which is compared in its canonical form."""
        secret = super().__new__(cls, text)
        secret.address = canonical(address)
        return secret

    def __repr__(self) -> str:
        """Return a mark in place of the text."""
        return "Secret('…')" if self else "Secret('')"

    def __reduce__(self) -> Any:
        """Refuse to be pickled: a secret is in no file and in no cache."""
        raise TypeError("A secret is not pickled.")


def canonical(address: str, http_port: int = HTTP_PORTS["openai_base_url"]) -> str:
    """Return an address in the one form in which two addresses are compared.

    `http_port` is the port of an http address that names none: see HTTP_PORTS.
    """
    address = address.strip()
    if "://" not in address:
        return address
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return address  # it is no address, and equals none
    port = port or {"http": http_port, "https": 443}.get(parts.scheme, 0)
    path = parts.path.rstrip("/")
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}{path}{query}"


@dataclass(frozen=True)
class Settings:
    """Everything the app can be told from outside.

    `milvus_uri` is a path that ends in `.db` (Milvus Lite) or an http(s) address.
    Limits bound one action of one visitor; `rpc_timeout_s` bounds every single RPC, in seconds.

    A secret given as plain text is bound to the address given with it. A secret that was bound to
    another address raises SettingsError: `replace(settings, milvus_uri=…)` cannot take it along.
    """

    milvus_uri: str
    milvus_token: str = field(default="", repr=False)
    milvus_database: str = field(default="", repr=False)
    collection: str = "async_lab"
    # A collection that the host named is the host's to fill.
    collection_is_named: bool = False
    embedding_provider: str = "bundled"
    openai_api_key: str = field(default="", repr=False)
    openai_base_url: str = OPENAI_ADDRESS
    openai_model: str = "text-embedding-3-small"
    openai_http_client: str = "httpx"
    data_dir: Path = PROJECT_ROOT / "data"
    public: bool = False
    max_calls: int = 10_000
    max_rows: int = 1_000_000
    max_upload_mb: int = 200
    max_unpacked_mb: int = 1_024
    max_text_chars: int = 1_000_000
    # What reading one file may take: seconds, and memory above what the reader has at its start.
    max_read_s: int = 20
    max_read_mb: int = 512
    # What a benchmark may take: memory above what its process has at its start.
    max_run_mb: int = 4_096
    # What drawing one picture, or one file of a run's pictures, may take: the same of its worker.
    max_draw_s: int = 120
    max_draw_mb: int = 768
    max_concurrency: int = 10_000
    max_disk_mb: int = 100_000
    max_memory_mb: int = 100_000
    # Per visitor of a public app.
    max_jobs: int = 2
    max_run_s: int = 300
    max_collections: int = 3
    max_kept_rows: int = 20_000
    max_runs: int = 1_000
    # Together: the files that a visitor has uploaded, those of all, and the same of runs, with
    # those that were deleted and can be had back.
    max_uploads_mb: int = 2_000
    max_all_uploads_mb: int = 4_000
    max_runs_mb: int = 10_000
    max_all_runs_mb: int = 50_000
    visitor_ttl_s: int = 7_200
    # How many proxies of the host forward a visitor's address, each in X-Forwarded-For.
    trusted_proxies: int = 0
    allowed_hosts: tuple[str, ...] = ()
    owner_token: str = field(default="", repr=False)
    gallery_url: str = ""
    undo_mb: int = 64
    rpc_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        """Bind every secret to its address. Raises SettingsError for one bound to another."""
        if not self.openai_base_url:
            object.__setattr__(self, "openai_base_url", OPENAI_ADDRESS)
        for name, address_name in ADDRESS_OF.items():
            secret, address = getattr(self, name), self.canonical(address_name)
            if not isinstance(secret, Secret) or not secret:
                object.__setattr__(self, name, Secret(secret, address))
            elif secret.address != address:
                raise SettingsError(
                    f"The {name} belongs to another address than {address_name}.",
                    kept="Nothing was sent.",
                    next_step="Give the one for this address, or leave both as they are.",
                )

    def canonical(self, address_name: str) -> str:
        """Return one of the addresses in the form in which addresses are compared."""
        return canonical(getattr(self, address_name), HTTP_PORTS[address_name])

    def pointed_at(self, host: "Settings", **chosen: str) -> "Settings":
        """Return these settings with what a visitor chose instead; `host` are the host's own.

        `chosen` names fields of Settings. An address may come without its secrets: then the host's
        or the visitor's earlier ones for exactly that address are taken, or none. A public host's
        own go with its database and its model only: its token may open more than it shows.
        """
        given = {name for name, text in chosen.items() if text}
        for address_name in set(ADDRESS_OF.values()) & chosen.keys():
            address = chosen[address_name] or OPENAI_ADDRESS
            address = canonical(address, HTTP_PORTS[address_name])
            for name in (each for each, of in ADDRESS_OF.items() if of == address_name):
                known = [getattr(self, name), getattr(host, name)]
                fitting = [each for each in known if each and each.address == address]
                chosen[name] = chosen.get(name) or next(iter(fitting), "")
        made = replace(self, **chosen)  # type: ignore[arg-type]  # all of them are texts
        for name, use in USED_FOR.items() if host.public else ():
            is_hosts = name not in given and getattr(made, name) == getattr(host, name)
            if is_hosts and getattr(made, use) != getattr(host, use):
                none: dict[str, Any] = {name: ""}
                made = replace(made, **none)
        return made

    def for_a_worker(self) -> dict[str, Any]:
        """Return what makes these settings again in a process of ours, secrets as plain texts.

        It goes through a pipe and nowhere else. What only the app itself asks for is left out.
        """
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        plain = {name: str(values[name]) for name in ADDRESS_OF}
        if self.embedding_provider == "bundled":
            plain["openai_api_key"] = ""
        return values | plain | {"owner_token": ""}

    @property
    def milvus_id(self) -> str:
        """Which Milvus and database these are, the same after a restart; it tells neither."""
        where = self.canonical("milvus_uri")
        where = str(Path(where).resolve()) if self.is_embedded else where
        named = f"{where} {self.milvus_database or 'default'}"
        return hashlib.sha256(named.encode()).hexdigest()[:32]

    @property
    def is_embedded(self) -> bool:
        """Say whether Milvus runs embedded (Milvus Lite), in a process of this app."""
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


def _hosts(name: str, value: str) -> tuple[str, ...]:
    hosts = tuple(host.strip().lower() for host in value.split(",") if host.strip())
    for host in hosts:
        if not HOST.fullmatch(host):
            raise SettingsError(
                f"{name} is a list of hosts such as milvus.example.com or 10.0.0.5:19530, with "
                f"commas between them; {host!r} is none."
            )
    return hosts


def _owner_token(name: str, value: str) -> str:
    token = value.strip()
    if len(token) < 16:
        raise SettingsError(f"{name} must have at least 16 characters.")
    return token


def _split(address: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port  # read late, and refused only then
    except ValueError as error:
        raise SettingsError(
            f"{name} has no usable host and port; try http://localhost:19530."
        ) from error
    return parts


def check_address(value: str, *, name: str) -> str:
    """Return an http(s) address or an empty text. Raises SettingsError for anything else."""
    value = value.strip()
    parts = _split(value, name)
    if value and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise SettingsError(f"{name} must start with http:// or https://.")
    if "@" in parts.netloc:
        raise SettingsError(f"{name} holds a user or a password.", next_step="Leave it out.")
    return value


def _provider(name: str, value: str) -> str:
    value = value.strip().lower()
    if value not in {"bundled", "openai"}:
        raise SettingsError(f"{name} must be 'bundled' or 'openai', not {value!r}.")
    return value


def check_http_client(name: str, value: str) -> str:
    """Return one of HTTP_CLIENTS. Raises SettingsError for anything else."""
    value = value.strip().lower()
    if value not in HTTP_CLIENTS:
        raise SettingsError(f"{name} must be {' or '.join(HTTP_CLIENTS)}, not {value!r}.")
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
    parts = _split(uri, name)
    if parts.scheme not in {"http", "https"}:
        raise SettingsError(f"{name} must start with http:// or https://, not {parts.scheme}://.")
    if not parts.hostname or parts.port == 0:
        raise SettingsError(f"{name} has no usable host and port; try http://localhost:19530.")
    if parts.username is not None or parts.password is not None:
        raise SettingsError(
            f"{name} holds a user or a password.", next_step="Give user:password as the token."
        )
    return uri


# Every variable the app reads, the field it fills, and how its text is checked.
_READERS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "MILVUS_URI": ("milvus_uri", lambda name, value: check_uri(value, name=name)),
    "MILVUS_TOKEN": ("milvus_token", _text),
    "MILVUS_DATABASE": ("milvus_database", _text),
    "MILVUS_COLLECTION": ("collection", _text),
    "EMBEDDING_PROVIDER": ("embedding_provider", _provider),
    "OPENAI_API_KEY": ("openai_api_key", _text),
    "OPENAI_BASE_URL": ("openai_base_url", lambda name, value: check_address(value, name=name)),
    "OPENAI_EMBEDDING_MODEL": ("openai_model", _text),
    "OPENAI_HTTP_CLIENT": ("openai_http_client", check_http_client),
    "LAB_DATA_DIR": ("data_dir", lambda name, value: Path(value.strip()).expanduser()),
    "LAB_PUBLIC": ("public", _flag),
    "LAB_ALLOWED_HOSTS": ("allowed_hosts", _hosts),
    "LAB_OWNER_TOKEN": ("owner_token", _owner_token),
    "LAB_GALLERY_URL": ("gallery_url", lambda name, value: check_address(value, name=name)),
    "LAB_RPC_TIMEOUT_S": ("rpc_timeout_s", _seconds),
    # Each whole number, such as LAB_MAX_ROWS for `max_rows`.
    **{
        f"LAB_{each.name.upper()}": (each.name, _count)
        for each in fields(Settings)
        if each.type is int
    },
}
VARIABLES = tuple(_READERS)

# A hosted app shares one small machine among all visitors.
PUBLIC_LIMITS = {
    "max_calls": 1_000,
    "max_rows": 10_000,
    "max_upload_mb": 20,
    "undo_mb": 16,
    "max_unpacked_mb": 60,
    "max_text_chars": 200_000,
    "max_concurrency": 128,
    "max_disk_mb": 1_000,
    "max_memory_mb": 600,
    "max_run_mb": 512,
    "max_runs": 10,
    "max_uploads_mb": 60,
    "max_all_uploads_mb": 150,
    "max_runs_mb": 60,
    "max_all_runs_mb": 400,
    "max_draw_mb": 400,
    "max_draw_s": 60,
}
# Streamlit Community Cloud runs every app as this user, from this folder.
CLOUD_FOLDER = Path("/mount/src")


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
    values["collection_is_named"] = "collection" in values
    values.setdefault("public", PROJECT_ROOT.is_relative_to(CLOUD_FOLDER))
    data_dir = values.get("data_dir", PROJECT_ROOT / "data")
    values.setdefault("milvus_uri", str(data_dir / "lab.db"))
    if values["public"]:
        values = PUBLIC_LIMITS | values
    return Settings(**values)
