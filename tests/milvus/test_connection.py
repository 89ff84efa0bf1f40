"""Opening, describing and closing a Milvus; what a person reads when that fails."""

import base64
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from lib import event_loop
from lib.errors import CollectionMismatch, ConnectionFailed, InvalidInput
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, Pool, open_connection
from lib.milvus.embeddings import open_model
from lib.milvus.territory import Quota
from lib.settings import Settings
from tests.fresh_process import ended
from tests.territories import new_territory
from tests.waiting import at_once, wait_until

HOLD_THE_FILE = """
import sys
from lib.milvus.connection import open_connection
from lib.settings import Settings
from tests.territories import new_territory
open_connection(Settings(milvus_uri=sys.argv[1]))
print("open", flush=True)
sys.stdin.read()  # until whoever started this closes the pipe
"""


@pytest.fixture(scope="module")
def milvus_server_with_password(
    milvus_server_class: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """A server that asks for credentials."""
    folder = tmp_path_factory.mktemp("milvus-password")
    with milvus_server_class(folder, authorization_enabled=True) as server:
        yield server


def open_at(uri: str, **more: Any) -> Connection:
    """Open a Milvus by its URI."""
    return open_connection(Settings(milvus_uri=uri, **more))


def test_milvus_lite_tells_its_kind_version_and_collections(milvus_lite_uri: str) -> None:
    opened = open_at(milvus_lite_uri)
    milvus_collections.create(opened, "one", 4)
    description = opened.describe()
    opened.close()
    assert (opened.kind, description.collections) == ("lite", ("one",))
    assert description.version.startswith("3.")
    assert "/" not in opened.address


def test_a_server_tells_its_kind_and_version(milvus_server: Any) -> None:
    opened = open_at(milvus_server.uri)
    description = opened.describe()
    opened.close()
    assert (opened.kind, description.version) == ("server", "2.3.5")


def test_a_second_process_on_the_same_file_gets_a_message_a_person_understands(
    milvus_lite_uri: str,
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_FILE, milvus_lite_uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "open"
        with pytest.raises(ConnectionFailed, match="Another process has the Milvus Lite file"):
            open_at(milvus_lite_uri)
    finally:
        holder.kill()
        holder.wait()
    # A killed holder leaves no lock behind.
    open_at(milvus_lite_uri).close()


def test_what_one_connection_may_see_is_cached_for_no_other(milvus_lite_uri: str) -> None:
    first, second = open_at(milvus_lite_uri), open_at(milvus_lite_uri)
    with contextlib.closing(first), contextlib.closing(second):
        assert first.address == second.address
        assert first.id != second.id


def test_closing_milvus_lite_frees_the_file_for_another_process(milvus_lite_uri: str) -> None:
    first, second = open_at(milvus_lite_uri), open_at(milvus_lite_uri)
    first.close()
    second.ping()
    second.close()
    second.close()
    other = ended("-c", HOLD_THE_FILE, milvus_lite_uri, stdin=subprocess.DEVNULL)
    assert other.stdout.strip() == "open", other.stderr
    with pytest.raises(ConnectionFailed, match="closed"):
        first.ping()


def test_many_threads_opening_a_new_file_at_once_share_one_server(milvus_lite_uri: str) -> None:
    opened = at_once(8, lambda _: open_at(milvus_lite_uri))
    assert len({connection.arguments["uri"] for connection in opened}) == 1
    for connection in opened:
        connection.close()
    assert len(opened) == 8


def test_a_path_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConnectionFailed, match="could not open"):
        open_at(str(tmp_path / "file" / "lab.db"))


@pytest.mark.alone
@pytest.mark.slow
def test_a_uri_that_nobody_answers_is_reported_within_ten_seconds() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.perf_counter()
    with pytest.raises(ConnectionFailed, match=f"No Milvus answered at 127.0.0.1:{port}"):
        open_at(f"http://127.0.0.1:{port}")
    assert time.perf_counter() - started < 10


@pytest.mark.alone
@pytest.mark.slow
def test_an_address_that_accepts_and_stays_silent_is_reported_within_ten_seconds() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.perf_counter()
        with pytest.raises(ConnectionFailed):
            open_at(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.perf_counter() - started < 10


def test_a_wrong_token_is_named_and_not_repeated(milvus_server_with_password: Any) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        open_at(milvus_server_with_password.uri, milvus_token="root:wr0ng")
    assert "refused the credentials" in str(caught.value)
    assert "wr0ng" not in str(caught.value)
    opened = open_at(milvus_server_with_password.uri, milvus_token="root:Milvus")
    assert opened.describe().version == "2.3.5"
    opened.close()


def test_a_missing_collection_an_invalid_filter_and_another_dimension_are_explained(
    milvus_lite_uri: str,
) -> None:
    model = open_model(Settings(milvus_uri="unused.db"))
    opened = open_at(milvus_lite_uri)
    try:
        with pytest.raises(InvalidInput, match="no collection named 'nothing'"):
            opened.store("nothing", model.embeddings)
        milvus_collections.create(opened, "small", 4, embedding="other/model")
        with pytest.raises(CollectionMismatch, match="4 dimensions"):
            milvus_collections.ensure(opened, "small", model.dimension, embedding=model.model)
        milvus_collections.create(opened, "same_size", model.dimension, embedding="other/model")
        with pytest.raises(CollectionMismatch, match="other/model"):
            milvus_collections.ensure(opened, "same_size", model.dimension, embedding=model.model)
        with pytest.raises(InvalidInput, match="Milvus cannot use this filter"):
            milvus_collections.check_expression(opened, "small", "kind === ")
        with pytest.raises(InvalidInput, match="cannot be a collection's name"):
            milvus_collections.create(opened, "no spaces", 4)
        assert milvus_collections.count(opened, "small") == 0
    finally:
        opened.close()


def test_the_model_that_made_a_collection_is_remembered_by_a_file_and_by_a_server(
    milvus_lite_uri: str, milvus_server: Any
) -> None:
    for uri in (milvus_lite_uri, milvus_server.uri):
        opened = open_at(uri)
        milvus_collections.create(opened, "remembers", 8, embedding="maker/model")
        assert milvus_collections.describe(opened, "remembers").schema.embedding == "maker/model"
        milvus_collections.drop(opened, "remembers")
        milvus_collections.drop(opened, "remembers")
        assert not milvus_collections.exists(opened, "remembers")
        opened.close()


def test_a_connection_stays_open_until_its_last_user_lets_go(milvus_lite_uri: str) -> None:
    pool, settings = Pool(), Settings(milvus_uri=milvus_lite_uri)
    one, other = pool.lease(settings), pool.lease(settings)
    assert one.connection is other.connection
    one.release()
    one.release()
    assert other.connection.ping() < 4
    # Whoever found it slow opens another; nobody else's is closed by that.
    pool.retire(one.connection)
    fresh = pool.lease(settings)
    assert fresh.connection._whole is not other.connection._whole
    other.connection.ping()
    other.release()
    assert other.connection.closed
    with pytest.raises(ConnectionFailed, match="closed"):
        other.connection.lease()
    fresh.connection.ping()
    fresh.release()
    with pool.lease(settings) as anew:
        anew.ping()


def test_a_visitors_view_counts_as_a_user_of_the_whole(milvus_lite_uri: str) -> None:
    pool, settings = Pool(), Settings(milvus_uri=milvus_lite_uri)
    visitor = pool.lease(settings, new_territory(60, Quota(1, 10)))
    host = pool.lease(settings)
    assert visitor.connection.territory is not None
    assert host.connection.territory is None
    host.release()
    visitor.connection.ping()
    visitor.release()
    assert host.connection.closed
    assert visitor.connection.closed


def test_a_visitors_stores_are_closed_when_their_last_hold_ends(milvus_lite_uri: str) -> None:
    settings = Settings(milvus_uri=milvus_lite_uri)
    pool, model, files = Pool(), open_model(settings), psutil.Process()
    territory = new_territory(60, Quota(1, 10))
    with pool.lease(settings) as host:
        milvus_collections.create(host, "shared", model.dimension)
        shared = host.limited_to(territory).store("shared", model.embeddings)
        event_loop.run(shared.asimilarity_search("anything"))  # what gRPC opens once is open
        before = files.num_fds()
        page, job = pool.lease(settings, territory), pool.lease(settings, territory)
        own = territory.full_name("own")
        milvus_collections.create(page.connection, own, model.dimension)
        store = page.connection.store(own, model.embeddings)
        event_loop.run(store.asimilarity_search("anything"))
        page.release()
        assert job.connection.store(own, model.embeddings) is store
        job.release()
        wait_until(lambda: files.num_fds() <= before)
        # What all visitors read stays open.
        assert host.limited_to(territory).store("shared", model.embeddings) is shared
        with pool.lease(settings, territory) as again:
            assert again.store(own, model.embeddings) is not store


def test_many_threads_taking_and_releasing_leases_never_meet_a_closed_connection(
    milvus_lite_uri: str,
) -> None:
    pool, settings = Pool(), Settings(milvus_uri=milvus_lite_uri)

    def visit(_: int) -> int:
        pings = 0
        for _ in range(5):
            with pool.lease(settings) as opened:
                pings += opened.ping() > 0
        return pings

    assert at_once(8, visit) == [5] * 8


@pytest.mark.alone
@pytest.mark.slow
def test_all_who_wait_for_a_dead_server_are_told_at_once() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = Settings(milvus_uri=f"http://127.0.0.1:{silent.getsockname()[1]}")
        pool = Pool()

        def visit(_: int) -> bool:
            with pytest.raises(ConnectionFailed):
                pool.lease(settings)
            return True

        started = time.perf_counter()
        assert at_once(6, visit) == [True] * 6
    assert time.perf_counter() - started < 10


class Recorder(grpc.GenericRpcHandler):
    """Answers every call of a gRPC server with nothing, and keeps what it was called with."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def service(self, details: Any) -> Any:
        """Keep the metadata and refuse."""
        self.seen += [(name, str(value)) for name, value in details.invocation_metadata]

        def refuse(request: bytes, context: Any) -> bytes:
            context.abort(grpc.StatusCode.UNAVAILABLE, "recorded")
            return b""

        return grpc.unary_unary_rpc_method_handler(refuse)


@contextlib.contextmanager
def recording() -> Iterator[tuple[str, Recorder]]:
    """Serve a Milvus that only records; give its address and what it recorded."""
    recorder, server = Recorder(), grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((recorder,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}", recorder
    server.stop(None)


def test_a_visitors_milvus_never_receives_the_hosts_token_nor_the_other_way_round() -> None:
    """The dialog twice: with an own address and token, then with the token left empty."""
    with recording() as (hosts, at_host), recording() as (visitors, at_visitor):
        host = Settings(milvus_uri=hosts, milvus_token="host:token", milvus_database="host_db")
        first = host.pointed_at(host, milvus_uri=visitors, milvus_token="own:token")
        second = first.pointed_at(host, milvus_uri=visitors, milvus_token="")
        third = host.pointed_at(host, milvus_uri=visitors, milvus_token="")
        back = second.pointed_at(host, milvus_uri=hosts, milvus_token="")
        for chosen in (first, second, third, back):
            with pytest.raises(ConnectionFailed):
                open_connection(chosen)
    sent = [
        {base64.b64decode(value).decode() for name, value in each.seen if name == "authorization"}
        for each in (at_host, at_visitor)
    ]
    assert sent == [{"host:token"}, {"own:token"}]
    assert "host_db" not in str(at_visitor.seen)
