"""A visitor's address is refused before any packet leaves, in whatever form it comes."""

import socket
import time
from typing import Any

import pytest

from lib.errors import LabError
from lib.milvus.addresses import check_allowed
from lib.settings import Settings, check_address, check_uri

HOST = Settings(
    milvus_uri="https://in03.zillizcloud.com",
    public=True,
    allowed_hosts=("milvus.example.com", "*.zillizcloud.com", "db.example.com:7000"),
)
HOSTILE = [
    # Loopback and private addresses: dotted, decimal, octal, hexadecimal, short.
    "http://127.0.0.1:19530",
    "http://2130706433:19530",
    "http://0177.0.0.1:19530",
    "http://0x7f.0.0.1:19530",
    "http://0x7f000001:19530",
    "http://017700000001:19530",
    "http://127.1:19530",
    "http://0:19530",
    "http://0.0.0.0:19530",
    "http://10.0.0.1:19530",
    "http://172.16.0.1:19530",
    "http://192.168.1.1:19530",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1:443",
    # IPv6: loopback, mapped, compatible, translated, link-local, unique local, with a zone.
    "http://[::1]:19530",
    "http://[::]:19530",
    "http://[0:0:0:0:0:0:0:1]:19530",
    "http://[::ffff:127.0.0.1]:19530",
    "http://[::ffff:7f00:1]:19530",
    "http://[::127.0.0.1]:19530",
    "http://[64:ff9b::7f00:1]:19530",
    "http://[fe80::1%25lo]:19530",
    "http://[fc00::1]:19530",
    # Names that mean this machine or resolve to a private address.
    "http://localhost:19530",
    "http://LOCALHOST.:19530",
    "http://localtest.me:19530",
    "http://127.0.0.1.nip.io:19530",
    "http://metadata.google.internal",
    # Userinfo, and what some parsers take for the host.
    "https://milvus.example.com@127.0.0.1:19530",
    "https://milvus.example.com:443@evil.example",
    "https://evil.example\\@milvus.example.com",
    "https://evil.example#@milvus.example.com",
    "https://evil.example?@milvus.example.com",
    "https://milvus.example.com%00.evil.example",
    "https://milvus.example.com\r\n.evil.example",
    "https://milvus.example.com%2eevil.example",
    # Other schemes and files.
    "unix:/var/run/milvus.sock",
    "unix:///var/run/milvus.sock",
    "file:///etc/passwd",
    "tcp://milvus.example.com:19530",
    "dns:///milvus.example.com",
    "/etc/passwd.db",
    "../../lab.db",
    # Look-alikes, and listed hosts at a port that is not.
    "https://zillizcloud.com.evil.example",
    "https://evilzillizcloud.com",
    "https://zillizcloud.com",
    "https://in03.zillizcloud.com.",
    "https://in03.zillizclоud.com",  # a Cyrillic о
    "https://in03.zillizcloud。com",  # a full stop of another alphabet
    "https://milvus.example.com:22",
    "http://db.example.com:7001",
    "https://db.example.com",
]


@pytest.fixture
def packets(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Record every look-up of a name and every connection that is tried."""
    seen: list[Any] = []

    def record(*args: Any, **kwargs: Any) -> Any:
        seen.append(args)
        raise OSError("no packet may leave")

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "create_connection"):
        monkeypatch.setattr(socket, name, record)
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, record)
    return seen


def test_there_are_at_least_forty_hostile_forms() -> None:
    assert len(set(HOSTILE)) >= 40


@pytest.mark.parametrize("address", HOSTILE)
def test_a_hostile_address_is_refused_with_one_message_and_no_packet(
    packets: list[Any], address: str
) -> None:
    with pytest.raises(LabError, match="does not connect to that address") as caught:
        check_allowed(address, HOST)
    assert packets == []
    # The same words for all: nothing in them tells one address from another.
    with pytest.raises(LabError) as other:
        check_allowed("http://127.0.0.1:1", HOST)
    assert str(caught.value) == str(other.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://in03.zillizcloud.com",
        "https://in05-x1.api.gcp.zillizcloud.com:443",
        "https://milvus.example.com",
        "http://milvus.example.com",
        "http://MILVUS.example.com:19530",
        "http://db.example.com:7000",
    ],
)
def test_what_the_owner_uses_or_lists_is_allowed(packets: list[Any], address: str) -> None:
    check_allowed(address, HOST)
    assert packets == []


def test_an_address_is_checked_for_what_it_is_for(packets: list[Any]) -> None:
    check_allowed("https://api.openai.com/v1", HOST, of="openai_base_url")
    check_allowed("https://milvus.example.com/v1", HOST, of="openai_base_url")
    for address, of in (
        # The same text is port 80 for an embedding service, which is listed for none.
        ("http://milvus.example.com/v1", "openai_base_url"),
        # The host's own, each in the other's place.
        ("https://api.openai.com/v1", "milvus_uri"),
        ("http://milvus.example.com:80", "milvus_uri"),
    ):
        with pytest.raises(LabError, match="does not connect to that address"):
            check_allowed(address, HOST, of=of)
    assert packets == []


def test_an_app_that_is_not_public_connects_wherever_it_is_told() -> None:
    own = Settings(milvus_uri="unused.db")
    for address in ("http://localhost:19530", "http://[::1]:19530", "http://192.168.1.5:8000/v1"):
        assert check_uri(address) == check_address(address, name="it") == address
        check_allowed(address, own)


def test_a_listed_ipv6_address_is_taken_as_it_is_written() -> None:
    host = Settings(milvus_uri="unused.db", public=True, allowed_hosts=("[fd00::5]:19530",))
    check_allowed("http://[fd00::5]:19530", host)
    with pytest.raises(LabError):
        check_allowed("http://[fd00::6]:19530", host)


@pytest.mark.alone
def test_neither_words_nor_time_tell_an_open_port_from_a_closed_one() -> None:
    with socket.socket() as listening, socket.socket() as closed:
        for each in (listening, closed):
            each.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        said, took = set(), []
        for each in (listening, closed, listening, closed):
            address = f"http://127.0.0.1:{each.getsockname()[1]}"
            started = time.thread_time()
            for _ in range(200):
                with pytest.raises(LabError) as caught:
                    check_allowed(address, HOST)
                said.add(str(caught.value))
            took.append(time.thread_time() - started)
        # Refused by its text alone: nobody was at the door, and all take well under a millisecond.
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert len(said) == 1
    assert max(took) / 200 < 0.001
