"""Sources: what is ingested from, and what the reading of it shares."""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pydantic
from langchain_core.documents import Document

from lib.documents.problems import Problems
from lib.errors import InvalidInput
from lib.milvus.fields import PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD

MEGABYTE = 1 << 20
DEFAULT_MAX_BYTES = 200 * MEGABYTE
# Names that a table's text goes by, the surest first.
TEXT_COLUMNS = (
    "text", "page_content", "content", "body", "document", "chunk", "passage", "abstract",
    "description", "summary", "comment", "review", "message", "question", "answer", "title",
)  # fmt: skip
VECTOR_COLUMNS = (VECTOR_FIELD, "embedding", "embeddings", "emb")


@dataclass(frozen=True)
class Upload:
    """A file to read: its name, its size in bytes and how to open it, any number of times."""

    name: str
    size: int
    open: Callable[[], BinaryIO]

    @classmethod
    def of_bytes(cls, name: str, content: bytes) -> "Upload":
        """Make one of bytes in memory."""
        return cls(name, len(content), lambda: io.BytesIO(content))

    @classmethod
    def of_path(cls, path: Path, name: str = "") -> "Upload":
        """Make one of a file on disk."""
        return cls(name or path.name, path.stat().st_size, lambda: path.open("rb"))

    @property
    def ending(self) -> str:
        """The file name's ending, in lower case, with its dot."""
        return PurePosixPath(self.name).suffix.lower()


class VectorDocument(Document):
    """A document whose vector came with it."""

    vector: Any = pydantic.Field(default=None, exclude=True, repr=False)


@dataclass(frozen=True)
class Columns:
    """The roles of a table's columns; an empty name means that no column has the role."""

    text: str
    metadata: tuple[str, ...] = ()
    vector: str = ""
    key: str = ""


@dataclass
class Reading:
    """What the loaders of one ingestion share: bounds, choices, problems and how far they are."""

    problems: Problems = field(default_factory=Problems)
    max_bytes: int = DEFAULT_MAX_BYTES
    max_rows: int = 0  # 0: any number
    # By source: which column of a table is the text and which are metadata.
    columns: dict[str, Columns] = field(default_factory=dict)
    # Whether vectors in a table are taken instead of embedding its texts, and of what length.
    take_vectors: bool = False
    dimension: int = 0
    bytes_total: int = 0
    bytes_done: int = 0
    current: BinaryIO | None = None

    def estimate(self, rows: int) -> int:
        """Guess the total number of rows from how much of the bytes gave this many."""
        here = 0
        if self.current is not None:
            with contextlib.suppress(ValueError, OSError):  # just closed by the reader's thread
                here = self.current.tell()
        share = (self.bytes_done + here) / self.bytes_total if self.bytes_total else 0.0
        return round(rows / share) if 0.01 < share <= 1 else 0

    def columns_of(self, source: str, available: Sequence[str]) -> Columns:
        """Return a table's chosen columns, or the ones its names suggest. Raises InvalidInput."""
        chosen = self.columns.get(source) or guess_columns(available)
        if chosen.text not in available:
            raise InvalidInput(
                f"it has no column {chosen.text!r}; its columns are {', '.join(available)}"
            )
        return chosen


def guess_columns(available: Sequence[str]) -> Columns:
    """Take the column whose name sounds most like text, the others as metadata.

    The lab's own exports are recognised by their key, text and vector.
    """
    if not available:
        raise InvalidInput("it has no columns")
    by_name = {name.strip().lower(): name for name in reversed(available)}
    text = next((by_name[name] for name in TEXT_COLUMNS if name in by_name), available[0])
    vector = next((by_name[name] for name in VECTOR_COLUMNS if name in by_name), "")
    is_export = {PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD} <= set(available)
    key = PRIMARY_FIELD if is_export else ""
    return Columns(
        text=text,
        metadata=tuple(name for name in available if name not in {text, vector, key}),
        vector=vector,
        key=key,
    )


def with_distinct_names(uploads: Sequence[Upload]) -> list[Upload]:
    """Return the files with a number behind a name that came before.

    A source is a name: its rows are found by it, so two files must not share one.
    """
    taken: set[str] = set()
    distinct = []
    for upload in uploads:
        name, number = upload.name, 1
        while name in taken:
            number += 1
            path = PurePosixPath(upload.name)
            name = str(path.with_name(f"{path.stem} ({number}){path.suffix}"))
        taken.add(name)
        distinct.append(upload if name == upload.name else Upload(name, upload.size, upload.open))
    return distinct
