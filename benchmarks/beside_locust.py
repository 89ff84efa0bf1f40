"""Calls a second of our timed trials beside Locust's own Milvus user, in turn.

    python -m benchmarks.beside_locust --locust ~/locust/bin/python

Locust lives in an environment of its own (`pip install locust pymilvus`): it makes gevent's
versions of sockets and threads the only ones. Both ask the same collection for the same vectors,
with the same fields of each row. Locust's users are greenlets of one process that ask again as soon
as they were answered; ours are the calls of `gather_limited`. Printed are geometric means and the
ratio of the pairs with its 95 % interval. Ends with 1 when a ratio lies more than a tenth from 1.
"""

import argparse
import json
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from lib.benchmark.runner import SUBJECT, run_in
from lib.benchmark.workspace import MilvusWorkspace
from lib.jobs import Job
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.results import summaries
from lib.results.plan import Plan
from lib.settings import Settings
from lib.words import bounds_text
from scripts.milvus_server import MilvusServer

ALLOWED = 0.10
TIMEOUT_S = 60.0
USER = Path(__file__).with_name("_locust_user.py")


@dataclass(frozen=True)
class Pair:
    """Calls a second of both, measured one after the other; 0 where ours was void."""

    ours: float
    theirs: float
    void: bool


def main() -> int:
    """Print a line for each number of users."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--locust", type=Path, required=True, help="the Python that has Locust")
    parser.add_argument("--uri", help="a running server; without it one is started for the time")
    parser.add_argument("--users", default="1,8,32", help="with commas")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.uri:
            return _compare(given, given.uri, Path(folder))
        with MilvusServer(Path(folder, "server")) as server:
            return _compare(given, server.uri, Path(folder))


def _compare(given: argparse.Namespace, uri: str, folder: Path) -> int:
    settings = Settings(milvus_uri=uri)
    connection, model = open_connection(settings), open_model(settings)
    plan = Plan(
        operations=("similarity_search_by_vector",),
        strategies=("gather_limited",),
        repeats=1,
        warmup=1,
        rows=given.rows,
        seconds=given.seconds,
    )
    workspace = MilvusWorkspace(plan, connection, model)
    ratios = []
    try:
        for users in map(int, given.users.split(",")):
            pairs = [
                _pair(given, plan, workspace, users, uri, folder, i) for i in range(given.pairs)
            ]
            valid = [pair for pair in pairs if not pair.void]
            if not valid:
                print(f"{users:3} users: every trial of ours was void", flush=True)
                ratios.append(0.0)
                continue
            ours, theirs = [pair.ours for pair in valid], [pair.theirs for pair in valid]
            ratio = summaries.speedup(ours, theirs)
            ratios.append(ratio.ratio)
            interval = bounds_text(ratio.low or 0.0, ratio.high or 0.0)
            print(
                f"{users:3} users: ours {summaries.geometric_mean(ours)[0]:,.0f}/s, "
                f"Locust {summaries.geometric_mean(theirs)[0]:,.0f}/s, "
                f"ratio {ratio.ratio:.3f} (95 % interval {interval}, {len(valid)} of {len(pairs)} "
                f"pairs: {', '.join(f'{pair.ours:,.0f}/{pair.theirs:,.0f}' for pair in pairs)})",
                flush=True,
            )
    finally:
        workspace.close()
        connection.close()
    return 0 if all(abs(ratio - 1) <= ALLOWED for ratio in ratios) else 1


def _pair(
    given: argparse.Namespace,
    plan: Plan,
    workspace: MilvusWorkspace,
    users: int,
    uri: str,
    folder: Path,
    turn: int,
) -> Pair:
    theirs = 0.0 if turn % 2 else _locust(given, workspace, users, uri, folder)
    run = run_in(replace(plan, concurrency=(users,)), workspace, job=Job("beside", SUBJECT))
    trial = next(each for each in run.trials if not each.warmup)
    ours = sum(call.ok for call in trial.calls) / trial.wall_s
    return Pair(ours, theirs or _locust(given, workspace, users, uri, folder), trial.is_void)


def _locust(
    given: argparse.Namespace, workspace: MilvusWorkspace, users: int, uri: str, folder: Path
) -> float:
    """Let Locust ask for the seconds; return its calls a second."""
    store = workspace.store
    asked = {
        "uri": uri,
        "collection": workspace.name,
        "field": store.vector_fields[0],
        "vectors": workspace.inputs.query_vectors,
        "k": workspace.inputs.k,
        "output_fields": store._get_output_fields(),
        "users": users,
        "seconds": given.seconds,
    }
    path = folder / "asked.json"
    path.write_text(json.dumps(asked), encoding="utf-8")
    ended = subprocess.run(
        [str(given.locust), str(USER), str(path)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S + given.seconds,
        check=False,
    )
    said = ended.stdout.strip().splitlines()
    if not said:
        raise SystemExit(f"Locust gave no figures:\n{ended.stderr[-2_000:]}")
    figures = json.loads(said[-1])
    if figures["failed"]:
        raise SystemExit(f"{figures['failed']} of Locust's calls failed:\n{ended.stderr[-2_000:]}")
    return float(figures["calls"] / given.seconds)


if __name__ == "__main__":
    raise SystemExit(main())
