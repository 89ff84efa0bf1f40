"""Count the tests that check nothing, and those that wait for a time instead of a condition.

`python -m scripts.assertions` prints them. A test checks something with `assert`, with pytest's
`raises`, `warns` or `fail`, with Playwright's `expect`, or through a function that does.
"""

import ast
import sys
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
    every = functions()
    checking = set(CHECKS)
    before = 0
    while len(checking) > before:  # a helper that calls a checking helper checks, too
        before = len(checking)
        checking |= {node.name for _, node in every if _checks(node, checking)}
    return [
        f"{path.relative_to(ROOT)}::{node.name}"
        for path, node in every
        if node.name.startswith("test_") and not _checks(node, checking)
    ]


def _checks(node: Function, checking: set[str]) -> bool:
    return any(isinstance(part, ast.Assert) for part in ast.walk(node)) or bool(
        checking & _calls(node)
    )


def sleeping() -> list[str]:
    """Return the tests that sleep themselves; what they start may take its time."""
    found = []
    for path, node in functions():
        inner = {
            part
            for part in ast.walk(node)
            if part is not node and isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        own = [part for part in ast.walk(node) if not any(part in set(ast.walk(i)) for i in inner)]
        names = set().union(*(_calls(part) for part in own if isinstance(part, ast.Call)), set())
        if node.name.startswith("test_") and {"sleep", "wait_for_timeout"} & names:
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
