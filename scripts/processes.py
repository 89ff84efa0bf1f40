"""Free ports, and child processes that never outlive the program that started them."""

import ctypes
import os
import random
import signal
import socket
import sys
from collections.abc import Sequence

# Below the range from which the kernel takes ports for outgoing connections.
FREE_PORTS = range(20_000, 32_000)
PR_SET_PDEATHSIG = 1


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port, on any address of this machine."""
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("", port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Choose free ports at random, so that two programs doing so at once rarely meet."""
    found: list[int] = []
    for port in random.sample(FREE_PORTS, len(FREE_PORTS)):
        if is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"Found no {count} free ports from {FREE_PORTS[0]} to {FREE_PORTS[-1]}.")


def free_port() -> int:
    """Choose one free port."""
    return free_ports(1)[0]


def dying_with_parent(command: Sequence[str]) -> list[str]:
    """Return the command that runs another one, which the kernel kills when its parent ends.

    The parent is the thread that starts the process, however it ends. Linux only; elsewhere
    nothing is changed. A function between fork and exec would do the same, but gRPC, where it
    runs, can end a forked process before it becomes another program.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", __file__, *command]


def family_mb(pid: int) -> tuple[float, float]:
    """Return what a process takes in MB, and what it takes with its children and theirs.

    A page that several share is divided among them (PSS, Linux), as the limit of a container counts
    it once. Elsewhere it is the resident memory. A process that has ended counts as nothing.
    """
    import psutil  # not for who only starts a process

    def own(process: psutil.Process) -> float:
        try:
            full = process.memory_full_info()
        except psutil.Error:
            return 0.0
        return float(getattr(full, "pss", full.rss)) / 1e6

    try:
        first = psutil.Process(pid)
        children = first.children(recursive=True)
    except psutil.Error:
        return 0.0, 0.0
    alone = own(first)
    return alone, alone + sum(map(own, children))


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.execvp(sys.argv[1], sys.argv[1:])
