"""Starts the terminal command: `python -m lib.benchmark --preset tutorial --output run.json`."""

import sys

from lib.benchmark.interruption import Interruption


def run() -> int:
    """Run the command so that Ctrl-C ends it at any moment, and return its exit code."""
    # Before anything large is imported, which takes seconds.
    interruption = Interruption()
    interruption.install()
    from lib.benchmark.command import main

    return main(interruption=interruption)


if __name__ == "__main__":
    sys.exit(run())
