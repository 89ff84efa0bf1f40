"""The pictures of a run: every chart that it supports, drawn as SVG and PNG.

Texts of others are in every picture, so what draws them works in a worker: an engine of pictures
that ends by itself would end the app.
"""

import io
import math
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lib.charts.charts import CHARTS, Chart, frames, readable, with_data
from lib.charts.theme import VEGA_LITE_VERSION, vega_config
from lib.results import findings
from lib.results.analysis import Analysis, analyse
from lib.results.groups import WHOLE
from lib.results.trials import Run
from lib.workers import work
from lib.workers.work import Limits

# Of a chart on a slide, in pixels. A slide shows it 1.7 times as large, so that its texts have 24
# pixels at 1280 × 720.
SLIDE_SIZE = {"width": 560, "height": 125}
# A browser's letters are wider than those that the picture was measured with.
SLIDE_PADDING = {"left": 26, "right": 26, "top": 8, "bottom": 8}
PICTURE_SCALE = 2.0
KINDS = (".svg", ".png")
# A pixel takes four bytes while it is drawn.
MOST_PIXELS = 16_000_000
SIZE = re.compile(r'<svg [^>]*?\bwidth="(?P<width>[\d.]+)" height="(?P<height>[\d.]+)"')
# What drawing one picture, or making one file of a run, may take where nobody says otherwise.
DRAWING = Limits(seconds=120, resident_mb=768, what="The picture", done="drawn")
# One worker draws all pictures that are asked for one by one: its engine takes a second to start.
_pen = work.Reused()
ENGINE = ("altair", "vl_convert")


# Called between two parts with how many of how many are done. It may raise to end the work.
OnPart = Callable[[int, int], None]


def unwatched(done: int, total: int) -> None:
    """Do nothing between two parts."""


@dataclass(frozen=True)
class Figure:
    """One chart of a run, ready to be drawn anywhere: its specification and what it says."""

    name: str
    title: str
    finding: str
    spec: dict[str, Any]


def figures(found: Analysis, step: OnPart = unwatched) -> Iterator[Figure]:
    """Make every chart that the run supports; detailed ones for each operation's most calls."""
    pairs = [
        (chart, focus)
        for chart in CHARTS.values()
        for focus in (found.largest_groups if chart.focused else (WHOLE,))
    ]
    for done, (chart, focus) in enumerate(pairs):
        step(done, len(pairs))
        for frame in frames(found, focus, [chart.name]).values():
            yield Figure(
                name=chart.name + (f"-{focus.operation}-{focus.count}" if chart.focused else ""),
                title=f"{chart.title}: {focus.label}" if chart.focused else chart.title,
                finding=chart.finding(frame),
                spec=with_data(chart.titled(frame, note=findings.note(found.run))),
            )


def picture(
    note: str, chart: Chart, frame: pd.DataFrame, kind: str, limits: Limits = DRAWING
) -> bytes:
    """Return one chart as '.png' or '.svg', in the app's light colours, with a note below it.

    Raises as `drawn` does.
    """
    with said(limits):
        made: bytes = _pen.run(
            _titled, chart.name, frame, note, kind, limits=limits, modules=ENGINE
        )
    return made


def _titled(chart: str, frame: pd.DataFrame, note: str, kind: str) -> bytes:
    (made,) = drawn(with_data(CHARTS[chart].titled(frame, note=note)), kind)
    return made


def slide_picture(chart: Chart, frame: pd.DataFrame, mode: str, limits: Limits = DRAWING) -> bytes:
    """Return a chart as SVG for a slide. Raises as `drawn` does."""
    with said(limits):
        made: bytes = _pen.run(_bare, chart.name, frame, mode, limits=limits, modules=ENGINE)
    return made


def _bare(chart: str, frame: pd.DataFrame, mode: str) -> bytes:
    (made,) = drawn(slide_spec(CHARTS[chart], frame), ".svg", mode=mode)
    return made


def slide_spec(chart: Chart, frame: pd.DataFrame) -> dict[str, Any]:
    """Return a chart without a title, in the size of a slide, which says the finding beside it."""
    # Letters of a slide's size run over the next entry of a legend, so the slide has its words.
    made = chart.draw(frame, **({"has_legend": False} if chart.legend else {}))
    return with_data(readable(made).properties(**SLIDE_SIZE, padding=SLIDE_PADDING))


def drawn(
    spec: dict[str, Any], *kinds: str, scale: float = PICTURE_SCALE, mode: str = "light"
) -> tuple[bytes, ...]:
    """Draw a specification, in a worker, as each of these kinds: '.png' or '.svg'.

    Raises OutOfTime, OutOfMemory, Ended and NotStarted.
    """
    made: tuple[bytes, ...] = _pen.run(
        _drawn, spec, kinds, scale, mode, limits=DRAWING, modules=ENGINE
    )
    return made


def _drawn(spec: dict[str, Any], kinds: tuple[str, ...], scale: float, mode: str) -> Any:
    import vl_convert  # its engine is loaded in the worker that draws

    config = vega_config(mode)
    svg = str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE_VERSION, config=config))
    return tuple(_png(svg, scale) if kind == ".png" else svg.encode() for kind in kinds)


def _png(svg: str, scale: float) -> bytes:
    """Return a drawing as PNG; one of hundreds of bars is smaller, and takes no more memory."""
    import vl_convert

    found = SIZE.match(svg)
    points = float(found["width"]) * float(found["height"]) if found else 0.0
    if points * scale**2 > MOST_PIXELS:
        scale = math.sqrt(MOST_PIXELS / points)
    png: bytes = vl_convert.svg_to_png(svg, scale=scale)
    return png


@contextmanager
def said(limits: Limits) -> Iterator[None]:
    """Make whole sentences of how a worker ended."""
    try:
        yield
    except work.Ended as ended:
        raise type(ended)(
            f"{ended.what}.",
            kept="The run is as it was.",
            next_step="Take its JSON file and draw it on another computer, or try again later.",
        ) from ended


def archive(run: Run, step: OnPart = unwatched) -> bytes:
    """Return every chart as PNG and SVG in one ZIP file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as written:
        for figure in figures(analyse(run), step):
            for kind, made in zip(KINDS, drawn(figure.spec, *KINDS), strict=True):
                written.writestr(figure.name + kind, made)
    return buffer.getvalue()
