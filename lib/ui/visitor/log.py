"""The owner's log: one line of JSON for each action, with numbers, kinds and states only.

It holds no text of a visitor, no name that somebody typed, no address and no secret.
"""

import hashlib
import json
import logging
import sys
import time

from lib import jobs
from lib.jobs import Job
from lib.ui.visitor import visitor

_log = logging.getLogger("lab.actions")


def action(name: str, **facts: str | float | bool | None) -> None:
    """Write one line: what was done, and its numbers or kinds."""
    _log.info(json.dumps({"at": round(time.time(), 3), "action": name, **facts}))


def by_visitor(name: str, **facts: str | float | bool | None) -> None:
    """Write one line for what the visitor of this session did."""
    action(name, visitor=short(visitor.owner()), **facts)


def short(owner: str) -> str:
    """Return eight characters that tell visitors apart and give nothing away."""
    return hashlib.sha256(owner.encode()).hexdigest()[:8] if owner else "host"


def _job_ended(job: Job) -> None:
    started = job.started if job.started is not None else job.ended
    waited = (started or job.created) - job.created
    action(
        "job",
        # A subject such as "ingest:documents" ends with a name that somebody typed.
        kind=job.subject.partition(":")[0],
        state=job.state.value,
        seconds=round(job.elapsed_s, 3),
        waited_s=round(waited, 3),
        done=job.progress.done,
        unit=job.progress.unit,
        visitor=short(job.owner),
        error=type(job.error).__name__ if job.error else None,
    )


def start() -> None:
    """Write the lines to standard output from now on; calling it again is harmless."""
    if not _log.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        _log.addHandler(handler)
        _log.setLevel(logging.INFO)
        _log.propagate = False
    jobs.shared().on_end = _job_ended
