"""What a visitor may write and read: their own collections, and the host's to read only."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.documents import Document
from pymilvus.exceptions import MilvusException

from lib import event_loop
from lib.benchmark.workspace import MilvusWorkspace
from lib.errors import LabError
from lib.ingestion.plan import METHODS, IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus import milvus_collections, rows
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import open_model
from lib.milvus.rows import Change
from lib.milvus.territory import Quota, QuotaReached, ReadOnly, expiry, is_scratch, store_class
from lib.results.plan import Plan
from lib.settings import Settings
from lib.words import shown_name
from tests.territories import new_territory

QUOTA = Quota(collections=2, rows=50)
HOSTS = "of_the_host"
DOCUMENTS = [Document(page_content=f"text {i}", metadata={"n": i}, id=f"k{i}") for i in range(5)]
MODEL = open_model(Settings(milvus_uri="unused.db"))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """An open store with a collection of the host's."""
    opened = open_connection(Settings(milvus_uri=str(tmp_path_factory.mktemp("lite") / "lab.db")))
    ingest(opened, MODEL, DOCUMENTS, IngestionPlan(HOSTS))
    yield opened
    opened.close()


@pytest.fixture
def visitor(host: Connection) -> Connection:
    """The same store as a visitor sees it."""
    return host.limited_to(new_territory(600, QUOTA))


def own(opened: Connection, name: str = "mine") -> str:
    """Return the full name of a visitor's collection."""
    assert opened.territory is not None
    return opened.territory.full_name(name)


def call(name: str, **arguments: Any) -> Callable[[Connection], Any]:
    """Return a call of a store's sync method."""

    def made(opened: Connection) -> Any:
        return getattr(opened.store(HOSTS, MODEL.embeddings), name)(**arguments)

    return made


def acall(name: str, **arguments: Any) -> Callable[[Connection], Any]:
    """Return a call of a store's async method."""

    def made(opened: Connection) -> Any:
        store = opened.store(HOSTS, MODEL.embeddings)
        return event_loop.run(getattr(store, name)(**arguments))

    return made


def _benchmark_in_the_hosts_collection(opened: Connection) -> None:
    workspace = MilvusWorkspace(Plan(operations=("add_texts",), rows=5), opened, MODEL)
    try:
        # A trial that was pointed at another collection, by whatever mistake.
        workspace.store.collection_name = HOSTS
        workspace.store.add_texts(["x"], ids=["k9"])
    finally:
        workspace.store.collection_name = workspace.name
        workspace.close()


def _undo(opened: Connection) -> None:
    row = {"pk": "k0", "text": "x", "vector": [0.0] * MODEL.dimension}
    rows.undo(opened, Change("deleted", HOSTS, 1, (row,), opened.schema(HOSTS)))


ONE = {"texts": ["x"], "ids": ["k9"]}
WRITES: dict[str, Callable[[Connection], Any]] = {
    "drop": lambda opened: milvus_collections.drop(opened, HOSTS),
    "create over": lambda opened: milvus_collections.create(opened, HOSTS, MODEL.dimension),
    "create under a name of one's own": lambda opened: milvus_collections.create(
        opened, "another", MODEL.dimension
    ),
    "delete rows": lambda opened: rows.delete(
        opened, opened.store(HOSTS, MODEL.embeddings), HOSTS, keys=["k0"]
    ),
    "delete by expression": lambda opened: rows.delete(
        opened, opened.store(HOSTS, MODEL.embeddings), HOSTS, expr="n >= 0"
    ),
    "edit rows": lambda opened: rows.update(
        opened, opened.store(HOSTS, MODEL.embeddings), [rows.Edit("k0", {"text": "x"})]
    ),
    "undo": _undo,
    "replace rows": lambda opened: opened.replace_rows(HOSTS, [{"pk": "k0"}]),
    "flush": lambda opened: milvus_collections.prepare_for_search(opened, HOSTS),
    "benchmark": _benchmark_in_the_hosts_collection,
    "add_texts": call("add_texts", **ONE),
    "aadd_texts": acall("aadd_texts", **ONE),
    "add_documents": call("add_documents", documents=DOCUMENTS[:1], ids=["k9"]),
    "aadd_documents": acall("aadd_documents", documents=DOCUMENTS[:1], ids=["k9"]),
    "add_embeddings": call("add_embeddings", embeddings=[[0.0] * 256], **ONE),
    "aadd_embeddings": acall("aadd_embeddings", embeddings=[[0.0] * 256], **ONE),
    "delete": call("delete", ids=["k0"]),
    "adelete": acall("adelete", ids=["k0"]),
    "upsert": call("upsert", ids=["k0"], documents=DOCUMENTS[:1]),
    "aupsert": acall("aupsert", ids=["k0"], documents=DOCUMENTS[:1]),
    "the store's own drop": call("drop"),
    "from_texts": lambda opened: store_class(opened.territory).from_texts(
        ["x"],
        MODEL.embeddings,
        collection_name=HOSTS,
        connection_args=opened.arguments,
        drop_old=True,
    ),
    "afrom_texts": lambda opened: event_loop.run(
        store_class(opened.territory).afrom_texts(
            ["x"],
            MODEL.embeddings,
            ids=["k9"],
            collection_name=HOSTS,
            connection_args=opened.arguments,
        )
    ),
    "from_texts of a store": lambda opened: opened.store(HOSTS, MODEL.embeddings).from_texts(
        ["x"],
        MODEL.embeddings,
        collection_name="another",
        connection_args=opened.arguments,
    ),
} | {
    f"ingest with {method} in mode {mode}": lambda opened, method=method, mode=mode: ingest(
        opened,
        MODEL,
        [*DOCUMENTS, Document("new", id="k9")],
        IngestionPlan(HOSTS, 2, 1, method, mode),
    )
    for method in METHODS
    for mode in ("gather", "sync_loop")
}


def everything(opened: Connection) -> dict[str, list[Any]]:
    """Return all collections with all their rows."""
    return {
        name: [row for part in rows.walk(opened, name, fields=["pk", "text"]) for row in part]
        for name in opened.client.list_collections()
    }


@pytest.mark.parametrize("name", WRITES)
def test_no_writing_operation_of_the_app_reaches_the_hosts_collections(
    host: Connection, visitor: Connection, name: str
) -> None:
    before = everything(host)
    with pytest.raises(LabError) as caught:
        WRITES[name](visitor)
    assert everything(host) == before
    # from_texts creates, so the page's own check comes before the guard.
    expected = "from_texts creates one" if "with from_texts" in name else "can only be read"
    assert expected in str(caught.value)


@pytest.mark.parametrize("method", METHODS)
def test_a_visitor_writes_reads_and_drops_collections_of_their_own(
    host: Connection, visitor: Connection, method: str
) -> None:
    name = own(visitor)
    ingest(visitor, MODEL, DOCUMENTS, IngestionPlan(name, method=method))
    assert milvus_collections.count(visitor, name) == 5
    store = visitor.store(name, MODEL.embeddings)
    rows.delete(visitor, store, name, keys=["k0"])
    assert [each.page_content for each in store.similarity_search("text 1", k=1)] == ["text 1"]
    assert len(event_loop.run(store.asimilarity_search("text 1", k=9))) == 4
    assert set(visitor.client.list_collections()) == {HOSTS, name}
    milvus_collections.drop(visitor, name)
    assert everything(host).keys() == {HOSTS}


def test_a_visitor_reads_the_hosts_rows_through_a_store_that_all_visitors_share(
    host: Connection, visitor: Connection
) -> None:
    store = visitor.store(HOSTS, MODEL.embeddings)
    assert len(store.max_marginal_relevance_search("text", k=2)) == 2
    other = host.limited_to(new_territory(600, QUOTA))
    assert other.store(HOSTS, MODEL.embeddings) is store
    assert host.store(HOSTS, MODEL.embeddings) is not store


def test_one_visitor_finds_nothing_of_another(host: Connection, visitor: Connection) -> None:
    other = host.limited_to(new_territory(600, QUOTA))
    name = own(visitor)
    ingest(visitor, MODEL, DOCUMENTS, IngestionPlan(name))
    visitor.store(name, MODEL.embeddings)
    try:
        assert other.client.list_collections() == [HOSTS]
        assert [each.name for each in milvus_collections.overview(other, 256, embedding="")] == [
            HOSTS
        ]
        attempts: list[Callable[[], Any]] = [
            lambda: other.store(name, MODEL.embeddings),
            lambda: milvus_collections.describe(other, name),
            lambda: milvus_collections.count(other, name),
            lambda: list(rows.walk(other, name)),
            lambda: milvus_collections.drop(other, name),
        ]
        for attempt in attempts:
            with pytest.raises(LabError):
                attempt()
        assert milvus_collections.count(visitor, name) == 5
    finally:
        milvus_collections.drop(visitor, name)


def test_prefixes_carry_128_random_bits_and_the_time_they_last() -> None:
    made = [new_territory(600, QUOTA) for _ in range(200)]
    tokens = {each.prefix.split("_")[2] for each in made}
    assert len(tokens) == 200
    assert all(len(bytes.fromhex(token)) == 16 for token in tokens)
    name = made[0].full_name("my_documents")
    assert expiry(name) == made[0].expires
    assert shown_name(name) == "my_documents"
    assert made[0].full_name(name) == name
    assert made[0].prefix not in repr(made[0])
    for foreign in ("async_lab", "lab_v", "lab_very_own_collection", "lab_v12_ab_c"):
        assert (expiry(foreign), shown_name(foreign)) == (None, foreign)


def test_a_visitors_rows_and_collections_are_counted_and_bounded(visitor: Connection) -> None:
    names = [own(visitor, each) for each in ("one", "two", "three")]
    for name in names[:2]:
        milvus_collections.create(visitor, name, MODEL.dimension, embedding=MODEL.model)
    with pytest.raises(QuotaReached, match="may keep 2 collections"):
        milvus_collections.create(visitor, names[2], MODEL.dimension)
    many = [Document(page_content=f"text {i}", id=f"k{i}") for i in range(60)]
    with pytest.raises(LabError, match="may write 50 rows"):
        ingest(visitor, MODEL, many, IngestionPlan(names[0], batch_size=20, concurrency=1))
    assert milvus_collections.count(visitor, names[0]) <= 50
    # What is dropped no longer counts, and what a benchmark makes never does.
    milvus_collections.drop(visitor, names[0])
    scratch = visitor.scratch_name()
    assert is_scratch(scratch)
    milvus_collections.create(visitor, scratch, MODEL.dimension)
    ingest(visitor, MODEL, many, IngestionPlan(scratch, batch_size=20))
    milvus_collections.create(visitor, names[2], MODEL.dimension)
    for name in (scratch, *names[1:]):
        milvus_collections.drop(visitor, name)


def test_creations_that_milvus_refuses_use_no_quota_up(visitor: Connection) -> None:
    names = [own(visitor, f"number_{i}") for i in range(5)]
    impossible = 0  # dimensions
    for name in names[:3]:
        with pytest.raises(LabError):
            milvus_collections.create(visitor, name, impossible)
    for name in names[3:]:
        milvus_collections.create(visitor, name, MODEL.dimension)
        milvus_collections.drop(visitor, name)


def test_a_creation_that_is_refused_when_it_is_awaited_uses_no_quota_up(
    visitor: Connection,
) -> None:
    first, second = own(visitor, "first"), own(visitor, "second")
    milvus_collections.create(visitor, first, MODEL.dimension, embedding=MODEL.model)
    client = visitor.store(first, MODEL.embeddings).aclient
    for number in range(3):
        refused = client.create_collection(own(visitor, f"n{number}"), dimension=-1)
        with pytest.raises(MilvusException):
            event_loop.run(refused)
    milvus_collections.create(visitor, second, MODEL.dimension)
    for name in (first, second):
        milvus_collections.drop(visitor, name)


def test_a_collection_that_cannot_be_made_twice_counts_on(visitor: Connection) -> None:
    names = [own(visitor, f"twice_{i}") for i in range(3)]
    for name in names[:2]:
        for _ in range(2):
            with contextlib.suppress(MilvusException):
                visitor.client.create_collection(name, dimension=MODEL.dimension)
    with pytest.raises(LabError, match="A visitor may keep 2 collections"):
        visitor.client.create_collection(names[2], dimension=MODEL.dimension)
    for name in names[:2]:
        milvus_collections.drop(visitor, name)


def test_the_secret_prefix_is_in_no_message(visitor: Connection) -> None:
    assert visitor.territory is not None
    name = own(visitor, "mine")
    tries: list[Callable[[], object]] = [
        lambda: visitor.store(name, MODEL.embeddings),
        lambda: milvus_collections.create(visitor, name, 0),
        lambda: milvus_collections.describe(visitor, name),
        lambda: list(rows.walk(visitor, name, fields=["pk"])),
        lambda: milvus_collections.drop(visitor, name),
    ]
    said = []
    for attempt in tries:
        try:
            attempt()
        except LabError as error:
            said.append(str(error))
    assert len(said) >= 3
    assert not [text for text in said if visitor.territory.prefix in text]
    assert any("'mine'" in text for text in said)


def test_after_its_time_a_territory_takes_nothing_new(host: Connection) -> None:
    territory = replace(new_territory(600, QUOTA), expires=0.0)
    late = host.limited_to(territory)
    with pytest.raises(ReadOnly, match="time"):
        milvus_collections.create(late, own(late), MODEL.dimension)


def test_a_method_that_nobody_thought_of_is_refused(visitor: Connection) -> None:
    for name in ("rename_collection", "truncate_collection", "drop_database", "_get_connection"):
        with pytest.raises(ReadOnly):
            getattr(visitor.client, name)
