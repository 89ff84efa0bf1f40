"""Example questions for a collection, made of its own rows: short, and never cut inside a word."""

import random
import re
from collections.abc import Iterator, Sequence

from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.failures import reported
from lib.search.ask import row_document
from lib.search.titles import title_of

SAMPLE_ROWS = 1_000
MOST_CHARACTERS = 60
# One word is a name and no question, and so few of a sentence are a greeting.
LEAST_WORDS, LEAST_SENTENCE_WORDS = 2, 3
# Chinese has stops of its own, and no space behind them.
SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
CLAUSE_ENDS = re.compile(r"[,;:()]\s|\s[–—-]\s|[，；：、]")
# What a sentence cannot end with; it is left out where one has to be cut.
DANGLING = re.compile(
    "an?|the|and|or|but|of|in|on|at|to|for|from|with|by|after|before|into|as|than|that|when|if|is|"
    "are|was|were|has|have|had|be|been|not|no|i|we|my|our|your|its|their|this|these"
)


def example_questions(
    connection: Connection, model: EmbeddingModel, collection: str, count: int, seed: int = 0
) -> tuple[str, ...]:
    """Return different short questions of rows drawn with `seed`: titles, or else first clauses.

    Rows are cut after a whole word only where there are too few of either.
    """
    store, schema = connection.store(collection, model.embeddings), connection.schema(collection)
    with reported("Could not read rows to make examples from."):
        rows = store.client.query(
            collection,
            filter="",
            limit=SAMPLE_ROWS,
            output_fields=schema.readable,
            timeout=connection.answer_s,
        )
    rows.sort(key=lambda row: str(row[schema.key.name]))
    random.Random(seed).shuffle(rows)
    documents = [row_document(row, schema) for row in rows]
    titles = (title_of(each.metadata) for each in documents)
    texts = [each.page_content for each in documents]
    made = dict.fromkeys(title for title in titles if _is_question(title, LEAST_WORDS))
    for cut in (first_clause, first_words):
        if len(made) < count:
            made |= dict.fromkeys(filter(None, map(cut, texts)))
    return tuple(made)[:count]


def first_clause(text: str) -> str:
    """Return the first sentence of a text that is short enough, or else clause, "" without one."""
    sentences = [" ".join(each.split()) for each in SENTENCE_ENDS.split(text)]
    # Only the first: a later one says little without it.
    clauses = [CLAUSE_ENDS.split(each)[0] for each in sentences]
    return next(_short(sentences), "") or next(_short(clauses), "")


def first_words(text: str) -> str:
    """Return as many of a text's first words as are short enough."""
    line = " ".join(text.split())
    if len(line) > MOST_CHARACTERS:
        # A language without spaces has no words to end at.
        line = line[: MOST_CHARACTERS + 1].rpartition(" ")[0] or line[:MOST_CHARACTERS]
    words = line.split()
    while len(words) > 1 and DANGLING.fullmatch(words[-1].lower()):
        del words[-1]
    return _bare(" ".join(words))


def _short(parts: Sequence[str]) -> Iterator[str]:
    return (bare for part in parts if _is_question(bare := _bare(part), LEAST_SENTENCE_WORDS))


def _is_question(text: str, least_words: int) -> bool:
    is_long = len(text.split()) >= least_words or (not text.isascii() and len(text) > LEAST_WORDS)
    return is_long and len(text) <= MOST_CHARACTERS


def _bare(text: str) -> str:
    return text.strip().rstrip(".,;:。，；：")
