"""Ingestion on both backends: nothing twice, nothing lost, whatever happens in between."""

import contextlib
import dataclasses
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from lib import jobs, settings
from lib.documents.chunking import Chunking
from lib.documents.files import parsed
from lib.documents.problems import Problems
from lib.documents.sources import DEFAULT_MAX_BYTES, Reading, Upload
from lib.errors import CollectionMismatch, EmbeddingFailed, InvalidInput, LabError
from lib.ingestion.batches import Batch
from lib.ingestion.chosen import ingest_chosen, of_files
from lib.ingestion.plan import METHODS, MODES, IngestionPlan, defaults
from lib.ingestion.report import IngestionReport
from lib.ingestion.writing import ingest, ingest_batches
from lib.jobs import Job
from lib.milvus import milvus_collections, rows
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel, TimedEmbeddings
from lib.settings import PROJECT_ROOT
from tests.waiting import wait_until

if TYPE_CHECKING:
    pass

DIMENSION = 8


class HashEmbeddings(Embeddings):
    """Vectors made of a text's digest: quick, and the same everywhere."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:DIMENSION]]


def model(inner: Embeddings | None = None) -> EmbeddingModel:
    return EmbeddingModel(
        TimedEmbeddings(inner or HashEmbeddings()), "test/hash", "Hash", DIMENSION
    )


@pytest.fixture
def new_name(backend: Connection) -> Iterator[str]:
    """The name of a collection that does not exist."""
    name = f"ingest_{uuid.uuid4().hex[:8]}"
    yield name
    milvus_collections.drop(backend, name)


@pytest.fixture
def name(backend: Connection) -> str:
    """The name of a collection without rows. A server takes seconds to make one, so it is kept."""
    name = "ingest_shared"
    if backend.is_lite:
        milvus_collections.drop(backend, name)
    else:
        milvus_collections.ensure(backend, name, DIMENSION, embedding="test/hash")
        backend.client.delete(name, filter='pk != ""')
    return name


def numbered(count: int, changed: tuple[int, ...] = ()) -> Iterator[Document]:
    for i in range(count):
        text = f"document {i}" + (" as it reads now" if i in changed else "")
        yield Document(page_content=text, metadata={"n": i}, id=f"doc_{i}")


def of_source(source: str, texts: list[str]) -> list[Document]:
    return [
        Document(page_content=text, metadata={"source": source, "position": i})
        for i, text in enumerate(texts)
    ]


def texts(connection: Connection, name: str, expr: str = "") -> list[str]:
    milvus_collections.count(connection, name)
    return sorted(
        row["text"]
        for part in rows.walk(connection, name, expr, fields=["pk", "text"])
        for row in part
    )


def adds_up(report: IngestionReport) -> bool:
    tally = report.tally
    return tally.given == tally.added + tally.updated + tally.unchanged + tally.refused


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_in_every_mode_brings_every_row_in(
    backend: Connection, name: str, new_name: str, method: str, mode: str
) -> None:
    name = new_name if method == "from_texts" else name
    plan = IngestionPlan(name, 7, 3, method=method, mode=mode)
    report = ingest(backend, model(), numbered(50), plan)
    assert (report.rows, report.tally.added, report.written_by_others) == (50, 50, 0)
    assert texts(backend, name) == sorted(f"document {i}" for i in range(50))
    assert milvus_collections.describe(backend, name).schema.embedding == "test/hash"
    if method != "from_texts":
        again = ingest(backend, model(), numbered(50), plan)
        assert (again.rows, again.tally.added, again.tally.unchanged) == (50, 0, 50)
        assert adds_up(again)


@pytest.mark.parametrize("mode", MODES)
def test_a_known_id_with_another_text_is_updated(backend: Connection, name: str, mode: str) -> None:
    plan = IngestionPlan(name, 10, 2, mode=mode)
    ingest(backend, model(), numbered(30), plan)
    report = ingest(backend, model(), numbered(33, changed=(3, 29)), plan)
    assert (report.tally.added, report.tally.updated, report.tally.unchanged) == (3, 2, 28)
    assert report.rows == 33
    assert "document 29 as it reads now" in texts(backend, name)
    assert "document 29" not in texts(backend, name)


@pytest.mark.parametrize("mode", MODES)
def test_an_updated_row_keeps_no_metadata_of_before(
    backend: Connection, name: str, mode: str
) -> None:
    plan = IngestionPlan(name, 10, 2, mode=mode)
    before = {"n": 1, "old": True, "nested": {"a": 1}}
    ingest(backend, model(), [Document(page_content="a", metadata=before, id="k")], plan)
    now = {"n": 2, "nested": {"b": 2}}
    report = ingest(backend, model(), [Document(page_content="b", metadata=now, id="k")], plan)
    assert (report.rows, report.tally.updated) == (1, 1)
    [row] = backend.client.get(name, ids=["k"], output_fields=["*"], consistency_level="Strong")
    row = dict(row)
    assert row.pop("vector") == pytest.approx(model().embeddings.embed_query("b"))
    assert row == {"pk": "k", "text": "b", **now}


def test_a_row_given_twice_in_one_stream_goes_in_once(backend: Connection, name: str) -> None:
    documents = [*numbered(20), *numbered(20), *numbered(5)]
    report = ingest(backend, model(), documents, IngestionPlan(name, 4, 4))
    assert (report.rows, report.tally.added, report.tally.given) == (20, 20, 45)


def test_a_changed_file_replaces_its_changed_rows_and_keeps_gone_ones_until_asked(
    backend: Connection, name: str
) -> None:
    plan = IngestionPlan(name, 5, 3)
    other = of_source("other.txt", ["o1", "o2"])
    odd = 'a "quoted" \\ ünïcode.txt'
    ingest(backend, model(), [*of_source(odd, list("abcdef")), *other], plan)
    report = ingest(backend, model(), of_source(odd, ["a", "B", "c", "D"]), plan)
    assert (report.tally.added, report.tally.updated, report.tally.unchanged) == (0, 2, 2)
    assert (report.tally.gone, report.tally.removed) == (2, 0)
    assert texts(backend, name) == ["B", "D", "a", "c", "e", "f", "o1", "o2"]
    asked = dataclasses.replace(plan, remove_gone=True)
    report = ingest(backend, model(), of_source(odd, ["a", "B", "c", "D"]), asked)
    assert (report.tally.unchanged, report.tally.removed, report.tally.gone) == (4, 2, 0)
    assert texts(backend, name) == ["B", "D", "a", "c", "o1", "o2"]


def test_text_moved_to_another_place_is_not_lost(backend: Connection, name: str) -> None:
    plan = IngestionPlan(name, 2, 2)
    ingest(backend, model(), of_source("a.txt", ["one", "two", "three"]), plan)
    report = ingest(backend, model(), of_source("a.txt", ["zero", "one", "two", "three"]), plan)
    assert texts(backend, name) == ["one", "three", "two", "zero"]
    assert report.rows == 4


def test_a_source_that_could_not_be_read_whole_loses_nothing(
    backend: Connection, name: str
) -> None:
    plan = IngestionPlan(name, 5, 2, remove_gone=True)
    upload = Upload.of_bytes("a.csv", b"text,n\none,1\ntwo,2\nthree,3\n")
    damaged = Upload.of_bytes("a.csv", b"text,n\none,1\nbroken\n")
    for file in (upload, damaged):
        chosen = of_files(parsed([file], DEFAULT_MAX_BYTES), Reading(), Chunking())
        report = ingest_chosen(backend, model(), chosen, plan)
    assert texts(backend, name) == ["one", "three", "two"]
    assert report.problems_total == 1


def test_the_same_files_twice_add_no_row(backend: Connection, name: str) -> None:
    files = [Upload.of_bytes(f"{i}.txt", f"File {i}. ".encode() * 200) for i in range(10)]
    plan = IngestionPlan(name, 16, 2)
    chosen = of_files(parsed(files, DEFAULT_MAX_BYTES), Reading(), Chunking())
    reports = [ingest_chosen(backend, model(), chosen, plan) for _ in range(2)]
    assert reports[0].tally.added == reports[0].rows > 20
    assert reports[1].tally.added == 0
    assert reports[1].tally.unchanged == reports[1].rows == reports[0].rows


@pytest.mark.alone
def test_stop_keeps_what_is_in_and_says_how_many(backend: Connection, name: str) -> None:
    given = 0

    def documents() -> Iterator[Document]:
        nonlocal given
        for document in numbered(100_000):
            given += 1
            if given == 500:
                job.cancel()
            yield document

    job = Job("test", "test")
    started = time.perf_counter()
    report = ingest(backend, model(), documents(), IngestionPlan(name, 50, 2), job=job)
    assert time.perf_counter() - started < 10
    assert report.tally.stopped
    assert 0 < report.tally.added == report.rows < 1_000
    rest = ingest(backend, model(), numbered(1_000), IngestionPlan(name, 50, 2))
    assert rest.rows == 1_000
    assert rest.tally.unchanged == report.rows


class FailingEmbeddings(HashEmbeddings):
    """Fails on one text, as a service does that refuses it."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if "document 73" in texts:
            raise EmbeddingFailed("The service refused a text.")
        return super().embed_documents(texts)


@pytest.mark.parametrize("mode", MODES)
def test_an_error_says_how_many_rows_are_in(backend: Connection, name: str, mode: str) -> None:
    plan = IngestionPlan(name, 10, 4, mode=mode)
    with pytest.raises(EmbeddingFailed) as caught:
        ingest(backend, model(FailingEmbeddings()), numbered(200), plan)
    present = milvus_collections.count(backend, name)
    assert 0 < present < 200
    assert caught.value.kept == f"{present} rows were written before and are kept."
    assert ingest(backend, model(), numbered(200), plan).rows == 200


def test_what_reading_raises_comes_out_and_what_was_read_before_is_kept(
    backend: Connection, name: str
) -> None:
    def documents() -> Iterator[Document]:
        yield from numbered(20)
        raise InvalidInput("The disk is on fire.")

    with pytest.raises(InvalidInput, match="on fire"):
        ingest(backend, model(), documents(), IngestionPlan(name, 10, 2))
    assert milvus_collections.count(backend, name) == 20


def test_a_long_stream_is_never_far_ahead_of_what_is_written(
    backend: Connection, name: str
) -> None:
    """Documents wait in a few batches; a corpus as long as one likes takes no more memory."""
    made = 0
    furthest = 0
    job = Job("test", "test")

    def documents() -> Iterator[Document]:
        nonlocal made, furthest
        for document in numbered(4_000):
            made += 1
            furthest = max(furthest, made - job.progress.done)
            yield document

    ingest(backend, model(), documents(), IngestionPlan(name, 50, 4), job=job)
    # Four batches under way, two waiting, one being made, and one handed over meanwhile.
    assert furthest <= 50 * 9


class TogetherEmbeddings(HashEmbeddings):
    """Answers a call once so many wait at the same time; knows how many ever did."""

    def __init__(self, together: int) -> None:
        self.barrier = threading.Barrier(together)
        self.lock = threading.Lock()
        self.waiting = self.most = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        with self.lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        self.barrier.wait(60)
        with self.lock:
            self.waiting -= 1
        return super().embed_documents(texts)


@pytest.mark.parametrize(("mode", "together"), [("sync_loop", 1), ("gather", 4)])
def test_only_batches_side_by_side_wait_for_embeddings_together(
    backend: Connection, name: str, mode: str, together: int
) -> None:
    embeddings = TogetherEmbeddings(together)
    plan = IngestionPlan(name, 10, 4, mode=mode)
    report = ingest(backend, model(embeddings), numbered(160), plan)
    assert report.tally.added == 160
    assert embeddings.most == together
    spans = sorted(report.tally.spans)
    assert len(spans) == 16
    overlapping = sum(later < end for (_, end), (later, _) in itertools.pairwise(spans))
    assert bool(overlapping) == (together > 1)


def test_two_people_ingesting_at_once_add_each_row_once(backend: Connection, name: str) -> None:
    reports: list[IngestionReport] = []

    def one_person() -> None:
        reports.append(ingest(backend, model(), numbered(300), IngestionPlan(name, 20, 4)))

    people = [threading.Thread(target=one_person) for _ in range(2)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sorted(report.tally.added for report in reports) == [0, 300]
    assert milvus_collections.count(backend, name) == 300
    assert len(set(texts(backend, name))) == 300


def test_rows_that_somebody_else_wrote_meanwhile_are_told(backend: Connection, name: str) -> None:
    milvus_collections.ensure(backend, name, DIMENSION, embedding="test/hash")

    def documents() -> Iterator[Document]:
        yield from numbered(5)
        row = {"pk": "theirs", "text": "theirs", "vector": [0.5] * DIMENSION}
        backend.client.insert(name, [row])

    report = ingest(backend, model(), documents(), IngestionPlan(name, 5, 1))
    assert (report.rows, report.tally.added, report.written_by_others) == (6, 5, 1)


@pytest.mark.parametrize(
    "made", [("test/other", DIMENSION), ("test/hash", DIMENSION + 1)], ids=["model", "dimension"]
)
def test_a_collection_of_another_model_is_explained_and_not_written_to(
    backend: Connection, new_name: str, made: tuple[str, int]
) -> None:
    name = new_name
    milvus_collections.create(backend, name, made[1], embedding=made[0])
    with pytest.raises(CollectionMismatch) as caught:
        ingest(backend, model(), numbered(5), IngestionPlan(name))
    assert caught.value.kept == "Nothing was written to it."
    assert milvus_collections.count(backend, name) == 0


def test_from_texts_does_not_touch_a_collection_that_exists(backend: Connection, name: str) -> None:
    ingest(backend, model(), numbered(5), IngestionPlan(name))
    with pytest.raises(InvalidInput, match="There is a collection named"):
        ingest(backend, model(), numbered(9), IngestionPlan(name, method="from_texts"))
    assert milvus_collections.count(backend, name) == 5


def test_a_document_that_milvus_cannot_take_is_reported_and_the_rest_goes_in(
    backend: Connection, name: str
) -> None:
    documents = [
        Document(page_content="good", metadata={"first name": "Ada", "n": 1}, id="a"),
        Document(page_content="é" * 40_000, id="b"),
        Document(page_content="   ", id="c"),
        Document(page_content="odd", metadata={"$meta": 1, "pk": 2, "n": "two"}, id="d"),
        Document(page_content="long", metadata={"x": "y" * 70_000}, id="e"),
        Document(page_content="half \ud800", id="f"),
    ]
    report = ingest(backend, model(), documents, IngestionPlan(name))
    assert (report.rows, report.tally.added, report.tally.refused) == (3, 3, 3)
    assert adds_up(report)
    told = [str(problem) for problem in report.problems]
    assert "document 1: its text has 80,000 bytes, a Milvus field holds 65,535" in told[0]
    assert any("the metadata key '$meta' is stored as 'field_meta'" in each for each in told)
    assert any("holds numbers and text" in each and "'n'" in each for each in told)
    assert any("document 2: it has no text" in each for each in told)
    assert any("Milvus takes 65,536" in each for each in told)
    assert texts(backend, name, '$meta["first name"] == "Ada"') == ["good"]
    assert texts(backend, name, "field_pk == 2") == ["odd"]


def test_precomputed_vectors_are_stored_as_they_came(backend: Connection, name: str) -> None:
    import numpy as np

    vectors = np.random.default_rng(0).random((40, DIMENSION), dtype=np.float32)
    batches = (
        Batch(
            keys=[f"k{i}" for i in range(start, start + 10)],
            texts=[f"t{i}" for i in range(start, start + 10)],
            metadatas=[{} for _ in range(10)],
            vectors=vectors[start : start + 10],
        )
        for start in range(0, 40, 10)
    )
    plan = IngestionPlan(name, 10, 2, method="add_embeddings")
    report = ingest_batches(backend, model(), batches, plan)
    assert report.rows == 40
    assert report.tally.embed_s == 0
    [row] = backend.client.get(
        name, ids=["k23"], output_fields=["vector"], consistency_level="Strong"
    )
    assert list(row["vector"]) == pytest.approx(vectors[23].tolist(), abs=1e-6)


def test_progress_tells_rows_and_the_split(backend: Connection, name: str) -> None:
    job = Job("test", "test")
    ingest(backend, model(), numbered(30), IngestionPlan(name, 10), total=30, job=job)
    assert (job.progress.done, job.progress.total, job.progress.unit) == (30, 30, "rows")
    assert job.progress.message.endswith("Milvus")
    assert "% embedding" in job.progress.message


@pytest.mark.parametrize(
    "plan",
    [
        IngestionPlan("a", batch_size=0),
        IngestionPlan("a", batch_size=5_001),
        IngestionPlan("a", concurrency=0),
        IngestionPlan("a", concurrency=65),
        IngestionPlan("a b"),
        IngestionPlan("a", method="nonsense"),
        IngestionPlan("a", mode="nonsense"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(plan: IngestionPlan) -> None:
    with pytest.raises(InvalidInput):
        plan.check()


KILLED = """
import sys
from lib import settings
from lib.milvus.connection import open_connection
from tests.ingestion.test_writing import model, numbered
from lib.ingestion.writing import ingest
from lib.ingestion.plan import IngestionPlan
uri, name = sys.argv[1:]
opened = open_connection(settings.load({"MILVUS_URI": uri}))
def documents():
    for i, document in enumerate(numbered(1200)):
        if i % 50 == 0:
            print(i, flush=True)
        yield document
ingest(opened, model(), documents(), IngestionPlan(name, 50, 4))
"""


@pytest.mark.parametrize("kind", ["lite", "server"])
def test_a_killed_ingestion_repeated_ends_with_exactly_the_rows_of_an_undisturbed_one(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One kill, after 600 of 1,200 rows."""
    uri = str(tmp_path / "lab.db")
    if kind == "server":
        uri = request.getfixturevalue("milvus_server").uri
    name = f"killed_{uuid.uuid4().hex[:8]}"
    command = [sys.executable, "-c", KILLED, uri, name]
    environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "600":
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    opened = open_connection(settings.load({"MILVUS_URI": uri}))
    with contextlib.closing(opened):
        report = ingest(opened, model(), numbered(1_200), IngestionPlan(name, 50, 4))
        assert report.rows == milvus_collections.count(opened, name) == 1_200
        assert report.tally.added + report.tally.unchanged == 1_200
        assert 0 < report.tally.unchanged < 1_200
        assert texts(opened, name) == sorted(f"document {i}" for i in range(1_200))
        milvus_collections.drop(opened, name)


@pytest.mark.alone
def test_a_job_that_ingests_can_be_stopped_from_outside(backend: Connection, name: str) -> None:
    endless = (Document(page_content=f"text {i}", id=f"key_{i}") for i in itertools.count())

    def work(job: Job) -> IngestionReport:
        return ingest(backend, model(), endless, IngestionPlan(name, 10, 2), job=job)

    job = jobs.shared().submit("test", work, subject=f"test:{name}")
    wait_until(lambda: job.progress.done)
    asked = time.perf_counter()
    jobs.shared().cancel(job)
    assert job.finished.wait(10)
    assert time.perf_counter() - asked < (1 if backend.is_lite else 2)
    assert job.result.rows == job.result.tally.added > 0


def test_the_defaults_can_be_planned_with(backend: Connection) -> None:
    for simulated in (0.0, 200.0):
        chosen = defaults(backend, model().slowed(simulated))
        IngestionPlan("a", chosen.batch_size, chosen.concurrency).check()
        assert chosen.why


def test_problems_beyond_the_kept_ones_are_still_counted() -> None:
    problems = Problems()
    for i in range(700):
        problems.add("a.csv", f"line {i}", "it is bad")
    assert problems.total == 700
    assert len(problems.kept) == 500


def test_lab_errors_are_the_only_ones_that_leave(backend: Connection, name: str) -> None:
    class Broken(HashEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[1.0] for _ in texts]

    with pytest.raises(LabError):
        ingest(backend, model(Broken()), numbered(5), IngestionPlan(name))
