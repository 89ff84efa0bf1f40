"""What goes into the image: all that the app needs, and no secret that lies beside it.

Compose 1 and the Python client decide with docker-py what is sent to the engine; so does this test.
`scripts/compose_trial.py` looks into a built image.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docker.utils.build import exclude_paths

ROOT = Path(__file__).resolve().parent.parent
# Files that hosts, editors and tools leave in a project, and in its folders.
SECRETS = [
    ".env",
    ".env.production",
    "prod.env",
    "secrets.toml",
    ".streamlit/secrets.toml",
    ".streamlit/secrets.toml.bak",
    "server.key",
    "server.pem",
    "id_rsa",
    "credentials.json",
    "notes.txt",
    "dump.sql",
    "data/lab.db/collection.parquet",
    "data/runs/run.json",
    "lab.db",
    "exports/rows.csv",
    "notebooks/mine.ipynb",
    "deploy/tls/server.key",
    "lib/.env",
    "lib/milvus/client.key",
    "lib/secrets.toml",
    "pages/.secrets",
    "assets/server.pem",
    "assets/lab.db/rows",
    ".git/config",
    ".venv/pyvenv.cfg",
]


def sent(folder: Path) -> set[str]:
    """Return the files of a folder that an engine is given."""
    lines = (folder / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    found = exclude_paths(str(folder), patterns, dockerfile="Dockerfile")
    return {Path(each).as_posix() for each in found if (folder / each).is_file()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git knows, with secrets laid into it."""
    folder = tmp_path_factory.mktemp("project") / "lab"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in SECRETS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a secret", encoding="utf-8")
    return folder


def test_no_secret_is_sent(project: Path) -> None:
    assert sent(project) & set(SECRETS) == set()
    assert {each.partition("/")[0] for each in sent(project)} == {
        *("app.py", "pages", "lib", "assets", ".streamlit"),
        *("requirements.txt", "constraints.txt", "LICENSE", "NOTICE"),
        *("Dockerfile", ".dockerignore"),  # sent for the engine itself
    }


def test_every_file_of_the_app_is_sent(project: Path) -> None:
    secrets = {project / each for each in SECRETS}
    for folder in ("lib", "pages", "assets"):
        own = {path for path in (project / folder).rglob("*") if path.is_file()} - secrets
        assert own
        assert {path.relative_to(project).as_posix() for path in own} <= sent(project)
    assert ".streamlit/config.toml" in sent(project)


def test_the_app_runs_from_what_is_sent_alone(project: Path, tmp_path: Path) -> None:
    for name in sent(project):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(project / name, tmp_path / name)
    tour = (
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('app.py', default_timeout=90).run()\n"
        "for name in ['overview', 'ingestion', 'collections', 'search', 'benchmark', 'runs']:\n"
        "    app.switch_page(f'pages/{name}.py').run()\n"
        "    assert not app.exception, app.exception\n"
        "    print('walked', name)\n"
    )
    walked = subprocess.run(
        [sys.executable, "-c", tour],
        cwd=tmp_path,
        env=os.environ | {"LAB_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert walked.returncode == 0, walked.stderr
    assert walked.stdout.count("walked") == 6
