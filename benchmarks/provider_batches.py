"""Whether one async call with many documents is concurrent inside: the requests of a provider.

    python -m benchmarks.provider_batches [--documents 5000] [--latency-ms 450]

OpenAI's client over HTTP to an endpoint of a known latency, in a process of its own. It sends 1,000
texts a request, and `aembed_documents` awaits one request after another; so does `aadd_documents`,
which calls it once. Beside it, the same documents in calls of one request each, gathered. Printed:
when each request was under way, and the seconds of both ways, in turns.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from langchain_core.utils.iter import batch_iterate
from langchain_openai import OpenAIEmbeddings
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr

from lib.benchmark.endpoint import in_a_worker
from lib.results.summaries import speedup
from lib.words import bounds_text, duration_text, ratio_text

A_REQUEST = 1_000  # OpenAIEmbeddings' own chunk_size
WIDTH = 60

Span = tuple[float, float]


async def one_call(embeddings: OpenAIEmbeddings, texts: list[str]) -> list[list[float]]:
    """Give all texts to one call."""
    return await embeddings.aembed_documents(texts)


async def gathered(embeddings: OpenAIEmbeddings, texts: list[str]) -> list[list[float]]:
    """Give each request's texts to a call of its own, all at once."""
    parts = (list(part) for part in batch_iterate(A_REQUEST, texts))
    made = await asyncio.gather(*(embeddings.aembed_documents(part) for part in parts))
    return [vector for part in made for vector in part]


WAYS: dict[str, Callable[[OpenAIEmbeddings, list[str]], Awaitable[list[list[float]]]]] = {
    "one call": one_call,
    "calls gathered": gathered,
}


async def _measured(name: str, url: str, texts: list[str]) -> tuple[float, list[Span], Any]:
    """Embed in one way; return its seconds, its requests' from and to, and the vectors."""
    began: dict[int, float] = {}
    spans: list[Span] = []

    async def sends(request: httpx2.Request) -> None:
        began[id(request)] = time.perf_counter()

    async def got(response: httpx2.Response) -> None:
        await response.aread()
        spans.append((began.pop(id(response.request)), time.perf_counter()))

    async with DefaultAsyncHttpxClient(
        event_hooks={"request": [sends], "response": [got]}
    ) as client:
        embeddings = OpenAIEmbeddings(
            base_url=url,
            api_key=SecretStr("any"),
            http_async_client=client,
            check_embedding_ctx_length=False,
        )
        await embeddings.aembed_query("The first request of a connection takes longer.")
        spans.clear()
        start = time.perf_counter()
        vectors = await WAYS[name](embeddings, texts)
        took_s = time.perf_counter() - start
    return took_s, sorted((since - start, until - start) for since, until in spans), vectors


def _drawn(spans: list[Span], scale_s: float) -> str:
    """Return a line for each request: when it was under way."""
    lines = []
    for since, until in spans:
        start, end = (round(WIDTH * each / scale_s) for each in (since, until))
        lines.append(f"    {' ' * start}{'█' * max(end - start, 1)}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=5_000)
    parser.add_argument("--latency-ms", type=float, default=450)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    texts = [f"Document {i} is about the number {i * i}." for i in range(given.documents)]
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    drawn: dict[str, list[Span]] = {}
    expected: Any = None
    with in_a_worker(given.latency_ms / 1000) as (url, _):
        for repeat in range(given.repeats + 1):  # the first warms up
            for name in WAYS if repeat % 2 else reversed(WAYS):
                took_s, spans, vectors = asyncio.run(_measured(name, url, texts))
                expected = expected or vectors
                if vectors != expected:
                    raise SystemExit(f"{name}: other vectors than before.")
                if repeat:
                    seconds[name].append(took_s)
                    drawn[name] = spans
    scale_s = max(until for spans in drawn.values() for _, until in spans)
    for name, spans in drawn.items():
        typical = duration_text(statistics.geometric_mean(seconds[name]))
        print(f"{name}: {len(spans)} requests, {typical}")
        print(_drawn(spans, scale_s))
    gain = speedup(seconds["one call"], seconds["calls gathered"])
    interval = ""
    if gain.low is not None and gain.high is not None:
        interval = f" ({bounds_text(gain.low, gain.high)})"
    print(f"Gathered: {ratio_text(gain.ratio)}{interval} the speed, {given.repeats} repeats.")


if __name__ == "__main__":
    main()
