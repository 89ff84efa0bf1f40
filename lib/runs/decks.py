"""A run → a slide deck: the five steps of the presentation, with the method in its notes."""

import io
import struct
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from pptx import Presentation
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.util import Emu, Inches, Pt

from lib.charts import charts
from lib.charts import data as chart_data
from lib.charts.charts import CHARTS, AnyChart, frames, readable, with_data
from lib.results import findings
from lib.results.analysis import Analysis, analyse
from lib.results.findings import ALONE, Beside
from lib.results.trials import Run
from lib.runs import story
from lib.runs.pictures import Step, drawn, unwatched

WIDTH, HEIGHT = Inches(13.333), Inches(7.5)
MARGIN = Inches(0.6)  # also of the title from the top
TITLE_ONLY = 5  # the default template's layout with nothing but a title
MOST_WARNINGS = 3
# More text than this would run into the footer at the usual size.
MOST_CHARACTERS_LARGE = 600
PICTURE_SCALE = 2.5


def deck(run: Run, beside: Beside = ALONE, step: Step = unwatched) -> bytes:
    """Return a .pptx file: the five steps of the presentation, one statement and picture each."""
    presentation = Presentation()
    presentation.slide_width, presentation.slide_height = WIDTH, HEIGHT
    found = analyse(run)
    told = story.steps(found, beside)
    # Without a loop beside async the steps tell what the run advises.
    advised = findings.advised(found) if found.lead else ()
    total = len(told) + (len(story.ADVICE_CHARTS) if advised else 0)
    for done, each in enumerate(told):
        step(done, total)
        _step_slide(presentation, each, found)
    if advised:
        _advice_slides(presentation, found, advised, lambda done: step(len(told) + done, total))
    buffer = io.BytesIO()
    presentation.save(buffer)
    return buffer.getvalue()


def _advice_slides(
    presentation: Any, found: Analysis, advised: Sequence[str], step: Callable[[int], None]
) -> None:
    """Add a slide for each picture of the advice, and one for what follows from it."""
    for done, name in enumerate(story.ADVICE_CHARTS):
        step(done)
        for frame in frames(found, found.groups[0], [name]).values():
            finding = CHARTS[name].finding(frame)
            _picture_slide(presentation, finding, CHARTS[name].draw(frame), finding, found.run)
    _text_slide(presentation, "What follows", list(advised), found.run)


def _step_slide(presentation: Any, told: story.Step, found: Analysis) -> None:
    run = found.run
    if told.frame is None or not told.chart:
        _text_slide(presentation, told.statement, list(told.lines), run)
    else:
        lines = " ".join(told.lines)
        chart = _drawing(told.chart, told.frame)
        slide = _picture_slide(presentation, told.statement, chart, lines, run)
        _lines(slide, [lines], top=Inches(1.3), size=16, height=Inches(0.6))
    slide = list(presentation.slides)[-1]
    slide.notes_slide.notes_text_frame.text = "\n".join((told.notes, *_method(found)))


def _drawing(chart: str, frame: pd.DataFrame) -> AnyChart:
    """Return a still picture of a step: of the race, the moment the winner is done."""
    if chart == "race":
        return charts.race(chart_data.race_at(frame, float(frame["wall_s"].min())))
    return CHARTS[chart].drawn(frame)


def _picture_slide(presentation: Any, title: str, chart: AnyChart, alt: str, run: Run) -> Any:
    slide = _slide(presentation, title, size=28)
    spec = with_data(readable(chart).properties(width=1000))
    (png,) = drawn(spec, ".png", scale=PICTURE_SCALE)
    across, down = struct.unpack(">II", png[16:24])  # a PNG's size stands in its first chunk
    room_across, room_down = WIDTH - 2 * MARGIN, HEIGHT - Inches(2.6)
    scale = min(room_across / across, room_down / down)
    width, height = Emu(int(across * scale)), Emu(int(down * scale))
    picture = slide.shapes.add_picture(
        io.BytesIO(png), Emu((WIDTH - width) // 2), Inches(1.95), width, height
    )
    picture._element.nvPicPr.cNvPr.set("descr", alt)
    _footer(slide, run)
    return slide


def _text_slide(presentation: Any, title: str, lines: list[str], run: Run) -> None:
    slide = _slide(presentation, title)
    size = 20 if sum(map(len, lines)) <= MOST_CHARACTERS_LARGE else 16
    _lines(slide, [f"•  {line}" for line in lines], top=Inches(1.8), size=size)
    _footer(slide, run)


def _slide(presentation: Any, title: str, *, size: int = 24) -> Any:
    slide = presentation.slides.add_slide(presentation.slide_layouts[TITLE_ONLY])
    box = slide.shapes.title
    box.left, box.top, box.width, box.height = MARGIN, MARGIN, WIDTH - 2 * MARGIN, Inches(1.2)
    box.text_frame.word_wrap = True
    box.text_frame.vertical_anchor = MSO_ANCHOR.TOP
    box.text_frame.text = title
    for paragraph in box.text_frame.paragraphs:
        paragraph.font.size, paragraph.font.bold = Pt(size), True
        paragraph.alignment = PP_ALIGN.LEFT
    return slide


def _lines(slide: Any, lines: list[str], *, top: Any, size: int, height: Any = None) -> None:
    height = height or HEIGHT - top - Inches(0.8)
    box = slide.shapes.add_textbox(MARGIN, top, WIDTH - 2 * MARGIN, height)
    box.text_frame.word_wrap = True
    for i, line in enumerate(lines):
        frame = box.text_frame
        paragraph = frame.paragraphs[0] if i == 0 else frame.add_paragraph()
        paragraph.text = line
        paragraph.font.size, paragraph.space_after = Pt(size), Pt(10)


def _footer(slide: Any, run: Run) -> None:
    box = slide.shapes.add_textbox(MARGIN, HEIGHT - Inches(0.6), WIDTH - 2 * MARGIN, Inches(0.4))
    box.text_frame.text = findings.note(run)
    box.text_frame.paragraphs[0].font.size = Pt(14)


def _method(found: Analysis) -> list[str]:
    repeats = found.run.settings.get("repeats", "?")
    return [
        f"{repeats} repeats after warm-up; the strategies alternate in shuffled order.",
        "After each trial the effect is checked row by row; failures never count as speed.",
        "Speed-up: geometric mean of paired ratios of wall times, 95% interval by Student's t.",
        *[message for messages in found.warnings.values() for message in messages][:MOST_WARNINGS],
    ]
