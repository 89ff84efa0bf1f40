"""What a run of a RAG chain showed: what async saves for so many askers, and the first token.

Pure functions. What async can save is predicted from the loop and the known waits: what a call
waits for may overlap, what it takes beyond that of the client's processor may not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lib.results.catalogue import BASELINE, STRATEGIES
from lib.results.summaries import CellSummary, median
from lib.results.trials import CHAIN, CellKey, Trial
from lib.words import counted, duration_text

AWAITED, STEPWISE = "gather", "chain_abatch"
# The chat model of the chain, in seconds from its request: its first token, and its last.
FIRST_TOKEN_S, ANSWER_S = 0.2, 0.6


@dataclass(frozen=True)
class Waited:
    """What so many askers waited in one way; seconds from the moment when all ask.

    All have their answer after `answered_s`, half of them a first token after `first_token_s`.
    """

    strategy: str
    answered_s: float
    first_token_s: float


@dataclass(frozen=True)
class Askers:
    """So many who ask a chain at the same moment, and what they waited in each way.

    `predicted` and `saved` are shares of the loop's time: predicted from the loop, and measured.
    """

    askers: int
    ways: tuple[Waited, ...]
    predicted: float
    saved: float

    def waited(self, strategy: str) -> Waited:
        """Return what they waited in one way. Raises KeyError."""
        return {way.strategy: way for way in self.ways}[strategy]

    @property
    def sentence(self) -> str:
        """What they wait, in one sentence for the loop and async, and one for `abatch`."""
        ways = {way.strategy: way for way in self.ways}
        loop, awaited, stepwise = (ways.get(name) for name in (BASELINE, AWAITED, STEPWISE))
        said = ""
        if loop and awaited:
            said = (
                f"{counted(self.askers, 'asker')}: answered after "
                f"{duration_text(loop.answered_s)} in a loop and "
                f"{duration_text(awaited.answered_s)} awaited, half of them with a first token "
                f"after {duration_text(loop.first_token_s)} and "
                f"{duration_text(awaited.first_token_s)}. Saved: {_share(self.saved)}, predicted "
                f"{_share(self.predicted)}."
            )
        if stepwise:
            said += (
                f" The chain's abatch: {duration_text(stepwise.answered_s)}, first token "
                f"{duration_text(stepwise.first_token_s)}."
            )
        return said


@dataclass(frozen=True)
class ChainVerdict:
    """What async saves of a chain's time, by the number of askers, the fewest first."""

    levels: tuple[Askers, ...]

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        most = self.levels[-1]
        return (
            f"For {counted(most.askers, 'asker')} of a RAG chain async took {most.saved:.0%} less "
            f"time than the loop ({most.predicted:.0%} was predicted from the loop alone)."
        )

    @property
    def short(self) -> str:
        """The verdict in at most eight words."""
        return f"Async saves {self.levels[-1].saved:.0%} of the waiting"

    @property
    def brief(self) -> str:
        """The verdict as a list of runs shows it."""
        return f"saves {self.levels[-1].saved:.0%}"

    @property
    def lines(self) -> tuple[str, ...]:
        """One sentence for each number of askers."""
        return tuple(level.sentence for level in self.levels)


def _share(share: float) -> str:
    return f"{round(share, 2) + 0:.0%}"  # which says 0% for a little less than nothing


def waits_s(environment: Mapping[str, Any]) -> float:
    """Return what each call is known to wait for its embedding and its answer, in seconds."""
    known = (environment.get(name) for name in ("simulated_latency_ms", "chat_ms"))
    return sum(float(each) for each in known if isinstance(each, int | float)) / 1000


def predicted_share(loop: Sequence[Trial], wait_s: float = 0.0) -> float:
    """Return the share of a loop's time that async can save, from trials of the loop alone.

    N calls of T seconds take N x T in a loop; awaited together they take at least T + (N - 1) x c.
    c is what the client's processor takes of a call, but no more than T exceeds the known wait
    `wait_s`: tokens that come meanwhile are read while others wait.
    """
    shares = []
    for trial in loop:
        calls = len(trial.calls)
        call_s = sum(call.duration_s for call in trial.calls) / calls
        own_s = min(trial.cpu_s / calls, max(call_s - wait_s, 0.0))
        together_s = call_s + (calls - 1) * own_s
        shares.append(1 - together_s / (calls * call_s))
    return median(shares)


def chain_verdict(
    experiment: str,
    cells: Sequence[CellSummary],
    trials: Mapping[CellKey, Sequence[Trial]],
    wait_s: float = 0.0,
) -> ChainVerdict | None:
    """Return what a run of a chain showed; None for another run, or without both ways."""
    if experiment != CHAIN:
        return None
    by_count: dict[int, dict[str, CellSummary]] = {}
    for cell in cells:
        if cell.geomean_wall_s:
            by_count.setdefault(cell.count, {})[cell.strategy] = cell
    levels = []
    for count, ways in sorted(by_count.items()):
        loop, awaited = ways.get(BASELINE), ways.get(AWAITED)
        if loop is None or awaited is None:
            continue
        counting = {
            name: [trial for trial in trials[cell.cell] if trial.counts]
            for name, cell in ways.items()
        }
        levels.append(
            Askers(
                count,
                tuple(
                    Waited(name, cell.geomean_wall_s or 0.0, _first_token_s(counting[name]))
                    for name, cell in ways.items()
                ),
                predicted_share(counting[BASELINE], wait_s),
                1 - (awaited.geomean_wall_s or 0.0) / (loop.geomean_wall_s or 1.0),
            )
        )
    return ChainVerdict(tuple(levels)) if levels else None


def _first_token_s(trials: Sequence[Trial]) -> float:
    """Return when half of the askers have a first token, from the moment when all ask."""
    return median([median(_firsts(trial)) for trial in trials if trial.first_token_s])


def _firsts(trial: Trial) -> list[float]:
    starts = sorted(call.start_s for call in trial.calls)
    if STRATEGIES[trial.strategy].is_batch:
        starts *= len(trial.first_token_s)  # one call asks for all
    return [start + first for start, first in zip(starts, trial.first_token_s, strict=False)]
