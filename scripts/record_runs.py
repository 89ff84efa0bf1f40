"""Make the recorded runs that ship with the app, anew, by the app's own command.

    python -m scripts.record_runs --uri http://localhost:19530 --note "Where and with what."

Takes about an hour, most of it waiting for `from_texts`, which makes a collection at every call:
there one repeat has to do, and the runs of all operations are joined from two.
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lib.benchmark import run_file
from lib.benchmark.__main__ import main as benchmark
from lib.benchmark.strategies import STRATEGIES
from lib.benchmark.trials import Run
from lib.operations import OPERATIONS

RUNS = Path(__file__).resolve().parent.parent / "assets" / "runs"
REPEATED = ",".join(name for name in OPERATIONS if name != "from_texts")
ALL = f"--operations {REPEATED} --strategies {','.join(STRATEGIES)} --counts 100 --repeats 3"
CREATION = (
    "--operations from_texts --strategies sync_loop,thread_pool,gather,gather_limited "
    "--counts 100 --repeats 1"
)
ON_SERVER = {
    "tutorial-server-450ms": "--preset tutorial --repeats 5 --embedding-latency-ms 450",
    "tutorial-server": "--preset tutorial --repeats 7",
    "sweep-server": "--preset sweep --repeats 5 --counts 200",
    "all-server": ALL,
    "from-texts-server": CREATION,
}
ON_LITE = {
    "tutorial-lite-50ms": "--preset tutorial --repeats 5 --embedding-latency-ms 50",
    "all-lite": ALL,
    "from-texts-lite": CREATION,
}
JOINED = {"all-server": "from-texts-server", "all-lite": "from-texts-lite"}
ONE_REPEAT = "from_texts has one repeat and hence no interval: each call makes a collection."


def main() -> int:
    """Make the runs asked for, one after another, and join those that belong together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", required=True, help="a real Milvus server")
    parser.add_argument("--note", required=True, help="where and with what")
    parser.add_argument("--lite-note", default="Milvus Lite in the client's process.")
    parser.add_argument("--only", help="names with commas")
    parser.add_argument("--output", type=Path, default=RUNS)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    wanted = set(given.only.split(",")) if given.only else {*ON_SERVER, *ON_LITE}
    codes = []
    with tempfile.TemporaryDirectory() as folder:
        lite = str(Path(folder, "recorded.db"))
        for uri, note, runs in (
            (given.uri, given.note, ON_SERVER),
            (lite, given.lite_note, ON_LITE),
        ):
            for name, words in runs.items():
                if name in wanted:
                    target = str(given.output / f"{name}.json")
                    arguments = [*words.split(), "--uri", uri, "--note", note, "--output", target]
                    codes.append(benchmark(arguments))
    for name, addition in JOINED.items():
        if {name, addition} <= wanted:
            _join_files(given.output / f"{name}.json", given.output / f"{addition}.json")
    return max(codes, default=0)


def _join_files(path: Path, addition: Path) -> None:
    run_file.write(join([run_file.read(path), run_file.read(addition)]), path)
    addition.unlink()


def join(runs: Sequence[Run]) -> Run:
    """Return one run with the trials of several on the same Milvus, and all their commands."""
    first = runs[0]
    trials = [trial for run in runs for trial in run.trials]
    return dataclasses.replace(
        first,
        environment={
            **first.environment,
            "notes": [*first.environment.get("notes", []), ONE_REPEAT],
        },
        settings={
            **first.settings,
            "operations": [name for run in runs for name in run.settings["operations"]],
            "command": " && ".join(run.settings["command"] for run in runs),
        },
        trials=tuple(dataclasses.replace(trial, order=i) for i, trial in enumerate(trials)),
        partial=any(run.partial for run in runs),
    )


if __name__ == "__main__":
    raise SystemExit(main())
