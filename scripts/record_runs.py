"""Make the recorded runs that ship with the app, anew, by the app's own command.

    python -m scripts.record_runs --note "Where and with what."

Starts real Milvus servers of its own. Takes about two hours. `from_texts` makes a collection at
every call: there 20 calls in three repeats have to do, and the runs of all operations are joined
from two. The tutorial's experiments are repeated over starts of the server, one repeat at each: how
long a delete by metadata waits for the server's own clocks differs from start to start, so that
repeats at one start agree with each other and not with the next start's. Afterwards run
`python -m scripts.summarise_runs`.
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.benchmark.command import main as benchmark
from lib.benchmark.environment import ONE_START
from lib.benchmark.interruption import Interruption
from lib.benchmark.kit import INTERRUPTED, RECORDINGS, Recording, endpoint, told
from lib.results import audit, run_file
from lib.results.trials import Run
from scripts.milvus_server import MilvusServer

RUNS = Path(__file__).resolve().parent.parent / "assets" / "runs"
FIRST_SEED = 7
# Audits of the methods, a file each for the page and the overview.
AUDITS = {"audit-server": False, "audit-lite": True}  # whether it is Milvus Lite
JOINED = {"all-server": "from-texts-server", "all-lite": "from-texts-lite"}
FEWER_CALLS = "from_texts makes a collection at each call: 20 calls in 3 repeats."


def main() -> int:
    """Make the runs asked for, one after another, and join those that belong together."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--note", required=True, help="where and with what")
    parser.add_argument("--lite-note", default="Milvus Lite in a process of its own.")
    known = [*RECORDINGS, *AUDITS]
    parser.add_argument("--only", help=f"names with commas, of {', '.join(known)}")
    parser.add_argument("--output", type=Path, default=RUNS)
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else known
    if unknown := set(wanted) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    given.output.mkdir(parents=True, exist_ok=True)
    stop = Interruption()
    stop.install()
    stop.defer()  # a server of ours is to be ended
    codes = []
    for name in wanted:
        if name in AUDITS:
            codes.append(_audit(audit.FOLDER / f"{name}.json", stop, lite=AUDITS[name]))
            continue
        recording = RECORDINGS[name]
        note = given.lite_note if recording.lite else given.note
        code, runs = _record(recording, note, stop)
        if code >= INTERRUPTED:
            return code
        codes.append(code)
        if runs:
            joined = runs[0] if recording.starts == 1 else join_starts(runs, name)
            run_file.write(joined, given.output / f"{name}.json")
    for name, addition in JOINED.items():
        if {name, addition} <= set(wanted):
            _join_files(given.output / f"{name}.json", given.output / f"{addition}.json")
    return max(codes, default=0)


def _record(recording: Recording, note: str, stop: Interruption) -> tuple[int, list[Run]]:
    """Run the command once for each start; return the worst exit code and the runs it wrote."""
    codes, runs = [], []
    for start in range(recording.starts):
        with tempfile.TemporaryDirectory() as folder, endpoint(recording):
            target = Path(folder, "run.json")
            words = [*recording.words.split(), "--seed", str(FIRST_SEED + start)]
            words += ["--note", note, "--output", str(target)]
            if recording.lite:
                codes.append(
                    benchmark(
                        [*words, "--uri", str(Path(folder, "recorded.db"))], interruption=stop
                    )
                )
            else:
                with MilvusServer(Path(folder, "server")) as server:
                    codes.append(benchmark([*words, "--uri", server.uri], interruption=stop))
            if codes[-1] >= INTERRUPTED:
                return codes[-1], []
            if target.exists():
                runs.append(told(run_file.read(target), recording))
    return max(codes), runs


def _audit(target: Path, stop: Interruption, *, lite: bool) -> int:
    """Run the command's audit; return its exit code."""
    target.parent.mkdir(exist_ok=True)
    words = ["audit", "--output", str(target), "--uri"]
    with tempfile.TemporaryDirectory() as folder:
        if lite:
            return benchmark([*words, str(Path(folder, "recorded.db"))], interruption=stop)
        with MilvusServer(Path(folder, "server")) as server:
            return benchmark([*words, server.uri], interruption=stop)


def _join_files(path: Path, addition: Path) -> None:
    run_file.write(join_operations(run_file.read(path), run_file.read(addition)), path)
    addition.unlink()


def join_operations(first: Run, second: Run) -> Run:
    """Return one run with the trials of two on the same kind of Milvus, and both commands."""
    runs = (first, second)
    operations = [name for run in runs for name in run.settings["operations"]]
    command = " && ".join(run.settings["command"] for run in runs)
    counts = sorted({count for run in runs for count in run.settings["counts"]})
    settings = {"operations": operations, "counts": counts, "command": command}
    return _join(runs, settings, FEWER_CALLS)


def join_starts(runs: Sequence[Run], name: str) -> Run:
    """Return one run whose repeat i is the only repeat at the server's i-th start."""
    numbered = [
        dataclasses.replace(
            run, trials=tuple(dataclasses.replace(trial, repeat=start) for trial in run.trials)
        )
        for start, run in enumerate(runs)
    ]
    seeds = [run.settings["seed"] for run in runs]
    settings = {
        "repeats": len(runs),
        "server_starts": len(runs),
        "command": f'python -m scripts.record_runs --only {name} --note "…"  '
        f"# {len(runs)} starts of the server, at each with a seed of its own "
        f"({seeds[0]} to {seeds[-1]}): {runs[0].settings['command']}",
    }
    note = (
        f"{len(runs)} starts of the server, one repeat at each: how long a delete by metadata "
        "waits for the server's own clocks differs from start to start."
    )
    return _join(numbered, settings, note)


def _join(runs: Sequence[Run], settings: dict[str, Any], note: str) -> Run:
    first = runs[0]
    trials = [trial for run in runs for trial in run.trials]
    return dataclasses.replace(
        first,
        environment={
            **first.environment,
            "notes": [*(each for each in first.environment["notes"] if each != ONE_START), note],
        },
        settings={**first.settings, **settings},
        trials=tuple(dataclasses.replace(trial, order=i) for i, trial in enumerate(trials)),
        partial=any(run.partial for run in runs),
    )


if __name__ == "__main__":
    raise SystemExit(main())
