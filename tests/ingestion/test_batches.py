"""Batches: keys that say what a row is."""

from hypothesis import given
from hypothesis import strategies as st

from lib.ingestion.batches import content_key


@given(
    st.tuples(st.text(), st.text(), st.integers(0, 10**6)),
    st.tuples(st.text(), st.text(), st.integers(0, 10**6)),
)
def test_content_keys_differ_exactly_when_text_source_or_position_do(
    first: tuple[str, str, int], second: tuple[str, str, int]
) -> None:
    assert (content_key(*first) == content_key(*second)) == (first == second)


def test_a_digit_moved_from_the_source_to_the_text_makes_another_key() -> None:
    assert content_key("1 text", "file", 3) != content_key(" text", "file1", 3)
    assert content_key("text", "file", 12) != content_key("2text", "file", 1)
