"""A document's text on the page: shown as it is, the words of the question marked."""

import pytest
from markdown_it import MarkdownIt

from lib.search.ask import Hit
from lib.ui.widgets.text import APART, around, highlighted, literal


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
        "- item",
        "2) item",
        "+ item",
        "&lt;",
        "![a](b)",
        "a | b",
        "~~gone~~",
        "me@here.org",
        "see http://evil.example/a",
        "www.evil.example",
    ],
)
def test_markup_in_a_text_loses_its_meaning(text: str) -> None:
    parsed = MarkdownIt("gfm-like", {"linkify": False}).parse(literal(text))
    assert [token.type for token in parsed] == ["paragraph_open", "inline", "paragraph_close"]
    spoken = parsed[1].children or []
    assert {token.type for token in spoken} == {"text"}
    assert "".join(token.content for token in spoken).replace(APART, "") == text
    # The page makes links of bare addresses, escaped or not.
    for address in ("://", "www.", "@here"):
        assert address not in spoken[0].content
    # Streamlit's own marks, which no Markdown parser knows.
    for mark in ":$":
        assert literal(text).count(mark) == literal(text).count(f"\\{mark}")


def test_a_space_that_must_not_break_stays() -> None:
    assert literal("95\u00a0%  CI") == "95\u00a0% CI"


def test_lines_become_one_so_that_no_indentation_makes_a_code_block() -> None:
    assert literal("a\n\n    b\tc") == "a b c"


def test_the_words_of_the_question_are_marked_in_singular_and_plural() -> None:
    assert highlighted("Split strings at a set", "split a string") == (
        ":orange-background[Split] :orange-background[strings] at a set"
    )


def test_short_words_and_parts_of_words_are_not_marked() -> None:
    assert "orange" not in highlighted("substring at a is", "a is at string")


def test_a_snippet_stands_around_the_first_word_that_was_asked_for() -> None:
    text = "The walrus and the carpenter " * 9 + "were walking close at hand. " + "They wept. " * 9
    assert around(text, "close hands", 48) == "… were walking close at hand. They wept. They …"
    assert around(text, "nothing of this", 31) == "The walrus and the carpenter …"
    assert around("Short enough", "enough", 48) == "Short enough"
    assert len(around("x" * 1_000, "x", 48)) <= 50


def test_a_row_without_a_name_is_called_by_its_file_and_the_place_in_it() -> None:
    found = {"source": "guide.pdf", "page": 3, "position": 17}
    assert Hit(1, "9f2c", "text", found).title == "guide.pdf, page 3"
    assert Hit(1, "9f2c", "text", {"source": "notes.txt", "position": 0}).title == (
        "notes.txt, position 0"
    )
    assert Hit(1, "9f2c", "text", {"source": "a.csv", "name": "Alice"}).title == "Alice"
    assert Hit(1, "9f2c", "text", {}).title == "9f2c"


@pytest.mark.parametrize(
    ("metadata", "title"),
    [
        ({"id": "T-17", "subject": "Login loops", "source": "a.csv"}, "Login loops"),
        ({"id": "T-17", "Ticket Subject": "Login\n loops"}, "Login loops"),
        ({"id": "T-17", "shortSummary": "Login loops"}, "Login loops"),
        ({"name": "Alice", "title": "Login loops"}, "Login loops"),
        ({"name": "Alice", "job_title": "Baker"}, "Alice"),
        ({"id": 17, "customer_name": "Alice"}, "17"),
        ({"id": "T-17", "summary": "word " * 80}, "T-17"),
        ({"subject": "", "title": None, "id": "T-17"}, "T-17"),
        ({"subject": ["a", "b"], "source": "a.csv", "row": 4}, "a.csv, row 4"),
    ],
)
def test_a_row_is_called_by_its_short_text_and_by_its_id_only_without_one(
    metadata: dict[str, object], title: str
) -> None:
    assert Hit(1, "9f2c", "text", metadata).title == title
