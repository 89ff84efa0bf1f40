"""Sources: uploaded files, the parts that are read from them, and what a person chose for them."""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import pydantic
from langchain_core.documents import Document

MEGABYTE = 1 << 20
DEFAULT_MAX_BYTES = 200 * MEGABYTE


@dataclass(frozen=True)
class Upload:
    """A file to read: its name, its size in bytes and how to open it, any number of times.

    `digest` is the SHA-256 of its bytes where they are known; files with one name and digest are
    the same file, however often it is uploaded.
    """

    name: str
    size: int
    open: Callable[[], BinaryIO]
    digest: str = ""

    @classmethod
    def of_bytes(cls, name: str, content: bytes) -> "Upload":
        """Make one of bytes in memory."""
        digest = hashlib.sha256(content).hexdigest()
        return cls(name, len(content), lambda: io.BytesIO(content), digest)

    @property
    def ending(self) -> str:
        """The file name's ending, in lower case, with its dot."""
        return PurePosixPath(self.name).suffix.lower()


class Part(NamedTuple):
    """A page, a section or a row of a file. Its text is `values["text"]`, unless it is a row.

    `share` says how much of the file was read by then. It is 0 where the loader does not know: then
    the position in the file says it.
    """

    source: str
    place: str
    values: dict[str, Any]
    share: float = 0.0


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


@dataclass(frozen=True)
class Reading:
    """How uploaded files become rows, as a person chose it."""

    max_rows: int = 0  # 0: any number
    # By source: which column of a table is the text and which are metadata.
    columns: dict[str, Columns] = field(default_factory=dict)
    # Whether vectors in a table are taken instead of embedding its texts, and of what length.
    take_vectors: bool = False
    dimension: int = 0


def with_distinct_names(uploads: Sequence[Upload]) -> list[Upload]:
    """Return the files; a name that came before gets a number.

    Rows are found by the name of their source, so two files must not share one.
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
        distinct.append(replace(upload, name=name))
    return distinct
