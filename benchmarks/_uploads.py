"""Files on disk as uploads; the app itself takes them from a browser."""

from pathlib import Path

from lib.documents.sources import Upload


def upload_of(path: Path) -> Upload:
    """Return a file on disk as the app gets an uploaded one."""
    return Upload(path.name, path.stat().st_size, lambda: path.open("rb"))
