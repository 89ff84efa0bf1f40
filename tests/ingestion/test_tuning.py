"""Finding the best batch size and concurrency, on a real embedded store."""

import dataclasses
from collections.abc import Callable, Iterator

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from lib import settings
from lib.errors import EmbeddingFailed, InvalidInput
from lib.ingestion import tuning
from lib.ingestion.plan import METHODS
from lib.ingestion.tuning import Grid, Trial, find_best
from lib.jobs import Job, Jobs, State
from lib.milvus import collections as milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel, open_model

SMALL = Grid(rows=60, batch_sizes=(10, 30), concurrencies=(1, 2, 4))


@pytest.fixture
def store(milvus_lite_uri: str) -> Iterator[Connection]:
    """An embedded store of the test's own."""
    opened = open_connection(settings.load({"MILVUS_URI": milvus_lite_uri}))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def model() -> EmbeddingModel:
    return open_model(settings.load({}))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Grid:
    """A grid that is done in a second, in place of the one for a local model."""
    monkeypatch.setattr(tuning, "LOCAL", SMALL)
    return SMALL


def documents(count: int) -> list[Document]:
    return [Document(page_content=f"Text number {i}", metadata={"n": i}) for i in range(count)]


def combinations(trials: list[Trial]) -> set[tuple[int, int]]:
    return {(trial.batch_size, trial.concurrency) for trial in trials}


def test_every_combination_that_fills_its_batches_is_tried_once(
    store: Connection, model: EmbeddingModel, small: Grid
) -> None:
    trials = find_best(store, model, documents(100))
    # Thirty rows four at a time would need 120 rows; there are 60.
    assert combinations(trials) == {(10, 1), (10, 2), (10, 4), (30, 1), (30, 2)}
    assert len(trials) == 5
    assert {trial.rows for trial in trials} == {small.rows}


def test_the_best_comes_first_and_is_a_trial_that_was_made(
    store: Connection, model: EmbeddingModel, small: Grid
) -> None:
    trials = find_best(store, model, documents(60))
    speeds = [trial.rows_per_s for trial in trials]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[-1] > 0
    assert trials[0].batch_size in small.batch_sizes
    assert trials[0].concurrency in small.concurrencies


def test_scratch_collections_are_gone_and_others_are_left_alone(
    store: Connection, model: EmbeddingModel, small: Grid
) -> None:
    milvus_collections.create(store, "mine", model.dimension)
    find_best(store, model, documents(60))
    assert store.client.list_collections() == ["mine"]
    assert milvus_collections.count(store, "mine") == 0


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_tuned(
    store: Connection, model: EmbeddingModel, small: Grid, method: str
) -> None:
    assert len(find_best(store, model, documents(60), method=method)) == 5


class Counted(Embeddings):
    """The model's own vectors, with a call back at the n-th batch."""

    def __init__(self, inner: Embeddings, nth: int, call: Callable[[], None]) -> None:
        self.inner, self.nth, self.call, self.calls = inner, nth, call, 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls += 1
        if self.calls == self.nth:
            self.call()
        return self.inner.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        return self.inner.embed_query(text)


def test_a_stop_ends_it_before_the_next_combination_and_leaves_nothing_behind(
    store: Connection, model: EmbeddingModel, small: Grid
) -> None:
    jobs = Jobs()

    def work(job: Job) -> list[Trial]:
        # One batch goes ahead, the first combination takes six; the second one is under way.
        embeddings.call = job.cancel
        return find_best(store, stopping, documents(60), job=job)

    embeddings = Counted(model.embeddings, 8, lambda: None)
    stopping = dataclasses.replace(model, embeddings=embeddings)
    job = jobs.submit("tuning", work, lane="benchmark")
    assert job.finished.wait(60)
    assert (job.state, job.error) == (State.STOPPED, None)
    assert embeddings.calls == 1 + 6 + 6
    assert store.client.list_collections() == []


def test_a_trial_that_fails_ends_it_with_a_sentence_and_leaves_nothing_behind(
    store: Connection, model: EmbeddingModel, small: Grid
) -> None:
    def fail() -> None:
        raise EmbeddingFailed("The service is down.")

    broken = dataclasses.replace(model, embeddings=Counted(model.embeddings, 3, fail))
    with pytest.raises(EmbeddingFailed, match="The service is down"):
        find_best(store, broken, documents(60))
    assert store.client.list_collections() == []


def test_a_job_of_it_counts_its_combinations_and_keeps_the_trials(
    store: Connection, model: EmbeddingModel, small: Grid
) -> None:
    jobs = Jobs()
    job = jobs.submit(
        "tuning", lambda job: find_best(store, model, documents(60), job=job), lane="benchmark"
    )
    assert job.finished.wait(60)
    assert (job.state, job.error) == (State.DONE, None)
    assert len(job.result) == job.progress.total == 5
    assert job.progress.unit == "combinations"


def test_too_few_rows_are_refused_with_how_many_are_needed_and_nothing_is_written(
    store: Connection, model: EmbeddingModel, small: Grid
) -> None:
    with pytest.raises(InvalidInput, match=r"19 rows are too few.*at least 20"):
        find_best(store, model, documents(19))
    assert store.client.list_collections() == []


def test_the_grid_follows_where_the_embedding_is_computed(model: EmbeddingModel) -> None:
    assert tuning.grid_for(model) is tuning.LOCAL
    remote = dataclasses.replace(model, model="text-embedding-3-small")
    assert tuning.grid_for(remote) is tuning.REMOTE
    assert tuning.grid_for(dataclasses.replace(model, simulated_latency_ms=50)) is tuning.REMOTE
