"""A gathered delete by metadata, measured over several starts of a real server.

    python -m benchmarks.delete_over_starts --starts 5 --repeats 3

Such a delete waits for clocks inside the server. Prints the speed-up of a hundred deletes at each
start, how far the starts lie apart beside what repeats at one start explain, and the speed-up
with its interval over starts: what somebody gets who does not know the phase of those clocks.
"""

import argparse
import math
import statistics
import tempfile
from dataclasses import replace

from lib.benchmark import runner
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.results.plan import Plan
from lib.results.summaries import speedup
from lib.results.trials import Run
from lib.settings import Settings
from scripts.milvus_server import MilvusServer

PLAN = Plan(
    operations=("delete",),
    strategies=("sync_loop", "gather"),
    counts=(100,),
    rows=1_000,
    delete_by="id",
)


def main() -> int:
    """Run the plan at every start and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    ratios: list[list[float]] = []
    means: list[float] = []
    for start in range(given.starts):
        run = _run(replace(PLAN, repeats=given.repeats, seed=PLAN.seed + start))
        if not all(trial.verified for trial in run.trials):
            print("A trial was not verified; its figures say nothing.")
            return 1
        loop, gather = _walls(run, "sync_loop"), _walls(run, "gather")
        ratios.append([a / b for a, b in zip(loop, gather, strict=True)])
        means.append(statistics.geometric_mean(ratios[-1]))
        print(
            f"start {start + 1}: {means[-1]:.1f} times; loop {statistics.median(loop):.2f}"
            f" s, gather {min(gather):.3f} to {max(gather):.3f} s",
            flush=True,
        )
    if len(ratios) > 1 and given.repeats > 1:
        within = statistics.fmean(statistics.variance(map(math.log, mine)) for mine in ratios)
        apart = statistics.stdev(map(math.log, means))
        print(
            f"logarithms: standard deviation over starts {apart:.2f}, of which "
            f"repeats explain {math.sqrt(within / given.repeats):.2f}"
        )
    over = speedup(means, [1.0] * len(means))
    interval = f" ({over.low:.1f} to {over.high:.1f})" if over.low and over.high else ""
    print(f"{over.ratio:.1f} times{interval} over {len(means)} starts, one mean a start")
    return 0


def _run(plan: Plan) -> Run:
    with tempfile.TemporaryDirectory() as folder, MilvusServer(folder) as server:
        settings = Settings(milvus_uri=server.uri)
        connection = open_connection(settings)
        try:
            return runner.run(plan, connection, open_model(settings))
        finally:
            connection.close()


def _walls(run: Run, strategy: str) -> list[float]:
    mine = [trial for trial in run.trials if trial.strategy == strategy and not trial.warmup]
    return [trial.wall_s for trial in sorted(mine, key=lambda trial: trial.repeat)]


if __name__ == "__main__":
    raise SystemExit(main())
