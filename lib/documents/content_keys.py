"""Content keys: a primary key that says what a row is, so that ingesting twice adds nothing."""

import hashlib

# 128 bits: among a billion rows the chance that any two differ in text and share a key is 1e-21.
KEY_BYTES = 16


def content_key(text: str, source: str, position: int) -> str:
    """Return 32 hex digits made of a text, the source it is from and its place in that source.

    The source's length stands in front, so that no two different triples read alike.
    """
    head = f"{position}:{len(source)}:{source}"
    return hashlib.blake2b(
        (head + text).encode("utf-8", "replace"), digest_size=KEY_BYTES
    ).hexdigest()
