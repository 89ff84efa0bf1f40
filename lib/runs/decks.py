"""A run → a slide deck for a stakeholder meeting: title, headline, waterfall, method, caveats."""

import io
import struct
from typing import Any

from pptx import Presentation
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.util import Emu, Inches, Pt

from lib.benchmark import statistics as trial_statistics
from lib.benchmark import tutorial_figures
from lib.benchmark.trials import Run
from lib.charts import data as chart_data
from lib.charts.charts import CHARTS
from lib.charts.data import Focus
from lib.runs import findings
from lib.runs.findings import ALONE, Beside
from lib.runs.reports import Export, drawn, note, specification

WIDTH, HEIGHT = Inches(13.333), Inches(7.5)
MARGIN = Inches(0.6)  # also of the title from the top
TITLE_ONLY = 5  # the default template's layout with nothing but a title
MOST_CAVEATS = 7
# More text than this would run into the footer at the usual size.
MOST_CHARACTERS_LARGE = 600
PICTURE_SCALE = 2.5


def deck(run: Run, beside: Beside = ALONE) -> bytes:
    """Return a .pptx file of five slides (four where there is nothing to draw)."""
    presentation = Presentation()
    presentation.slide_width, presentation.slide_height = WIDTH, HEIGHT
    _title_slide(presentation, run)
    bars = chart_data.wall_times(run, chart_data.largest_groups(run))
    if not bars.empty:
        chart = CHARTS["wall_time"]
        _picture_slide(
            presentation,
            findings.headline(run),
            specification(chart.titled(bars, note=note(run), width=1000)),
            chart.finding(bars),
            run,
        )
    for focus in chart_data.largest_groups(run)[:1]:
        _waterfall_slide(presentation, run, focus)
    _text_slide(presentation, "How it was measured", _method(run), run)
    _text_slide(presentation, "What to keep in mind", _caveats(run, beside), run)
    buffer = io.BytesIO()
    presentation.save(buffer)
    return buffer.getvalue()


def _title_slide(presentation: Any, run: Run) -> None:
    slide = _slide(presentation, findings.headline(run), size=36, top=Inches(0.9), height=2.9)
    lines = [f"{metric.label}: {metric.value} ({metric.basis})" for metric in findings.metrics(run)]
    _lines(slide, lines, top=Inches(4.1), size=24)
    _footer(slide, run)


def _waterfall_slide(presentation: Any, run: Run, focus: Focus) -> None:
    chart = CHARTS["waterfall"]
    frame = chart.frame(run, focus)
    if frame.empty:
        return
    spec = specification(chart.titled(frame, note=note(run), width=1250))
    _picture_slide(presentation, chart.finding(frame), spec, chart.finding(frame), run)


def _picture_slide(presentation: Any, title: str, spec: dict[str, Any], alt: str, run: Run) -> None:
    slide = _slide(presentation, title)
    # The slide says the finding; in the picture it would stand there twice.
    spec = {name: value for name, value in spec.items() if name != "title"}
    png = drawn(spec, ".png", PICTURE_SCALE)
    across, down = struct.unpack(">II", png[16:24])  # a PNG's size stands in its first chunk
    room_across, room_down = WIDTH - 2 * MARGIN, HEIGHT - Inches(2.6)
    scale = min(room_across / across, room_down / down)
    width, height = Emu(int(across * scale)), Emu(int(down * scale))
    picture = slide.shapes.add_picture(
        io.BytesIO(png), Emu((WIDTH - width) // 2), Inches(1.95), width, height
    )
    picture._element.nvPicPr.cNvPr.set("descr", alt)
    _footer(slide, run)


def _text_slide(presentation: Any, title: str, lines: list[str], run: Run) -> None:
    slide = _slide(presentation, title)
    size = 20 if sum(map(len, lines)) <= MOST_CHARACTERS_LARGE else 16
    _lines(slide, [f"•  {line}" for line in lines], top=Inches(1.8), size=size)
    _footer(slide, run)


def _slide(
    presentation: Any, title: str, *, size: int = 24, top: Any = MARGIN, height: float = 1.2
) -> Any:
    slide = presentation.slides.add_slide(presentation.slide_layouts[TITLE_ONLY])
    box = slide.shapes.title
    box.left, box.top, box.width, box.height = MARGIN, top, WIDTH - 2 * MARGIN, Inches(height)
    box.text_frame.word_wrap = True
    box.text_frame.vertical_anchor = MSO_ANCHOR.TOP
    box.text_frame.text = title
    for paragraph in box.text_frame.paragraphs:
        paragraph.font.size, paragraph.font.bold = Pt(size), True
        paragraph.alignment = PP_ALIGN.LEFT
    return slide


def _lines(slide: Any, lines: list[str], *, top: Any, size: int) -> None:
    box = slide.shapes.add_textbox(MARGIN, top, WIDTH - 2 * MARGIN, HEIGHT - top - Inches(0.8))
    box.text_frame.word_wrap = True
    for i, line in enumerate(lines):
        frame = box.text_frame
        paragraph = frame.paragraphs[0] if i == 0 else frame.add_paragraph()
        paragraph.text = line
        paragraph.font.size, paragraph.space_after = Pt(size), Pt(10)


def _footer(slide: Any, run: Run) -> None:
    box = slide.shapes.add_textbox(MARGIN, HEIGHT - Inches(0.6), WIDTH - 2 * MARGIN, Inches(0.4))
    box.text_frame.text = note(run)
    box.text_frame.paragraphs[0].font.size = Pt(14)


def _method(run: Run) -> list[str]:
    repeats = run.settings.get("repeats", "?")
    return [
        f"{repeats} repeats after warm-up; the strategies alternate in shuffled order.",
        "Setup is outside the clock; every call's start and end are kept.",
        "After each trial the effect is checked row by row; failures never count as speed.",
        "Speed-up: geometric mean of paired ratios of wall times, 95 % interval by Student's t.",
        "Closed-loop load: a strategy issues its next call when one has ended, or all at once.",
        f"Embedding: {run.environment.get('embedding_label', 'unknown')}"
        + (f"; {findings.simulated(run)}" if findings.simulated(run) else ""),
    ]


def _caveats(run: Run, beside: Beside) -> list[str]:
    deleting = findings.why_deleting_gains(run, beside)
    lines = [findings.without_the_wait(beside), deleting.sentence if deleting else ""]
    lines = [line for line in lines if line]
    lines += [finding.text for finding in findings.where_async_loses(run)[:3]]
    found = trial_statistics.warnings(run.trials, chart_data.summaries(run))
    lines += [warning.message for warning in found[:3]]
    lines += tutorial_figures.reasons(run)[:1] if run.settings.get("preset") == "tutorial" else []
    last = "Figures hold for this machine, this Milvus and this load; measure your own."
    return [*lines[: MOST_CAVEATS - 1], last]


EXPORT = Export(
    "deck",
    "Slides (PPTX)",
    ".pptx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    deck,
)
