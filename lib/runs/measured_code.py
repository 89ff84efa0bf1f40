"""The code that a benchmark measured, as complete programs to run elsewhere."""

import json
from typing import Any

from lib.programs.filling import Code
from lib.programs.measured import Measured, measured
from lib.programs.snippet import Place, Snippet, model_path
from lib.results.analysis import analyse
from lib.results.catalogue import INDEX_TYPES, STRATEGIES
from lib.results.groups import Focus
from lib.results.plan import DELETE_CONSISTENCIES, DISTINCT_QUERIES
from lib.results.trials import Run

TIMED_CALLS = 1_000
# Milvus Lite reads the parameters of an index from a JSON text only. One list is exact.
LITE_INDEX = ("IVF_FLAT", Code('{"params": \'{"nlist": 1}\'}'))


def measured_code(run: Run, focus: Focus, *, hide_paths: bool = False) -> Snippet:
    """Return the loop, the gather and the batched call of one group, with the run's numbers.

    The run made its own rows: there is no such code for questions to a collection of the reader's.
    Nothing but numbers and known names of a file becomes code. `hide_paths` names no folder of the
    host.
    """
    settings: dict[str, Any] = run.settings
    level = settings.get("delete_consistency")
    asked = Measured(
        operation=focus.operation,
        number=focus.count or TIMED_CALLS,  # a timed trial has no number of its own
        rows=int(settings.get("rows", 1_000)),
        k=int(settings.get("k", 3)),
        fetch_k=int(settings.get("fetch_k", 20)),
        lambda_mult=float(settings.get("lambda_mult", 0.5)),
        seed=int(settings.get("seed", 7)),
        distinct_queries=DISTINCT_QUERIES,
        delete_by="pk" if settings.get("delete_by") == "pk" else "id",
        delete_consistency=level if level in DELETE_CONSISTENCIES[1:] else "",
        # What a sweep advises; 1 and what was measured where none was swept.
        rows_a_call=_advised(run, focus, limit=False) or 1,
        limit=_advised(run, focus, limit=True) or _measured_limit(run, focus),
    )
    return measured(asked, _place(run, hide_paths))


def _place(run: Run, hide_paths: bool) -> Place:
    is_lite = run.environment.get("backend") == "lite"
    return Place(
        model=str(run.environment.get("embedding", "bundled/")),
        uri="" if is_lite else "http://localhost:19530",
        from_environment=True,
        index=_index(run, is_lite),
        model_path=model_path(hide_paths),
        latency_ms=float(run.environment.get("simulated_latency_ms") or 0),
        http_client=str(run.environment.get("http_client", "")),
        jitter_ms=float(run.settings.get("embedding_jitter_ms") or 0),
    )


def _index(run: Run, is_lite: bool) -> tuple[str, Code] | None:
    """Return the type and the parameters of the run's own index; None for the backend's plain."""
    kind, chosen = run.environment.get("index_type"), run.settings.get("index")
    if is_lite and not chosen:
        return LITE_INDEX
    known = INDEX_TYPES.get(str(kind))
    if known is None:
        return None
    parameters = json.dumps({each.name: each.default for each in known.parameters})
    return known.name, Code(f'{{"params": {parameters!r}}}' if is_lite else parameters)


def _advised(run: Run, focus: Focus, *, limit: bool) -> int | None:
    """Return the limit or the batch size that a sweep advises; None where none was swept."""
    for sweep in analyse(run).sweeps:
        if sweep.operation == focus.operation and sweep.is_limit == limit:
            # Where the repeats decide nothing, what was fastest is as good as another.
            return (sweep.advised if sweep.is_decided else sweep.best).level
    return None


def _measured_limit(run: Run, focus: Focus) -> int | None:
    """Return the limit of the fastest gather that was measured; None where one had none."""
    mine = [cell for cell in analyse(run).cells_of(focus) if STRATEGIES[cell.strategy].is_async]
    if not mine or any(cell.concurrency is None for cell in mine):
        return None
    return max(mine, key=lambda cell: cell.throughput_per_s or 0.0).concurrency
