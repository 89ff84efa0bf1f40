"""Where a visitor of a public app may connect to: only the hosts that the owner listed.

The check reads the text of the address only. For a refused address no name is looked up and no
packet is sent, so neither the message nor the time says whether the host exists.
"""

import contextlib
import re
from urllib.parse import urlsplit

from lib.errors import InvalidInput
from lib.settings import HTTP_PORTS, Settings, canonical

# A listed host without a port allows these: the ports of https and of Milvus.
USUAL_PORTS = {443, 19530}
# What a listed host can look like in an address, and nothing else: no userinfo, no escapes, no
# control characters, no other alphabet.
PLAIN = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?")


def check_allowed(address: str, host: Settings, *, of: str = "milvus_uri") -> None:
    """Raise InvalidInput unless a visitor may connect there; `host` are the host's own settings.

    `of` is the setting that the address is for. An http address without a port is another port of
    the same machine for Milvus and for an embedding service.
    """
    http_port = HTTP_PORTS[of]
    if not host.public or canonical(address, http_port) == host.canonical(of):
        return
    if PLAIN.fullmatch(address):
        with contextlib.suppress(ValueError):  # such a port does not exist
            parts = urlsplit(address)
            port = parts.port or {"http": http_port, "https": 443}[parts.scheme.lower()]
            name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
            if any(_allows(entry, name, port) for entry in host.allowed_hosts):
                return
    raise InvalidInput(
        "This public app does not connect to that address.",
        kept="Nothing was sent to it.",
        next_step="Run the lab yourself to measure it, or ask the owner to list the host.",
    )


def _allows(entry: str, name: str, port: int) -> bool:
    listed, _, listed_port = (
        entry.rpartition(":") if re.search(r":\d+$", entry) else (entry, "", "")
    )
    if port != int(listed_port) if listed_port else port not in USUAL_PORTS:
        return False
    if listed.startswith("*."):
        return name.endswith(listed[1:]) and len(name) > len(listed[1:])
    return name == listed
