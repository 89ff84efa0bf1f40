"""How numbers are written."""

import pytest

from lib.words import ms_text


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0.0, "0 ms"), (0.417, "0.417 ms"), (12.34, "12.3 ms"), (999.4, "999 ms"), (999.5, "1,000 ms"),
     (5_583.2, "5,583 ms")],
)  # fmt: skip
def test_a_latency_has_no_exponent_however_long_it_is(ms: float, text: str) -> None:
    assert ms_text(ms) == text
