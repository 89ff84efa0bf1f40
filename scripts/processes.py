"""Free ports, and child processes that never outlive the program that started them."""

import ctypes
import random
import signal
import socket
import sys

# Below the range from which the kernel takes ports for outgoing connections.
FREE_PORTS = range(20_000, 32_000)
PR_SET_PDEATHSIG = 1

# Loaded before any fork, where loading could hang.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


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


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, however it ends.

    For `subprocess.Popen(preexec_fn=…)`. The parent is the thread that starts the process.
    Linux only; elsewhere it does nothing.
    """
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
