"""What a collection answers to texts that mean nothing. A real answer must be better than that.

A static model gives any text a nearest row, and some rows are near to everything. So a row's
similarity to a question counts only as far as it exceeds the row's mean similarity to texts that
mean nothing: words drawn from the collection, half of them with their letters shuffled.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.failures import reported
from lib.search import mmr
from lib.search.ask import MAX_QUERY_CHARACTERS, Candidates, search_rows, vectors_of

# Milvus returns rows in the order in which they were written: with a thousand of the bundled corpus
# the verdict differed from one load to the next.
SAMPLE_ROWS = 5_000
TEXTS = 200
NEAREST = 5
LEAST_WORDS = 50
# An answer is weak when one in four texts that mean nothing finds a row as good as its best row. In
# any other answer a row is weak when three in four such texts find a row as good.
ANSWER_QUANTILE, ROW_QUANTILE = 75, 25
# Where all rows are about few things, texts of their own words mean something after all. There an
# answer exceeds by this factor what shuffled letters find.
OVER_SHUFFLED = 1.4
WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True, eq=False)
class Chance:
    """The vectors (n, d) of texts that mean nothing, and what answers and rows must exceed."""

    vectors: mmr.Floats
    answer_excess: float
    row_excess: float

    def weak(self, found: Candidates) -> tuple[bool, ...]:
        """Say of each candidate whether it is no better than chance; all are in a weak answer."""
        excess = found.space.relevance - _mean_similarity(self.vectors, found.vectors)
        least = self.row_excess if excess.max(initial=-1) > self.answer_excess else np.inf
        return tuple(bool(over <= least) for over in excess)


def embed_meaningless(
    connection: Connection, model: EmbeddingModel, collection: str
) -> mmr.Floats | None:
    """Return the vectors (n, d) of texts that mean nothing, made of a collection's own words.

    None where it has too few words. Raises EmbeddingFailed, and ConnectionFailed when Milvus does
    not answer.
    """
    store, schema = connection.store(collection, model.embeddings), connection.schema(collection)
    with reported("Could not read rows to tell answers from chance."):
        rows = store.client.query(
            collection,
            filter="",
            limit=SAMPLE_ROWS,
            output_fields=[schema.text_column],
            timeout=connection.answer_s,
        )
    texts = meaningless([schema.text_of(row)[:MAX_QUERY_CHARACTERS] for row in rows])
    if not texts:
        return None
    return np.asarray(model.embeddings.embed_documents(texts), dtype=np.float64)


def measure_chance(
    connection: Connection,
    model: EmbeddingModel,
    collection: str,
    asked: mmr.Floats,
    expr: str = "",
) -> Chance | None:
    """Search for vectors that mean nothing, and return what they find; None where no row matches.

    With a filter they search the same rows as the question, because among fewer rows chance finds
    less. Raises ConnectionFailed when Milvus does not answer.
    """
    store, schema = connection.store(collection, model.embeddings), connection.schema(collection)
    with reported("Could not search for texts that mean nothing."):
        answers = [
            vectors_of(store, schema, rows)
            for rows in search_rows(
                store, schema, asked.tolist(), NEAREST, connection.answer_s, expr
            )
        ]
    if not all(answers):
        return None
    best = []
    for vector, vectors in zip(asked, answers, strict=True):
        nearest = np.asarray(vectors, dtype=np.float64).reshape(len(vectors), asked.shape[1])
        similarity = mmr.space(vector, nearest).relevance
        best.append(float((similarity - _mean_similarity(asked, nearest)).max()))
    answer, row = np.percentile(best, [ANSWER_QUANTILE, ROW_QUANTILE])
    shuffled = OVER_SHUFFLED * np.percentile(best[1::2], ANSWER_QUANTILE)
    return Chance(asked, float(min(answer, shuffled)), float(row))


def meaningless(texts: Sequence[str], count: int = TEXTS) -> list[str]:
    """Make texts of words drawn from these, every other one with the letters of its words shuffled.

    Returns none when there are fewer than `LEAST_WORDS` different words.
    """
    words = sorted({word.lower() for text in texts for word in WORD.findall(text)})
    if len(words) < LEAST_WORDS:
        return []
    dice = random.Random(0)
    made = []
    for number in range(count):
        drawn = dice.sample(words, dice.randrange(2, 8))
        if number % 2:
            drawn = ["".join(dice.sample(word, len(word))) for word in drawn]
        made.append(" ".join(drawn))
    return made


def _mean_similarity(asked: mmr.Floats, rows: mmr.Floats) -> mmr.Floats:
    """Return the mean cosine similarity of each row to the texts."""
    mean: mmr.Floats = mmr.unit(rows) @ mmr.unit(asked).mean(axis=0)
    return mean
