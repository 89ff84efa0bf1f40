"""Ten thousand searches, at most 128 at once, by the runner and by a bare gather beside it.

    python -m benchmarks.ten_thousand_searches [--uri http://localhost:19530]

Without --uri it starts a real Milvus server from the wheel. Reported: failed calls, growth of this
process's memory, the event loop's lag, and throughput against the bare gather.
"""

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator

import psutil

from lib import event_loop
from lib.benchmark.runner import SUBJECT, run_in
from lib.benchmark.workspace import MilvusWorkspace
from lib.jobs import Job
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.results.plan import Plan
from lib.results.trials import Trial
from lib.settings import Settings

LIMIT = 128
ALLOWED_GROWTH_MB = 100.0
ALLOWED_LAG_MS = 100.0
ALLOWED_RATIO = 0.95


def main() -> int:
    """Alternate the two and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri")
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with _server(given.uri) as uri:
        settings = Settings(milvus_uri=uri)
        connection, model = open_connection(settings), open_model(settings)
        plan = Plan(
            operations=("similarity_search_by_vector",),
            strategies=("gather_limited",),
            counts=(given.calls,),
            concurrency=(LIMIT,),
            repeats=1,
            warmup=0,
        )
        workspace = MilvusWorkspace(plan, connection, model)
        try:
            return _compare(plan, workspace, given.repeats)
        finally:
            workspace.close()
            connection.close()


def _compare(plan: Plan, workspace: MilvusWorkspace, repeats: int) -> int:
    calls = plan.counts[0]
    _bare(workspace, 1_000)
    before_mb = _memory_mb()
    trials: list[Trial] = []
    bare: list[float] = []
    bare_cpu: list[float] = []
    most_mb = before_mb
    for repeat in range(repeats):
        for side in ("bare", "ours") if repeat % 2 else ("ours", "bare"):
            if side == "bare":
                before_s = time.process_time()
                bare.append(_bare(workspace, calls))
                bare_cpu.append(time.process_time() - before_s)
            else:
                trials += run_in(plan, workspace, job=Job("searches", SUBJECT)).trials
            most_mb = max(most_mb, _memory_mb())
    failed = sum(not call.ok for trial in trials for call in trial.calls)
    lag_p99 = max(trial.loop_lag_ms_p99 or 0.0 for trial in trials)
    lag_max = max(trial.loop_lag_ms_max or 0.0 for trial in trials)
    ratio = statistics.median(b / t.wall_s for t, b in zip(trials, bare, strict=True))
    wall_s = statistics.median(trial.wall_s for trial in trials)
    growth_mb = most_mb - before_mb
    print(f"{calls:,} searches by vector, at most {LIMIT} at once, {repeats} repeats")
    print(f"failed calls: {failed}")
    print(f"memory growth: {growth_mb:.0f} MB (allowed {ALLOWED_GROWTH_MB:.0f})")
    print(f"loop lag: p99 {lag_p99:.1f} ms, max {lag_max:.1f} ms (p99 allowed {ALLOWED_LAG_MS:g})")
    print(f"throughput: {calls / wall_s:,.0f}/s, bare {calls / statistics.median(bare):,.0f}/s")
    print(f"ratio: {ratio:.3f} (at least {ALLOWED_RATIO})")
    cpu = statistics.median(b / t.cpu_s for t, b in zip(trials, bare_cpu, strict=True))
    print(f"the same in processor time, which a busy machine blurs less: {cpu:.3f}")
    good = not failed and growth_mb <= ALLOWED_GROWTH_MB and lag_p99 <= ALLOWED_LAG_MS
    return 0 if good and ratio >= ALLOWED_RATIO else 1


def _bare(workspace: MilvusWorkspace, calls: int) -> float:
    """Return the seconds that a gather with a semaphore takes, as anyone would write it."""
    store, vectors, k = workspace.store, workspace.inputs.query_vectors, workspace.inputs.k

    async def gather() -> float:
        limit = asyncio.Semaphore(LIMIT)

        async def search(i: int) -> None:
            async with limit:
                await store.asimilarity_search_by_vector(
                    embedding=list(vectors[i % len(vectors)]), k=k
                )

        started = time.perf_counter()
        await asyncio.gather(*(search(i) for i in range(calls)))
        return time.perf_counter() - started

    return event_loop.run(gather())


def _memory_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1024**2


@contextlib.contextmanager
def _server(uri: str | None) -> Iterator[str]:
    if uri:
        yield uri
        return
    from scripts.milvus_server import MilvusServer

    with tempfile.TemporaryDirectory() as folder, MilvusServer(folder) as server:
        yield server.uri


if __name__ == "__main__":
    raise SystemExit(main())
