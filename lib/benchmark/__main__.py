"""Starts the terminal command: `python -m lib.benchmark --preset tutorial --output run.json`."""

import signal
import sys

# A signal waits until it is known what to do with it; Windows has no such mask.
_MASKS = hasattr(signal, "pthread_sigmask")
if _MASKS:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})

from lib.benchmark.interruption import SIGNALS, Interruption  # noqa: E402  # after the mask


def run() -> int:
    """Run the command so that Ctrl-C ends it at any moment, and return its exit code."""
    # Before anything large is imported, which takes seconds.
    interruption = Interruption()
    interruption.install()
    if _MASKS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    from lib.benchmark.command import main

    return main(interruption=interruption)


if __name__ == "__main__":
    sys.exit(run())
