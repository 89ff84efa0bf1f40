"""How numbers are written."""

import pytest

from lib.words import bounds_text, heading_and_rest, ms_text, rate_text, ratio_text


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0.0, "0 ms"), (0.417, "0.417 ms"), (12.34, "12.3 ms"), (999.4, "999 ms"), (999.5, "1,000 ms"),
     (5_583.2, "5,583 ms")],
)  # fmt: skip
def test_a_latency_has_no_exponent_however_long_it_is(ms: float, text: str) -> None:
    assert ms_text(ms) == text


def number(text: str) -> float:
    """Return the number that a text writes."""
    return float(text.rstrip("×").replace(",", ""))


@pytest.mark.parametrize("ratio", [0.3337, 0.9949, 1.004, 1.996, 9.53, 19.97, 20.4, 20.6, 1e4])
@pytest.mark.parametrize("width", [0.0, 0.0007, 0.013, 0.11, 0.9])
def test_an_interval_contains_what_it_belongs_to_as_both_are_written(
    ratio: float, width: float
) -> None:
    low, high = ratio / (1 + width), ratio * (1 + width)
    told = [number(text) for text in bounds_text(low, high).split("–")]
    assert told[0] <= number(ratio_text(ratio)) <= told[1]
    assert told[0] <= low + 1e-6
    assert told[1] >= high - 1e-6


def test_an_interval_has_as_many_digits_as_its_ends_deserve() -> None:
    assert bounds_text(49.2, 58.7) == "49–59"
    assert bounds_text(0.931, 1.096) == "0.93–1.10"
    assert bounds_text(1.04, 2.46) == "1.04–2.5"
    assert bounds_text(50, 50) == "50–50"


def test_a_heading_is_the_first_statement_and_has_no_semicolon() -> None:
    text = "Async took 0.57 s, 80× (76–84) as short; the tutorial published 23.7×. Drawn: repeat 1."
    assert heading_and_rest(text) == (
        "Async took 0.57 s, 80× (76–84) as short",
        "The tutorial published 23.7×. Drawn: repeat 1.",
    )
    assert heading_and_rest("No call was late.") == ("No call was late", "")


@pytest.mark.parametrize(
    ("per_s", "said"),
    [
        *((0.45671, "0.4567"), (9.97, "9.97"), (229.8, "229.8"), (999.93, "999.9")),
        *((999.97, "1,000"), (1_149.3, "1,149"), (12_345.6, "12,346"), (20_000.0, "20,000")),
    ],
)
def test_a_rate_is_never_written_with_an_exponent(per_s: float, said: str) -> None:
    assert rate_text(per_s) == said
