"""What the first screen shows of a recorded run, and what a list shows of it, kept beside its file.

Both are made by `python -m scripts.summarise_runs`. They spare the first screen pymilvus, langchain
and pandas, and every process the reading of seven megabytes. This module imports none of them.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lib.settings import PROJECT_ROOT

FRONT = PROJECT_ROOT / "assets" / "front.json"


@dataclass(frozen=True)
class Front:
    """The run of the first screen in words that are Markdown, and its race for race.js.

    `here` says what the button measures instead.
    """

    run_id: str
    statement: str
    line: str
    caveat: str
    conditions: str
    here: str
    race: dict[str, Any]


@lru_cache(maxsize=1)
def read() -> Front | None:
    """Return the first screen's run, or None where none was kept ready."""
    try:
        return Front(**json.loads(FRONT.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def summary_of(run: Path) -> dict[str, Any] | None:
    """Return the summary beside a run's file, or None where there is none of that very file."""
    try:
        kept = json.loads(run.with_suffix(".summary").read_text(encoding="utf-8"))
        size = run.stat().st_size
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and kept.get("bytes") == size else None
