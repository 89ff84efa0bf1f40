"""What the runner adds to the calls it measures, against a bare loop written beside it.

    python -m benchmarks.runner_overhead

The same 1,000 searches by vector on Milvus Lite, alternating; the ratio of median wall times.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from lib import event_loop
from lib.benchmark.runner import SUBJECT, run_in
from lib.benchmark.workspace import MilvusWorkspace
from lib.jobs import Job
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.results.plan import Plan
from lib.settings import Settings

ALLOWED = 1.03
OPERATION = "similarity_search_by_vector"


def main() -> int:
    """Print the ratio for the sync loop and for gather."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--uri", help="a running Milvus instead of Milvus Lite")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(milvus_uri=given.uri or str(Path(folder, "overhead.db")))
        connection, model = open_connection(settings), open_model(settings)
        plan = Plan(operations=(OPERATION,), counts=(given.calls,), repeats=1, warmup=0, rows=1_000)
        workspace = MilvusWorkspace(plan, connection, model)
        try:
            ratios = [_ratio(plan, workspace, name, given.repeats) for name in BARE]
        finally:
            workspace.close()
            connection.close()
    return 0 if max(ratios) <= ALLOWED else 1


def _bare_loop(workspace: MilvusWorkspace, calls: int) -> float:
    store, vectors, k = workspace.store, workspace.inputs.query_vectors, workspace.inputs.k
    started = time.perf_counter()
    for i in range(calls):
        store.similarity_search_by_vector(embedding=list(vectors[i % len(vectors)]), k=k)
    return time.perf_counter() - started


def _bare_gather(workspace: MilvusWorkspace, calls: int) -> float:
    store, vectors, k = workspace.store, workspace.inputs.query_vectors, workspace.inputs.k

    async def gather() -> float:
        started = time.perf_counter()
        await asyncio.gather(
            *(
                store.asimilarity_search_by_vector(embedding=list(vectors[i % len(vectors)]), k=k)
                for i in range(calls)
            )
        )
        return time.perf_counter() - started

    return event_loop.run(gather())


BARE = {"sync_loop": _bare_loop, "gather": _bare_gather}


def _ratio(plan: Plan, workspace: MilvusWorkspace, strategy: str, repeats: int) -> float:
    only = replace(plan, strategies=(strategy,))
    bare: list[float] = []
    ours: list[float] = []
    bare_cpu: list[float] = []
    our_cpu: list[float] = []
    for repeat in range(repeats + 1):  # the first is the warm-up
        for side in ("bare", "ours") if repeat % 2 else ("ours", "bare"):
            if side == "bare":
                before_s = time.process_time()
                wall_s = BARE[strategy](workspace, plan.counts[0])
                cpu_s = time.process_time() - before_s
            else:
                trial = run_in(only, workspace, job=Job("overhead", SUBJECT)).trials[0]
                wall_s, cpu_s = trial.wall_s, trial.cpu_s
            if repeat:
                (bare if side == "bare" else ours).append(wall_s)
                (bare_cpu if side == "bare" else our_cpu).append(cpu_s)
    ratio: float = statistics.median(o / b for o, b in zip(ours, bare, strict=True))
    print(
        f"{strategy}: runner {statistics.median(ours):.3f} s, bare {statistics.median(bare):.3f} s,"
        f" ratio {ratio:.3f} (median of {repeats} pairs; allowed {ALLOWED})"
    )
    cpu = statistics.median(o / b for o, b in zip(our_cpu, bare_cpu, strict=True))
    print(f"  the same in processor time, which a busy machine blurs less: {cpu:.3f}")
    return ratio


if __name__ == "__main__":
    raise SystemExit(main())
