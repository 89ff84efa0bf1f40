"""Write constraints.txt anew: the version of everything that the tests ran with.

Run it in an environment whose tests have passed, after a requirement was added or raised:

    .venv/bin/python -m scripts.constraints
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-dev.txt", "requirements-server.txt")
CONSTRAINTS = ROOT / "constraints.txt"
HEAD = """\
# The version of everything that the tests ran with, so that a later install is the same app.
# requirements.txt takes this file in. Written by `python -m scripts.constraints`.
"""


def required(*files: str) -> list[Requirement]:
    """Return what these files ask for in this environment."""
    lines = (line for file in files for line in (ROOT / file).read_text("utf-8").splitlines())
    stripped = (line.partition("#")[0].strip() for line in lines)
    asked = [Requirement(line) for line in stripped if line and not line.startswith("-")]
    return [each for each in asked if _applies(each, "")]


def installed(asked: list[Requirement]) -> dict[str, str]:
    """Return the installed version of what is asked for and of all that it needs in turn."""
    versions: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(each, extra) for each in asked for extra in ("", *each.extras)]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # for another system
        versions[name] = found.version
        needs = [Requirement(line) for line in found.requires or ()]
        waiting += [
            (each, more) for each in needs if _applies(each, extra) for more in ("", *each.extras)
        ]
    return versions


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def frozen() -> str:
    """Return the text of constraints.txt for this environment."""
    versions = installed(required(*FILES))
    return HEAD + "".join(f"{name}=={versions[name]}\n" for name in sorted(versions))


if __name__ == "__main__":
    CONSTRAINTS.write_text(frozen(), encoding="utf-8")
