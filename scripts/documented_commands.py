"""Run every command that README and docs show, with the exit code that it promises.

    python -m scripts.documented_commands                # on Milvus Lite and on a server of its own
    python -m scripts.documented_commands --only lib.benchmark --where lite
    python -m scripts.documented_commands --list

Prints a table and ends with 1 when a command ended otherwise than promised. Commands run in a
folder of their own. What does not run here is listed with the reason.
"""

import argparse
import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
# docs/decisions.md tells what was, so its commands are those of their day.
PAGES = ("README.md", "CONTRIBUTING.md", "docs/*.md", "docs/*/*.md")
HISTORY = "decisions.md"
PROGRAMS = r"(?:python -m|make|pytest|docker|docker-compose|streamlit run|pip install)"
COMMAND = re.compile(rf"(?:^|`)({PROGRAMS} [^`\n#]+)", re.MULTILINE)
LITE, SERVER, ONCE = "lite", "server", "once"
TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Rule:
    """How commands that begin in one way are run: what is added, where, and what is promised."""

    begins: str
    adds: str = ""
    where: tuple[str, ...] = (ONCE,)
    code: int = 0
    why_not: str = ""  # why it is not run here


# The first rule that fits counts.
RULES = (
    Rule("python -m lib.benchmark --preset tutorial", "--counts 7 --repeats 3", (LITE, SERVER)),
    Rule("python -m lib.benchmark --preset", "", (LITE, SERVER)),
    Rule("python -m lib.benchmark", "", (LITE, SERVER), code=2),
    Rule("python -m scripts.gallery"),
    Rule("python -m scripts.rooms"),
    Rule("python -m scripts.walks"),
    Rule("python -m scripts.assertions"),
    Rule("python -m scripts.record_runs", "--only sweep-server --output recorded"),
    Rule("python -m scripts.documented_commands", why_not="this program"),
    Rule("python -m scripts.constraints", why_not="writes the repository's constraints.txt"),
    Rule("python -m scripts.compose_trial", why_not="needs a container engine; run by hand"),
    Rule("python -m scripts.screenshots", why_not="makes the pictures of the repository anew"),
    Rule("python -m scripts.imitate_cloud", why_not="installs an environment; run by hand"),
    Rule("python -m benchmarks.", why_not="takes minutes; `make bench` runs it"),
    Rule("pytest", "-q -n 0 -p no:cacheprovider"),
    # What a target would do; the targets themselves install packages or serve until Ctrl-C.
    Rule("make", "--dry-run"),
    Rule("docker-compose config"),
    Rule("docker", why_not="needs a container engine and its images"),
    Rule("pip install", why_not="installs packages, then serves until Ctrl-C"),
    Rule("streamlit run", why_not="serves until Ctrl-C; the browser tests start it"),
)


@dataclass(frozen=True)
class Outcome:
    """What became of one command in one place."""

    command: str
    where: str
    promised: int
    code: int | None
    seconds: float
    said: str

    @property
    def is_as_promised(self) -> bool:
        """Say whether it ended with the exit code that it promises."""
        return self.code == self.promised


def commands() -> dict[str, list[str]]:
    """Return the commands of all pages, each with the pages that show it."""
    found: dict[str, list[str]] = {}
    for pattern in PAGES:
        for page in sorted(PROJECT_ROOT.glob(pattern)):
            if page.name == HISTORY:
                continue
            for command in COMMAND.findall(page.read_text(encoding="utf-8")):
                found.setdefault(command.strip(), []).append(page.name)
    return found


def rule_of(command: str) -> Rule:
    """Return the rule for a command. Raises LookupError for one that nobody thought of."""
    for rule in RULES:
        if command.startswith(rule.begins):
            if rule.begins.startswith("docker-compose") and not shutil.which("docker-compose"):
                continue
            return rule
    raise LookupError(f"There is no rule for {command!r}: add one to RULES.")


def _words(command: str, rule: Rule, uri: str) -> list[str]:
    words = [*shlex.split(command), *shlex.split(rule.adds)]
    if "--uri" in words:
        words[words.index("--uri") + 1] = uri
    if words[0] == "python":
        words[0] = sys.executable
    if words[0] == "pytest":
        words[:1] = [sys.executable, "-m", "pytest"]
        words = [str(PROJECT_ROOT / word) if word.startswith("tests/") else word for word in words]
    if words[0] in {"make", "docker-compose"}:
        place = "-C" if words[0] == "make" else "--project-directory"
        words[1:1] = [place, str(PROJECT_ROOT)]
    return words


def run(command: str, where: str, uri: str, folder: Path) -> Outcome:
    """Run one command in a folder; `uri` is the Milvus that it works on."""
    rule = rule_of(command)
    started = time.perf_counter()
    try:
        done = subprocess.run(
            _words(command, rule, uri),
            cwd=folder,
            env=os.environ
            | {"PYTHONPATH": str(PROJECT_ROOT), "MILVUS_URI": uri, "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        code, said = done.returncode, (done.stderr.strip() or done.stdout.strip())
    except subprocess.TimeoutExpired:
        code, said = None, f"not finished within {TIMEOUT_S:g} s"
    last = said.splitlines()[-1] if said else ""
    return Outcome(command, where, rule.code, code, time.perf_counter() - started, last)


@contextlib.contextmanager
def _milvus(where: str, folder: Path) -> Iterator[str]:
    if where != SERVER:
        yield str(folder / "lab.db")
        return
    from scripts.milvus_server import MilvusServer

    with MilvusServer(folder / "server") as server:
        yield server.uri


def main() -> int:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="commands with this in them")
    parser.add_argument("--where", choices=[LITE, SERVER, ONCE], help="default: all three")
    parser.add_argument("--list", action="store_true", help="run nothing")
    given = parser.parse_args()
    chosen = [command for command in commands() if given.only in command]
    outcomes: list[Outcome] = []
    for where in (LITE, SERVER, ONCE) if not given.where else (given.where,):
        mine = [
            command
            for command in chosen
            if where in rule_of(command).where and not rule_of(command).why_not
        ]
        if not mine:
            continue
        with tempfile.TemporaryDirectory() as name, _milvus(where, Path(name)) as uri:
            for command in mine:
                if given.list:
                    print(f"{where:7}{rule_of(command).code:4}  {command}")
                    continue
                outcome = run(command, where, uri, Path(name))
                outcomes.append(outcome)
                mark = "ok  " if outcome.is_as_promised else "FAIL"
                adds = rule_of(command).adds
                print(
                    f"{mark} {where:7} promised {outcome.promised}, got {outcome.code} "
                    f"in {outcome.seconds:6.1f} s  {command}{f'  [{adds}]' if adds else ''}\n"
                    f"       {outcome.said[:150]}",
                    flush=True,
                )
    print("\nNot run here:")
    for command in chosen:
        if why := rule_of(command).why_not:
            print(f"  {command}: {why}")
    wrong = [outcome for outcome in outcomes if not outcome.is_as_promised]
    print(f"\n{len(outcomes) - len(wrong)} of {len(outcomes)} ended as promised.")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
