"""Providers, simulated latency and the clock that splits a call's time."""

import asyncio
import socket
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from typing import Any

import pytest

from lib import event_loop
from lib.benchmark.endpoint import RETRY_AFTER_S, OpenAIEndpoint
from lib.errors import EmbeddingFailed, InvalidInput
from lib.milvus.embeddings import (
    PROVIDERS,
    WORK_S,
    BundledEmbeddings,
    SimulatedLatency,
    TimedEmbeddings,
    embedding_clock,
    open_model,
)
from lib.settings import HTTP_CLIENTS, Settings
from tests.fresh_process import printed_by


def openai_settings(base_url: str, model: str = "hashing", key: str = "sk-test") -> Settings:
    """Return settings for an OpenAI-compatible endpoint."""
    return Settings(
        milvus_uri="unused.db",
        embedding_provider="openai",
        openai_api_key=key,
        openai_base_url=base_url,
        openai_model=model,
    )


def test_the_bundled_model_answers_alike_sync_and_async() -> None:
    embeddings = BundledEmbeddings()
    texts = [f"text number {i}" for i in range(20)]
    assert event_loop.run(embeddings.aembed_documents(texts)) == embeddings.embed_documents(texts)
    assert event_loop.run(embeddings.aembed_query("x")) == embeddings.embed_query("x")


@pytest.mark.alone
def test_simulated_latency_waits_as_told_without_blocking_the_loop() -> None:
    slow = SimulatedLatency(BundledEmbeddings(), mean_ms=200)
    started = time.perf_counter()
    slow.embed_query("x")
    assert time.perf_counter() - started >= 0.2

    async def twenty_at_once() -> float:
        begun = time.perf_counter()
        await asyncio.gather(*[slow.aembed_query("x") for _ in range(20)])
        return time.perf_counter() - begun

    assert event_loop.run(twenty_at_once()) < 2  # one after another would take four seconds


def test_a_seed_fixes_the_sequence_of_waits_and_none_is_negative() -> None:
    def waits(seed: int) -> list[float]:
        slow = SimulatedLatency(BundledEmbeddings(), mean_ms=10, jitter_ms=20, seed=seed)
        return [slow._next_wait_s() for _ in range(200)]

    assert waits(7) == waits(7)
    assert waits(7) != waits(8)
    assert min(waits(7)) > 0.0
    for mean_ms, jitter_ms in ((-1, 0), (10, -1), (0, 5)):
        with pytest.raises(InvalidInput):
            SimulatedLatency(BundledEmbeddings(), mean_ms, jitter_ms)


@pytest.mark.parametrize(("mean_ms", "jitter_ms"), [(50, 100), (450, 45), (7, 7), (13, 0)])
def test_waits_have_the_mean_and_the_deviation_that_were_asked_for(
    mean_ms: float, jitter_ms: float
) -> None:
    slow = SimulatedLatency(BundledEmbeddings(), mean_ms, jitter_ms, seed=7)
    waits_ms = [1000 * slow._next_wait_s() for _ in range(100_000)]
    assert statistics.fmean(waits_ms) == pytest.approx(mean_ms, rel=0.02)
    # The deviation of a skewed sample rests on its few longest waits.
    assert statistics.pstdev(waits_ms) == pytest.approx(jitter_ms, rel=0.1, abs=1e-6)


def test_a_slowed_model_says_that_its_latency_is_simulated() -> None:
    model = open_model(Settings(milvus_uri="unused.db"))
    slowed = model.slowed(450)
    assert "450 ms latency simulated" in slowed.label
    assert slowed.model == model.model
    assert model.slowed(0) is model


@pytest.mark.alone
def test_each_concurrent_call_sees_its_own_embedding_time() -> None:
    within: dict[str, float] = {}

    class OneAfterAnother(BundledEmbeddings):
        """Answers call 0 once all three have begun, and each other call after the one before."""

        def __init__(self) -> None:
            self.begun = threading.Barrier(3)
            self.ended = [threading.Event() for _ in range(3)]
            self.coroutines = asyncio.Barrier(3)
            self.tasks_ended = [asyncio.Event() for _ in range(3)]

        async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
            started, i = time.perf_counter(), int(texts[0])
            await self.coroutines.wait()
            if i:
                await self.tasks_ended[i - 1].wait()
            within[texts[0]] = time.perf_counter() - started
            self.tasks_ended[i].set()
            return [[0.0]]

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            started, i = time.perf_counter(), int(texts[0])
            self.begun.wait(60)
            if i:
                self.ended[i - 1].wait(60)
            within[texts[0]] = time.perf_counter() - started
            self.ended[i].set()
            return [[0.0]]

    timed = TimedEmbeddings(OneAfterAnother())

    async def one(i: int) -> tuple[float, float]:
        started = time.perf_counter()
        clock = embedding_clock()
        await timed.aembed_query(str(i))
        return clock.seconds, time.perf_counter() - started

    def one_sync(i: int) -> tuple[float, float]:
        started = time.perf_counter()
        clock = embedding_clock()
        timed.embed_query(str(i))
        return clock.seconds, time.perf_counter() - started

    async def all_at_once() -> list[tuple[float, float]]:
        return await asyncio.gather(*[one(i) for i in range(3)])

    def in_threads() -> list[tuple[float, float]]:
        with ThreadPoolExecutor(3) as pool:
            threads = [pool.submit(copy_context().run, one_sync, i) for i in range(3)]
            return [thread.result() for thread in threads]

    for measure in (lambda: event_loop.run(all_at_once()), in_threads):
        # Not less than the model took for this call, not more than this call took as a whole.
        for i, (seconds, around) in enumerate(measure()):
            assert within[str(i)] <= seconds <= around


@pytest.mark.parametrize("client", HTTP_CLIENTS)
def test_openai_over_real_http_gives_vectors_and_its_dimension(
    client: str, openai_endpoint: Any
) -> None:
    settings = replace(openai_settings(openai_endpoint.base_url), openai_http_client=client)
    model = open_model(settings)
    assert (f"over {client}" in model.label) == (client != "httpx")
    assert (model.http_client, model.slowed(5).http_client) == (client, client)
    assert model.dimension == len(model.embeddings.embed_query("hello"))
    assert event_loop.run(model.embeddings.aembed_documents(["a", "b"])) == (
        model.embeddings.embed_documents(["a", "b"])
    )


@pytest.mark.alone
@pytest.mark.parametrize(
    ("failing", "message"),
    [
        ("fail-401", "refused the key"),
        ("fail-429", "limiting the rate"),
        ("fail-500", "HTTP 500"),
        ("fail-garbage", "could not be read"),
    ],
)
def test_a_failing_endpoint_is_worded_for_the_reader(
    openai_endpoint: Any, failing: str, message: str
) -> None:
    embedding_clock(WORK_S)
    started = time.perf_counter()
    with pytest.raises(EmbeddingFailed, match=message):
        open_model(openai_settings(openai_endpoint.base_url, model=failing))
    assert time.perf_counter() - started < 10


@pytest.mark.alone
def test_a_refusal_is_waited_for_as_long_as_it_asks_and_said(openai_endpoint: Any) -> None:
    model = open_model(openai_settings(openai_endpoint.base_url))
    for embed in (
        model.embeddings.embed_query,
        lambda text: event_loop.run(model.embeddings.aembed_query(text)),
    ):
        openai_endpoint.reset()
        openai_endpoint.failure = "429-once"
        told: list[float] = []
        try:
            clock = embedding_clock(on_wait=told.append)
            assert len(embed("x")) == model.dimension
        finally:
            openai_endpoint.failure = None
        assert told == [RETRY_AFTER_S]
        assert clock.waited_s == RETRY_AFTER_S <= clock.seconds


@pytest.mark.alone
@pytest.mark.parametrize(
    ("failure", "asks_s", "message"),
    [
        ("429", 30, r"limiting the rate.* asks to wait 30 s"),
        ("429", 0.1, r"limiting the rate of calls \(\d+ tries"),
        ("hang", 0, "did not answer within 1 s"),
        ("500", 0, r"HTTP 500"),
    ],
)
def test_a_person_waits_no_longer_than_their_patience_for_a_service_in_trouble(
    openai_endpoint: Any, monkeypatch: pytest.MonkeyPatch, failure: str, asks_s: float, message: str
) -> None:
    monkeypatch.setattr("lib.benchmark.endpoint.RETRY_AFTER_S", asks_s)
    model = open_model(openai_settings(openai_endpoint.base_url))
    openai_endpoint.failure = failure
    started = time.perf_counter()
    try:
        embedding_clock(patience_s=1.0)
        with pytest.raises(EmbeddingFailed, match=message):
            model.embeddings.embed_query("x")
    finally:
        openai_endpoint.failure = None
    assert time.perf_counter() - started < 2


def test_a_missing_key_and_an_unreachable_endpoint_are_worded_for_the_reader() -> None:
    with pytest.raises(EmbeddingFailed, match="No OpenAI key"):
        open_model(openai_settings("", key=""))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(EmbeddingFailed, match="cannot be reached"):
        open_model(openai_settings(f"http://127.0.0.1:{port}/v1"))


@pytest.mark.slow
def test_a_process_that_asked_over_aiohttp_ends_without_a_word(openai_endpoint: Any) -> None:
    program = (
        "import asyncio, sys\n"
        "from lib import event_loop\n"
        "from lib.milvus.embeddings import PROVIDERS\n"
        "from lib.settings import load\n"
        f"settings = load({{'OPENAI_BASE_URL': {openai_endpoint.base_url!r},\n"
        "    'OPENAI_API_KEY': 'sk-test', 'OPENAI_HTTP_CLIENT': 'aiohttp'})\n"
        "kept = PROVIDERS['openai'](settings, True)\n"
        "sys.stderr = sys.stdout\n"
        "print(len(event_loop.run(kept.aembed_query('x'))))\n"
    )
    assert int(printed_by(program)) > 0


def test_an_http_client_that_is_not_installed_is_said_with_the_line_that_installs_it() -> None:
    program = (
        "import sys\n"
        "sys.modules['aiohttp'] = None\n"
        "from lib.errors import EmbeddingFailed\n"
        "from lib.milvus.embeddings import PROVIDERS\n"
        "from lib.settings import load\n"
        "try:\n"
        "    PROVIDERS['openai'](load({'OPENAI_API_KEY': 'sk-test',\n"
        "        'OPENAI_HTTP_CLIENT': 'aiohttp'}), True)\n"
        "except EmbeddingFailed as error:\n"
        "    print(error)\n"
    )
    said = printed_by(program).strip()
    assert said == (
        "aiohttp is not installed. Run pip install 'openai[aiohttp]', or take another HTTP client."
    )


@pytest.mark.parametrize("client", HTTP_CLIENTS)
def test_a_key_goes_to_its_own_address_alone_whatever_the_answer_says(
    client: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-host")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-the-host")
    with OpenAIEndpoint() as other:
        target = f"{other.base_url}/embeddings"
        with OpenAIEndpoint(redirect_to=target) as redirecting:
            chosen = replace(
                openai_settings(redirecting.base_url, key="sk-visitor"), openai_http_client=client
            )
            with pytest.raises(EmbeddingFailed):
                open_model(chosen)
            embeddings = PROVIDERS["openai"](chosen, True)
            with pytest.raises(Exception, match="307"):
                event_loop.run(embeddings.aembed_query("x"))
            assert redirecting.requests >= 2
            for headers in redirecting.headers:
                assert headers["authorization"] == "Bearer sk-visitor"
                assert not [name for name in headers if name.startswith("openai-")]
        assert other.requests == 0


def test_a_visitors_address_never_receives_the_hosts_key_nor_the_other_way_round() -> None:
    """The dialog twice: with an own address and key, then with the key left empty."""
    with OpenAIEndpoint() as of_host, OpenAIEndpoint() as of_visitor:
        host = openai_settings(of_host.base_url, key="sk-host")
        first = host.pointed_at(host, openai_base_url=of_visitor.base_url, openai_api_key="sk-own")
        open_model(first)
        second = first.pointed_at(host, openai_base_url=of_visitor.base_url, openai_api_key="")
        open_model(second)
        third = host.pointed_at(host, openai_base_url=of_visitor.base_url, openai_api_key="")
        with pytest.raises(EmbeddingFailed, match="No OpenAI key"):
            open_model(third)
        open_model(second.pointed_at(host, openai_base_url=of_host.base_url, openai_api_key=""))
        keys = [{each["authorization"] for each in one.headers} for one in (of_host, of_visitor)]
    assert keys == [{"Bearer sk-host"}, {"Bearer sk-own"}]
