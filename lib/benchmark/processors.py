"""How much of this computer's processors other programs took while trials were timed."""

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from lib.milvus.connection import Connection

# Processors are read in steps of 10 ms.
MIN_MEASURED_S = 0.5
# Not busy: waiting, also for a disk, and what a guest took is part of another number.
IDLE = ("idle", "iowait", "guest", "guest_nice")


class Others:
    """The share of other programs: neither this process nor those that it measures.

    Where Milvus runs on this computer and cannot be told from other programs, nothing is known.
    """

    def __init__(self, *measured: psutil.Process, is_known: bool = True) -> None:
        self._measured = measured
        self._is_known = is_known
        self._timed_s = self._others_s = 0.0

    @classmethod
    def beside(cls, connection: Connection, *pids: int) -> "Others":
        """Know these processes, and the Milvus that answers where it is on this computer."""
        found = [_process(pid) for pid in pids]
        if connection.lite is not None:
            found.append(_process(connection.lite.served.pid))
        elif connection.is_nearby:
            found.append(_listening(int(connection.address.rpartition(":")[2])))
        known = [each for each in found if each is not None]
        return cls(*known, is_known=len(known) == len(found))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count what others take while a trial is timed inside."""
        if not self._is_known:
            yield
            return
        before, began = self._taken_by_others_s(), time.perf_counter()
        try:
            yield
        finally:
            self._timed_s += time.perf_counter() - began
            self._others_s += self._taken_by_others_s() - before

    @property
    def share(self) -> float | None:
        """Their share of all processors over all trials, None while that is not known."""
        if not self._is_known or self._timed_s < MIN_MEASURED_S:
            return None
        share = self._others_s / self._timed_s / (os.cpu_count() or 1)
        return round(min(max(share, 0.0), 1.0), 3)

    def _taken_by_others_s(self) -> float:
        times = psutil.cpu_times()._asdict()
        taken = sum(times.values()) - sum(times.get(name, 0.0) for name in IDLE)
        taken -= time.process_time()
        for each in self._measured:
            try:
                own = each.cpu_times()
                taken -= own.user + own.system
            except psutil.Error:  # it has ended, and what it took is not known any more
                self._is_known = False
        return float(taken)


NOT_KNOWN = Others(is_known=False)


def _process(pid: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid)
    return None


def _listening(port: int) -> psutil.Process | None:
    """Return the Milvus that listens at a port of this computer, if it can be seen."""
    with contextlib.suppress(psutil.Error):
        for each in psutil.net_connections("tcp"):
            # An address that is none is an empty tuple.
            listens = each.status == psutil.CONN_LISTEN and each.laddr[1:] == (port,)
            if listens and each.pid:
                process = psutil.Process(each.pid)
                return process if "milvus" in process.name() else None
    return None
