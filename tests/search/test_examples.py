"""Example questions: short titles of the rows, or else whole clauses, and never half a word."""

from pathlib import Path

import pytest
from langchain_core.documents import Document

from lib.milvus.connection import open_connection
from lib.milvus.embeddings import EmbeddingModel
from lib.search.examples import MOST_CHARACTERS, example_questions, first_clause, first_words
from lib.settings import load
from tests.stores import COLLECTION, fill

BODY = (
    "I cannot log in after the latest update to version {} of the app, which came on Monday. "
    "The screen stays white."
)


def examples(path: Path, model: EmbeddingModel, rows: list[Document]) -> tuple[str, ...]:
    """Return the example questions of a collection of these rows."""
    opened = open_connection(load({"MILVUS_URI": str(fill(path / "lab.db", rows))}))
    made = example_questions(opened, model, COLLECTION, 5)
    opened.close()
    return made


def test_titles_of_the_rows_are_the_examples(tmp_path: Path, model: EmbeddingModel) -> None:
    subjects = [f"Login loops on phone {number}" for number in range(9)]
    rows = [
        Document(page_content=BODY.format(i), metadata={"id": f"T-{i}", "subject": subject})
        for i, subject in enumerate([*subjects, subjects[0], "Again", "x " * 50])
    ]
    made = examples(tmp_path, model, rows)
    assert len(set(made)) == len(made) == 5
    assert set(made) <= set(subjects)


def test_without_titles_the_examples_are_whole_sentences(
    tmp_path: Path, model: EmbeddingModel
) -> None:
    rows = [Document(page_content=f"Hello, team! Phone {i} is broken. {BODY}") for i in range(7)]
    made = examples(tmp_path, model, rows)
    assert len(made) == 5
    assert set(made) <= {f"Phone {i} is broken" for i in range(7)}


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("The map does not load.\nIt stays grey.", "The map does not load"),
        ("Hi all. Where do I change my password? Thanks", "Where do I change my password?"),
        (BODY.format(12), "The screen stays white"),
        ("My card was charged twice, " + "and nobody answers my mails " * 4, "My card was charged"),
        ("word " * 40, ""),
        ("地图不能加载。代理后面它是灰色的。", "地图不能加载"),
        ("", ""),
    ],
)
def test_the_first_short_sentence_is_taken_or_else_a_clause(text: str, clause: str) -> None:
    assert first_clause(text).startswith(clause)
    assert bool(first_clause(text)) is bool(clause)


def test_a_cut_text_ends_with_a_whole_word_that_means_something() -> None:
    cut = first_words("Searching for a customer takes more than 24 seconds on a good connection")
    assert cut == "Searching for a customer takes more than 24 seconds"
    assert first_words("Short, and whole.") == "Short, and whole"
    assert len(first_words("x" * 500)) == MOST_CHARACTERS
    assert first_words("the") == "the"
