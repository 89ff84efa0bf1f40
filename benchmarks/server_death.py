"""Kill a real Milvus server in mid-run: how long until it is reported, and what is kept.

python -m benchmarks.server_death
"""

import tempfile
import time

from lib.benchmark import runner
from lib.benchmark.trials import Trial
from lib.benchmark.workload import Plan
from lib.jobs import Job, Jobs
from lib.milvus.connection import open_connection
from lib.milvus.embeddings import open_model
from lib.settings import Settings
from scripts.milvus_server import MilvusServer

ALLOWED_S = 10.0
FINISHED_BEFORE = 3


def main() -> int:
    """Kill a server under each strategy and print the seconds until the run reports it."""
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        server = MilvusServer(folder)
        for strategy in ("sync_loop", "thread_pool", "gather", "gather_limited"):
            server.start()
            seconds, kept, error = _kill_during(strategy, server)
            slowest = max(slowest, seconds)
            print(f"{strategy}: reported after {seconds:.1f} s, {kept} trials kept: {error}")
    print(f"slowest {slowest:.1f} s, allowed {ALLOWED_S:g} s")
    return 0 if slowest <= ALLOWED_S else 1


def _kill_during(strategy: str, server: MilvusServer) -> tuple[float, int, str]:
    settings = Settings(milvus_uri=server.uri)
    connection, model = open_connection(settings), open_model(settings)
    plan = Plan(
        operations=("similarity_search",),
        strategies=(strategy,),
        counts=(500,),
        repeats=50,
        rows=500,
        warmup=0,
    )
    killed: list[float] = []

    def kill(trial: Trial) -> None:
        if trial.order == FINISHED_BEFORE - 1:
            server.kill()
            killed.append(time.perf_counter())

    def work(job: Job) -> object:
        return runner.run(plan, connection, model, job=job, on_trial=kill)

    job = Jobs().submit("benchmark", work, subject=runner.SUBJECT)
    job.finished.wait()
    seconds = time.perf_counter() - killed[0]
    connection.close()
    return seconds, len(job.result.trials), str(job.error)


if __name__ == "__main__":
    raise SystemExit(main())
