"""Each kind of collection through all that the lab does: it works, or is refused beforehand."""

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from langchain_core.documents import Document

from benchmarks._uploads import upload_of
from lib.benchmark.runner import run
from lib.documents.chunking import Chunking
from lib.documents.files import parsed
from lib.documents.sources import DEFAULT_MAX_BYTES, Reading
from lib.errors import CollectionMismatch
from lib.ingestion.chosen import ingest_chosen, of_files
from lib.ingestion.plan import IngestionPlan, default_plan
from lib.ingestion.writing import ingest
from lib.milvus import filters, milvus_collections, rows
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.filters import Typed, equals
from lib.milvus.milvus_collections import Collection
from lib.results.plan import Plan
from lib.search import ask
from lib.search.hybrid import ask_hybrid, copy_with_words
from tests.milvus.other_peoples import KINDS, ROWS, Kind, make, texts


@pytest.fixture(scope="module")
def driven(
    backend: Connection,
    model: EmbeddingModel,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Kind], None]]:
    """Return a function that drives a kind, or waits until it was driven.

    On a server, where most of it is waiting, six of those that were chosen go side by side.
    """
    drive = partial(_drive, backend, model, tmp_path_factory)
    if backend.is_lite:
        yield drive
        return
    chosen = [item.callspec.params for item in request.session.items if item.path == request.path]
    with ThreadPoolExecutor(6) as threads:
        done = {
            each["kind"].name: threads.submit(drive, each["kind"])
            for each in chosen
            if each["backend"] == "server" and "server" in each["kind"].where
        }
        yield lambda kind: done[kind.name].result()
        threads.shutdown(cancel_futures=True)


def stored(backend: Connection, name: str) -> dict[Any, dict[str, Any]]:
    """Return all rows as they are, by their keys."""
    schema = rows.layout(backend, name)
    milvus_collections.count(backend, name)
    found = (row for part in rows.walk(backend, name, fields=["*"]) for row in part)
    return {row[schema.key.name]: row for row in found}


def schema_of(backend: Connection, name: str) -> str:
    """Return what Milvus says of a collection's fields and indexes."""
    client = backend.client
    facts = client.describe_collection(name)
    kept = {key: facts[key] for key in ("fields", "functions", "enable_dynamic_field")}
    return json.dumps([kept, sorted(client.list_indexes(name))], default=str)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_collection_of_this_kind_works_or_is_refused_beforehand(
    backend: Connection, kind: Kind, driven: Callable[[Kind], None]
) -> None:
    # What a backend lacks is no gap: its kinds stand in the table under the other.
    if backend.kind in kind.where:
        driven(kind)
    else:
        assert kind.where in ("lite", "server")


def _drive(
    backend: Connection,
    model: EmbeddingModel,
    folders: pytest.TempPathFactory,
    kind: Kind,
) -> None:
    name = f"theirs_{uuid.uuid4().hex[:8]}"
    make(backend, model, kind, name)
    try:
        _go_through(backend, model, kind, name, folders.mktemp("kind"))
    finally:
        milvus_collections.drop(backend, name)


def _go_through(
    backend: Connection, model: EmbeddingModel, kind: Kind, name: str, folder: Path
) -> None:
    before_schema = schema_of(backend, name)
    facts = milvus_collections.describe(backend, name)
    refused = dict(milvus_collections.refusals(facts, model.dimension, model.model))
    assert refused.keys() == kind.refused.keys()
    listed = milvus_collections.overview(backend, model.dimension, embedding=model.model)
    note = next(each.note for each in listed if each.name == name)
    assert [use in note for use in refused] == [True] * len(refused)
    assert bool(note) == bool(refused)
    for use, why in kind.refused.items():
        assert why in refused[use]
    if not kind.indexed and not backend.is_lite:
        assert facts.problem is not None
        assert "no index" in facts.problem.what
        return
    before = stored(backend, name)
    assert len(before) == facts.rows == ROWS
    _read(backend, name, kind, before)
    if "Search and ingestion" not in refused:
        _search(backend, model, facts, list(before))
    lines = _take_away(backend, name, kind, before, folder)
    if backend.is_lite and kind.text and kind.dimension == model.dimension:
        # What is made is the lab's own collection, whatever the backend; both files hold the same.
        ending = list(rows.EXPORTS)[KINDS.index(kind) % len(rows.EXPORTS)]
        _import(backend, model, f"{name}_back", folder / f"rows{ending}", lines)
        if kind.indexed:
            _copy_with_words(backend, model, facts, lines)
    if kind.indexed:
        _change_and_undo(backend, model, name, kind, before, can_embed=len(refused) < 1)
    _ingest(backend, model, name, kind, refused)
    assert schema_of(backend, name) == before_schema


def _read(backend: Connection, name: str, kind: Kind, before: dict[Any, dict[str, Any]]) -> None:
    browser = rows.Browser(backend, name, "", page_rows=5)
    shown = [row for page in range(1, browser.pages + 1) for row in browser.page(page)]
    assert [row[kind.key_name] for row in shown] == sorted(before)
    if kind.text:
        assert sorted(row[kind.text] for row in shown) == sorted(texts())
        words = rows.Browser(backend, name, Typed("boat red"), page_rows=ROWS)
        assert words.meant.is_words
        assert [row[kind.text] for row in words.page(1)] == [
            before[key][kind.text] for key in sorted(before) if "boat" in before[key][kind.text]
        ]
    key = sorted(before)[3]
    found = rows.Browser(backend, name, equals(kind.key_name, key), page_rows=5)
    assert [row[kind.key_name] for row in found.page(1)] == [key]


def _search(
    backend: Connection,
    model: EmbeddingModel,
    facts: Collection,
    keys: list[Any],
) -> None:
    name, key = facts.name, facts.schema.key.name
    store = backend.store(name, model.embeddings)
    assert {key, facts.schema.text} <= {field.name for field in filters.fields(store)}
    found = ask.fetch(backend, model, name, ask.Question("the red boat", k=3, fetch_k=6))
    assert len(found.hits) == 6
    assert "the red boat" in found.hits[0].text
    assert {hit.key for hit in found.hits} <= {str(each) for each in keys}
    assert len(ask.compare(found, 0.3).chosen) == 3
    like = ask.fetch(backend, model, name, ask.Question(k=3, fetch_k=6, like=str(keys[2])))
    assert str(keys[2]) not in {hit.key for hit in like.hits}
    vector = tuple(model.embeddings.embed_query("the red boat"))
    for method in ask.METHODS:
        expr = "" if ask.METHODS[method].searches else equals(key, keys[1])
        answers = []
        for asynchronous in (False, True):
            request = ask.Request(
                method, asynchronous, "the red boat", vector, k=3, expr=expr,
                fields=(key,),
            )  # fmt: skip
            answers.append(ask.call_method(backend, model, name, request).keys)
        assert answers[0] == answers[1]
        assert len(answers[0]) == (1 if expr else 3)
    if facts.schema.words:
        words = ask_hybrid(backend, model, facts, ask.Question("red boat", k=3), "bm25")
        assert "red boat" in words.rows[0].hit.text
    questions = ("red boat", "green roof", "week")
    plan = Plan(
        operations=("similarity_search",), strategies=("sync_loop", "gather", "one_batch"),
        counts=(len(questions),), repeats=1, warmup=0, collection=name, questions=questions,
    )  # fmt: skip
    assert all(trial.verified for trial in run(plan, backend, model).trials)


def _take_away(
    backend: Connection, name: str, kind: Kind, before: dict[Any, dict[str, Any]], folder: Path
) -> list[dict[str, Any]]:
    path = folder / "rows.jsonl"
    assert rows.export(backend, name, path) == ROWS
    assert rows.export(backend, name, path.with_suffix(".parquet")) == ROWS
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line, key in zip(lines, sorted(before), strict=True):
        row = before[key]
        assert line["pk"] == str(key)
        assert line["text"] == row.get(kind.text, "")
        assert np.array_equal(np.float32(line["vector"]), np.float32(row[kind.vector]))
        assert kind.bm25 not in line["metadata"]
        for each in row.keys() - {kind.key_name, kind.text, kind.vector, "weights"}:
            assert line["metadata"][each] == row[each]
    table = pyarrow.parquet.read_table(path.with_suffix(".parquet")).to_pylist()
    assert [row | {"metadata": json.loads(row["metadata"])} for row in table] == lines
    return lines


def _as_exported(backend: Connection, name: str) -> dict[str, dict[str, Any]]:
    shape = rows.layout(backend, name)
    return {key: rows.exported(row, shape) for key, row in stored(backend, name).items()}


def _import(
    backend: Connection,
    model: EmbeddingModel,
    name: str,
    path: Path,
    lines: list[dict[str, Any]],
) -> None:
    files = parsed([upload_of(path)], DEFAULT_MAX_BYTES)
    reading = Reading(take_vectors=True, dimension=model.dimension)
    plan = IngestionPlan(name, method="add_embeddings")
    try:
        report = ingest_chosen(backend, model, of_files(files, reading, Chunking()), plan)
        assert (report.problems, report.rows) == ((), ROWS)
        # A null is stored as no value.
        without = [
            line | {"metadata": {n: v for n, v in line["metadata"].items() if v is not None}}
            for line in lines
        ]
        assert _as_exported(backend, name) == {line["pk"]: line for line in without}
    finally:
        milvus_collections.drop(backend, name)


def _copy_with_words(
    backend: Connection, model: EmbeddingModel, facts: Collection, lines: list[dict[str, Any]]
) -> None:
    copy = copy_with_words(backend, model, facts)
    try:
        copied = milvus_collections.describe(backend, copy)
        assert _as_exported(backend, copy) == {line["pk"]: line for line in lines}
        found = ask_hybrid(backend, model, copied, ask.Question("red boat", k=3), "rrf")
        assert "red boat" in found.rows[0].hit.text
    finally:
        milvus_collections.drop(backend, copy)


def _change_and_undo(
    backend: Connection,
    model: EmbeddingModel,
    name: str,
    kind: Kind,
    before: dict[Any, dict[str, Any]],
    *,
    can_embed: bool,
) -> None:
    store, key = backend.store(name, model.embeddings), sorted(before)[1]
    fixed = rows.why_fixed(backend, rows.layout(backend, name))
    if not fixed and kind.dynamic:
        change = rows.update(backend, store, [rows.Edit(key, {"added": 7})])
        assert stored(backend, name) == before | {key: before[key] | {"added": 7}}
        rows.undo(backend, change)
        assert stored(backend, name) == before
    if not fixed and can_embed:
        change = rows.update(backend, store, [rows.Edit(key, {kind.text: "another"})])
        after = stored(backend, name)[key]
        assert (after[kind.text], after[kind.vector] != before[key][kind.vector]) == (
            "another", True,
        )  # fmt: skip
        rows.undo(backend, change)
        assert stored(backend, name) == before
    keys = sorted(before)[2:5]
    matching = rows.matching(backend, name, keys=keys)
    assert (matching.rows, matching.why_final, matching.new_keys) == (3, "", fixed)
    gone = rows.delete(backend, store, name, keys=keys)
    assert rows.undo(backend, gone) == 3
    back = stored(backend, name)
    if not fixed:
        assert back == before
    else:  # said beforehand: under new keys, otherwise the same
        assert _without(back, kind.key_name) == _without(before, kind.key_name)


def _without(found: dict[Any, dict[str, Any]], key: str) -> list[str]:
    return sorted(
        json.dumps({n: v for n, v in row.items() if n != key}, sort_keys=True)
        for row in found.values()
    )


def _ingest(
    backend: Connection, model: EmbeddingModel, name: str, kind: Kind, refused: dict[str, str]
) -> None:
    added = [Document("a new note", metadata={"source": "a", "position": 0})]
    if refused:
        with pytest.raises(CollectionMismatch, match="Ingestion is not possible"):
            ingest(backend, model, added, default_plan(backend, model, name))
        assert milvus_collections.describe(backend, name).rows == ROWS
        return
    report = ingest(backend, model, added, default_plan(backend, model, name))
    again = ingest(backend, model, added, default_plan(backend, model, name))
    assert (report.tally.added, again.tally.added, again.rows) == (1, 0, ROWS + 1)
    changed = [Document("a better note", metadata=added[0].metadata)]
    tally = ingest(backend, model, changed, default_plan(backend, model, name)).tally
    # Without a source among its fields nobody can tell whose new text it is.
    assert (tally.added, tally.updated) == ((0, 1) if kind.dynamic else (1, 0))
    texts_now = [row[kind.text] for row in stored(backend, name).values()]
    assert sorted(texts_now) == sorted(
        [*texts(), "a better note", *["a new note"] * (not kind.dynamic)]
    )
