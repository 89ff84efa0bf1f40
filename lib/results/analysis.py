"""The analysis of a run: everything that follows from its trials, made once.

Whoever words, draws or writes a run reads it here and computes nothing again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib.results.advice import (
    Advice,
    OverloadAdvice,
    RateAdvice,
    SweepAdvice,
    overload_advice,
    rate_advice,
    rows_a_second,
    sentences,
    sweep_advice,
)
from lib.results.catalogue import PRIMARY_FIELD, STRATEGIES
from lib.results.chain import ChainVerdict, chain_verdict, waits_s
from lib.results.groups import Focus, groups
from lib.results.plan import deletes_wait
from lib.results.service import ServiceVerdict, service_verdict
from lib.results.summaries import (
    FASTER,
    CellSummary,
    baseline_of,
    by_cell,
    summarise,
    warnings,
)
from lib.results.trials import CellKey, Run, Trial

# From this many on, the headline is about all operations and not about the first.
MANY_OPERATIONS = 4


@dataclass(frozen=True)
class Analysis:
    """What may be said of a run. None and empty stand for what it did not try.

    `trials` are those of each cell, without the warm-up. `groups` are as they were run,
    `warnings` the messages by their title, the gravest first. `leading` are the async cells that
    are told, one of each operation, in the order of the run. `waits` is the part of the time of a
    cell's calls that was spent on embeddings, from 0 to 1.
    """

    run: Run
    trials: Mapping[CellKey, Sequence[Trial]]
    cells: tuple[CellSummary, ...]
    groups: tuple[Focus, ...]
    sweeps: tuple[SweepAdvice, ...]
    rate: RateAdvice | None
    overload: OverloadAdvice | None
    service: ServiceVerdict | None
    chain: ChainVerdict | None
    sentences: tuple[str, ...]  # all advice
    warnings: Mapping[str, Sequence[str]]
    leading: tuple[CellSummary, ...]
    waits: Mapping[CellKey, float]

    @property
    def advice(self) -> Advice | None:
        """The advice that the run is about."""
        about = self.service or self.chain or next(iter(self.sweeps), None)
        return about or self.rate or self.overload

    @property
    def without_verdict(self) -> str:
        """Why nothing can be concluded from the run; empty where something can.

        That is so where every trial was void, or where the search for a rate met a client that was
        too slow for most rates.
        """
        if not self.trials:
            return "No trial was finished."
        if all(trial.is_void for trials in self.trials.values() for trial in trials):
            return "No trial was valid: the client could not keep the rate."
        return self.rate.sentence if self.rate and self.rate.is_unmeasurable else ""

    @property
    def deletes_wait(self) -> bool:
        """Say whether the run's deletes waited for the clock of a server to find their rows."""
        settings = self.run.settings
        by, level = settings.get("delete_by", PRIMARY_FIELD), settings.get("delete_consistency", "")
        return (
            self.run.environment.get("backend") == "server"
            and deletes_wait(by, level)
            and any(trial.operation == "delete" for trial in self.run.trials)
        )

    @property
    def lead(self) -> CellSummary | None:
        """The async cell that the headline is about; None where nothing is compared.

        Of many operations it is the one that gains the most.
        """
        gains = [cell for cell in self.leading if cell.verdict == FASTER]
        if len(self.leading) >= MANY_OPERATIONS and gains:
            return max(gains, key=lambda cell: cell.speedup or 0.0)
        return next(iter(self.leading), None)

    @property
    def focus(self) -> Focus | None:
        """The group of calls that the headline is about; None for a run without any."""
        if self.lead is not None:
            return Focus(self.lead.operation, self.lead.count)
        return next(iter(self.largest_groups), None)

    @property
    def largest_groups(self) -> tuple[Focus, ...]:
        """Each operation's group with the most calls."""
        # Counts ascend: the last one of an operation stays.
        return tuple({focus.operation: focus for focus in self.groups}.values())

    def cells_of(self, focus: Focus) -> list[CellSummary]:
        """Return the cells of a group."""
        group = (focus.operation, focus.count)
        return [cell for cell in self.cells if (cell.operation, cell.count) == group]

    def cell(self, key: CellKey | None) -> CellSummary | None:
        """Return the summary of a cell."""
        return next((cell for cell in self.cells if cell.cell == key), None)

    def baseline(self, cell: CellSummary) -> CellSummary | None:
        """Return the loop that a cell is compared with."""
        return self.cell(baseline_of(cell.cell, self.trials))


def analyse(run: Run) -> Analysis:
    """Return the analysis of a run, which is made once.

    It goes with the run: a cache of its own would hold the calls of the runs last looked at.
    """
    kept = vars(run)
    if "analysis" not in kept:
        kept["analysis"] = _analysed(run)
    made: Analysis = kept["analysis"]
    return made


def _analysed(run: Run) -> Analysis:
    trials, cells = by_cell(run.trials), summarise(run.trials)
    sweeps, rate = sweep_advice(run.trials), rate_advice(run.settings, run.trials)
    overload = overload_advice(run.experiment, run.trials)
    service = service_verdict(run.experiment, cells, trials)
    chain = chain_verdict(run.experiment, cells, trials, waits_s(run.environment))
    return Analysis(
        run=run,
        trials=trials,
        cells=cells,
        groups=groups(trials),
        sweeps=sweeps,
        rate=rate,
        overload=overload,
        service=service,
        chain=chain,
        sentences=tuple(
            filter(
                None,
                (*sentences(sweeps, rate, overload, service or chain), rows_a_second(cells)),
            )
        ),
        warnings=warnings(run.environment, run.experiment, cells, trials),
        leading=_leading(cells),
        waits={key: _waiting_share(mine) for key, mine in trials.items()},
    )


def _waiting_share(trials: Sequence[Trial]) -> float:
    calls = [call for trial in trials if trial.counts for call in trial.calls]
    spent_s = sum(call.duration_s for call in calls)
    return sum(call.embed_s for call in calls) / spent_s if spent_s else 0.0


def _leading(cells: Sequence[CellSummary]) -> tuple[CellSummary, ...]:
    """Return of each operation the async cell with the most calls: plain gather, or the fastest."""
    told: dict[str, CellSummary] = {}
    for cell in cells:
        if cell.speedup is None or STRATEGIES[cell.strategy].family != "async":
            continue
        other = told.setdefault(cell.operation, cell)
        if _weight(cell) < _weight(other):
            told[cell.operation] = cell
    return tuple(told.values())


def _weight(cell: CellSummary) -> tuple[float, ...]:
    is_plain = cell.strategy == "gather"
    return -cell.count, not is_plain, 0.0 if is_plain else cell.geomean_wall_s or 0.0
