"""The same plan from the terminal, from the page, and from the page while ten visitors work.

    python -m benchmarks.page_beside_terminal [--uri http://localhost:19530] [--rounds 5]
    python -m benchmarks.page_beside_terminal --ways terminal,page --rounds 10

Loop, threads and async searches on a real Milvus server (from the wheel without `--uri`), the ways
in an order that is shuffled for each round. This process stands for the app's: a measurement that
it starts runs in a worker. Its ten visitors are threads that make charts, together half a
processor. "As before" measures in this process itself, beside the same visitors. Printed: seconds
of each way, a geometric mean, and the ratios. Asked: page and terminal within 3 %; with visitors
the loop at most 15 % slower than without and each gain within 10 %, and the run says that
the computer was not quiet.
"""

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import altair as alt
import pandas as pd

from lib.benchmark import measurement, runner
from lib.benchmark.access import Access, modules_of
from lib.jobs import Job
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel, open_model
from lib.results import run_file
from lib.results.analysis import analyse
from lib.results.effects import command as repeated
from lib.results.plan import Plan
from lib.results.summaries import geometric_mean
from lib.results.trials import Run
from lib.settings import PROJECT_ROOT, Settings
from lib.workers import host
from lib.workers.following import wait_for_cleaning

VISITORS, PROCESSORS = 10, 0.5
ALLOWED_APART, ALLOWED_SLOWER, ALLOWED_GAIN = 0.03, 0.15, 0.10
LOOP = "sync_loop"
SEED = 7
PLAN = Plan(
    operations=("similarity_search",),
    strategies=(LOOP, "thread_pool", "gather"),
    counts=(500,),
    repeats=3,
    rows=1_000,
)


@contextlib.contextmanager
def visitors() -> Iterator[None]:
    """Let ten visitors make charts in this process: together they take half a processor."""
    over = threading.Event()
    points = pd.DataFrame({"x": range(300), "y": [i * i % 97 for i in range(300)]})

    def visit() -> None:
        while not over.is_set():
            began = time.thread_time()
            alt.Chart(points).mark_point().encode(x="x:Q", y="y:Q").to_json()
            over.wait((time.thread_time() - began) * (VISITORS / PROCESSORS - 1))

    threads = [threading.Thread(target=visit) for _ in range(VISITORS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def from_the_terminal(uri: str) -> Run:
    """Run the terminal's command."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run.json"
        command = repeated(PLAN, uri, str(output)).split()
        subprocess.run(
            [sys.executable, *command[1:]], cwd=PROJECT_ROOT, check=True, capture_output=True
        )
        return run_file.read(output)


def show(name: str, runs: list[Run]) -> dict[str, float]:
    """Print and return the seconds of each strategy over all runs."""
    seconds = {
        strategy: geometric_mean(
            [t.wall_s for run in runs for t in run.trials if t.strategy == strategy and t.counts]
        )[0]
        for strategy in PLAN.strategies
    }
    shares = [run.environment.get("other_programs") for run in runs]
    known = [share for share in shares if share is not None]
    others = f"{sum(known) / len(known):.0%}" if known else "unknown"
    told = sum("Other programs were busy" in analyse(run).warnings for run in runs)
    loop = seconds[LOOP]
    print(
        f"{name:28}"
        + "  ".join(
            f"{strategy} {each:.3f} s" + (f" ({loop / each:.2f}x)" if strategy != LOOP else "")
            for strategy, each in seconds.items()
        )
        + f"  others {others} of the processors, said in {told} of {len(runs)} runs",
        flush=True,
    )
    return seconds


def compare(
    uri: str,
    settings: Settings,
    connection: Connection,
    model: EmbeddingModel,
    rounds: int,
    only: tuple[str, ...] = (),
) -> bool:
    """Measure the ways, print them, and say whether what is asked of them holds."""

    def in_a_worker() -> Run:
        access = Access.of(settings, connection, model)
        return measurement.apart(PLAN, access, Job("Benchmark", runner.SUBJECT), connection)

    def in_this_process() -> Run:
        return runner.run(PLAN, connection, model)

    def visited(way: Callable[[], Run]) -> Run:
        with visitors():
            return way()

    ways: dict[str, Callable[[], Run]] = {
        "terminal": lambda: from_the_terminal(uri),
        "page": in_a_worker,
        "page with visitors": lambda: visited(in_a_worker),
        "as before": in_this_process,
        "as before with visitors": lambda: visited(in_this_process),
    }
    names = [name for name in ways if not only or name in only]
    made: dict[str, list[Run]] = {name: [] for name in names}
    shuffled = random.Random(SEED)  # each way comes after each other one, or bears its traces
    for _ in range(rounds):
        shuffled.shuffle(names)
        for name in names:
            made[name].append(ways[name]())
    found = {name: show(name, runs) for name, runs in made.items()}
    holds = True

    def judge(what: str, ratio: float, low: float, high: float) -> None:
        nonlocal holds
        holds = holds and low <= ratio <= high
        print(f"{what}: ratio {ratio:.3f} (asked: {low:.2f} to {high:.2f})")

    if {"page", "terminal"} <= found.keys():
        for strategy in PLAN.strategies:
            judge(
                f"page beside terminal, {strategy}",
                found["page"][strategy] / found["terminal"][strategy],
                1 - ALLOWED_APART,
                1 + ALLOWED_APART,
            )
    if {"page", "page with visitors"} <= found.keys():
        quiet, busy = found["page"], found["page with visitors"]
        judge("loop with visitors beside without", busy[LOOP] / quiet[LOOP], 0, 1 + ALLOWED_SLOWER)
        for strategy in PLAN.strategies[1:]:
            gains = [each[LOOP] / each[strategy] for each in (busy, quiet)]
            judge(
                f"gain of {strategy} with visitors beside without",
                gains[0] / gains[1],
                1 - ALLOWED_GAIN,
                1 + ALLOWED_GAIN,
            )
    if {"as before", "as before with visitors"} <= found.keys():
        before = found["as before with visitors"][LOOP] / found["as before"][LOOP]
        print(f"as before, loop with visitors beside without: ratio {before:.3f}")
    return holds


def main() -> int:
    """Start a server unless there is one, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", default="", help="with commas; all without it")
    given = parser.parse_args()
    only = tuple(given.ways.split(",")) if given.ways else ()
    with contextlib.ExitStack() as stack:
        uri = given.uri
        if uri is None:
            from scripts.milvus_server import MilvusServer

            folder = stack.enter_context(tempfile.TemporaryDirectory())
            uri = stack.enter_context(MilvusServer(folder)).uri
        settings = Settings(milvus_uri=uri)
        connection, model = open_connection(settings), open_model(settings)
        stack.callback(connection.close)
        stack.callback(wait_for_cleaning)
        host.shared().warm(measurement.__name__, *modules_of(settings.embedding_provider))
        return 0 if compare(uri, settings, connection, model, given.rounds, only) else 1


if __name__ == "__main__":
    raise SystemExit(main())
