"""Finding the best batch size and concurrency, on a real embedded store."""

import dataclasses
import time
from collections.abc import Callable, Iterator

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from lib import settings
from lib.errors import EmbeddingFailed, InvalidInput
from lib.ingestion import tuning
from lib.ingestion.plan import METHODS
from lib.ingestion.tuning import REPEATS, Grid, Setting, find_best
from lib.jobs import Job, Jobs, State
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

SMALL = Grid(rows=60, batch_sizes=(10, 30), concurrencies=(0, 2, 4))
PAIRS = {(10, 0), (10, 2), (10, 4), (30, 0), (30, 2)}


@pytest.fixture
def store(milvus_lite_uri: str) -> Iterator[Connection]:
    """An embedded store of the test's own."""
    opened = open_connection(settings.load({"MILVUS_URI": milvus_lite_uri}))
    yield opened
    opened.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid that is done in a second, in place of the one for a local model."""
    monkeypatch.setattr(tuning, "LOCAL", SMALL)


def documents(count: int) -> list[Document]:
    return [Document(page_content=f"Text number {i}", metadata={"n": i}) for i in range(count)]


class Recorded(Embeddings):
    """The model's own vectors, and the size of each batch that was embedded."""

    def __init__(self, inner: Embeddings) -> None:
        self.inner, self.sizes = inner, list[int]()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.sizes.append(len(texts))
        return self.inner.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        return self.inner.embed_query(text)


@dataclasses.dataclass(frozen=True)
class Tuned:
    """A tuning that was made as a job, on a store with a collection of somebody."""

    store: Connection
    job: Job
    sizes: list[int]  # of the batches, in their order


@pytest.fixture(scope="module")
def tuned(model: EmbeddingModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuned]:
    path = tmp_path_factory.mktemp("tuned") / "lab.db"
    opened = open_connection(settings.load({"MILVUS_URI": str(path)}))
    milvus_collections.create(opened, "mine", model.dimension)
    recorded = Recorded(model.embeddings)
    observed = dataclasses.replace(model, embeddings=recorded)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "LOCAL", SMALL)
        job = Jobs().submit(
            "tuning",
            lambda job: find_best(opened, observed, documents(100), job=job),
            subject="tuning",
        )
        assert job.finished.wait(PATIENCE_S)
    yield Tuned(opened, job, recorded.sizes)
    opened.close()


def test_every_setting_that_fills_its_batches_is_tried_in_every_repeat(tuned: Tuned) -> None:
    # Thirty rows four at a time would need 120 rows; there are 60.
    found = tuned.job.result
    pairs = {(each.batch_size, each.concurrency * (each.mode == "gather")) for each in found}
    assert pairs == PAIRS
    assert len(found) == 5
    # One batch goes ahead; then three settings of six batches and two of two, in each repeat.
    assert len(tuned.sizes) == 1 + REPEATS * (3 * 6 + 2 * 2)


def test_the_order_of_the_settings_differs_between_repeats(tuned: Tuned) -> None:
    sizes = tuned.sizes[1:]
    third = len(sizes) // REPEATS
    repeats = {tuple(sizes[start : start + third]) for start in range(0, len(sizes), third)}
    assert len(repeats) > 1


def test_the_fastest_comes_first_and_gains_are_against_the_loop_of_the_same_batches(
    tuned: Tuned,
) -> None:
    speeds = [each.rows_per_s for each in tuned.job.result]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[-1] > 0
    for each in tuned.job.result:
        assert (each.gain is None) == (each.mode == "sync_loop")
        assert each.gain is None or each.gain.repeats == REPEATS


def test_scratch_collections_are_gone_and_others_are_left_alone(tuned: Tuned) -> None:
    assert tuned.store.client.list_collections() == ["mine"]
    assert milvus_collections.count(tuned.store, "mine") == 0


def test_a_job_of_it_counts_its_trials_and_keeps_the_settings(tuned: Tuned) -> None:
    assert (tuned.job.state, tuned.job.error) == (State.DONE, None)
    assert tuned.job.progress.done == tuned.job.progress.total == REPEATS * 5


class SlowEmbeddings(Recorded):
    """Takes its time, like a remote service."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        time.sleep(0.1)
        return super().embed_documents(texts)


@pytest.mark.alone  # five repeats of each way are compared by the clock
def test_a_gain_is_a_difference_where_embedding_waits(
    store: Connection, model: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "LOCAL", Grid(60, batch_sizes=(10,), concurrencies=(0, 6)))
    slow = dataclasses.replace(model, embeddings=SlowEmbeddings(model.embeddings))
    found = find_best(store, slow, documents(60))
    assert found[0].mode == "gather"
    gain = found[0].gain
    assert gain is not None
    assert gain.ratio > 1
    assert gain.is_difference


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_tuned(
    store: Connection, model: EmbeddingModel, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "REPEATS", 1)
    assert len(find_best(store, model, documents(60), method=method)) == 5


class Counted(Recorded):
    """Calls back at the n-th batch."""

    def __init__(self, inner: Embeddings, nth: int, call: Callable[[], None]) -> None:
        super().__init__(inner)
        self.nth, self.call = nth, call

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if len(self.sizes) + 1 == self.nth:
            self.call()
        return super().embed_documents(texts)


@pytest.mark.usefixtures("small")
def test_a_stop_ends_it_before_the_next_trial_and_leaves_nothing_behind(
    store: Connection, model: EmbeddingModel
) -> None:
    jobs = Jobs()

    def work(job: Job) -> list[Setting]:
        embeddings.call = job.cancel
        return find_best(store, stopping, documents(60), job=job)

    embeddings = Counted(model.embeddings, 3, lambda: None)
    stopping = dataclasses.replace(model, embeddings=embeddings)
    job = jobs.submit("tuning", work, subject="benchmark")
    assert job.finished.wait(PATIENCE_S)
    assert (job.state, job.error) == (State.STOPPED, None)
    # One batch went ahead, and the trial under way was finished.
    assert len(embeddings.sizes) in (1 + 2, 1 + 6)
    assert store.client.list_collections() == []


@pytest.mark.usefixtures("small")
def test_a_trial_that_fails_ends_it_with_a_sentence_and_leaves_nothing_behind(
    store: Connection, model: EmbeddingModel
) -> None:
    def fail() -> None:
        raise EmbeddingFailed("The service is down.")

    broken = dataclasses.replace(model, embeddings=Counted(model.embeddings, 3, fail))
    with pytest.raises(EmbeddingFailed, match="The service is down"):
        find_best(store, broken, documents(60))
    assert store.client.list_collections() == []


@pytest.mark.usefixtures("small")
def test_too_few_rows_are_refused_with_how_many_are_needed_and_nothing_is_written(
    store: Connection, model: EmbeddingModel
) -> None:
    with pytest.raises(InvalidInput, match=r"19 rows are too few.*at least 20"):
        find_best(store, model, documents(19))
    assert store.client.list_collections() == []


def test_the_grid_follows_where_the_embedding_is_computed(model: EmbeddingModel) -> None:
    assert tuning.grid_for(model) is tuning.LOCAL
    remote = dataclasses.replace(model, model="text-embedding-3-small")
    assert tuning.grid_for(remote) is tuning.REMOTE
    assert tuning.grid_for(dataclasses.replace(model, simulated_latency_ms=50)) is tuning.REMOTE
