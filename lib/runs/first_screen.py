"""What the first screen shows, made of recorded runs: four ways of one work, by how long a wait is.

Every figure is a recorded one. The runs embed by the provider's own client over HTTP, as an
application does, at an endpoint of a known latency.
"""

from collections.abc import Sequence
from typing import Any

from lib.results import findings
from lib.results.analysis import Analysis, analyse
from lib.results.catalogue import OPERATIONS, STRATEGIES
from lib.results.plan import PRESETS
from lib.results.published import PUBLISHED
from lib.results.summaries import CellSummary
from lib.results.trials import ENDPOINT_MS, Run, Trial
from lib.runs.front import Front
from lib.runs.store import Entry
from lib.words import bounds_text, counted, duration_text, ratio_text

# The order of the ways is the same everywhere.
WAYS = ("sync_loop", "thread_pool", "gather", "one_batch")


def make(through_client: Sequence[Entry], bare: Run) -> Front:
    """Return the first screen of recorded runs, by the length of their wait.

    `bare` is the same work around the longest wait, without a client.
    """
    quick = PRESETS["quick"].plan
    return Front(
        positions=[
            _position(entry, analyse(entry.load()), analyse(bare)) for entry in through_client
        ],
        here=f"The button: {max(quick.counts)} documents and {max(quick.counts)} searches, "
        f"{quick.embedding_latency_ms:g} ms simulated wait, on this app's Milvus.",
    )


def _position(entry: Entry, found: Analysis, bare: Analysis) -> dict[str, Any]:
    """Return one position of the control: what it is called, and what each way took."""
    waited_ms = float(found.run.environment[ENDPOINT_MS])
    cells = {cell.strategy: cell for cell in found.cells}
    loop, quick = cells["sync_loop"], cells["gather"]
    return {
        "label": f"{waited_ms:g} ms",
        "run_id": entry.id,
        "headline": headline(quick),
        "source": source(found.run, loop),
        "lanes": [_lane(found, cells[way], loop) for way in WAYS],
        "caveat": caveat(found.run, cells, bare),
    }


def headline(cell: CellSummary) -> str:
    """Return at most ten words, true also where async does not win."""
    work = f"{cell.count:,} {'searches' if OPERATIONS[cell.operation].searches else 'calls'}"
    if cell.speedup is None or cell.is_undecided:
        return f"{work}: async or not, no measurable difference."
    if cell.speedup < 1:
        return f"Async answered {work} {ratio_text(1 / cell.speedup)} later."
    return f"Async answered {work} {ratio_text(cell.speedup).removesuffix('×')} times sooner."


def source(run: Run, loop: CellSummary) -> str:
    """Return where the figures come from: 'OpenAI's client over HTTP · Milvus server 2.3.5 · …'."""
    parts = (
        "OpenAI's client over HTTP",
        findings.backend(run),
        f"recorded {str(run.environment.get('time', ''))[:10]}",
        counted(loop.repeats, "repeat"),
    )
    return " · ".join(parts)


def _lane(found: Analysis, cell: CellSummary, loop: CellSummary) -> dict[str, Any]:
    took_s = cell.geomean_wall_s or 0.0
    bounds = ""
    if cell.speedup_low is not None and cell.speedup_high is not None:
        bounds = f"{findings.CI} {bounds_text(cell.speedup_low, cell.speedup_high)}"
    return {
        "label": cell.label,
        "family": STRATEGIES[cell.strategy].family,
        "took_s": round(took_s, 4),
        "shown": duration_text(took_s),
        "gain": "1×" if cell is loop or cell.speedup is None else ratio_text(cell.speedup),
        "interval": bounds,
        "waits": round(_waiting_share(found.trials[cell.cell]), 3),
    }


def _waiting_share(trials: Sequence[Trial]) -> float:
    """Return the part of the calls' time that was spent on embeddings."""
    calls = [call for trial in trials if trial.counts for call in trial.calls]
    spent_s = sum(call.duration_s for call in calls)
    return sum(call.embed_s for call in calls) / spent_s if spent_s else 0.0


def caveat(run: Run, cells: dict[str, CellSummary], bare: Analysis) -> str:
    """Return what else is known of this work: what is sooner, the bound, and what was published."""
    quick, limit = cells["gather"], cells["gather"].speedup_high or float("inf")
    sooner = [cells[way].label for way in WAYS if (cells[way].speedup_low or 0.0) > limit]
    waited_ms = run.environment[ENDPOINT_MS]
    told = [f"Sooner still: {' and '.join(sooner)}."] if sooner else []
    told.append(f"The endpoint is on the same machine and answers after {waited_ms:g} ms.")
    work = (quick.operation, quick.strategy, quick.count)
    for bound in bare.cells:
        same = (bound.operation, bound.strategy, bound.count) == work
        if same and bound.speedup and bare.run.environment.get("simulated_latency_ms") == waited_ms:
            told.append(f"Around a bare wait, without a client: {ratio_text(bound.speedup)}.")
            published = PUBLISHED[quick.operation, quick.count]
            told.append(f"The tutorial's own figure, with OpenAI: {ratio_text(published.speedup)}.")
    return " ".join(told)
