"""Every preset on a real Milvus server: are all rows right, and what is lost is lost on purpose?

    python -m benchmarks.presets_on_a_server --rows 1000,10000 --times 2

Runs each preset by the terminal's command, as a reader would, and counts in its file the rows that
were wrong, the trials that the client could not keep up with (void), and the calls that the server
turned away or lost. Ends with 1 when a row was wrong, or when a call was lost where no overload
was asked for.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lib.benchmark.answers import NO_ANSWER, OTHER_ROWS
from lib.benchmark.recorder import NO_EFFECT
from lib.results import run_file
from lib.results.plan import PRESETS
from lib.results.trials import OVERLOAD, Run
from scripts.milvus_server import MilvusServer

WRONG_ROWS = {OTHER_ROWS, NO_ANSWER, NO_EFFECT}
HEADER = ("preset", "rows", "time", "trials", "calls", "wrong rows", "void", "lost", "exit", "took")


@dataclass(frozen=True)
class Outcome:
    """What one run of a preset came to."""

    preset: str
    rows: int
    time: int
    code: int
    took_s: float
    run: Run | None

    def calls(self, *, wrong: bool) -> int:
        """Count the calls whose rows were wrong, or those that failed in another way."""
        trials = self.run.trials if self.run else ()
        failed = [call.error in WRONG_ROWS for t in trials for call in t.calls if not call.ok]
        return sum(is_wrong is wrong for is_wrong in failed)

    @property
    def is_right(self) -> bool:
        """Say whether it went as the preset intends."""
        lost_on_purpose = self.preset == OVERLOAD or not self.calls(wrong=False)
        return self.run is not None and not self.calls(wrong=True) and lost_on_purpose

    def row(self) -> tuple[str, ...]:
        """Return its line of the table."""
        trials = self.run.trials if self.run else ()
        return (
            self.preset,
            f"{self.rows:,}",
            str(self.time),
            f"{len(trials):,}",
            f"{sum(len(trial.calls) for trial in trials):,}",
            f"{self.calls(wrong=True):,}",
            f"{sum(trial.is_void for trial in trials):,}",
            f"{self.calls(wrong=False):,}",
            str(self.code),
            f"{self.took_s:.0f} s",
        )


def main() -> int:
    """Run the presets and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", help="a running server; without it one is started for the time")
    parser.add_argument("--rows", default="1000,10000", help="rows before each trial, with commas")
    parser.add_argument("--times", type=int, default=2, help="runs of each, one after another")
    parser.add_argument("--presets", default=",".join(PRESETS), help="with commas")
    parser.add_argument("--repeats", help="fewer than the presets' own, for a short look")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.uri:
            outcomes = _run_all(given, given.uri, Path(folder))
        else:
            with MilvusServer(Path(folder, "server")) as server:
                outcomes = _run_all(given, server.uri, Path(folder))
    return 0 if all(outcome.is_right for outcome in outcomes) else 1


def _run_all(given: argparse.Namespace, uri: str, folder: Path) -> list[Outcome]:
    _print(HEADER)
    outcomes = []
    for name in given.presets.split(","):
        for rows in map(int, given.rows.split(",")):
            for turn in range(1, given.times + 1):
                outcomes.append(_run(name, rows, turn, uri, folder, given.repeats))
                _print(outcomes[-1].row())
    return outcomes


def _run(name: str, rows: int, turn: int, uri: str, folder: Path, repeats: str | None) -> Outcome:
    output = folder / f"{name}-{rows}-{turn}.json"
    command = [sys.executable, "-m", "lib.benchmark", "--preset", name, "--uri", uri]
    command += ["--rows", str(rows), "--output", str(output)]
    command += ["--yes"] if name == OVERLOAD else []
    command += ["--repeats", repeats] if repeats else []
    began = time.monotonic()
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if not output.exists():
        print(ended.stderr, file=sys.stderr)
    run = run_file.read(output) if output.exists() else None
    return Outcome(name, rows, turn, ended.returncode, time.monotonic() - began, run)


def _print(cells: Iterable[str]) -> None:
    print("  ".join(text.rjust(10) for text in cells), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
