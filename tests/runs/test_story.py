"""A run on a stage: few slides, short, true, and the same in pages and decks."""

import re
from dataclasses import replace

import pytest

from lib.charts import data as chart_data
from lib.charts.charts import CHARTS
from lib.results import findings, run_file
from lib.results.analysis import analyse
from lib.results.findings import ALONE, Beside
from lib.runs import card, story
from lib.runs.pictures import slide_picture
from lib.runs.store import RECORDED_DIR
from lib.words import ratio_text
from tests.run_builder import make_run, make_trial


def gather_of(times_s: tuple[float, ...], loop_s: float = 0.01) -> tuple:
    """Return the trials of a loop of 100 calls that vary a little, and of gather."""
    return (
        *(make_trial(repeat=i, call_s=loop_s * 1.01**i) for i in range(len(times_s))),
        *(
            make_trial("gather", concurrency=None, repeat=i, call_s=time_s)
            for i, time_s in enumerate(times_s)
        ),
    )


def test_the_headline_has_at_most_twelve_words_and_the_line_both_times() -> None:
    run = make_run()
    assert card.headline(analyse(run)) == "Async added 100 documents 50 times sooner."
    assert story.line(analyse(run)) == "100 documents, one by one (loop): 10.1 s. Async: 0.20 s."


def test_the_headline_is_true_where_async_does_not_win() -> None:
    slower = make_run(*gather_of((0.3, 0.303, 0.306), loop_s=0.001))
    assert card.headline(analyse(slower)) == "Async added 100 documents 3.0 times later."
    equal = make_run(*gather_of((1.0, 1.02, 1.03)))
    assert card.headline(analyse(equal)) == "100 documents: no measurable difference."
    unclear = make_run(*gather_of((0.5, 1.0, 2.1)))
    assert card.headline(analyse(unclear)) == "100 documents: too few repeats to tell."


@pytest.mark.parametrize("path", sorted(RECORDED_DIR.glob("*.json")), ids=lambda path: path.stem)
def test_no_recorded_headline_is_longer_than_twelve_words_or_has_a_semicolon(path) -> None:
    run = run_file.read(path)
    said = card.headline(analyse(run))
    assert len(said.split()) <= 12
    statements = [slide.statement for slide in story.slides(analyse(run), ALONE)]
    assert said in statements
    assert all(len(each.split()) <= 12 and ";" not in each for each in statements)


def test_the_caveat_names_the_simulated_wait_and_the_gain_without_it() -> None:
    plain = make_run(environment={"simulated_latency_ms": 0})
    assert card.caveat(analyse(plain), ALONE) == "Nothing is simulated."
    assert card.caveat(analyse(make_run()), ALONE) == "With a simulated 450 ms embedding wait."
    told = card.caveat(analyse(make_run()), Beside(plain=analyse(plain)))
    assert told == "With a simulated 450 ms embedding wait. Without it: 50×."


def test_the_four_slides_are_the_wait_the_race_what_remains_and_monday() -> None:
    run = make_run()
    slides = story.slides(analyse(run), ALONE)
    assert [slide.statement for slide in slides] == [
        "79% of a loop's time is waiting for embeddings.",
        card.headline(analyse(run)),
        story.LIMITS,
        story.MONDAY,
    ]
    assert [slide.chart for slide in slides] == ["waterfall", "", "", ""]
    assert [bar.label for bar in slides[1].bars] == ["Loop", "Async"]
    assert slides[3].lines == (
        "Await the async methods where calls wait: 50× here.",
        story.ACCIDENT,
    )


def test_what_remains_without_the_wait_is_shown_as_the_same_bars() -> None:
    plain = make_run(environment={"simulated_latency_ms": 0})
    slide = story.slides(analyse(make_run()), Beside(plain=analyse(plain)))[2]
    assert slide.statement == "Without the simulated wait: 50×."
    assert slide.bars == card.bars(analyse(plain))


def test_the_third_slide_names_one_batch_where_async_beat_the_loop() -> None:
    trials = [
        trial
        for i in range(3)
        for trial in (
            make_trial(repeat=i, call_s=0.1 * 1.01**i),
            make_trial("gather", concurrency=None, repeat=i, call_s=0.2 * 1.2**i),
            make_trial("one_batch", repeat=i, call_s=0.2 * 1.2 ** (2 - i)),
        )
    ]
    slides = story.slides(analyse(make_run(*trials)), ALONE)
    said = " ".join(slides[2].lines)
    assert "One batch took 0.24 s, async 0.24 s: try that first" in said
    assert "Batch what is known in advance: 42× here." in slides[3].lines
    slower = [
        make_trial("one_batch", repeat=t.repeat, call_s=0.4) if t.strategy == "one_batch" else t
        for t in trials
    ]
    said = " ".join(story.slides(analyse(make_run(*slower)), ALONE)[2].lines)
    assert "One batch took" not in said


@pytest.mark.parametrize(
    ("name", "chart", "question", "to_set"),
    [
        ("sweep-server", "sweep", story.ADVICE_QUESTION, "Use "),
        ("rate-server", "rates", "What load does it hold?", "Start at most "),
        ("overload-server", "losses", "What breaks first?", "Lost no call of 4,000: "),
    ],
)
def test_a_run_of_advice_has_the_question_the_chart_and_what_to_set(
    name: str, chart: str, question: str, to_set: str
) -> None:
    run = run_file.read(RECORDED_DIR / f"{name}.json")
    slides = story.slides(analyse(run), ALONE)
    said = " ".join(text for slide in slides for text in (slide.statement, *slide.lines))
    for wrong in ("beat the loop", "sooner", "Nothing to compare", "No call was recorded"):
        assert wrong not in said
    assert "gain" not in said.replace("gain above", "")
    assert [slide.statement for slide in slides] == [
        question,
        f"{analyse(run).advice.short}.",
        story.TO_SET,
    ]
    assert slides[1].chart == chart
    # What fits on a slide, the advice itself first.
    assert slides[2].lines[0].startswith(to_set)
    assert slides[2].lines[-1] == story.ELSEWHERE
    assert len(slides[2].lines) <= story.MOST_LINES + 1


def test_monday_tells_apart_what_batches_bring_and_what_gathering_them_adds() -> None:
    run = run_file.read(RECORDED_DIR / "bulk-server.json")
    found = analyse(run)
    loop = found.baseline(found.lead)
    in_batches = next(
        cell for cell in found.cells if cell.strategy == "sync_loop" and cell.batch == 50
    )
    slides = story.slides(found, ALONE)
    assert slides[-1].lines[:2] == (
        f"Batch first: {ratio_text(in_batches.speedup)} here, in a loop.",
        f"Gather batches of 50: {ratio_text(found.lead.speedup)} here.",
    )
    # The names of more lanes than two would cover them on a slide.
    assert set(slides[0].frame["lane"]) == {loop.label, found.lead.label}


def test_a_chain_s_slides_speak_of_askers_and_of_its_chat_model() -> None:
    found = analyse(run_file.read(RECORDED_DIR / "chain-server.json"))
    slides = story.slides(found, ALONE)
    assert slides[1].lines[0].startswith("50 askers, one by one (loop): ")
    assert f"Full: {chart_data.CHAIN_REST}." in slides[0].lines[0]
    # One call has no other to wait for.
    (alone,) = [each for each in findings.where_async_loses(found) if "× 1" in each.sentence]
    assert alone.cause == "One call has no other to overlap with."


def test_a_run_of_warm_ups_alone_has_its_slides() -> None:
    run = make_run(replace(make_trial(), warmup=True))
    assert [slide.chart for slide in story.slides(analyse(run), ALONE)] == [""] * 3


def test_a_run_without_a_verified_trial_still_has_its_slides() -> None:
    slides = story.slides(analyse(make_run(make_trial(verified=False))), ALONE)
    assert len(slides) == 3


def test_the_slide_of_the_timeline_has_the_words_of_its_legend_and_not_the_legend() -> None:
    first = story.slides(analyse(run_file.read(RECORDED_DIR / "tutorial-server.json")), ALONE)[0]
    drawn = slide_picture(CHARTS[first.chart], first.frame, "light").decode()
    said = re.findall(r"<text[^>]*>([^<]*)", drawn)
    assert "time since the first call (s)" in said
    assert "Milvus and client" not in said
    assert first.lines[0].endswith(
        "Pale: embedding. Full: Milvus and client. Red: the event loop was held. Drawn: repeat 5."
    )
