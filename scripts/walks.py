"""Walk four things through the app and print the modules of lib that they pass.

`python -m scripts.walks` runs the pages without a browser, on an embedded store of its own, and
looks at the arguments and the results of every function of `lib/` and `pages/`:

- a recorded run, or what was made of it as a whole, on its page;
- λ, from its slider to the chart;
- a call's start and end, from the runner to the waterfall;
- an uploaded row, from the uploader to Milvus.

A station is a module one of whose functions got or gave the thing, alone or inside a container, a
dataclass, a document or a table. An entry is a step from another station into it.
"""

import dataclasses
import io
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RUN = "recorded-tutorial-server-450ms"
LAMBDA = 0.3701  # on no step of the curve over λ
ROW = "The walrus and the carpenter walk through the house"
TABLE = f"text,number\n{ROW},1\nSomething else entirely,2\n".encode()
DEPTH, ITEMS = 5, 50
PATIENCE_S = 120

Holds = Callable[[Any], bool]


class Walk:
    """Notes where one thing passes while it is on."""

    def __init__(self) -> None:
        self.is_thing: Holds | None = None
        self.path: list[str] = []
        self._modules: dict[CodeType, str] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """Look at one call or return, as `sys.setprofile` tells them."""
        is_thing = self.is_thing
        if is_thing is None or event not in {"call", "return"}:
            return
        code = frame.f_code
        module = self._modules.get(code)
        if module is None:
            module = self._modules[code] = _module(code.co_filename)
        if not module or (self.path and self.path[-1] == module):
            return
        given: Any = argument
        if event == "call":
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            given = [frame.f_locals.get(name) for name in names if name != "self"]
        if holds(given, is_thing):
            self.path.append(module)

    @contextmanager
    def on(self, is_thing: Holds) -> Iterator[None]:
        """Note the stations of what happens in the block."""
        self.path, self.is_thing = [], is_thing
        try:
            yield
        finally:
            self.is_thing = None

    def show(self, title: str) -> None:
        """Print the stations in the order in which they were first entered."""
        stations = list(dict.fromkeys(self.path))
        print(f"{title}: {len(stations)} modules, {len(self.path)} entries")
        for station in stations:
            print(f"    {self.path.count(station):4} × {station}")


def _module(filename: str) -> str:
    path = Path(filename)
    if not path.is_relative_to(ROOT):
        return ""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts) if parts[0] in {"lib", "pages"} else ""


def holds(value: Any, is_thing: Holds, depth: int = DEPTH) -> bool:
    """Say whether a value is the thing or has it inside."""
    if is_thing(value):
        return True
    if depth == 0 or value is None or isinstance(value, str | bytes | int | float | type):
        return False
    inside: list[Any] = []
    if isinstance(value, dict):
        inside = list(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        inside = list(value)
    elif dataclasses.is_dataclass(value):
        inside = [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    elif hasattr(value, "page_content"):
        inside = [value.page_content]
    elif isinstance(value, io.BytesIO) and not value.closed:
        inside = [value.getvalue()]
    elif type(value).__name__ == "DataFrame":
        return any(is_thing(cell) for name in value.columns for cell in value[name].head(ITEMS))
    return any(holds(each, is_thing, depth - 1) for each in inside[:ITEMS])


def is_run(value: Any) -> bool:
    """Say whether it is a run, or its analysis."""
    return type(value).__name__ in {"Run", "Analysis"}


def is_lambda(value: Any) -> bool:
    """Say whether it is the slider's value."""
    return isinstance(value, float) and value == LAMBDA


def is_row(value: Any) -> bool:
    """Say whether it is the text of the uploaded row, or has it in it."""
    return (isinstance(value, str) and ROW in value) or (
        isinstance(value, bytes) and ROW.encode() in value
    )


def is_call(value: Any) -> bool:
    """Say whether it is a recorded call, or a table or a dict with the times of calls."""
    if type(value).__name__ in {"Call", "Recorder"}:
        return True
    if type(value).__name__ == "DataFrame":
        return "end_s" in value.columns
    return isinstance(value, dict) and "end_s" in value


def main() -> None:
    """Walk all four, on the page where each begins."""
    walk = Walk()
    threading.setprofile(walk)
    sys.setprofile(walk)
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"LAB_DATA_DIR": folder, "HF_HUB_OFFLINE": "1"}
        try:
            _walk_all(walk)
        finally:
            _end_jobs()  # or they would write into a folder that is gone
    sys.setprofile(None)


def _end_jobs() -> None:
    from lib import jobs

    for job in jobs.shared().all():
        jobs.shared().cancel(job)
        job.finished.wait(PATIENCE_S)


def _walk_all(walk: Walk) -> None:
    from streamlit.testing.v1 import AppTest

    from lib import jobs

    def settle() -> None:
        for job in jobs.shared().all():
            assert job.finished.wait(PATIENCE_S), job.label
            assert not job.error, job.error

    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE_S)
    app.run()
    # The first screen draws without Milvus. A page that needs it queues the sample data.
    app.switch_page("pages/search.py").run()
    settle()
    app.query_params["r_runs"] = RUN
    with walk.on(is_run):
        app.switch_page("pages/runs.py").run()
    walk.show("A run on its page")

    app.switch_page("pages/search.py").run()
    app.text_input(key="q").set_value("split a string at a separator")
    app.form_submit_button[0].click().run()
    with walk.on(is_lambda):
        app.slider(key="lambda").set_value(LAMBDA).run()
    walk.show("λ from slider to chart")

    app.switch_page("pages/benchmark.py").run()
    app.segmented_control(key="b_preset").set_value("quick").run()
    app.number_input(key="b_latency").set_value(5.0).run()
    with walk.on(is_call):
        app.button(key="b_go").click().run()
        settle()
        app.run()
    walk.show("A call's start and end from the runner to the waterfall")

    app.switch_page("pages/ingestion.py").run()
    app.segmented_control(key="ingest_source").set_value("files").run()
    with walk.on(is_row):
        uploader = app.file_uploader(key="ingest_files")
        uploader.set_value([("rows.csv", TABLE, "text/csv")]).run()
        app.button(key="ingest_start").click().run()
        settle()
    walk.show("An uploaded row from the uploader to Milvus")
    assert not app.exception


if __name__ == "__main__":
    main()
