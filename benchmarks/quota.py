"""What calls at once make of a provider's quota: a storm of 429, and four ways through it.

    python -m benchmarks.quota [--calls 300] [--per-minute 3000] [--latency-ms 200]

Embeddings by OpenAI's async client over HTTP, all of one moment, to an endpoint in a process of its
own that lets so many requests a minute pass (3,000 are OpenAI's for a first account; a second's
worth may come at once) and refuses the rest with 429. Gathered without retries; with the client's
own two; with six; at most 32 at once with the client's own; and from a token bucket of the quota's
rate. The quota is full again before each. Printed: seconds, calls lost, requests sent and refused,
of the repeat in the middle.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from langchain_openai import OpenAIEmbeddings
from openai import DefaultAsyncHttpxClient, RateLimitError
from pydantic import SecretStr

from lib.benchmark.endpoint import START_TIMEOUT_S, served
from lib.words import duration_text

TEXT = "What does a call cost?"
LIMIT, OWN_RETRIES, MORE_RETRIES = 32, 2, 6
FULL_AGAIN_S = 1.2

Call = Callable[[], Awaitable[bool]]
Way = Callable[[Call, int, float], Awaitable[list[bool]]]


@dataclass(frozen=True)
class Passed:
    """What one way through the quota cost."""

    seconds: float
    lost: int
    sent: int
    refused: int


async def gathered(call: Call, calls: int, per_s: float) -> list[bool]:
    """Begin all calls at once."""
    return await asyncio.gather(*(call() for _ in range(calls)))


async def limited(call: Call, calls: int, per_s: float) -> list[bool]:
    """Have at most LIMIT calls under way."""
    free = asyncio.Semaphore(LIMIT)

    async def one() -> bool:
        async with free:
            return await call()

    return await asyncio.gather(*(one() for _ in range(calls)))


async def bucket(call: Call, calls: int, per_s: float) -> list[bool]:
    """Begin so many calls a second as the quota lets pass, and half a second's worth at once."""
    began, tokens = time.monotonic(), int(per_s / 2)

    async def one(i: int) -> bool:
        await asyncio.sleep(max(began + (i + 1 - tokens) / per_s - time.monotonic(), 0))
        return await call()

    return await asyncio.gather(*(one(i) for i in range(calls)))


WAYS: dict[str, tuple[Way, int]] = {
    "gathered, no retries": (gathered, 0),
    f"gathered, {OWN_RETRIES} retries (the client's own)": (gathered, OWN_RETRIES),
    f"gathered, {MORE_RETRIES} retries": (gathered, MORE_RETRIES),
    f"at most {LIMIT} at once, {OWN_RETRIES} retries": (limited, OWN_RETRIES),
    "token bucket, no retries": (bucket, 0),
}


async def _pass(way: Way, url: str, retries: int, calls: int, per_s: float) -> list[bool]:
    async with DefaultAsyncHttpxClient() as client:
        embeddings = OpenAIEmbeddings(
            base_url=url,
            api_key=SecretStr("any"),
            http_async_client=client,
            max_retries=retries,
            check_embedding_ctx_length=False,
        )

        async def call() -> bool:
            try:
                return bool(await embeddings.aembed_query(TEXT))
            except RateLimitError:
                return False

        return await way(call, calls, per_s)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--per-minute", type=float, default=3_000)
    parser.add_argument("--latency-ms", type=float, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    per_s = given.per_minute / 60
    found: dict[str, list[Passed]] = {name: [] for name in WAYS}
    with served(latency_s=given.latency_ms / 1000, most_per_s=per_s) as endpoint:
        url = endpoint.call("where", timeout=START_TIMEOUT_S)
        for _ in range(given.repeats):
            for name, (way, retries) in WAYS.items():
                time.sleep(FULL_AGAIN_S)
                endpoint.call("reset")
                began = time.perf_counter()
                answered = asyncio.run(_pass(way, url, retries, given.calls, per_s))
                seconds = time.perf_counter() - began
                sent, refused = endpoint.call("counts")
                found[name].append(Passed(seconds, answered.count(False), sent, refused))
    print(
        f"{given.calls} embeddings, {given.latency_ms:g} ms each, {given.per_minute:,g} requests a "
        f"minute let pass; the quota alone takes {given.calls / per_s - 1:.1f} s."
    )
    for name, passed in found.items():
        middle = sorted(passed, key=lambda each: each.seconds)[len(passed) // 2]
        print(
            f"{name:<42} {duration_text(middle.seconds):>7}, {middle.lost:>3} calls lost, "
            f"{middle.sent:>5} requests sent, {middle.refused:>5} refused"
        )


if __name__ == "__main__":
    main()
