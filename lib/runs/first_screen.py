"""What the first screen shows, made of recorded runs: four ways of one work, by how long a wait is.

Every figure is a recorded one. The runs embed by the provider's own client over HTTP, as an
application does, at an endpoint of a known latency.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lib.results import findings
from lib.results.analysis import Analysis, analyse
from lib.results.catalogue import STRATEGIES
from lib.results.plan import PRESETS
from lib.results.published import PUBLISHED
from lib.results.service import (
    AWAITED,
    BLOCKING,
    THREADED,
    ServiceVerdict,
    basis,
    per_s,
    typical,
    waits,
)
from lib.results.summaries import CellSummary
from lib.results.trials import ENDPOINT_MS, Run, Trial
from lib.runs import card
from lib.runs.front import Front
from lib.runs.store import Entry
from lib.words import counted, ratio_text

# The order of the ways is the same everywhere.
WAYS = ("sync_loop", "thread_pool", "gather", "one_batch")


# The two ways whose neighbour is told, in this order.
NEIGHBOURS = {BLOCKING: "Blocking call", AWAITED: "Awaited"}
# Of a line that is drawn of its waits.
SPANS = 100


def make(
    through_client: Sequence[Entry],
    tutorial: Sequence[Entry],
    everything: Sequence[Entry],
    service: Entry | None,
    here: Entry | None = None,
) -> Front:
    """Return the first screen of recorded runs, by the length of their wait.

    `tutorial` are its experiments around the longest wait without a client, and through one;
    `everything` are the runs of all operations; `service` is one of a service, where it was
    recorded; `here` is one of what the button measures.
    """
    bare = analyse(tutorial[0].load()) if tutorial else None
    return Front(
        positions=[_position(entry, analyse(entry.load()), bare) for entry in through_client],
        here=_here(here),
        method=findings.METHOD,
        limits=[
            {
                "title": entry.card.name,
                "run_id": entry.id,
                "said": _largest(findings.where_async_loses(analyse(entry.load()))),
            }
            for entry in everything
        ],
        neighbour=_neighbour(service, analyse(service.load())) if service else {},
        tutorial=",".join(entry.id for entry in tutorial),
    )


def _here(recorded: Entry | None) -> str:
    """Say what the button measures, and why its gain is another one than that above it."""
    quick = PRESETS["quick"].plan
    said = (
        f"The button: {max(quick.counts)} adds and {max(quick.counts)} searches on this app's "
        f"Milvus, with a simulated wait of {quick.embedding_latency_ms:g} ms."
    )
    lead = analyse(recorded.load()).lead if recorded else None
    if lead is None or not lead.speedup:
        return said
    return f"{said} A server gave {ratio_text(lead.speedup)}: less waiting, less gain."


def _largest(losses: Sequence[findings.Finding]) -> str:
    """Say where async loses most, and that the run has more; empty where it never does."""
    more = f" {len(losses) - 1:,} more in the run." if len(losses) > 1 else ""
    return f"{losses[0].text}{more}" if losses else ""


def _neighbour(entry: Entry, found: Analysis) -> dict[str, Any]:
    """Return what a health check waited beside a blocking call and beside an awaited one."""
    verdict = found.service
    pair = [cell for name in NEIGHBOURS if verdict and (cell := verdict.way(name))]
    if verdict is None or len(pair) < len(NEIGHBOURS):
        return {}
    return {
        "run_id": entry.id,
        "title": "And everybody else on the server?",
        "said": f"What a health check waits, every 50 ms, beside {verdict.users} users who search: "
        f"the {basis(pair[0])}. {_in_threads(verdict, pair[1])}A run of its own, with "
        f"{findings.embedding_wait(found.run)}.",
        "lanes": [
            {
                "label": NEIGHBOURS[cell.strategy],
                "family": STRATEGIES[cell.strategy].family,
                "shown": waits(cell),
                "waits_s": _longest(typical(found.trials, cell)),
            }
            for cell in pair
        ],
    }


def _in_threads(verdict: ServiceVerdict, awaited: CellSummary) -> str:
    """Say what sync code in threads gives, where that was measured: it helps others too."""
    plain = verdict.way(THREADED)
    if plain is None:
        return ""
    return f"Plain def: {waits(plain)} at {per_s(plain)}, awaited {per_s(awaited)}. "


def _longest(trial: Trial) -> list[float]:
    """Return the longest wait of a trial's neighbour in each of equal spans of time, in seconds."""
    first_s, last_s = trial.pings[0].start_s, trial.pings[-1].start_s
    span_s = (last_s - first_s) / SPANS or 1.0
    longest = [0.0] * SPANS
    for ping in trial.pings:
        at = min(int((ping.start_s - first_s) / span_s), SPANS - 1)
        longest[at] = max(longest[at], round(ping.latency_s, 4))
    return longest


def _position(entry: Entry, found: Analysis, bare: Analysis | None) -> dict[str, Any]:
    """Return one position of the control: what it is called, and what each way took."""
    waited_ms = float(found.run.environment[ENDPOINT_MS])
    cells = {cell.strategy: cell for cell in found.cells}
    return {
        "label": f"{waited_ms:g} ms",
        "run_id": entry.id,
        "headline": card.headline(found),
        "source": source(found.run, cells["sync_loop"]),
        "lanes": [asdict(bar) for bar in card.bars(found)],
        "caveat": caveat(found.run, cells, bare),
    }


def source(run: Run, loop: CellSummary) -> str:
    """Return where the figures come from: 'OpenAI's client over HTTP · Milvus server 2.3.5 · …'."""
    parts = (
        "OpenAI's client over HTTP",
        findings.backend(run),
        f"recorded {str(run.environment.get('time', ''))[:10]}",
        counted(loop.repeats, "repeat"),
    )
    return " · ".join(parts)


def caveat(run: Run, cells: dict[str, CellSummary], bare: Analysis | None) -> str:
    """Return what else is known of this work: what is sooner, the bound, and what was published."""
    quick, limit = cells["gather"], cells["gather"].speedup_high or float("inf")
    sooner = [cells[way].label for way in WAYS if (cells[way].speedup_low or 0.0) > limit]
    waited_ms = run.environment[ENDPOINT_MS]
    told = [f"{' and '.join(sooner)}: faster still."] if sooner else []
    threads = cells["thread_pool"]
    if (threads.speedup or 0.0) >= (quick.speedup_low or float("inf")):
        told.append("Threads are as fast: choose async if your code is already async.")
    told.append(f"OpenAI is imitated on this machine: each answer takes {waited_ms:g} ms.")
    work = (quick.operation, quick.strategy, quick.count)
    bare_ms = bare.run.environment.get("simulated_latency_ms") if bare else None
    for bound in bare.cells if bare and bare_ms == waited_ms else ():
        if (bound.operation, bound.strategy, bound.count) == work and bound.speedup:
            published = PUBLISHED[quick.operation, quick.count]
            told.append(
                f"With OpenAI itself the published tutorial got {ratio_text(published.speedup)}."
            )
    return " ".join(told)
