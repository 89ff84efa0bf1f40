"""Keep ready what the first screen, the list of runs and the charts show of the recorded runs.

    python -m scripts.summarise_runs

Run it after `assets/runs/` or the words about a run have changed; a test says when.
"""

import dataclasses
import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from lib.charts import kept
from lib.charts.charts import CHARTS, frames
from lib.results import run_file
from lib.results.analysis import analyse
from lib.results.groups import WHOLE
from lib.runs import first_screen as first_screen_of
from lib.runs import front, store
from lib.runs.store import RECORDED_DIR, RunStore
from lib.search.charts import COLUMNS

# The same work around a bare wait.
BARE = "tutorial-server-450ms"
# What others wait meanwhile.
SERVICE = "service-server"
# The charts of a page's first view of a run; the others are made when their view is chosen.
DRAWN_FIRST = ("waterfall", "wall_time", "sweep", "rates", "losses", "served", "heartbeat")


def first_screen() -> str:
    """Return the text of assets/front.json."""
    with tempfile.TemporaryDirectory() as empty:
        kept = RunStore(Path(empty))
        bare = next(each for each in kept.entries() if each.path.stem == BARE)
        everything = [each for each in kept.entries() if each.path.stem.startswith("all-")]
        service = kept.get(f"recorded-{SERVICE}")
        made = first_screen_of.make(kept.through_client(), bare.load(), everything, service)
    return _text(dataclasses.asdict(made))


def summary(path: Path) -> str:
    """Return the text of the summary beside a run's file."""
    return _text(store.summary(run_file.read(path), path))


def charts() -> str:
    """Return the text of assets/charts.json: the specifications that pages draw first."""
    found = {}
    for path in sorted(RECORDED_DIR.glob("*.json")):
        told = analyse(run_file.read(path))
        for name, frame in frames(told, told.focus or WHOLE, DRAWN_FIRST).items():
            found[kept.key_of(name, frame)] = kept.made(CHARTS[name].draw(frame))
    for draw, columns in COLUMNS.items():
        table = pd.DataFrame(columns=columns)
        found[kept.key_of(draw.__name__, table)] = kept.made(draw(table))
    specifications = {key: json.dumps(spec) for key, spec in sorted(found.items())}
    return _text({"altair": version("altair"), "charts": specifications})


def _text(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"


def main() -> None:
    """Write all of them."""
    for path in sorted(RECORDED_DIR.glob("*.json")):
        path.with_suffix(".summary").write_text(summary(path), encoding="utf-8")
    front.FRONT.write_text(first_screen(), encoding="utf-8")
    kept.FILE.write_text(charts(), encoding="utf-8")


if __name__ == "__main__":
    main()
