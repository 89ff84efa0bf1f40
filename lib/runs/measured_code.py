"""The code that a benchmark measured, sync and async, to paste and run elsewhere."""

from typing import Any

from lib.benchmark import advice
from lib.benchmark.strategies import STRATEGIES
from lib.benchmark.trials import Run
from lib.benchmark.workload import DELETE_CONSISTENCIES
from lib.charts.data import Focus
from lib.milvus.operations import OPERATIONS, Effect
from lib.milvus.snippets import Snippet, opening

COLLECTION = "async_lab_demo"
TIMED_CALLS = 1_000

_DOCUMENTS = """\
documents = [
    Document(
        page_content=f"This is test document {{i}} with some random content: {{random()}}",
        metadata={{"id": f"doc_{{i}}", "score": random(), "category": f"cat_{{i % 5}}"}},
    )
    for i in range({rows})
]
ids = [f"doc_{{i}}" for i in range({rows})]
"""
_FILL = "store.add_documents(documents, ids=ids)  # outside the clock\n"
# What the code of some operations names besides the documents, and the line that makes it.
_MADE_BEFORE = {
    "vectors[": "vectors = store.embedding_func.embed_documents("
    '[f"test document {i % 50}" for i in range(50)])\n',
    "connection_args": "connection_args = store._connection_args\n",
}


def measured_code(run: Run, focus: Focus) -> Snippet | None:
    """Return the loop and the gather of one group, with the run's numbers.

    None for an operation that is not known here, and for questions to a collection of the reader's.
    """
    settings: dict[str, Any] = run.settings
    operation = OPERATIONS.get(focus.operation)
    if operation is None or settings.get("collection"):
        return None
    level = settings.get("delete_consistency")
    known = level in DELETE_CONSISTENCIES[1:]
    numbers = {
        "k": int(settings.get("k", 3)),
        "fetch_k": int(settings.get("fetch_k", 20)),
        "lambda_mult": float(settings.get("lambda_mult", 0.5)),
        "delete_by": "pk" if settings.get("delete_by") == "pk" else "id",
        "delete_consistency": f', consistency_level="{level}"' if known else "",
        "collection": COLLECTION,
    }
    arguments = operation.code.format(**numbers)
    needs_rows = operation.effect not in (Effect.ADDS, Effect.CREATES)
    rows = max(focus.count, int(settings.get("rows", 1_000)) if needs_rows else 0)
    before = _FILL if needs_rows else ""
    before += "".join(line for name, line in _MADE_BEFORE.items() if name in operation.code)
    prepare = "\n" + _DOCUMENTS.format(rows=rows) + before
    imports = "from random import random\nfrom time import perf_counter\n\n"
    imports += "from langchain_core.documents import Document\n"
    uri = "http://localhost:19530"
    if run.environment.get("backend") == "lite":
        uri = "demo.db"
    model = str(run.environment.get("embedding", "bundled/"))
    call = f"store.{focus.operation}({arguments})"
    return Snippet(
        sync=opening(uri, COLLECTION, model, imports=imports)
        + prepare
        + "\nstarted = perf_counter()\n"
        + f"for i in range({_calls(focus)}):\n    {call}\n"
        + 'print(f"{perf_counter() - started:.2f} s")\n',
        asynchronous=opening(uri, COLLECTION, model, imports=f"import asyncio\n{imports}")
        + prepare
        + _async_part(run, focus, arguments),
    )


def _async_part(run: Run, focus: Focus, arguments: str) -> str:
    call = f"await store.a{focus.operation}({arguments})"
    limit = _limit(run, focus)
    body = f"    {call}\n"
    if limit is not None:
        body = f"    async with limit:\n        {call}\n"
    return (
        (f"limit = asyncio.Semaphore({limit})\n" if limit is not None else "")
        + f"\n\nasync def one(i):\n{body}"
        + "\n\nasync def main():\n"
        + f"    await asyncio.gather(*[one(i) for i in range({_calls(focus)})])\n"
        + "\n\nstarted = perf_counter()\nasyncio.run(main())\n"
        + 'print(f"{perf_counter() - started:.2f} s")\n'
    )


def _calls(focus: Focus) -> int:
    """Return how many calls the code makes; a timed trial has no number of its own."""
    return focus.count or TIMED_CALLS


def _limit(run: Run, focus: Focus) -> int | None:
    """Return the limit that a sweep advises, or that of the gather that was measured.

    None where it had none.
    """
    for advised in advice.limit_advice(run):
        if advised.operation == focus.operation:
            return advised.advised.level
    mine = [
        trial
        for trial in run.trials
        if (trial.operation, trial.count) == (focus.operation, focus.count)
        and trial.strategy in STRATEGIES
        and STRATEGIES[trial.strategy].is_async
    ]
    if not mine or any(trial.concurrency is None for trial in mine):
        return None
    return min(mine, key=lambda trial: trial.wall_s).concurrency
