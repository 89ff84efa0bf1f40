"""Count the tests that check nothing, and those that wait for a time instead of a condition.

`python -m scripts.assertions` prints them. A test checks something with `assert`, with pytest's
`raises`, `warns` or `fail`, with Playwright's `expect`, or through a function that does.
"""

import ast
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKS = {"raises", "warns", "fail", "expect", "wait_until"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _calls(node: ast.AST) -> set[str]:
    names = set()
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            function = call.func
            name = getattr(function, "attr", None) or getattr(function, "id", None)
            names.add(str(name))
    return names


@cache
def functions() -> list[tuple[Path, Function]]:
    """Return every function of the tests with the file that it stands in."""
    found = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [
            (path, node)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
    return found


def without_assertion() -> list[str]:
    """Return the tests that check nothing."""
    calls = [(path, node, _calls(node)) for path, node in functions()]
    asserting = {
        node for _, node, _ in calls if any(isinstance(p, ast.Assert) for p in ast.walk(node))
    }
    checking = set(CHECKS)
    before = 0
    while len(checking) > before:  # a helper that calls a checking helper checks, too
        before = len(checking)
        checking |= {n.name for _, n, called in calls if n in asserting or checking & called}
    return [
        f"{path.relative_to(ROOT)}::{node.name}"
        for path, node, called in calls
        if node.name.startswith("test_") and node not in asserting and not checking & called
    ]


def sleeping() -> list[str]:
    """Return the tests that sleep themselves; what they start may take its time."""
    found = []
    for path, node in functions():
        if not node.name.startswith("test_"):
            continue
        inner = {
            part
            for each in ast.walk(node)
            if each is not node and isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            for part in ast.walk(each)
        }
        own = [part for part in ast.walk(node) if isinstance(part, ast.Call) and part not in inner]
        if {"sleep", "wait_for_timeout"} & set().union(*map(_calls, own)):
            found.append(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def main() -> int:
    """Print both lists with their lengths; 1 where one is not empty."""
    tests = sum(node.name.startswith("test_") for _, node in functions())
    bare, asleep = without_assertion(), sleeping()
    print(f"{tests:,} test functions, {len(bare)} without an assertion, {len(asleep)} that sleep")
    for name in (*bare, *asleep):
        print(f"    {name}")
    return bool(bare or asleep)


if __name__ == "__main__":
    sys.exit(main())
