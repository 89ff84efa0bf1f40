"""What reading and judging a recorded run costs in a fresh process, and which libraries it loads.

    python -m benchmarks.reading_a_run [--repeats 5] [--run assets/runs/tutorial-server-450ms.json]

Prints the processor time of each step in seconds, the fastest of the repeats, beside the same
process with pydantic alone, without which no file is read. Fails where pymilvus, langchain, pandas
or Streamlit is loaded.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
RUN = "assets/runs/tutorial-server-450ms.json"
HEAVY = ("pymilvus", "langchain_core", "langchain_milvus", "streamlit", "pandas", "numpy", "altair")
BASELINE = """
import json, sys, time
import annotated_types, pydantic
print(json.dumps({"seconds": {"pydantic alone": time.process_time()}, "modules": []}))
"""
READING = """
import json, sys, time
from lib.results import findings, published, run_file
from lib.results.analysis import analyse
loaded = time.process_time()
run = run_file.read(sys.argv[1])
read = time.process_time()
found = analyse(run)
said = [findings.headline(found), findings.advised(found), published.reasons(run.environment)]
seconds = {"start and imports": loaded, "reading": read - loaded}
seconds |= {"judging": time.process_time() - read, "in all": time.process_time()}
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""


def fastest(program: str, run: str, repeats: int) -> tuple[dict[str, float], set[str]]:
    """Return the least seconds of each step over fresh processes, and the modules loaded."""
    found = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, "-c", program, run],
            cwd=PROJECT_ROOT,
            capture_output=True,
            check=True,
            text=True,
        )
        found.append(json.loads(done.stdout))
    least = min((each["seconds"] for each in found), key=lambda steps: max(steps.values()))
    return least, set(found[0]["modules"])


def main() -> None:
    """Measure, print, and fail for a heavy module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--run", default=RUN)
    given = parser.parse_args()
    baseline, _ = fastest(BASELINE, given.run, given.repeats)
    steps, modules = fastest(READING, given.run, given.repeats)
    for name, seconds in (baseline | steps).items():
        print(f"{name:20}{seconds:6.3f} s of processor")
    print(f"ratio to pydantic alone: {steps['in all'] / baseline['pydantic alone']:.2f}")
    heavy = sorted(modules.intersection(HEAVY))
    print(f"heavy modules: {', '.join(heavy) or 'none'}, of {len(modules)} modules")
    sys.exit(bool(heavy))


if __name__ == "__main__":
    main()
