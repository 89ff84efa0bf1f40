"""What Milvus and gRPC raise → a LabError for the reader, which gives the reason in one line."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pymilvus.exceptions import MilvusException

from lib.errors import ConnectionFailed, LabError, OperationFailed, StoreBusy


@contextlib.contextmanager
def reported(what: str) -> Iterator[None]:
    """Turn whatever Milvus or gRPC raises inside the block into a LabError that begins `what`."""
    try:
        yield
    except (LabError, TimeoutError):
        raise
    except Exception as error:
        raise explain(error, what) from error


# A message names no folder of the host. The path inside a Milvus Lite's folder stays.
FOLDERS = re.compile(r"(?<![\w:/.])/(?:[^\s'\"]*\.db/|(?:[^\s/'\"]+/)+)")
UNREACHABLE = re.compile(
    r"fail connecting|unavailable|failed to connect|connection refused|should create connect"
    r"|channel.*clos|connection.*clos",
    re.IGNORECASE,
)
# Somebody is there, or what is said above would have been: nobody ends a call at once.
OUT_OF_TIME = re.compile(r"deadline.?exceeded|retry timeout|retry run out", re.IGNORECASE)
# Failures of the disk under Milvus Lite: their wording, their meaning, and what to do.
OF_THE_DISK: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"errno (27|28|122)\b|no space left", re.IGNORECASE),
        "The disk is full, or a quota is reached.",
        "Free some space, then try again.",
    ),
    (
        re.compile(r"errno (1|13|30)\b|read-only file system", re.IGNORECASE),
        "Its folder cannot be written to.",
        "Make it writable, or set MILVUS_URI to another path ending in .db.",
    ),
    (
        re.compile(r"faiss", re.IGNORECASE),
        "Its index is damaged.",
        "Delete the folder “indexes” of the collection: it is made anew from the rows.",
    ),
    (
        re.compile(r"parquet|not valid json|codec can't decode|corrupt", re.IGNORECASE),
        "A file of it is damaged",
        "Put back a copy of that file. The other collections work.",
    ),
)
# The parts of a Milvus server, which says in its own words what happened on its own disk.
OF_A_SERVER = re.compile(
    r"(query|data|index) ?node|delegator|segcore|worker\(|proxy", re.IGNORECASE
)
REFUSED = re.compile(r"unauthenticated|auth check fail|permission.?denied", re.IGNORECASE)


def explain(error: BaseException, what: str) -> LabError:
    """Return a library's exception as a LabError that begins `what` and gives the reason."""
    if isinstance(error, LabError):
        return error
    reason = milvus_reason(error)
    for worded, sentence, next_step in () if OF_A_SERVER.search(reason) else OF_THE_DISK:
        if worded.search(reason):
            said = sentence if sentence.endswith(".") else f"{sentence}: {reason}"
            return OperationFailed(
                f"{what} {said}", kept="What was already stored is kept.", next_step=next_step
            )
    # pymilvus says "server unavailable" for a refused token too; only the cause tells them apart.
    if any(REFUSED.search(milvus_reason(cause)) for cause in causes(error)):
        return ConnectionFailed(
            f"{what} It refused the credentials.",
            kept="Nothing was changed.",
            next_step="Check MILVUS_TOKEN (user:password, or the API key of Zilliz Cloud).",
        )
    if UNREACHABLE.search(reason):
        return ConnectionFailed(
            what,
            kept="What was already stored is kept.",
            next_step="Check that the server runs and that MILVUS_URI is right, then try again.",
        )
    if OUT_OF_TIME.search(reason):
        did_not = "is busy: it did not answer in time."
        silent = what.replace("does not answer.", did_not)
        return StoreBusy(
            silent if silent != what else f"{what} Milvus {did_not}",
            kept="What was already stored is kept.",
            next_step="Try again. If it stays silent, check the server and the network.",
        )
    # What Milvus did not say is shown as what it is.
    is_said = isinstance(error, MilvusException) or callable(getattr(error, "code", None))
    return OperationFailed(f"{what} {'Milvus says' if is_said else type(error).__name__}: {reason}")


def milvus_reason(error: BaseException) -> str:
    """Return an exception's message as one line of at most 400 characters."""
    message = getattr(error, "message", "") or str(error) or type(error).__name__
    code = getattr(error, "code", None)
    if callable(code):  # a gRPC error
        message = f"{code()}: {error.details()}" if hasattr(error, "details") else str(code())
    line = FOLDERS.sub("", " ".join(str(message).split()))
    return line if len(line) <= 400 else line[:399] + "…"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what caused it, each once."""
    # pymilvus writes `raise e from e`, which makes an exception its own cause.
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__


# A refusal is a failure of a service that works and asks for fewer calls.
TOO_MANY_REQUESTS = 429
# How Milvus words that its queue or a quota is full.
FULL = re.compile(
    r"request limit exceeded|rate limit|too many requests|quota|resource.?exhausted", re.IGNORECASE
)
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 10.0


@dataclass(frozen=True)
class Refusal:
    """A call that was turned away; `retry_after_s` is the wait that was asked for, if any."""

    retry_after_s: float | None = None

    def wait_s(self, attempt: int) -> float:
        """Return how long to wait before trying again: as asked, or twice as long each time."""
        if self.retry_after_s is not None:
            return min(self.retry_after_s, LONGEST_WAIT_S)
        return float(min(FIRST_WAIT_S * 2**attempt, LONGEST_WAIT_S))


def refusal(error: BaseException) -> Refusal | None:
    """Return what a refusal asks for; None for any other failure."""
    for cause in causes(error):
        if getattr(cause, "status_code", None) == TOO_MANY_REQUESTS:
            return Refusal(_retry_after_s(cause))
        if FULL.search(str(getattr(cause, "message", "") or cause)):
            return Refusal()
    return None


def _retry_after_s(error: BaseException) -> float | None:
    response: Any = getattr(error, "response", None)
    try:
        return max(float(response.headers["retry-after"]), 0.0)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
