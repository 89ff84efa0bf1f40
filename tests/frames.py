"""The table of a chart of a run and one group of it, also where there is nothing to draw."""

import pandas as pd

from lib.charts.charts import Chart
from lib.results.analysis import analyse
from lib.results.groups import Focus
from lib.results.trials import Run


def frame_of(chart: Chart, run: Run, focus: Focus) -> pd.DataFrame:
    """Return what the chart draws."""
    found = analyse(run)
    return chart.frame(found, focus) if chart.focused else chart.frame(found)
