"""Which failures are refusals: the other side is well, and asks for less."""

import re
from dataclasses import dataclass
from typing import Any

from lib.milvus.failures import causes

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
