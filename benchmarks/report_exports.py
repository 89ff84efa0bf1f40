"""Every export of a run: how large, how long, beside writing the JSON file alone.

    python -m benchmarks.report_exports RUN.json [--save FOLDER]

The HTML report must stay below 5 MB for the tutorial preset.
"""

import argparse
import time
from pathlib import Path

from lib.results import findings, run_file
from lib.results.findings import ALONE
from lib.runs import reports


def main() -> None:
    """Make each export twice (the first pays for starting the chart engine) and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--save", type=Path, help="keep the files in this folder")
    arguments = parser.parse_args()
    run = run_file.read(arguments.run)
    baseline = 0.0
    for export in sorted(reports.EXPORTS.values(), key=lambda one: one.name != "json"):
        took = 0.0
        for _ in range(2):
            started = time.perf_counter()
            data = export.make(run, ALONE)
            took = time.perf_counter() - started
        baseline = baseline or took
        print(
            f"{export.label:16} {len(data) / 1e6:6.2f} MB {took:6.2f} s "
            f"{took / baseline:7.1f} times the JSON file"
        )
        if arguments.save:
            arguments.save.mkdir(parents=True, exist_ok=True)
            (arguments.save / f"{findings.stem(run)}{export.suffix}").write_bytes(data)


if __name__ == "__main__":
    main()
