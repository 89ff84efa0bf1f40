"""Collections that nobody will drop any more: found by their names, listed, and cleaned.

A collection made to measure carries in its name the machine, the process and the moment that made
it; a visitor's collection the moment at which it may go.
"""

import os
import re
import time
from dataclasses import dataclass

import psutil

from lib.milvus.connection import Connection
from lib.milvus.failures import reported
from lib.milvus.territory import MACHINE, SCRATCH_PREFIX, expiry

_NAME = re.compile(
    SCRATCH_PREFIX
    + r"(?P<machine>[0-9a-f]{8})_(?P<pid>[0-9a-f]+)_(?P<started>[0-9a-f]+)_(?P<made>[0-9a-f]+)_.+"
)
# Two readings of a process's start agree to within this.
START_TOLERANCE_S = 2


@dataclass(frozen=True)
class Leftover:
    """A collection made to measure, or a visitor's; `is_dead` when nobody can be using it."""

    name: str
    owner: str  # for people
    age_s: float | None
    is_dead: bool


def find(connection: Connection) -> list[Leftover]:
    """Return all collections made to measure and all of visitors, dead or alive.

    Raises ConnectionFailed.
    """
    judged = (_judge(name, is_lite=connection.is_lite) for name in connection.collection_names())
    return [each for each in judged if each is not None]


def clean(connection: Connection) -> list[str]:
    """Drop what is dead and return the names. Raises ConnectionFailed.

    Of another machine nobody can tell from here whether its process still runs: what it made is
    listed and left.
    """
    dropped = []
    for each in find(connection):
        if each.is_dead:
            with reported(f"Could not drop the collection {each.name!r}."):
                connection.client.drop_collection(each.name)
            connection.forget_stores(each.name)
            dropped.append(each.name)
    return dropped


def _judge(name: str, *, is_lite: bool) -> Leftover | None:
    now = time.time()
    until = expiry(name)
    if until is not None:
        return Leftover(name, "a visitor", None, is_dead=until < now)
    if not name.startswith(SCRATCH_PREFIX):
        return None
    made = _NAME.fullmatch(name)
    if made is None:
        # From before names said who made them. One process holds a file, so it is not in use there.
        return Leftover(name, "unknown", None, is_dead=is_lite)
    pid, is_here = int(made["pid"], 16), made["machine"] == MACHINE
    runs = is_here and _runs(pid, int(made["started"], 16))
    is_own = runs and pid == os.getpid()
    is_dead = not is_own and (is_lite or (is_here and not runs))
    state = ", ended" if is_dead else "" if is_here else " of another machine"
    owner = "this process" if is_own else f"process {pid}{state}"
    return Leftover(name, owner, now - int(made["made"], 16), is_dead)


def _runs(pid: int, started: int) -> bool:
    """Say whether the process that had this number then has it still."""
    try:
        return abs(psutil.Process(pid).create_time() - started) <= START_TOLERANCE_S
    except psutil.Error:
        return False
