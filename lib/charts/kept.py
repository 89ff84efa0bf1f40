"""Specifications of charts: made once for all visitors, and kept in a file for recorded runs.

Making and checking one with altair takes 60 to 200 ms, and altair itself 26 MB. A specification is
found by what it draws: the chart's name with its switches, and the table.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pandas as pd

from lib.charts.charts import AnyChart, readable, with_data
from lib.charts.theme import text_config
from lib.settings import PROJECT_ROOT

# Made by `python -m scripts.summarise_runs`.
FILE = PROJECT_ROOT / "assets" / "charts.json"
MOST_MADE = 64

_made: OrderedDict[str, str] = OrderedDict()
_lock = threading.Lock()


def specification(
    name: str, table: pd.DataFrame, draw: Callable[[], AnyChart], mode: str
) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart with its data, in light or dark."""
    key = key_of(name, table)
    with _lock:
        text = _made.get(key) or _file().get(key)
    if text is None:
        text = json.dumps(made(draw()))
    with _lock:
        _made[key] = text
        _made.move_to_end(key)
        while len(_made) > MOST_MADE:
            _made.popitem(last=False)
    return _coloured(json.loads(text), mode)


def key_of(name: str, table: pd.DataFrame) -> str:
    """Return what tells a drawn table from others."""
    drawn = table.to_json(orient="split", index=False)
    return hashlib.sha256(f"{name}\n{drawn}".encode()).hexdigest()[:32]


def made(chart: AnyChart) -> dict[str, Any]:
    """Make a chart's specification, sized to be read from afar."""
    spec = with_data(readable(chart))
    # altair's own theme gives a width, and a page has its own.
    for size in ("continuousWidth", "continuousHeight"):
        spec["config"]["view"].pop(size, None)
    return spec


@lru_cache(maxsize=1)
def _file() -> dict[str, str]:
    try:
        kept: dict[str, str] = json.loads(FILE.read_text(encoding="utf-8"))["charts"]
    except (OSError, ValueError, KeyError):
        return {}
    return kept


def _coloured(spec: dict[str, Any], mode: str) -> dict[str, Any]:
    """Give texts the page's colour: Streamlit's theme leaves text marks black and axes too faint.

    Vega would describe each mark by the names of its fields; the chart's own sentence is enough.
    """
    for part, values in (text_config(mode) | {"mark": {"aria": False}}).items():
        spec["config"].setdefault(part, {}).update(values)
    return spec
