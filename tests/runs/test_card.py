"""One number everywhere: what a way took, and its gain, in every place that shows them."""

import html
import io
import math
from typing import Any

import pytest
from pptx import Presentation
from pptx.util import Pt

from lib.charts import charts
from lib.charts import data as chart_data
from lib.results import findings, run_file, summaries
from lib.results.analysis import Analysis, analyse
from lib.results.findings import ALONE
from lib.runs import card, decks, reports, story
from lib.runs.store import RECORDED_DIR
from lib.words import duration_text, ratio_text

RECORDED = {path.stem: path for path in sorted(RECORDED_DIR.glob("*.json"))}
SMALLEST = Pt(18)


def texts_of(presentation: Presentation) -> list[str]:
    """Return what stands on each slide."""
    return [
        " ".join(shape.text for shape in slide.shapes if shape.has_text_frame)
        for slide in presentation.slides
    ]


def means(analysed: Analysis, strategy_of: dict[str, Any]) -> dict[str, float]:
    """Return the geometric mean of each way's repeats, worked out here, by its label."""
    group = analysed.focus
    assert group is not None
    found = {}
    for label, strategy in strategy_of.items():
        walls = [
            trial.wall_s
            for trial in analysed.run.trials
            if trial.counts
            and (trial.operation, trial.count) == (group.operation, group.count)
            and (trial.strategy, trial.concurrency, trial.batch) == strategy
        ]
        found[label] = math.exp(sum(map(math.log, walls)) / len(walls))
    return found


@pytest.mark.parametrize("name", RECORDED)
def test_race_bars_headline_slides_report_and_deck_show_one_number(name: str) -> None:
    run = run_file.read(RECORDED[name])
    found = analyse(run)
    cell, group, headline = found.lead, found.focus, card.headline(found)
    assert group is not None
    steps = story.slides(found, ALONE)
    report = html.unescape(reports.sections(found, ALONE, ""))
    deck = texts_of(Presentation(io.BytesIO(decks.deck(run))))
    told = " ".join(step.statement for step in steps)
    assert all(headline in text for text in (report, " ".join(deck), told))
    if cell is None:
        assert bool(card.bars(found)) == bool(found.service)
        return
    drawn = chart_data.lanes(found, group)
    labels = {
        summaries.cell_label(trial.cell): (trial.strategy, trial.concurrency, trial.batch)
        for trial in drawn
    }
    took = means(found, labels)
    gains = {label: took["Loop"] / time_s for label, time_s in took.items()}
    race = charts.race_picture(chart_data.race(found, group))
    table = chart_data.wall_times(found)
    table = table[table["group"] == group.label].set_index("strategy")["text"]
    slide = next(step for step in steps if step.statement == headline)
    told_on = next(text for text in deck[1:] if headline in text)
    assert slide.bars == card.bars(found)
    assert [bar.label for bar in slide.bars] == [*took]
    for lane, bar in zip(race["lanes"], slide.bars, strict=True):
        time, gain = duration_text(took[bar.label]), ratio_text(gains[bar.label])
        assert (lane["label"], lane["shown"], bar.shown) == (bar.label, time, time)
        assert f"{bar.label}: {time}" in race["finding"]
        assert table[bar.label].startswith(time)
        assert f"<td>{time}</td>" in report
        assert time in told_on
        if bar.label == "Loop":
            assert bar.gain == "1×"
            continue
        assert bar.gain == gain
        assert f" {gain} " in f" {table[bar.label]} "
        assert f"<strong>{gain}</strong>" in report
        assert gain in told_on
    shown = ratio_text(max(gains[cell.label], 1 / gains[cell.label])).removesuffix("×")
    assert shown in headline or cell.is_undecided
    assert findings.digest(found).result.removeprefix("up to ") in (f"{shown}×", "no difference")


@pytest.mark.parametrize("name", ["all-lite", "client-server-450ms", "rate-server"])
def test_a_deck_s_shapes_are_inside_the_slide_none_over_another_and_texts_are_large(
    name: str,
) -> None:
    run = run_file.read(RECORDED[name])
    presentation = Presentation(io.BytesIO(decks.deck(run)))
    for number, slide in enumerate(presentation.slides):
        boxes = [
            (shape.left, shape.top, shape.left + shape.width, shape.top + shape.height, shape.name)
            for shape in slide.shapes
        ]
        for left, top, right, bottom, what in boxes:
            assert 0 <= left <= right <= presentation.slide_width, (number, what)
            assert 0 <= top <= bottom <= presentation.slide_height, (number, what)
        for i, one in enumerate(boxes):
            for other in boxes[i + 1 :]:
                beside = one[2] <= other[0] or other[2] <= one[0]
                above = one[3] <= other[1] or other[3] <= one[1]
                assert beside or above, (number, one[4], other[4])
        for shape in slide.shapes:
            for paragraph in shape.text_frame.paragraphs if shape.has_text_frame else ():
                assert not paragraph.text or paragraph.font.size >= SMALLEST
