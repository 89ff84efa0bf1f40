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
    """What the first screen shows, in plain text, made by `lib.runs.first_screen`.

    Each position of its control is `label`, `run_id`, `headline`, `source`, `caveat` and `lanes`,
    of which each is a `lib.runs.card.Bar`. `here` says what the button measures instead, `method`
    how the runs were made. `limits` are where async does not help: `title`, `run_id` and what the
    run found, `said`. `neighbour` is what a service's health check waits: `run_id`, `title`,
    `said` and `lanes`, of which each is `label`, `family`, `shown` and `waits_s`, the longest wait
    in each of equal spans of time; empty where no service was recorded. `tutorial` are the
    ids, with commas, of the tutorial's experiments around a bare wait and through the client.
    """

    positions: list[dict[str, Any]]
    here: str
    method: str
    limits: list[dict[str, str]]
    neighbour: dict[str, Any]
    tutorial: str

    @property
    def last(self) -> dict[str, Any]:
        """The position that is shown first: the longest wait."""
        return self.positions[-1]


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


def audit_sentence() -> str:
    """Return what the recorded audit of a server found, empty where none was recorded."""
    try:
        kept = json.loads((FRONT.parent / "audits" / "audit-server.json").read_text("utf-8"))
        return str(kept["sentence"])
    except (OSError, ValueError, KeyError):
        return ""
