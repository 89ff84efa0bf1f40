"""Keep ready what the first screen and the list of runs show of the recorded runs.

    python -m scripts.summarise_runs

Run it after `assets/runs/` or the words about a run have changed; a test says when.
"""

import dataclasses
import json
import tempfile
from pathlib import Path

from lib.results import run_file
from lib.runs import first_screen as first_screen_of
from lib.runs import front, store
from lib.runs.store import RECORDED_DIR, RunStore

# The tutorial's experiments around a bare wait, and through the provider's client.
TUTORIAL = ("tutorial-server-450ms", "openai-tutorial-server-450ms")
# What others wait meanwhile.
SERVICE = "service-server"


def first_screen() -> str:
    """Return the text of assets/front.json."""
    with tempfile.TemporaryDirectory() as empty:
        kept = RunStore(Path(empty))
        by_name = {each.path.stem: each for each in kept.entries()}
        tutorial = [by_name[name] for name in TUTORIAL]
        everything = [each for each in kept.entries() if each.path.stem.startswith("all-")]
        service = kept.get(f"recorded-{SERVICE}")
        made = first_screen_of.make(
            kept.through_client(), tutorial, everything, service, kept.recorded_of("quick")
        )
    return _text(dataclasses.asdict(made))


def summary(path: Path) -> str:
    """Return the text of the summary beside a run's file."""
    return _text(store.summary(run_file.read(path), path))


def _text(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"


def main() -> None:
    """Write all of them."""
    for path in sorted(RECORDED_DIR.glob("*.json")):
        path.with_suffix(".summary").write_text(summary(path), encoding="utf-8")
    front.FRONT.write_text(first_screen(), encoding="utf-8")


if __name__ == "__main__":
    main()
