"""What a chain's run says, on literal numbers."""

from dataclasses import replace

import pytest

from lib.charts.charts import CHARTS
from lib.charts.data import askers
from lib.results.analysis import analyse
from lib.results.chain import predicted_share, waits_s
from lib.results.trials import Call, Run, Trial
from tests.run_builder import trial


def chained(strategy: str, count: int, call_s: float, cpu_s: float = 0.0, repeat: int = 0) -> Trial:
    """Return a trial whose calls come one after another in a loop, and else at once."""
    step_s = call_s if strategy == "sync_loop" else 0.0
    calls = tuple(Call(i * step_s, i * step_s + call_s, 0.0, True, None) for i in range(count))
    made = trial(calls[-1].end_s, repeat, strategy, count=count, cpu_s=cpu_s)
    return replace(made, operation="similarity_search", calls=calls, first_token_s=(0.25,) * count)


def test_a_share_is_predicted_from_the_loop_s_calls_and_its_processor() -> None:
    # Four calls of 1 s in a loop; together 1 s, and 0.1 s of the processor for each of the others.
    assert predicted_share([chained("sync_loop", 4, 1.0, cpu_s=0.4)]) == pytest.approx(1 - 1.3 / 4)
    # One alone saves nothing, and neither do calls that only compute.
    assert predicted_share([chained("sync_loop", 1, 1.0, cpu_s=0.4)]) == pytest.approx(0)
    assert predicted_share([chained("sync_loop", 4, 1.0, cpu_s=9.0)]) == pytest.approx(0)
    # Of 1 s each waits 0.95: what the processor does within the wait is no part of the others'.
    reading = [chained("sync_loop", 4, 1.0, cpu_s=0.4)]
    assert predicted_share(reading, wait_s=0.95) == pytest.approx(1 - 1.15 / 4)
    assert waits_s({"simulated_latency_ms": 100, "chat_ms": 600.0}) == pytest.approx(0.7)
    assert waits_s({"chat_ms": "abc"}) == 0


def test_a_verdict_has_each_number_of_askers_and_its_first_token() -> None:
    trials = [
        chained(strategy, count, 1.0, 0.2 * count, repeat)
        for repeat in range(3)
        for count in (1, 4)
        for strategy in ("sync_loop", "gather")
    ]
    found = analyse(Run({}, {"experiment": "chain"}, tuple(trials)))
    verdict = found.chain
    assert verdict is not None
    assert found.advice is verdict
    assert [level.askers for level in verdict.levels] == [1, 4]
    assert verdict.levels[1].saved == pytest.approx(0.75)
    firsts = [verdict.levels[1].waited(name).first_token_s for name in ("sync_loop", "gather")]
    assert firsts == pytest.approx([1.75, 0.25])
    assert verdict.sentence == (
        "For 4 askers of a RAG chain async took 75% less time than the loop "
        "(60% was predicted from the loop alone)."
    )
    assert found.sentences == (verdict.sentence, *verdict.lines)
    assert verdict.lines[1] == (
        "4 askers: answered after 4.00 s in a loop and 1.00 s awaited, half of them with a first "
        "token after 1.75 s and 0.25 s. Saved: 75%, predicted 60%."
    )
    assert len(verdict.short.split()) <= 8
    assert "Saved: 0%, predicted 0%" in verdict.lines[0]
    without_loop = [each for each in trials if each.strategy == "gather"]
    assert analyse(Run({}, {"experiment": "chain"}, tuple(without_loop))).chain is None
    assert analyse(Run({}, {}, tuple(trials))).chain is None


def test_abatch_is_one_call_whose_askers_all_wait_from_its_start() -> None:
    stepwise = replace(chained("chain_abatch", 1, 1.5), count=3, first_token_s=(1.0, 0.9, 1.1))
    trials = (chained("sync_loop", 3, 1.0), chained("gather", 3, 1.0), stepwise)
    found = analyse(Run({}, {"experiment": "chain"}, trials))
    assert found.chain is not None
    [three] = found.chain.levels
    assert three.waited("chain_abatch").first_token_s == pytest.approx(1.0)
    assert three.sentence.endswith(" The chain's abatch: 1.50 s, first token 1.00 s.")
    drawn = askers(found)
    assert list(drawn["strategy"]) == ["Loop", "Async", "Chain, abatch"]
    assert list(drawn["answered_s"]) == pytest.approx([3.0, 1.0, 1.5])
    assert (drawn["first_token_s"] < drawn["answered_s"]).all()
    CHARTS["askers"].titled(drawn).to_dict()
