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

from lib.benchmark import run_file
from lib.benchmark.workload import PRESETS
from lib.charts import data as chart_data
from lib.charts import kept
from lib.charts.charts import CHARTS, race_picture
from lib.runs import findings, front, story
from lib.runs.store import RECORDED_DIR, RunStore
from lib.search.charts import COLUMNS
from lib.ui.common.text import literal
from lib.ui.runs.view import conditions

# The charts of a page's first view of a run; the others are made when their view is chosen.
DRAWN_FIRST = ("wall_time", "speedup", "sweep", "rates", "losses")


def first_screen() -> str:
    """Return the text of assets/front.json."""
    with tempfile.TemporaryDirectory() as empty:
        store = RunStore(Path(empty))
        shown = store.featured()
        if shown is None or not shown.is_recorded:
            raise SystemExit("There is no recorded run.")
        run = shown.load()
        beside = store.beside(run)
    race = story.steps(run, beside)[1]
    if race.frame is None:
        raise SystemExit("The run has no race.")
    quick = PRESETS["quick"].plan
    kept = front.Front(
        run_id=shown.id,
        statement=literal(race.statement),
        line=literal(story.line(run)),
        caveat=literal(story.caveat(run, beside)),
        conditions=conditions(run, "Recorded run"),
        here=f"The button: {max(quick.counts)} documents and {max(quick.counts)} searches, "
        f"{quick.embedding_latency_ms:g} ms simulated wait, on this app's Milvus.",
        race=race_picture(race.frame),
    )
    return _text(dataclasses.asdict(kept))


def summary(path: Path) -> str:
    """Return the text of the summary beside a run's file."""
    run = run_file.read(path)
    about = {name: getattr(run, name) for name in ("environment", "settings", "partial", "note")}
    digest = dataclasses.asdict(findings.digest(run))
    return _text({"bytes": path.stat().st_size, "digest": digest, "about": about})


def charts() -> str:
    """Return the text of assets/charts.json: the specifications that pages draw first."""
    found = {}
    for path in sorted(RECORDED_DIR.glob("*.json")):
        run = run_file.read(path)
        focus = chart_data.largest_groups(run)[0]
        for chart in map(CHARTS.__getitem__, DRAWN_FIRST):
            frame = chart.frame(run, focus)
            if not frame.empty:
                name = chart.name_with(**chart.standing(frame))
                found[kept.key_of(name, frame)] = kept.made(chart.drawn(frame))
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
