"""Answers and chance: what a text that means nothing finds is no answer."""

import random
from pathlib import Path

import pytest
from langchain_core.documents import Document

from benchmarks.weak_matches import NONSENSE, SENSIBLE, judged_answered
from lib.documents.corpora import CORPORA
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.search import ask as search
from lib.search import mmr
from lib.search.ask import Question, compare
from lib.search.chance import Chance, embed_meaningless, meaningless, measure_chance
from lib.ui.search.form import EXAMPLES
from tests.stores import COLLECTION, copy_of, fill

SUBJECTS = (
    "The invoice was charged twice",
    "The dashboard loads slowly",
    "Uploading an attachment fails",
    "The refund has not arrived",
    "The password cannot be reset",
    "The API returns too many requests",
    "The phone app crashes at the start",
    "Exporting the report to a spreadsheet stops",
)
DAYS = ("Monday", "yesterday", "last week", "the update")
TRIED = ("cleared the cache", "used another browser", "called support", "waited for an hour")
RIGHT_ANSWERS = (
    "random.randint",
    "calendar.isleap",
    "glob.glob",
    "configparser",
    "textwrap.wrap",
)


def chance_of(connection: Connection, model: EmbeddingModel, expr: str = "") -> Chance | None:
    asked = embed_meaningless(connection, model, COLLECTION)
    assert asked is not None
    return measure_chance(connection, model, COLLECTION, asked, expr)


def test_questions_are_told_from_nonsense(lab: Connection, model: EmbeddingModel) -> None:
    chance = chance_of(lab, model)
    assert chance is not None
    sensible = judged_answered(lab, model, COLLECTION, chance, SENSIBLE)
    nonsense = judged_answered(lab, model, COLLECTION, chance, NONSENSE)
    assert (len(sensible), len(nonsense)) == (30, 30)
    assert sum(sensible.values()) >= 27, sensible
    assert sum(nonsense.values()) <= 3, nonsense


def test_the_order_in_which_rows_were_written_changes_no_verdict(
    lab: Connection, model: EmbeddingModel, tmp_path: Path
) -> None:
    backwards = CORPORA["standard_library"].documents(None, 0)[::-1]
    with copy_of(fill(tmp_path / "backwards.db", backwards), tmp_path / "lab.db") as other:
        milvus_collections.prepare_for_search(other, COLLECTION)
        found = [chance_of(each, model) for each in (lab, other)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].answer_excess == pytest.approx(found[1].answer_excess, abs=1e-3)
    assert found[0].row_excess == pytest.approx(found[1].row_excess, abs=1e-3)


def test_a_filter_is_judged_by_what_chance_finds_among_the_rows_that_it_leaves(
    lab: Connection, model: EmbeddingModel
) -> None:
    """A good answer stays one when the filter leaves few rows, though its best row is gone."""
    expr = 'module in ["calendar", "wave"]'
    question = Question("is this a leap year", expr=f'({expr}) and pk != "calendar.isleap"')
    whole = chance_of(lab, model)
    among = chance_of(lab, model, question.expr)
    assert whole is not None
    assert among is not None
    assert among.answer_excess < whole.answer_excess
    found = search.fetch(lab, model, COLLECTION, question)
    keys = [hit.key for hit in found.hits]
    assert not among.weak(found)[keys.index("calendar.leapdays")]
    assert chance_of(lab, model, 'module == "no such module"') is None


def test_what_rows_of_few_subjects_answer_rightly_is_no_chance(
    model: EmbeddingModel, tmp_path: Path
) -> None:
    """Texts of a narrow collection's own words are about its subjects, and no chance."""
    dice = random.Random(97)
    people = ("our finance team", "a new colleague", "the whole office", "a customer of ours")
    tickets = [
        Document(
            page_content=f"{subject} for {dice.choice(people)} since {dice.choice(DAYS)}. "
            f"We tried it {dice.randrange(2, 30)} times, {dice.choice(TRIED)}.",
            metadata={"subject": subject},
        )
        for subject in SUBJECTS
        for _ in range(31)
    ]
    filled = fill(tmp_path / "tickets.db", tickets)
    with copy_of(filled, tmp_path / "copy.db") as opened:
        milvus_collections.prepare_for_search(opened, COLLECTION)
        chance = chance_of(opened, model)
        assert chance is not None
        right = judged_answered(opened, model, COLLECTION, chance, SUBJECTS)
        assert all(right.values()), right
        nonsense = judged_answered(opened, model, COLLECTION, chance, NONSENSE)
        assert sum(nonsense.values()) <= 5, nonsense


def test_texts_that_mean_nothing_are_made_of_the_collection_s_own_words() -> None:
    texts = [f"{first}{second}ing word" for first in "bcdfghjk" for second in "aeioulmn"]
    made = meaningless(texts, 40)
    assert made == meaningless(texts[::-1], 40)
    words = {word for text in texts for word in text.split()}
    assert all(set(text.split()) <= words for text in made[::2])
    assert not all(set(text.split()) <= words for text in made[1::2])


def test_a_collection_of_few_words_gives_no_verdict() -> None:
    assert meaningless(["a few words", "a few more words"]) == []


@pytest.mark.parametrize(("question", "right"), list(zip(EXAMPLES, RIGHT_ANSWERS, strict=True)))
def test_mmr_helps_on_every_example_at_the_default_lambda(
    lab: Connection, model: EmbeddingModel, question: str, right: str
) -> None:
    lists = compare(search.fetch(lab, model, COLLECTION, Question(question)))
    keys = [lists.found.hits[index].key for index in lists.chosen]
    before, after = (
        len(mmr.near_duplicates(lists.found.space, indexes))
        for indexes in (lists.similar, lists.chosen)
    )
    assert right in keys
    assert after == 0 < before
    assert lists.sources(lists.chosen) > lists.sources(lists.similar)
