"""A program in a process of its own: what it loads and keeps is not mixed with other tests'."""

import subprocess
import sys
from typing import Any

from lib.settings import PROJECT_ROOT


def ended(*words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run Python with these words to its end, in the project's folder, and return what it said."""
    told = {"cwd": PROJECT_ROOT, "text": True, "timeout": 280, "check": False}
    return subprocess.run([sys.executable, *words], capture_output=True, **(told | options))  # noqa: PLW1510


def printed_by(program: str) -> str:
    """Return what a program prints; it must end well."""
    return ended("-c", program, check=True).stdout
