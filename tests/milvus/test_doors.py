"""What a host shares with strangers stays the host's, and what is theirs goes when they leave."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pymilvus import MilvusClient

from lib import event_loop, settings
from lib.documents.corpora import CORPORA
from lib.errors import LabError
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus import embeddings as embeddings_module
from lib.milvus.connection import Lease, Pool, open_connection
from lib.milvus.embeddings import EmbeddingModel, open_model
from lib.milvus.territory import Quota
from lib.settings import Settings
from tests.territories import new_territory

if TYPE_CHECKING:
    from scripts.milvus_server import MilvusServer

TOKEN = "root:Milvus"
HOSTS = "hosts_rows"
QUOTA = Quota(collections=2, rows=50)


@pytest.fixture(scope="module")
def guarded_server(
    milvus_server_class: "type[MilvusServer]", tmp_path_factory: pytest.TempPathFactory
) -> Iterator["MilvusServer"]:
    """A server that asks for a token and holds a second database with a collection."""
    folder = tmp_path_factory.mktemp("guarded")
    with milvus_server_class(folder, authorization_enabled=True) as server:
        root = MilvusClient(server.uri, token=TOKEN)
        root.create_database("payroll")
        root.close()
        inside = MilvusClient(server.uri, token=TOKEN, db_name="payroll")
        inside.create_collection("salaries", dimension=8)
        inside.close()
        yield server


def test_a_visitor_who_types_another_database_gets_nothing_with_the_hosts_token(
    guarded_server: "MilvusServer",
) -> None:
    host = settings.load(
        {"MILVUS_URI": guarded_server.uri, "MILVUS_TOKEN": TOKEN, "LAB_PUBLIC": "1"}
    )
    blank = {"milvus_uri": host.milvus_uri, "milvus_token": ""}
    # The host itself can read there: the door is real.
    whole = open_connection(Settings(guarded_server.uri, TOKEN, "payroll"))
    assert whole.collection_names() == ["salaries"]
    whole.close()
    chosen = host.pointed_at(host, **blank, milvus_database="payroll")
    with pytest.raises(LabError) as caught:
        open_connection(chosen).collection_names()
    assert "salaries" not in str(caught.value)
    # Nothing typed is the host's own database, with its token.
    opened = open_connection(host.pointed_at(host, **blank, milvus_database=""))
    assert "salaries" not in opened.collection_names()
    opened.close()


@pytest.fixture
def host(tmp_path: Path) -> Settings:
    """The settings of a public host with an embedded store."""
    return Settings(milvus_uri=str(tmp_path / "lab.db"), public=True)


@pytest.fixture
def pool(host: Settings) -> Iterator[Pool]:
    """A pool whose connection stays open, with ten rows of the host's."""
    pool = Pool()
    held = pool.lease(host)
    documents = CORPORA["tutorial"].documents(10, 0)
    ingest(held.connection, open_model(host), documents, IngestionPlan(HOSTS))
    yield pool
    held.release()


def test_a_visitors_own_embedding_leaves_with_the_visitor(pool: Pool, host: Settings) -> None:
    shared, own = open_model(host), open_model(host, is_visitors=True)
    own = EmbeddingModel(own.embeddings, own.model, own.label, own.dimension).slowed(1)
    one, other = (new_territory(600, QUOTA) for _ in range(2))
    tabs = [pool.lease(host, one), pool.lease(host, one)]
    neighbour = pool.lease(host, other)
    theirs = tabs[0].connection.store(HOSTS, own.embeddings)
    common = tabs[0].connection.store(HOSTS, shared.embeddings)
    whole = neighbour.connection._whole
    before = list(whole._stores.values())
    assert theirs in before
    tabs[0].release()
    assert tabs[1].connection.store(HOSTS, own.embeddings) is theirs
    tabs[1].release()
    assert [each for each in before if each not in whole._stores.values()] == [theirs]
    assert neighbour.connection.store(HOSTS, shared.embeddings) is common
    assert len(common.similarity_search("test document 1", k=3)) == 3
    neighbour.release()


def test_a_hold_that_is_asked_for_while_the_last_one_goes_is_a_new_one(host: Settings) -> None:
    pool, taken, failed = Pool(), [], []
    last = pool.lease(host)
    connection = last.connection

    def ask() -> None:
        try:
            taken.append(pool.lease(host))
        except LabError as error:
            failed.append(error)

    asking = threading.Thread(target=ask)
    with connection._lock:  # whoever asks stops at the last step
        asking.start()
        asking.join(0.2)
        last.release()
    asking.join(30)
    assert not failed
    (lease,) = taken
    assert isinstance(lease, Lease)
    assert lease.connection is not connection
    assert lease.connection.ping() > 0
    lease.release()


@pytest.mark.alone
def test_the_loop_waits_for_no_thread_that_embeds() -> None:
    model = open_model(settings.load({}))
    model.embeddings.embed_query("loads the model")
    held, go = threading.Event(), threading.Event()

    def encode() -> None:
        with embeddings_module._encoding:
            held.set()
            go.wait(30)

    async def ticks() -> int:
        asked = asyncio.ensure_future(model.embeddings.aembed_query("one text"))
        for number in range(5):
            await asyncio.sleep(0.01)
            assert not asked.done(), number
        go.set()
        return len(await asked)

    thread = threading.Thread(target=encode)
    thread.start()
    assert held.wait(10)
    release = threading.Timer(5, go.set)  # a loop that waits would never come to `go.set`
    release.start()
    started = time.monotonic()
    assert event_loop.run(ticks(), timeout=20) == model.dimension
    assert time.monotonic() - started < 5
    release.cancel()
    thread.join(10)
