"""Does the search page know an answer from chance? It is asked 137 real questions and 30 others.

    python -m benchmarks.weak_matches

Asks all of the standard library's docstrings on an embedded store. 107 of the questions are those
of `benchmarks.embedding_quality`, whose answers are known to be in it. Prints how many of each kind
are judged right, which are not, and how long the calibration took.
"""

import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from lib.documents.corpora import CORPORA
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel, open_model
from lib.search import ask as search
from lib.search.ask import Question
from lib.search.chance import Chance, embed_meaningless, measure_chance
from lib.settings import load

COLLECTION = "benchmark_weak_matches"
SENSIBLE = (
    "how do I read a csv file",
    "open a file for writing",
    "sort a list by a key",
    "turn a dictionary into json text",
    "get the current date and time",
    "start another program and read its output",
    "count how often each element occurs",
    "join paths in a portable way",
    "compress data with gzip",
    "compute the square root of a number",
    "find all matches of a regular expression",
    "round a decimal number for money",
    "create a thread and wait for it to end",
    "send a request to a web server",
    "parse an xml document",
    "generate a random integer between two bounds",
    "what type does an object have",
    "delete a file from disk",
    "make an iterator that repeats for ever",
    "cache the results of a function",
    "log an error message",
    "encode bytes as base64",
    "hash a password with a salt",
    "copy an object with everything inside it",
    "wait until a socket is ready to read",
    "convert a string to lower case",
    "read environment variables of the process",
    "run a coroutine with a timeout",
    "connect to an sqlite database",
    "measure how long a piece of code takes",
)
NONSENSE = (
    "asdf qwer zxcv",
    "blargh snorf wibble",
    "qwertyuiop asdfghjkl",
    "florb the gnax with a dringle",
    "xkcd vvbn plmo",
    "zzzz yyyy xxxx",
    "hjkl hjkl hjkl",
    "trundlesnick vorpal jabber",
    "mxlpt grzk bnwq",
    "oiuytre lkjhgf mnbvc",
    "fnord fnord quux blip",
    "wgah nagl fhtagn",
    "sdkfjh wieur oqpw",
    "lorem ipsum dolor sit amet",
    "snarfle blat mumpsy gork",
    "purple monkey dishwasher",
    "a recipe for apple pie with cinnamon",
    "the best beaches in portugal",
    "who won the football match yesterday",
    "how to train a puppy",
    "my grandmother's garden in spring",
    "cheap flights to new york",
    "symptoms of the common cold",
    "lyrics of a love song",
    "history of the roman empire",
    "which shoes fit a red dress",
    "why do cats purr at night",
    "the weather in norway in june",
    "how much sugar is in chocolate cake",
    "famous painters of the renaissance",
)


def judged_answered(
    connection: Connection,
    model: EmbeddingModel,
    collection: str,
    chance: Chance,
    questions: Iterable[str],
) -> dict[str, bool]:
    """Return, for each question, whether the page would show its answer as one."""
    return {
        text: not all(chance.weak(search.fetch(connection, model, collection, Question(text))))
        for text in questions
    }


def with_known_answers() -> list[str]:
    """Return the questions by which the bundled model is judged."""
    files = [Path(__file__).with_name(f"{name}questions.json") for name in ("", "further_")]
    return [each["question"] for file in files for each in json.loads(file.read_text("utf-8"))]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load({"MILVUS_URI": str(Path(folder) / "lab.db")})
        connection, model = open_connection(settings), open_model(settings)
        try:
            documents = CORPORA["standard_library"].documents(None, 0)
            ingest(connection, model, documents, IngestionPlan(collection=COLLECTION))
            milvus_collections.prepare_for_search(connection, COLLECTION)
            started = time.perf_counter()
            asked = embed_meaningless(connection, model, COLLECTION)
            if asked is None:
                raise SystemExit("The collection has too few words to make texts of.")
            chance = measure_chance(connection, model, COLLECTION, asked)
            took_s = time.perf_counter() - started
            if chance is None:
                raise SystemExit("No row was found.")
            for name, questions, right in (
                ("sensible", SENSIBLE, True),
                ("with known answers", with_known_answers(), True),
                ("nonsense", NONSENSE, False),
            ):
                judged = judged_answered(connection, model, COLLECTION, chance, questions)
                wrong = [text for text, answered in judged.items() if answered is not right]
                print(f"{name}: {len(judged) - len(wrong)} of {len(judged)} right; wrong: {wrong}")
            print(f"calibration: {took_s:.2f} s for {len(chance.vectors)} texts")
        finally:
            connection.close()


if __name__ == "__main__":
    main()
