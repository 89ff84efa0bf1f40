"""Memory that was freed goes back to the system, however many threads have allocated."""

import sys

import pytest

from tests.fresh_process import printed_by

PROGRAM = """
import threading
from lib.ui.common import memory
memory.use_few_heaps()
kept = []
def allocate():
    mine = [bytes(2_000) for _ in range(10_000)]
    kept.append(mine[-1])  # what stays holds the top of the heap
threads = [threading.Thread(target=allocate) for _ in range(8)]
before = memory.used_mb()
for each in threads: each.start()
for each in threads: each.join()
memory.give_back()
print(memory.used_mb() - before)
"""


# Batches of a table as Milvus Lite makes them; what is kept of each lies between what is freed.
ARROW_PROGRAM = """
import threading
from lib.ui.common import memory
memory.use_few_heaps()
import pyarrow as pa
kept = []
def make():
    for _ in range(40):
        table = pa.table({"vector": [float(i) for i in range(60_000)]})
        kept.append(table.slice(0, 1).combine_chunks().to_pylist())
pa.table({"a": [1]})
before = memory.used_mb()
threads = [threading.Thread(target=make) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
memory.give_back()
print(memory.used_mb() - before, pa.default_memory_pool().backend_name)
"""

# What a visitor without a question of their own for a chart never needs.
PAGES_PROGRAM = """
import sys, tempfile
from pathlib import Path
from lib.charts import kept
from lib.charts.charts import CHARTS
from lib.charts.data import largest_groups
from lib.runs.store import RunStore
import lib.ui.search.results, lib.ui.search.map, lib.ui.runs.downloads, lib.ui.runs.view
from lib.search.charts import COLUMNS
import pandas as pd

class Missed(Exception): pass
def missed(): raise Missed
with tempfile.TemporaryDirectory() as empty:
    run = RunStore(Path(empty)).featured().load()
focus = largest_groups(run)[0]
for chart in map(CHARTS.get, ("wall_time", "speedup")):
    frame = chart.frame(run, focus)
    if not frame.empty:
        kept.specification(chart.name_with(**chart.standing(frame)), frame, missed, "dark")
for draw, columns in COLUMNS.items():
    kept.specification(draw.__name__, pd.DataFrame(columns=columns), missed, "light")
print(sorted({"altair", "vl_convert", "pptx"} & set(sys.modules)))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is meant")
def test_what_threads_have_freed_is_given_back() -> None:
    assert float(printed_by(PROGRAM)) < 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is meant")
def test_what_tables_have_freed_is_given_back() -> None:
    grown_mb, allocator = printed_by(ARROW_PROGRAM).split()
    assert allocator == "system"
    assert float(grown_mb) < 10


def test_recorded_charts_and_search_charts_are_drawn_without_altair() -> None:
    assert printed_by(PAGES_PROGRAM).strip() == "[]"
