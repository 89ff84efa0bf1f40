"""The search page's charts are what Vega-Lite takes, whatever their tables hold."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from lib.search import charts

COLUMNS = {
    charts.over_lambda: "lambda_mult measure value current",
    charts.rank_changes: "key name fate rank pick side x y",
    charts.pick_order: "pick position measure value other",
    charts.plane: "x y key name fate caption rank relevance chosen",
}


@pytest.mark.parametrize("draw", COLUMNS, ids=lambda draw: draw.__name__)
def test_every_chart_of_the_search_is_valid(draw: Callable[[pd.DataFrame], Any]) -> None:
    drawn = draw(pd.DataFrame(columns=COLUMNS[draw].split())).to_dict(validate=True)
    assert drawn["layer"]
