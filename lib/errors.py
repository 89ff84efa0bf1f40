"""What a person reads when something expected fails: what happened, what was kept, what to do."""

import re

# What a visitor's collections begin with: the moment they go, and a secret (lib/milvus/territory).
# Whoever reads it in a message that is shown or passed on could name them.
VISITORS_PREFIX = re.compile(r"lab_v(?P<expires>[0-9a-f]{8,16})_[0-9a-f]{32}_")


class LabError(Exception):
    """An expected failure, worded for the reader rather than for the log.

    Names of a visitor's collections are told without their secret prefix, Milvus's words too.
    """

    def __init__(self, what: str, *, kept: str = "", next_step: str = "") -> None:
        self.what, self.kept, self.next_step = (
            VISITORS_PREFIX.sub("", text) for text in (what, kept, next_step)
        )
        super().__init__(self.what)

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.kept, self.next_step) if part)


class SettingsError(LabError):
    """A setting has a value that cannot be used."""


class ConnectionFailed(LabError):
    """Milvus could not be opened, refused the credentials, or stopped answering."""


class StoreBusy(ConnectionFailed):
    """Milvus is there and did not answer in time."""


class CollectionMismatch(LabError):
    """The collection was made with another embedding model, dimension or schema."""


class InvalidInput(LabError):
    """A person typed or uploaded something that cannot be used."""


class EmbeddingFailed(LabError):
    """The embedding provider refused, failed or is not configured."""


class OperationFailed(LabError):
    """Milvus accepted the call but the effect is missing or wrong."""


class JobCancelled(LabError):
    """A job was stopped by a person; what it finished is kept."""
