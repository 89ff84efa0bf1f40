"""Where Milvus Lite does not exist, as on Windows, every page says so and offers another Milvus."""

import json
import os
import subprocess
import sys
from pathlib import Path

from lib.settings import PROJECT_ROOT

SAID = "Milvus Lite is not installed: it exists for Linux and macOS only."
# A program of its own: what is imported once stays imported.
PROGRAM = """
import json, sys, time
sys.modules["milvus_lite"] = None  # every import of it fails as where it is not installed
from streamlit.testing.v1 import AppTest

def visit():
    return AppTest.from_file(sys.argv[1], default_timeout=60).run()

app = visit()
while any("Opening Milvus" in each.value for each in app.sidebar.caption):
    time.sleep(0.1)
    app = visit()
shown = {
    "caption": [each.value for each in app.sidebar.caption],
    "buttons": [each.label for each in app.sidebar.button],
    "exceptions": [each.value for each in app.exception],
    "pages": {},
}
for page in ("ingestion", "collections", "search", "benchmark"):
    app.switch_page(f"pages/{page}.py").run()
    shown["exceptions"] += [each.value for each in app.exception]
    shown["pages"][page] = [[each.proto.title, each.value] for each in app.error]
print(json.dumps(shown))
"""


def test_every_page_says_so_in_one_sentence_and_offers_to_connect_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(PROJECT_ROOT / "app.py")],
        cwd=PROJECT_ROOT,
        env=os.environ | {"LAB_DATA_DIR": str(tmp_path), "MILVUS_URI": str(tmp_path / "lab.db")},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    assert shown["exceptions"] == []
    assert SAID in shown["caption"]
    assert "Connect to another Milvus" in shown["buttons"]
    for page, errors in shown["pages"].items():
        [[title, advice]] = errors
        assert title == SAID, page
        assert "or use “Connect to another Milvus” in the sidebar" in advice
