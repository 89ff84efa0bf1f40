"""A server that speaks TLS and asks for a token: it lets the right caller in, and no other."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from scripts.milvus_server import MilvusServer

# What gRPC reads the certificates that it trusts from, instead of its own list.
TRUST = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
OPEN = """
import os
from lib import settings
from lib.errors import ConnectionFailed
from lib.milvus.connection import open_connection
try:
    opened = open_connection(settings.load(os.environ))
except ConnectionFailed as error:
    print("refused:", error)
else:
    print(opened.kind, opened.describe().version)
    opened.close()
"""


def make_certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that signs itself, and its key beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, for example from apt-get install openssl")
    folder.mkdir(parents=True, exist_ok=True)
    certificate = folder / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-keyout", str(certificate.with_suffix(".key")), "-out", str(certificate),
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate


@pytest.fixture(scope="module")
def server(
    milvus_server_class: "type[MilvusServer]", tmp_path_factory: pytest.TempPathFactory
) -> "MilvusServer":
    """A server with TLS and a password."""
    folder = tmp_path_factory.mktemp("tls")
    certificate = make_certificate(folder / "certificate")
    with milvus_server_class(
        folder / "server", authorization_enabled=True, certificate=certificate
    ) as running:
        yield running


def said(server: "MilvusServer", *, token: str, trusted: Path | None) -> str:
    """Open a connection in a process of its own, as the app does, and return what it says."""
    trust = {TRUST: str(trusted)} if trusted else {}
    given = {"MILVUS_URI": server.uri, "MILVUS_TOKEN": token, "PYTHONPATH": "."}
    done = subprocess.run(
        [sys.executable, "-c", OPEN],
        env=os.environ | trust | given,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_the_right_token_over_tls_connects(server: "MilvusServer") -> None:
    assert said(server, token=server.token, trusted=server.certificate) == "server 2.3.5"


def test_a_wrong_token_over_tls_is_refused_and_not_repeated(server: "MilvusServer") -> None:
    answer = said(server, token="root:wr0ng", trusted=server.certificate)
    assert "refused the credentials" in answer
    assert "wr0ng" not in answer


@pytest.mark.parametrize("other", [False, True], ids=["none", "another"])
def test_a_certificate_that_is_not_trusted_is_named_as_the_reason(
    server: "MilvusServer", tmp_path: Path, other: bool
) -> None:
    trusted = make_certificate(tmp_path) if other else None
    answer = said(server, token=server.token, trusted=trusted)
    assert answer.startswith("refused:")
    assert "certificate" in answer
