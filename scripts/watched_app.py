"""Run the app with its background loop watched, for the soak: the app itself watches nothing.

    python -m scripts.watched_app --server.port=8501

Each ten seconds in which the loop was late give a line of JSON on standard output.
"""

import json
import sys
import time
from pathlib import Path

from streamlit.web import cli

from lib import event_loop
from scripts.loop_watch import Held, LoopWatch

APP = Path(__file__).resolve().parent.parent / "app.py"


def tell(held: Held) -> None:
    """Print one line: how late the loop was, in ms, and why."""
    facts = {
        "at": round(time.time(), 3),
        "action": "loop_held",
        "ms": round(held.late_s * 1000, 1),
        "own_ms": round(held.own_s * 1000, 1),
        "collected_ms": round(held.collected_s * 1000, 1),
        "doing": held.doing,
        "is_by_a_call": held.is_by_a_call,
    }
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    LoopWatch(event_loop.shared(), tell)
    cli.main(["run", str(APP), *sys.argv[1:]])
