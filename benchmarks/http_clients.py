"""What the HTTP client of an embedding provider costs: the async ones and threads, on one endpoint.

    python -m benchmarks.http_clients

So many embeddings at once over HTTP to an endpoint of a known latency, in a process of its own on
this computer: OpenAI's async client over httpx, httpx with more kept connections and aiohttp, and
its sync client in a thread for each call. They take turns, each after a round that does not count.
Printed are the wall time, the processor that a call takes in this process, and how late at worst a
task on the event loop was woken beside the calls; then wall time and processor over those of
httpx, with the 95 % interval of the pairs.
"""

import argparse
import asyncio
import contextlib
import gc
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psutil
from langchain_core.embeddings import Embeddings

from lib import event_loop
from lib.benchmark.endpoint import in_a_worker
from lib.benchmark.processors import Others
from lib.errors import EmbeddingFailed
from lib.milvus.embeddings import WORK_S, embedding_clock, open_model
from lib.results.summaries import geometric_mean, speedup
from lib.settings import HTTP_CLIENTS, HTTPX, Settings
from lib.words import bounds_text, duration_text, ms_text, ratio_text

THREADS = "threads"
WAKE_S = 0.005
ATTEMPTS, SETTLED_S = 5, 2.0
TEXT = "What does a call cost?"


@dataclass(frozen=True)
class Round:
    """The calls of one client, made at once: seconds, processor seconds, the loop's worst lag."""

    wall_s: float
    cpu_s: float
    lag_s: float


async def _beside(calls: Callable[[], Awaitable[list[list[float]]]]) -> tuple[Round, list[float]]:
    """Make calls while a task on the same loop is due every some milliseconds."""
    lags = [0.0]

    async def wake() -> None:
        while True:
            due = time.perf_counter() + WAKE_S
            try:
                await asyncio.sleep(WAKE_S)
            finally:  # cancelled late, it was held too
                lags.append(time.perf_counter() - due)

    embedding_clock(WORK_S)  # a busy computer needs more than a person's patience
    woken = asyncio.create_task(wake())
    await asyncio.sleep(0)
    began, cpu_s = time.perf_counter(), time.process_time()
    answers = await calls()
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    woken.cancel()
    await asyncio.gather(woken, return_exceptions=True)
    wrong = sum(each != answers[0] for each in answers)
    if wrong:
        raise SystemExit(f"{wrong} of {len(answers)} answers differ from the first.")
    return Round(wall_s, cpu_s, max(lags)), answers[0]


def _gathered(embeddings: Embeddings, calls: int) -> Callable[[], Awaitable[list[list[float]]]]:
    return lambda: asyncio.gather(*(embeddings.aembed_query(TEXT) for _ in range(calls)))


def _in_threads(
    embeddings: Embeddings, pool: ThreadPoolExecutor, calls: int
) -> Callable[[], Awaitable[list[list[float]]]]:
    async def made() -> list[list[float]]:
        loop = asyncio.get_running_loop()
        work = (partial(copy_context().run, embeddings.embed_query, TEXT) for _ in range(calls))
        return await asyncio.gather(*(loop.run_in_executor(pool, each) for each in work))

    return made


def measure(url: str, counts: list[int], repeats: int) -> dict[int, dict[str, list[Round]]]:
    """Return the rounds of each client for each number of calls."""
    settings = Settings(
        milvus_uri="unused.db",
        embedding_provider="openai",
        openai_base_url=url,
        openai_api_key="any",
    )
    models = {
        name: open_model(replace(settings, openai_http_client=name)).embeddings
        for name in HTTP_CLIENTS
    }
    try:
        return _measure(models, counts, repeats)
    finally:
        for model in models.values():
            # The app's own models live until it ends, and close theirs then.
            inner: Any = model
            event_loop.run(inner.inner.inner.http_async_client.aclose())


def _measure(
    models: dict[str, Embeddings], counts: list[int], repeats: int
) -> dict[int, dict[str, list[Round]]]:
    found: dict[int, dict[str, list[Round]]] = {}
    vector: list[float] = []
    for calls in counts:
        with ThreadPoolExecutor(calls) as pool:
            ways = {name: _gathered(model, calls) for name, model in models.items()}
            ways[THREADS] = _in_threads(models[HTTPX], pool, calls)
            names = list(ways)
            found[calls] = {name: [] for name in ways}
            for repeat in range(repeats):
                start = repeat % len(names)
                for name in names[start:] + names[:start]:
                    _warm(ways[name])
                    gc.collect()
                    made, answer = event_loop.run(_beside(ways[name]))
                    found[calls][name].append(made)
                    vector = vector or answer
                    if answer != vector:
                        raise SystemExit(f"{name} got another vector than the first client.")
    return found


def _warm(way: Callable[[], Awaitable[list[list[float]]]]) -> None:
    """Make a round that does not count; connections that were kept too long fail in it."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(EmbeddingFailed):
            event_loop.run(_beside(way))
            return
        time.sleep(SETTLED_S)  # the calls that did not fail end
    raise SystemExit("The endpoint does not answer: this computer is too busy.")


def _ratio(first: list[float], other: list[float]) -> str:
    made = speedup(other, first)
    interval = ""
    if made.low is not None and made.high is not None:
        interval = f" ({bounds_text(made.low, made.high)})"
    return f"{ratio_text(made.ratio)}{interval}"


def _print(calls: int, rounds: dict[str, list[Round]]) -> None:
    first = rounds[HTTPX]
    for name, made in rounds.items():
        wall_s = geometric_mean([each.wall_s for each in made])[0]
        cpu_ms = 1000 * geometric_mean([each.cpu_s for each in made])[0] / calls
        worst_ms = 1000 * max(each.lag_s for each in made)
        said = f"{calls:>5} calls, {name:<10} {duration_text(wall_s):>8} wall, "
        said += f"{cpu_ms:.2f} ms of processor a call, loop at most {ms_text(worst_ms)} late"
        if made is not first:
            wall = _ratio([each.wall_s for each in first], [each.wall_s for each in made])
            cpu = _ratio([each.cpu_s for each in first], [each.cpu_s for each in made])
            said += f"; over httpx: wall {wall}, processor {cpu}"
        print(said, flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, nargs="+", default=[10, 100, 1_000])
    parser.add_argument("--latency-ms", type=float, default=450.0, help="of the endpoint")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    with in_a_worker(given.latency_ms / 1000) as (url, pid):
        others = Others(psutil.Process(pid))
        with others.watched():
            found = measure(url, given.calls, given.repeats)
    print(f"Endpoint: {given.latency_ms:g} ms, on this computer; {given.repeats} repeats.")
    for calls, rounds in found.items():
        _print(calls, rounds)
    if others.share is not None:
        print(f"Other programs took {others.share:.1%} of the processors meanwhile.")


if __name__ == "__main__":
    main()
