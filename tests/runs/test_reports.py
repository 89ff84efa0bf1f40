"""What leaves the app: complete, self-contained, escaped, and labelled."""

import csv
import html
import io
import json
import re
import struct
import zipfile
from dataclasses import replace

import pytest
from pptx import Presentation

from lib.charts import data as chart_data
from lib.charts.charts import CHARTS
from lib.errors import JobCancelled
from lib.results import findings, run_file
from lib.results.analysis import analyse
from lib.results.catalogue import OPERATIONS
from lib.results.findings import ALONE, Beside
from lib.results.trials import MAX_CELLS, Run
from lib.runs import card, decks, pictures, reports, story
from lib.runs.reports import EXPORTS
from lib.runs.story import ADVICE_CHARTS
from tests.run_builder import make_run, make_trial

MB = 1_000_000
# Of the worker that draws, its engine included.
MOST_PICTURE_MB = 400
SCRIPT = "</script><script>alert('x')</script>"


def evil_run() -> Run:
    """Return a run in whose every free text somebody hid a script."""
    return make_run(
        environment={"backend_label": SCRIPT, "embedding_label": SCRIPT, "extra": SCRIPT},
        settings={"command": SCRIPT, "preset": SCRIPT},
    )


# The charts of other runs than the one that is reported here.
OTHERS = (*ADVICE_CHARTS, "served", "heartbeat", "askers")


@pytest.fixture(scope="module")
def page() -> str:
    return reports.html_report(make_run()).decode()


def test_the_html_report_has_every_chart_the_run_supports_and_loads_nothing(page: str) -> None:
    expected = [chart for chart in CHARTS.values() if chart.name not in OTHERS]
    assert page.count("<figure ") == len(expected)
    assert len(page) < 5 * MB
    own_markup = page.replace(reports.runtime(), "")
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", own_markup)
    assert "default-src 'none'" in page


def test_the_html_report_says_headline_method_environment_and_command(page: str) -> None:
    for text in (
        "Async added 100 documents 50× faster",
        "450 ms simulated embedding wait",
        "Why the tutorial's figures differ",
        "Milvus server",
        # Made of the plan: the words of a file are never shown to be copied.
        "python -m lib.benchmark --uri URI --operations add_documents",
        "Closed loop: ",
    ):
        assert text in page, text


def test_nothing_a_file_says_becomes_markup_in_the_report() -> None:
    page = reports.html_report(evil_run()).decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    for spec in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL):
        json.loads(spec)


def test_a_file_name_is_harmless_and_says_what_is_simulated() -> None:
    assert findings.stem(make_run()) == "milvus-async-lab-tutorial-2026-01-31-simulated"
    assert re.fullmatch(r"[A-Za-z0-9-]+", findings.stem(evil_run()))
    assert findings.stem(make_run(partial=True)).endswith("-partial")


def test_the_calls_csv_has_a_line_for_every_call_as_measured() -> None:
    run = make_run()
    lines = list(csv.DictReader(io.StringIO(EXPORTS["calls"].make(run, ALONE).decode())))
    assert len(lines) == sum(len(trial.calls) for trial in run.trials)
    assert float(lines[1]["start_s"]) == pytest.approx(0.1)
    assert lines[1]["strategy"] == "sync_loop"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r="])
def test_no_text_of_a_csv_is_a_formula(start: str) -> None:
    trial = make_trial()
    formula = f"{start}HYPERLINK(1)"
    failed = replace(trial.calls[0], ok=False, error=formula)
    run = make_run(replace(trial, calls=(failed, *trial.calls[1:])))
    for name in ("calls", "summary"):
        lines = list(
            csv.DictReader(io.StringIO(EXPORTS[name].make(run, ALONE).decode(), newline=""))
        )
        cells = [cell for line in lines for cell in line.values() if "HYPERLINK" in cell]
        assert cells
        assert all(cell.startswith("'") for cell in cells)
    assert float(lines[0]["count"]) == trial.count  # a number stays one


def test_the_summary_csv_has_a_line_for_every_cell() -> None:
    lines = list(csv.DictReader(io.StringIO(EXPORTS["summary"].make(make_run(), ALONE).decode())))
    assert [line["strategy"] for line in lines] == ["Loop", "Async"]
    assert float(lines[1]["speedup"]) == pytest.approx(50)
    assert lines[1]["samples"] == "300"


def test_the_json_export_is_a_run_that_can_be_read_again() -> None:
    run = make_run()
    assert run_file.read(EXPORTS["json"].make(run, ALONE)).trials == run.trials


def test_every_chart_is_in_the_archive_as_png_and_svg() -> None:
    run = make_run()
    figures = list(pictures.figures(analyse(run)))
    with zipfile.ZipFile(io.BytesIO(pictures.archive(run))) as archive:
        names = archive.namelist()
        for figure in figures:
            assert archive.read(f"{figure.name}.png").startswith(b"\x89PNG")
            assert b"<svg" in archive.read(f"{figure.name}.svg")[:200]
    assert len(names) == 2 * len(figures)


def test_a_picture_says_what_was_simulated() -> None:
    run = make_run()
    chart = CHARTS["wall_time"]
    svg = pictures.picture(
        findings.note(run), chart, chart_data.wall_times(analyse(run)), ".svg"
    ).decode()
    assert "450 ms simulated" in svg


def test_the_deck_tells_the_steps_behind_a_cover_with_no_title_twice() -> None:
    cover, *slides = Presentation(io.BytesIO(decks.deck(make_run()))).slides
    titles = [slide.shapes.title.text for slide in slides]
    found = analyse(make_run())
    assert titles == [step.statement for step in story.slides(found, ALONE)]
    assert len(set(titles)) == len(titles) == 4
    assert card.headline(found) in " ".join(shape.text for shape in cover.shapes)
    assert all(slide.notes_slide.notes_text_frame.text for slide in slides)
    pictures = [shape for slide in slides for shape in slide.shapes if shape.shape_type == 13]
    assert len(pictures) == 1
    for picture in pictures:
        assert picture._element.nvPicPr.cNvPr.get("descr")
    for slide in slides:
        texts = " ".join(shape.text for shape in slide.shapes if shape.has_text_frame)
        assert "450 ms simulated" in texts


def test_what_stands_beside_a_run_on_the_page_stands_in_its_report_and_its_deck_too() -> None:
    def deletes(call_s: float, **settings: object) -> Run:
        trials = [
            make_trial(strategy, operation="delete", concurrency=limit, repeat=i, call_s=call_s)
            for i in range(3)
            for strategy, limit in (("sync_loop", 1), ("gather", None))
        ]
        return make_run(*trials, settings={"delete_by": "id", **settings})

    run = deletes(0.2)
    bounded = deletes(0.003, delete_consistency="Bounded")
    beside = Beside(plain=analyse(make_run()), bounded=analyse(bounded))
    texts = [
        html.unescape(EXPORTS["html"].make(run, beside).decode()),
        " ".join(
            shape.text
            for slide in Presentation(io.BytesIO(EXPORTS["deck"].make(run, beside))).slides
            for shape in slide.shapes
            if shape.has_text_frame
        ),
    ]
    for text in texts:
        assert "Without the simulated wait, as recorded" in text
        assert "with Bounded consistency the plain loop takes 0.30 s" in text


def test_a_run_with_nothing_verified_still_makes_every_file() -> None:
    run = make_run(make_trial(verified=False), partial=True)
    for export in EXPORTS.values():
        assert export.make(run, ALONE)
    assert "No trial was verified" in reports.html_report(run).decode()


def wide_run() -> Run:
    """Return the run of the most cells that can be imported: each of its charts is very tall."""
    operations = list(OPERATIONS)
    trials = [
        make_trial("gather" if gathers else "sync_loop", operation=operation, count=count)
        for count in range(1, 1 + MAX_CELLS // (2 * len(operations)))
        for operation in operations
        for gathers in (False, True)
    ]
    return make_run(*trials)


def test_a_picture_of_hundreds_of_bars_takes_no_more_memory_than_others() -> None:
    run, chart = wide_run(), CHARTS["wall_time"]
    limits = replace(pictures.DRAWING, resident_mb=MOST_PICTURE_MB)
    png = pictures.picture(
        findings.note(run), chart, chart_data.wall_times(analyse(run)), ".png", limits
    )
    across, down = struct.unpack(">II", png[16:24])
    assert down > across
    assert across * down <= pictures.MOST_PIXELS * 1.01


@pytest.mark.parametrize("name", ["html", "pictures", "deck"])
def test_what_is_drawn_tells_how_far_it_is_and_can_be_stopped_between_two_pictures(
    name: str,
) -> None:
    export = EXPORTS[name]
    told: list[tuple[int, int]] = []
    export.make(make_run(), ALONE, lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(len(told)))
    assert 3 < len(told) == told[0][1]

    def stop(done: int, total: int) -> None:
        raise JobCancelled("Stopped.")

    with pytest.raises(JobCancelled):
        export.make(make_run(), ALONE, stop)
