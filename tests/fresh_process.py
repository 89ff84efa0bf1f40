"""A program in a process of its own: what it loads and keeps is not mixed with other tests'."""

import subprocess
import sys

from lib.settings import PROJECT_ROOT


def printed_by(program: str) -> str:
    """Return what a program prints; it must end well."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
