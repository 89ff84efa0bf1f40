"""What a person reads when something expected fails: what happened, what was kept, what to do."""


class LabError(Exception):
    """An expected failure, worded for the reader rather than for the log."""

    def __init__(self, what: str, *, kept: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.kept = kept
        self.next_step = next_step

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.kept, self.next_step) if part)


class SettingsError(LabError):
    """A setting has a value that cannot be used."""


class ConnectionFailed(LabError):
    """Milvus could not be opened, refused the credentials, or stopped answering."""


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
