"""The OpenAI-compatible test server, asked through the client that the app uses."""

import asyncio
import http.client
import json
import time
from typing import Any

import numpy as np
import openai
import psutil
import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from benchmarks import http_clients
from lib.benchmark.endpoint import TOKENS, OpenAIEndpoint, in_a_worker
from lib.settings import HTTP_CLIENTS
from scripts.tcp_proxy import TcpProxy

DEFAULTS: dict[str, Any] = {
    "model": "any",
    "api_key": "sk-test",
    "check_embedding_ctx_length": False,
    "max_retries": 0,
    "timeout": 10,
}
TRY_FOR_S, LATE_S = 60, 0.02
TEXTS = ["remove a directory", "remove a folder", "sine of x"]


def embeddings(endpoint: OpenAIEndpoint, model: str = "any", **options: Any) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(base_url=endpoint.base_url, **(DEFAULTS | {"model": model} | options))


def test_sync_and_async_clients_get_the_same_unit_vectors(openai_endpoint: OpenAIEndpoint) -> None:
    client = embeddings(openai_endpoint)
    sync = np.array(client.embed_documents(TEXTS))
    asynchronous = np.array(asyncio.run(client.aembed_documents(TEXTS)))
    assert np.array_equal(sync, asynchronous)
    assert np.allclose(np.linalg.norm(sync, axis=1), 1, atol=1e-5)
    assert np.allclose(client.embed_query(TEXTS[0]), sync[0], atol=1e-6)
    assert sync[0] @ sync[1] > sync[0] @ sync[2]


def test_in_a_worker_it_answers_like_one_in_a_thread_and_ends_with_its_job(
    openai_endpoint: OpenAIEndpoint,
) -> None:
    expected = embeddings(openai_endpoint).embed_query(TEXTS[0])
    with in_a_worker(0.0) as (url, pid):
        client = OpenAIEmbeddings(base_url=url, **DEFAULTS)
        assert client.embed_query(TEXTS[0]) == expected
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)
    with pytest.raises(openai.APIConnectionError):
        client.embed_query(TEXTS[0])


def test_the_benchmark_of_http_clients_asks_over_each_of_them(
    openai_endpoint: OpenAIEndpoint,
) -> None:
    openai_endpoint.reset()
    found = http_clients.measure(openai_endpoint.base_url, [3], repeats=2)[3]
    assert list(found) == [*HTTP_CLIENTS, http_clients.THREADS]
    # Each client asks for the dimension, and twice a repeat for three vectors.
    assert openai_endpoint.requests == len(HTTP_CLIENTS) + len(found) * 2 * 2 * 3
    assert all(len(rounds) == 2 for rounds in found.values())
    assert all(each.wall_s > 0 <= each.lag_s for rounds in found.values() for each in rounds)


def test_plain_floats_and_base64_are_the_same_numbers(openai_endpoint: OpenAIEndpoint) -> None:
    client = openai.OpenAI(base_url=openai_endpoint.base_url, api_key="sk-test")
    as_floats = client.embeddings.create(input=TEXTS[0], model="any", encoding_format="float")
    by_default = client.embeddings.create(input=TEXTS[0], model="any")  # base64 on the wire
    assert np.allclose(as_floats.data[0].embedding, by_default.data[0].embedding, atol=1e-7)


def test_hashed_words_stand_in_for_a_missing_model() -> None:
    with OpenAIEndpoint(use_bundled_model=False) as endpoint:
        vectors = np.array(embeddings(endpoint).embed_documents(TEXTS))
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_fewer_dimensions_come_when_asked_for(openai_endpoint: OpenAIEndpoint) -> None:
    vector = np.array(embeddings(openai_endpoint, dimensions=64).embed_query(TEXTS[0]))
    assert vector.shape == (64,)
    assert np.isclose(np.linalg.norm(vector), 1, atol=1e-5)


def test_requests_and_texts_are_counted(openai_endpoint: OpenAIEndpoint) -> None:
    openai_endpoint.reset()
    embeddings(openai_endpoint, chunk_size=2).embed_documents(TEXTS)
    assert (openai_endpoint.requests, openai_endpoint.texts) == (2, 3)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("fail-401", openai.AuthenticationError),
        ("fail-429", openai.RateLimitError),
        ("fail-500", openai.InternalServerError),
    ],
)
def test_a_model_name_orders_a_failure(
    openai_endpoint: OpenAIEndpoint, model: str, error: type[Exception]
) -> None:
    client = embeddings(openai_endpoint, model)
    with pytest.raises(error):
        client.embed_query("x")
    with pytest.raises(error):
        asyncio.run(client.aembed_query("x"))


def test_a_rate_limit_says_when_to_come_back_and_a_retry_succeeds() -> None:
    with OpenAIEndpoint() as endpoint:
        started = time.monotonic()
        assert embeddings(endpoint, "fail-429-once", max_retries=1).embed_query("x")
        assert time.monotonic() - started >= 1
        assert endpoint.requests == 2


def test_garbage_is_no_embedding(openai_endpoint: OpenAIEndpoint) -> None:
    with pytest.raises(Exception, match=r"(?i)json|expecting value"):
        embeddings(openai_endpoint, "fail-garbage").embed_query("x")


def test_a_server_that_never_answers_runs_into_the_timeout(
    openai_endpoint: OpenAIEndpoint,
) -> None:
    with pytest.raises(openai.APITimeoutError):
        embeddings(openai_endpoint, "fail-hang", timeout=0.3).embed_query("x")


def test_a_whole_server_can_fail_or_want_one_key() -> None:
    with (
        OpenAIEndpoint(failure="500") as broken,
        pytest.raises(openai.InternalServerError),
    ):
        embeddings(broken).embed_query("x")
    with OpenAIEndpoint(api_key="sk-right") as strict:
        with pytest.raises(openai.AuthenticationError):
            embeddings(strict).embed_query("x")
        assert embeddings(strict, api_key="sk-right").embed_query("x")


@pytest.mark.alone
def test_slow_answers_overlap_when_asked_for_together(openai_endpoint: OpenAIEndpoint) -> None:
    client = embeddings(openai_endpoint, "slow-0.3")

    async def ask_together() -> None:
        await asyncio.gather(*(client.aembed_query(f"text {i}") for i in range(10)))

    started = time.monotonic()
    asyncio.run(ask_together())
    assert 0.3 <= time.monotonic() - started < 2


def chat(url: str, **options: Any) -> ChatOpenAI:
    defaults: dict[str, Any] = {"api_key": "sk-test", "max_retries": 0, "timeout": 10}
    return ChatOpenAI(base_url=url, **({"model": "any"} | defaults | options))


def test_a_chat_answers_alike_in_one_piece_and_in_tokens_sync_and_async(
    openai_endpoint: OpenAIEndpoint,
) -> None:
    client = chat(openai_endpoint.base_url)
    whole = str(client.invoke("remove a directory").content)
    assert whole.split() == (["remove", "a", "directory"] * TOKENS)[:TOKENS]
    assert "".join(str(part.content) for part in client.stream("remove a directory")) == whole

    async def streamed() -> str:
        return "".join([str(part.content) async for part in client.astream("remove a directory")])

    assert asyncio.run(streamed()) == whole
    with pytest.raises(openai.RateLimitError):
        chat(openai_endpoint.base_url, model="fail-429").invoke("x")


@pytest.mark.alone
def test_the_first_token_and_the_last_come_when_they_were_asked_to() -> None:
    first_s, last_s = 0.2, 0.5
    with OpenAIEndpoint(first_token_s=first_s, answer_s=last_s, use_bundled_model=False) as slow:
        client = chat(slow.base_url, streaming=True)
        client.invoke("warm")
        deadline, came = time.monotonic() + TRY_FOR_S, []
        while time.monotonic() < deadline:
            started = time.monotonic()
            moments = [
                time.monotonic() - started
                for part in client.stream("one two three")
                if part.content
            ]
            assert first_s <= moments[0] < last_s <= moments[-1]
            came.append((moments[0], moments[-1]))
            firsts, lasts = zip(*came, strict=True)
            if min(firsts) <= first_s + LATE_S and min(lasts) <= last_s + LATE_S:
                break
    assert min(firsts) <= first_s + LATE_S
    assert min(lasts) <= last_s + LATE_S


def test_token_ids_are_refused(openai_endpoint: OpenAIEndpoint) -> None:
    client = openai.OpenAI(base_url=openai_endpoint.base_url, api_key="sk-test", max_retries=0)
    for token_ids in ([1, 2, 3], [[1, 2], [3]]):
        with pytest.raises(openai.BadRequestError, match="not token ids"):
            client.embeddings.create(input=token_ids, model="any")


ASKED_S, MOST_S = 0.45, 0.455


def post_s(connection: http.client.HTTPConnection) -> float:
    """Ask for one vector over this connection and return how many seconds it took."""
    body = json.dumps({"model": "any", "input": TEXTS[0]})
    started = time.perf_counter()
    connection.request("POST", "/v1/embeddings", body, {"content-type": "application/json"})
    assert connection.getresponse().read().startswith(b'{"object":"list"')
    return time.perf_counter() - started


@pytest.mark.alone
@pytest.mark.parametrize("with_proxy", [False, True], ids=["endpoint", "behind a proxy"])
def test_an_answer_is_no_later_than_it_was_asked_to_be(with_proxy: bool) -> None:
    # Other programs make single answers late, Nagle's algorithm makes every one late.
    first, kept = [], []
    deadline = time.monotonic() + TRY_FOR_S
    while time.monotonic() < deadline:
        with (
            OpenAIEndpoint(latency_s=ASKED_S, use_bundled_model=False) as endpoint,
            TcpProxy(endpoint.port) as proxy,
        ):
            port = proxy.port if with_proxy else endpoint.port
            connection = http.client.HTTPConnection("127.0.0.1", port)
            first.append(post_s(connection))
            kept.extend(post_s(connection) for _ in range(3))
            connection.close()
        if max(min(first), min(kept)) <= MOST_S:
            break
    assert ASKED_S <= min(first) <= MOST_S
    assert ASKED_S <= min(kept) <= MOST_S


def test_waits_that_vary_lie_around_their_median_and_come_again_in_the_same_order() -> None:
    def waits() -> list[float]:
        with OpenAIEndpoint(latency_s=0.02, spread=1.0) as endpoint:
            client, took = embeddings(endpoint), []
            for _ in range(11):
                began = time.perf_counter()
                client.embed_query(TEXTS[0])
                took.append(time.perf_counter() - began)
            return took

    first, again = waits(), waits()
    assert min(first) < 0.02 < max(first)
    assert int(np.argmax(first)) == int(np.argmax(again))
