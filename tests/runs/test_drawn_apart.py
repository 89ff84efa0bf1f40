"""Pictures and their files are made in workers: no run ends, grows or holds the app with them."""

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from lib.charts import data as chart_data
from lib.charts.charts import CHARTS
from lib.errors import JobCancelled
from lib.results import findings
from lib.results.analysis import analyse
from lib.results.findings import ALONE
from lib.runs import pictures, reports
from lib.runs.pictures import DRAWING
from lib.runs.reports import EXPORTS
from lib.workers import host
from lib.workers.work import Ended, OutOfTime
from tests.fresh_process import printed_by
from tests.run_builder import make_run

RUN, CHART = make_run(), CHARTS["wall_time"]
FRAME = chart_data.wall_times(analyse(RUN))

PROGRAM = """
import sys, tempfile, threading
from pathlib import Path
import psutil
from lib.charts import data
from lib.charts.charts import CHARTS
from lib.results import findings
from lib.results.analysis import analyse
from lib.results.findings import ALONE
from lib.runs import pictures, reports
from tests.run_builder import make_run

run, chart = make_run(), CHARTS["wall_time"]
frame = data.wall_times(analyse(run))
note = findings.note(run)
def picture(kind):
    made = pictures.picture(note, chart, frame, kind)
    assert len(made) > 1_000
before = psutil.Process().memory_info().rss
threads = [threading.Thread(target=picture, args=[kind]) for kind in (".png", ".svg") * 4]
for each in threads: each.start()
for each in threads: each.join()
grown = psutil.Process().memory_info().rss - before
with tempfile.TemporaryDirectory() as folder:
    for name in ("calls", "deck"):
        path = Path(folder) / name
        reports.write(reports.EXPORTS[name], run, ALONE, path)
        assert path.stat().st_size > 1_000
after = psutil.Process().memory_info().rss - before
loaded = sorted({"vl_convert", "pptx"} & set(sys.modules))  # altair draws the page too
print(grown / 1e6, after / 1e6, loaded)
"""


@pytest.mark.slow
def test_eight_pictures_at_once_and_files_of_them_leave_the_process_as_it_was() -> None:
    grown, after, loaded = printed_by(PROGRAM).split(maxsplit=2)
    assert float(grown) < 20
    assert float(after) < 40
    assert loaded.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("letter", ["\x1b", "\0", "\ud800"])
def test_no_letter_in_a_picture_ends_the_process_that_asked(letter: str) -> None:
    spec: dict[str, Any] = {
        "data": {"values": [{"a": f"x{letter}y", "b": 1}]},
        "mark": "bar",
        "encoding": {"x": {"field": "a"}, "y": {"field": "b", "type": "quantitative"}},
    }
    with contextlib.suppress(Ended, UnicodeError, ValueError):  # refused, or drawn
        assert all(pictures.drawn(spec, ".svg", ".png"))


def test_a_picture_over_its_limits_is_refused_in_a_sentence() -> None:
    with pytest.raises(OutOfTime) as slow:
        pictures.picture(findings.note(RUN), CHART, FRAME, ".png", replace(DRAWING, seconds=0.001))
    assert str(slow.value).startswith("The picture needs more than 0.001 s to be drawn. ")
    with pytest.raises(Ended) as large:
        pictures.picture(findings.note(RUN), CHART, FRAME, ".png", replace(DRAWING, resident_mb=8))
    assert str(large.value).startswith("The picture ")
    assert ". The run is as it was. Take its JSON file" in str(large.value)


@pytest.mark.parametrize("name", ["calls", "pictures", "deck"])
def test_a_file_over_its_time_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    export = EXPORTS[name]
    with pytest.raises(OutOfTime) as slow:
        reports.write(export, RUN, ALONE, tmp_path / "file", limits=replace(DRAWING, seconds=0.001))
    assert slow.value.what == f"{export.label} needs more than 0.001 s to be made."


@pytest.mark.alone
def test_a_file_that_is_being_made_is_stopped_within_a_second(tmp_path: Path) -> None:
    asked: list[float] = []

    def stop() -> None:
        asked.append(time.monotonic())
        if asked[-1] > asked[0] + 0.3:
            raise JobCancelled("Stopped.")

    with pytest.raises(JobCancelled):
        reports.write(EXPORTS["pictures"], RUN, ALONE, tmp_path / "file", check=stop)
    assert time.monotonic() - asked[-1] < 1
    assert not (tmp_path / "file").exists()


def test_the_end_of_its_worker_is_said_in_a_sentence(tmp_path: Path) -> None:
    reports.write(EXPORTS["calls"], RUN, ALONE, tmp_path / "first")
    before = set(children())

    def end_it(done: int, total: int) -> None:
        for each in set(children()) - before:
            each.kill()

    with pytest.raises(Ended) as ended:
        reports.write(EXPORTS["pictures"], RUN, ALONE, tmp_path / "file", step=end_it)
    assert ended.value.what == (
        "Charts (ZIP) could not be made: the process that did it was ended (SIGKILL)."
    )
    assert not (tmp_path / "file").exists()


def children() -> list[psutil.Process]:
    return psutil.Process(host.shared().pid).children()


def test_a_file_says_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    reports.write(
        EXPORTS["deck"],
        RUN,
        ALONE,
        tmp_path / "file",
        step=lambda done, total: told.append((done, total)),
    )
    assert [done for done, _ in told] == list(range(len(told)))
    assert len(told) == told[0][1]
