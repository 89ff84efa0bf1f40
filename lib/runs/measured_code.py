"""The code that a benchmark measured, as complete programs to run elsewhere."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from lib.benchmark.workload import DELETE_CONSISTENCIES, DISTINCT_QUERIES
from lib.milvus.snippets import (
    COUNT,
    OWN,
    Place,
    Snippet,
    indent,
    model_path,
    opening,
    options,
    snippet,
)
from lib.results import advice, summaries
from lib.results.catalogue import INDEX_TYPES, OPERATIONS, STRATEGIES, Effect, Operation
from lib.results.groups import Focus
from lib.results.trials import Run

TIMED_CALLS = 1_000
NEW = re.compile(r"\b(new|new_vectors)\b")

# The documents of the tutorial, drawn as the benchmark draws them.
_QUERIES = 'queries = [f"test document {{i % {distinct}}}" for i in range({count})]\n'
_DOCUMENTS = """\
random = Random({seed})
documents = [
    Document(
        id=f"doc_{{i}}",
        page_content=f"This is test document {{i}} with some random content: {{random.random()}}",
        metadata={{"id": f"doc_{{i}}", "score": random.random(), "category": f"cat_{{i % 5}}"}},
    )
    for i in range({documents})
]
"""
_FILL = """\
store.add_documents(documents[:{rows}], ids=[document.id for document in documents[:{rows}]])
store.client.flush(store.collection_name)
"""
# What the code of an operation may name besides `documents` and `model`, and the lines that make
# it before the clock starts.
_MADE_BEFORE = {
    "new[": "new = documents[{rows}:]\n",
    "new_vectors": "new_vectors = store.embeddings.embed_documents("
    "[document.page_content for document in new])\n",
    "queries[": _QUERIES,
    "=vectors[": _QUERIES + "vectors = store.embeddings.embed_documents(queries)\n",
    "revised[": """\
revised = [
    Document(
        id=document.id,
        page_content=f"{{document.page_content}} (revised)",
        metadata=document.metadata | {{"revised": True}},
    )
    for document in documents[:{count}]
]
""",
    "made[": 'made = [f"{own}_{{i}}" for i in range({count})]\n',
    "**at": "at = dict(\n{at}\n)\n",
}
_SEARCH_AT_ONCE = """\
results = store.client.search(
    store.collection_name,
    data=vectors,
    anns_field="vector",
    limit={k},
    output_fields=["text"],
)"""
_DROP = "store.client.drop_collection(store.collection_name)\n"
_TIDY = dict.fromkeys(Effect, _DROP) | {
    Effect.CREATES: f"for name in made:\n    store.client.drop_collection(name)\n{_DROP}"
}
LINE = 60
# Milvus Lite reads the parameters of an index from a JSON text only. One list is exact.
LITE_INDEX = '"IVF_FLAT",\n    "params": {"params": \'{"nlist": 1}\'}'
# How a program proves what its calls did, by what they do.
_PROOF = {
    Effect.ADDS: "{count() - before} rows added",
    Effect.REMOVES: "{before - count()} rows removed",
    Effect.CHANGES: "{count('revised == true')} rows changed",
    Effect.READS: "{sum(len(found) for found in results)} rows returned from {before}",
    Effect.CREATES: "{sum(store.client.has_collection(name) for name in made)} collections made",
}


def measured_code(run: Run, focus: Focus, *, hide_paths: bool = False) -> Snippet:
    """Return the loop, the gather and the batched call of one group, with the run's numbers.

    The run made its own rows: there is no such code for questions to a collection of the reader's.
    `hide_paths` names no folder of the host.
    """
    operation = OPERATIONS[focus.operation]
    place = _place(run, hide_paths)
    numbers = _numbers(run, focus, operation, place)
    start = _start(place, operation, numbers)
    holder = "Milvus" if operation.effect is Effect.CREATES else "store"
    # A batch size or a limit that a sweep advises; 1 and what was measured where none was swept.
    rows_a_call = _advised(run, focus, limit=False) or 1
    limit = _advised(run, focus, limit=True) or _measured_limit(run, focus)
    calls = -(-numbers["count"] // rows_a_call)
    code, part, of = operation.code, "", ""
    if rows_a_call > 1:
        code = tuple(NEW.sub(r"\1[rows]", text) for text in operation.batch_code)
        part = f"rows = slice({rows_a_call} * i, {rows_a_call} * (i + 1))\n"
        of = f" of {rows_a_call} rows"
    written = _written(code, numbers)

    def report(way: str) -> str:
        said = f'print(f"{focus.operation}, {calls} calls{of} {way}: {{seconds:.2f}} s")'
        return f'\n{said}\nprint(f"{_PROOF[operation.effect]}")\n{_TIDY[operation.effect]}'

    one = f"{part}results.append({holder}.{operation.name}({written}))"
    batch = _one_batch(operation, numbers)
    return snippet(
        place,
        sync=f"{start}started = perf_counter()\nresults = []\nfor i in range({calls}):\n"
        f"{indent(one)}\nseconds = perf_counter() - started\n" + report("one after another"),
        asynchronous=start
        + _gathered(
            limit,
            calls,
            f"{part}return await {holder}.{operation.async_name}({written})",
            report,
        ),
        one_batch=batch
        and f"{start}started = perf_counter()\n{batch}\nseconds = perf_counter() - started\n"
        + report("as one"),
    )


def _written(parts: Iterable[str], numbers: dict[str, Any]) -> str:
    """Return arguments in one line where they fit, and one a line where they don't."""
    given = [text for part in parts if (text := part.format(**numbers))]
    line = ", ".join(given)
    return line if len(line) <= LINE else "\n    " + ",\n    ".join(given) + ",\n"


def _numbers(run: Run, focus: Focus, operation: Operation, place: Place) -> dict[str, Any]:
    """Return the numbers of a run that code is made with; nothing else of a file becomes code."""
    settings: dict[str, Any] = run.settings
    level = settings.get("delete_consistency")
    known = level in DELETE_CONSISTENCIES[1:]
    rows = int(settings.get("rows", 1_000))
    count = focus.count or TIMED_CALLS  # a timed trial has no number of its own
    new = count if operation.effect in {Effect.ADDS, Effect.CREATES} else 0
    return {
        "k": int(settings.get("k", 3)),
        "fetch_k": int(settings.get("fetch_k", 20)),
        "lambda_mult": float(settings.get("lambda_mult", 0.5)),
        "seed": int(settings.get("seed", 7)),
        "delete_by": "pk" if settings.get("delete_by") == "pk" else "id",
        "delete_consistency": f'consistency_level="{level}"' if known else "",
        "count": count,
        "distinct": DISTINCT_QUERIES,
        "rows": rows,
        "documents": rows + new,
        "own": OWN,
        "at": indent(_without_name(options(place))),
    }


def _place(run: Run, hide_paths: bool) -> Place:
    is_lite = run.environment.get("backend") == "lite"
    return Place(
        model=str(run.environment.get("embedding", "bundled/")),
        uri="" if is_lite else "http://localhost:19530",
        from_environment=True,
        index=_index(run, is_lite),
        model_path=model_path(hide_paths),
        latency_ms=float(run.environment.get("simulated_latency_ms") or 0),
        jitter_ms=float(run.settings.get("embedding_jitter_ms") or 0),
    )


def _index(run: Run, is_lite: bool) -> str:
    """Return the type and the parameters of the run's own index; empty for the backend's plain."""
    kind, chosen = run.environment.get("index_type"), run.settings.get("index")
    if is_lite and not chosen:
        return LITE_INDEX
    # A file's own words are not put into a program: only a known name is.
    known = INDEX_TYPES.get(str(kind))
    if known is None:
        return ""
    parameters = json.dumps({each.name: each.default for each in known.parameters})
    inside = f'{{"params": {parameters!r}}}' if is_lite else parameters
    return f'"{known.name}",\n    "params": {inside}'


def _without_name(lines: str) -> str:
    return "\n".join(line for line in lines.splitlines() if not line.startswith("collection_name"))


def _start(place: Place, operation: Operation, numbers: dict[str, Any]) -> str:
    """Return what runs before the clock starts: the documents, the store and its rows."""
    code = ", ".join(operation.code)
    before = [lines for name, lines in _MADE_BEFORE.items() if name in code]
    documents, fill, *made = (lines.format(**numbers) for lines in (_DOCUMENTS, _FILL, *before))
    start = f"{documents}{opening(place)}{fill}{''.join(made)}"
    if operation.effect is Effect.CREATES:
        return start
    # A strongly consistent count also makes every row visible to the calls that follow.
    return f"{start}\n\n{COUNT}\n\nbefore = count()\n"


def _gathered(limit: int | None, calls: int, call: str, report: Callable[[str], str]) -> str:
    body = f"{indent(call)}\n"
    way = "gathered"
    if limit is not None:
        body = f"    async with limit:\n{indent(indent(call))}\n"
        way = f"gathered, at most {limit} at once"
    return (
        (f"limit = asyncio.Semaphore({limit})\n" if limit is not None else "")
        + f"\n\nasync def call(i):\n{body}"
        + "\n\nasync def main():\n"
        + "    await store.aclient.has_collection(store.collection_name)  # connects\n"
        + "    started = perf_counter()\n"
        + f"    results = await asyncio.gather(*[call(i) for i in range({calls})])\n"
        + "    return perf_counter() - started, results\n"
        + f"\n\nseconds, results = asyncio.run(main())\n{report(way)}"
    )


def _one_batch(operation: Operation, numbers: dict[str, Any]) -> str:
    if operation.batch_code:
        return f"store.{operation.name}({_written(operation.batch_code, numbers)})"
    if not (operation.searches and operation.batchable):
        return ""
    embed = "vectors = store.embeddings.embed_documents(queries)\n" if operation.embeds else ""
    return embed + _SEARCH_AT_ONCE.format(**numbers)


def _advised(run: Run, focus: Focus, *, limit: bool) -> int | None:
    """Return the limit or the batch size that a sweep advises; None where none was swept."""
    for sweep in advice.sweep_advice(run):
        if sweep.operation == focus.operation and sweep.is_limit == limit:
            # Where the repeats decide nothing, what was fastest is as good as another.
            return (sweep.advised if sweep.is_decided else sweep.best).level
    return None


def _measured_limit(run: Run, focus: Focus) -> int | None:
    """Return the limit of the fastest gather that was measured; None where one had none."""
    mine = [
        cell
        for cell in summaries.of(run)
        if (cell.operation, cell.count) == (focus.operation, focus.count)
        and STRATEGIES[cell.strategy].is_async
    ]
    if not mine or any(cell.concurrency is None for cell in mine):
        return None
    return max(mine, key=lambda cell: cell.throughput_per_s or 0.0).concurrency
