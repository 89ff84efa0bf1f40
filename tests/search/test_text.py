"""A document's text on the page: shown as it is, the words of the question marked."""

import pytest

from lib.ui.common.plain_text import highlighted, plain


@pytest.mark.parametrize(
    "text",
    [
        "**bold**",
        "[a](http://b)",
        ":red[x]",
        "$x$",
        "`code`",
        "<b>",
        "# head",
        "1. item",
        ":smile:",
    ],
)
def test_markup_in_a_text_loses_its_meaning(text: str) -> None:
    shown = plain(text)
    assert shown.replace("\\", "") == text
    for mark in "*[]():$`<>#":
        assert shown.count(mark) == shown.count(f"\\{mark}")


def test_lines_become_one_so_that_no_indentation_makes_a_code_block() -> None:
    assert plain("a\n\n    b\tc") == "a b c"


def test_the_words_of_the_question_are_marked_in_singular_and_plural() -> None:
    assert highlighted("Split strings at a set", "split a string") == (
        ":orange-background[Split] :orange-background[strings] at a set"
    )


def test_short_words_and_parts_of_words_are_not_marked() -> None:
    assert "orange" not in highlighted("substring at a is", "a is at string")
