"""What a typed filter means is asked of Milvus: an expression, or words that the text must hold."""

import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pymilvus import DataType

from lib.errors import InvalidInput
from lib.milvus import milvus_collections
from lib.milvus import typed as typed_filters
from lib.milvus.connection import Connection
from lib.milvus.filters import Typed
from lib.milvus.rows import Browser
from lib.milvus.typed import meant

TEXTS = (
    "page not found in node.js",
    "C++ and AT&T, 50% off",
    "version 3.5 of the roof, wheel and a/b test",
    "C:\\temp\\new is a folder",
    "is it read-only? (yes) [1] {2} <b>a<b</b> a>b #tag C# x=1",
    "snake_case and snakeXcase, e-mail, “quotes” and 'more'",
    "Größe, 日本語 and 🙂",
    "Exists, in, like, or, null, true and $meta",
    "the only row with n == 1 in its text",
)
PARTS = sorted({word for text in TEXTS for word in text.split()} | {"absent", "\\", "%", "_", '"'})


@pytest.fixture(scope="module", params=["dynamic", "static"])
def name(backend: Connection, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"typed_{uuid.uuid4().hex[:8]}"
    client = backend.client
    schema = client.create_schema(auto_id=False, enable_dynamic_field=request.param == "dynamic")
    schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=100)
    schema.add_field("text", DataType.VARCHAR, max_length=1_000)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    schema.add_field("n", DataType.INT64)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="COSINE", params={})
    client.create_collection(name, schema=schema, index_params=index)
    client.load_collection(name)
    rows = [
        {"pk": f"k{i}", "text": text, "vector": [1.0, i], "n": i} for i, text in enumerate(TEXTS)
    ]
    client.insert(name, rows)
    yield name
    milvus_collections.drop(backend, name)


def holding(*words: str) -> int:
    return sum(
        all(any(each in text for each in (w, w.lower(), w.capitalize())) for w in words)
        for text in TEXTS
    )


def found(backend: Connection, name: str, typed: Typed) -> int:
    return Browser(backend, name, typed, 50).total


def test_any_words_find_the_rows_that_hold_them_all(backend: Connection, name: str) -> None:
    """Chosen by a seed: one to three of the texts' own words, with their dots, signs and quotes."""
    chance = random.Random(13)
    choices = [chance.sample(PARTS, chance.choice((1, 2, 3))) for _ in range(20)]
    asked = [*([part] for part in PARTS), *choices]
    typed = [Typed(" ".join(words), is_words=True) for words in asked]
    # On a server most of a question is waiting.
    with ThreadPoolExecutor(1 if backend.is_lite else 8) as threads:
        counts = list(threads.map(lambda each: found(backend, name, each), typed))
    assert counts == [holding(*words) for words in asked]


@pytest.mark.parametrize(
    "text",
    [
        "not found",
        "node.js",
        "C++",
        "AT&T",
        "50%",
        "3.5",
        "roof, wheel",
        "a/b",
        "read-only?",
        "#tag",
    ],
)
def test_what_milvus_takes_for_no_expression_is_looked_for_as_words(
    backend: Connection, name: str, text: str
) -> None:
    what = meant(backend, name, Typed(text))
    assert what.is_words
    assert what.refusal
    assert found(backend, name, Typed(text)) == holding(*text.split()) == 1


@pytest.mark.parametrize(("text", "rows"), [("n == 1", 1), ("n in [2, 3, 5]", 3), ("n > 7", 1)])
def test_an_expression_stays_one_and_can_be_taken_for_words(
    backend: Connection, name: str, text: str, rows: int
) -> None:
    assert meant(backend, name, Typed(text)) == typed_filters.Meant(text)
    assert found(backend, name, Typed(text)) == rows
    assert found(backend, name, Typed(text, is_words=True)) == holding(*text.split())


def test_what_is_said_to_be_an_expression_and_is_none_is_refused_with_milvus_s_reason(
    backend: Connection, name: str
) -> None:
    with pytest.raises(InvalidInput, match="Milvus cannot use this filter: "):
        meant(backend, name, Typed("n ==", is_words=False))


def test_words_that_milvus_cannot_look_for_are_read_by_the_app_up_to_a_bound(
    backend: Connection, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backslash means something else on each backend, so the app reads the rows in both."""
    seen: list[int] = []
    what = meant(backend, name, Typed("C:\\temp\\new"), seen.append)
    assert (what.expr, what.read, what.rows) == ('pk in ["k3"]', len(TEXTS), len(TEXTS))
    assert seen[-1] == len(TEXTS)
    monkeypatch.setattr(typed_filters, "MOST_READ", 3)
    what = meant(backend, name, Typed("C:\\temp\\new"))
    assert (what.expr, what.read, what.rows) == ("pk in []", 3, len(TEXTS))
    assert found(backend, name, Typed("C:\\temp\\new")) == 0


def test_reading_ends_where_it_is_stopped(backend: Connection, name: str) -> None:
    class Stopped(BaseException):
        pass

    def stop(rows: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        meant(backend, name, Typed("\\"), stop)


def test_a_collection_that_is_not_loaded_makes_no_expression_words(
    backend: Connection, name: str
) -> None:
    backend.client.release_collection(name)
    assert meant(backend, name, Typed("n == 1")) == typed_filters.Meant("n == 1")


def test_too_many_words_and_too_long_a_filter_are_refused(backend: Connection, name: str) -> None:
    with pytest.raises(InvalidInput, match="words"):
        meant(backend, name, Typed(" ".join(map(str, range(51))), is_words=True))
    with pytest.raises(InvalidInput, match="65,535 bytes"):
        meant(backend, name, Typed("ä" * 40_000))
