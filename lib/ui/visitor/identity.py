"""A visitor's cookie: who it is and until when, signed with a key that this host keeps.

What a visitor owns is named by what the cookie says and by the key, so that both together find it
again after a restart. Nobody can make a cookie without the key, nor name what another one owns.
"""

import contextlib
import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

KEY_BYTES = 32
KEY_FILE = "visitors.key"
_COOKIE = re.compile(
    r"(?P<expires>[0-9a-f]{8,16})\.(?P<id>[0-9a-f]{32})\.(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Identity:
    """A visitor: 128 random bits, and the moment at which all of theirs is dropped (s, UTC)."""

    id: str
    expires: int

    @classmethod
    def new(cls, time_to_live_s: float) -> "Identity":
        """Make one that nobody can guess."""
        return cls(secrets.token_hex(16), int(time.time() + time_to_live_s))

    def secret(self, key: bytes, purpose: str) -> str:
        """Return 128 bits that only the holder of the key can name, one for each purpose."""
        return _signed(key, f"{purpose} {self.expires:x}.{self.id}")[:32]

    def cookie(self, key: bytes) -> str:
        """Return the text that a browser keeps."""
        return f"{self.expires:x}.{self.id}.{_signed(key, f'cookie {self.expires:x}.{self.id}')}"


def read(cookie: str, key: bytes) -> Identity | None:
    """Return who a cookie names; None when this host did not sign it, or when its time is over."""
    found = _COOKIE.fullmatch(cookie)
    if found is None:
        return None
    named = Identity(found["id"], int(found["expires"], 16))
    is_signed = hmac.compare_digest(named.cookie(key), cookie)
    return named if is_signed and named.expires > time.time() else None


def _signed(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def host_key(folder: Path) -> bytes:
    """Return this host's key, made at the first call; only the host's user may read its file.

    Where the folder cannot be written to, the key lasts as long as the process.
    """
    path = folder / KEY_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Whole before it has its name: another process never reads half of it.
        fresh = folder / f"{KEY_FILE}.{secrets.token_hex(8)}"
        if not path.exists():
            fresh.touch(0o600)
            fresh.write_bytes(secrets.token_bytes(KEY_BYTES))
            with contextlib.suppress(FileExistsError):  # another process was sooner
                path.hardlink_to(fresh)
            fresh.unlink()
        path.chmod(0o600)
        key = path.read_bytes()
    except OSError:
        key = b""
    return key if len(key) == KEY_BYTES else secrets.token_bytes(KEY_BYTES)
