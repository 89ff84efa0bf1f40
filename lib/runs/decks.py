"""A run → a slide deck: a cover and the slides of the presentation, with the method in its notes.

No text is below 18 points, every shape lies inside the slide, and none over another.
"""

import io
import struct
from typing import Any

import pandas as pd
from pptx import Presentation
from pptx.dml.color import RGBColor
from pptx.enum.shapes import MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.util import Emu, Inches, Pt

from lib.charts.charts import CHARTS
from lib.charts.theme import family_colour
from lib.results import findings
from lib.results.analysis import Analysis, analyse
from lib.results.findings import ALONE, Beside
from lib.results.trials import Run
from lib.runs import card, story
from lib.runs.card import Bar
from lib.runs.pictures import OnPart, drawn, slide_spec, unwatched

RGB: Any = RGBColor  # python-pptx has no types
WIDTH, HEIGHT = Inches(13.333), Inches(7.5)
MARGIN = Inches(0.6)
ACROSS = WIDTH - 2 * MARGIN
TITLE_TOP, TITLE_HEIGHT = Inches(0.4), Inches(1.3)
LINES_TOP, LINES_HEIGHT = Inches(1.7), Inches(0.9)
BODY_TOP, BODY_HEIGHT = Inches(2.65), Inches(4.0)
FOOT_TOP, FOOT_HEIGHT = Inches(6.85), Inches(0.45)
TITLE_ONLY = 5  # the default template's layout with nothing but a title
SMALL, TEXT, LARGE = 18, 22, 36  # points
# More text than this does not fit a slide in the usual size.
MOST_CHARACTERS = 700
MOST_WARNINGS = 3
PICTURE_SCALE = 2.5
# A lane of bars: where its name, bar, time and gain begin, and how wide they are.
NAME, BAR, TIME, GAIN = (
    (Inches(left), Inches(width))
    for left, width in ((0.6, 3.2), (3.9, 5.4), (9.4, 1.6), (11.0, 1.7))
)
LANE_HEIGHT, MOST_LANE = Inches(0.5), Inches(0.9)
# A bar is seen however short it is.
LEAST_BAR = Inches(0.04)


def deck(run: Run, beside: Beside = ALONE, step: OnPart = unwatched) -> bytes:
    """Return a .pptx file: a cover, and each slide with one statement and picture."""
    presentation = Presentation()
    presentation.slide_width, presentation.slide_height = WIDTH, HEIGHT
    found = analyse(run)
    told = story.slides(found, beside)
    step(0, len(told) + 1)
    _cover(presentation, found)
    for done, each in enumerate(told, 1):
        step(done, len(told) + 1)
        _slide(presentation, each, found)
    buffer = io.BytesIO()
    presentation.save(buffer)
    return buffer.getvalue()


def _cover(presentation: Any, found: Analysis) -> None:
    slide = _titled(presentation, "Milvus Async Lab", Inches(2.0))
    lines = [findings.title(found.run), card.headline(found)]
    _text(slide, lines, MARGIN, Inches(3.4), ACROSS, Inches(2.0), size=TEXT)
    _footer(slide, found.run)
    _notes(slide, found, "")


def _slide(presentation: Any, told: story.Slide, found: Analysis) -> None:
    slide = _titled(presentation, told.statement, TITLE_TOP)
    if told.bars or told.chart:
        _text(slide, [" ".join(told.lines)], MARGIN, LINES_TOP, ACROSS, LINES_HEIGHT, size=SMALL)
        if told.bars:
            _lanes(slide, told.bars, told.heads)
        elif told.frame is not None:
            _picture(slide, told, told.frame)
    else:
        size = TEXT if sum(map(len, told.lines)) <= MOST_CHARACTERS else SMALL
        _text(slide, told.lines, MARGIN, LINES_TOP, ACROSS, FOOT_TOP - LINES_TOP, size=size)
    _footer(slide, found.run)
    _notes(slide, found, told.notes)


def _titled(presentation: Any, title: str, top: Any) -> Any:
    slide = presentation.slides.add_slide(presentation.slide_layouts[TITLE_ONLY])
    box = slide.shapes.title
    box.left, box.top, box.width, box.height = MARGIN, top, ACROSS, TITLE_HEIGHT
    box.text_frame.word_wrap = True
    box.text_frame.vertical_anchor = MSO_ANCHOR.TOP
    box.text_frame.text = title
    for paragraph in box.text_frame.paragraphs:
        paragraph.font.size, paragraph.font.bold = Pt(LARGE), True
        paragraph.alignment = PP_ALIGN.LEFT
    return slide


def _lanes(slide: Any, bars: tuple[Bar, ...], heads: tuple[str, ...]) -> None:
    """Draw the ways as shapes of the deck: names, bars, times and gains, or what `heads` say."""
    longest = max(bar.value for bar in bars) or 1.0
    first = BODY_TOP + (LANE_HEIGHT if heads else 0)
    pitch = min((BODY_TOP + BODY_HEIGHT - first) // len(bars), MOST_LANE)
    for (place, room), said in zip((TIME, GAIN), heads, strict=False):
        aligned = PP_ALIGN.RIGHT
        _text(slide, [said], place, BODY_TOP, room, LANE_HEIGHT, size=SMALL, aligned=aligned)
    for i, bar in enumerate(bars):
        top = first + i * pitch
        left, width = BAR
        length = max(int(width * bar.value / longest), LEAST_BAR)
        shape = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, left, top, length, LANE_HEIGHT)
        shape.fill.solid()
        colour = bytes.fromhex(family_colour(bar.family, "light").removeprefix("#"))
        shape.fill.fore_color.rgb = RGB(*colour)
        shape.line.fill.background()
        for (place, room), said, aligned, size in (
            (NAME, bar.label, PP_ALIGN.LEFT, SMALL),
            (TIME, bar.shown, PP_ALIGN.RIGHT, SMALL),
            (GAIN, bar.gain, PP_ALIGN.RIGHT, TEXT),
        ):
            _text(slide, [said], place, top, room, LANE_HEIGHT, size=size, aligned=aligned)


def _picture(slide: Any, told: story.Slide, frame: pd.DataFrame) -> None:
    """Draw a chart as large as the slide's body allows."""
    spec = slide_spec(CHARTS[told.chart], frame)
    (png,) = drawn(spec, ".png", scale=PICTURE_SCALE)
    across, down = struct.unpack(">II", png[16:24])  # a PNG's size stands in its first chunk
    scale = min(ACROSS / across, BODY_HEIGHT / down)
    width, height = Emu(int(across * scale)), Emu(int(down * scale))
    picture = slide.shapes.add_picture(io.BytesIO(png), MARGIN, BODY_TOP, width, height)
    picture._element.nvPicPr.cNvPr.set("descr", " ".join(told.lines) or told.statement)


def _text(
    slide: Any,
    lines: Any,
    left: Any,
    top: Any,
    width: Any,
    height: Any,
    *,
    size: int,
    aligned: Any = PP_ALIGN.LEFT,
) -> None:
    box = slide.shapes.add_textbox(left, top, width, height)
    box.text_frame.word_wrap = True
    for i, line in enumerate(lines):
        frame = box.text_frame
        paragraph = frame.paragraphs[0] if i == 0 else frame.add_paragraph()
        paragraph.text, paragraph.alignment = line, aligned
        paragraph.font.size, paragraph.space_after = Pt(size), Pt(10)


def _footer(slide: Any, run: Run) -> None:
    _text(slide, [findings.note(run)], MARGIN, FOOT_TOP, ACROSS, FOOT_HEIGHT, size=SMALL)


def _notes(slide: Any, found: Analysis, told: str) -> None:
    repeats = found.run.settings.get("repeats", "?")
    messages = [message for kind in found.warnings.values() for message in kind][:MOST_WARNINGS]
    method = (f"{repeats} repeats after warm-up.", findings.METHOD, *messages)
    slide.notes_slide.notes_text_frame.text = "\n".join((told, *method))
