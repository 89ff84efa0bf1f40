"""What a run was made on. Never a token, a key, an address with credentials, or a host's path."""

import contextlib
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.results.catalogue import STRATEGIES
from lib.results.plan import Plan
from lib.results.trials import CHAIN, SERVICE

PACKAGES = (
    "langchain-milvus",
    "pymilvus",
    "milvus-lite",
    "langchain-core",
    "langchain-openai",
    "grpcio",
    "numpy",
)
# Shown by `python -m benchmarks.delete_over_starts`.
ONE_START = (
    "A delete by metadata waits for the server's own clocks (200 ms by default), and how long "
    "differs from start to start of a server: the interval of its speed-up speaks for this one. "
    'With consistency_level="Bounded" a delete does not wait, and may miss the newest rows.'
)

SERVED = (
    "The service (Starlette and uvicorn, one process of its own) and its users are on the same "
    "computer and share its processors. Each user asks again when answered. A neighbour's request "
    "that does nothing is due every 50 ms, and its wait counts from the moment it was due."
)

CHAINED = (
    "Each call asks retriever | prompt | chat model, with invoke in the loop and the threads and "
    "ainvoke awaited. The chat model is OpenAI's client over HTTP to an endpoint on the same "
    "computer, which streams words of the question after a known time."
)


def describe(
    plan: Plan, connection: Connection, model: EmbeddingModel, collection: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the environment record of a run; `collection` holds index, rows and dimension."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_count": os.cpu_count() or 0,
        "packages": _versions(),
        "backend": connection.kind,
        "backend_label": connection.label,
        "milvus_version": connection.describe().version,
        "distance": "this process"
        if connection.is_lite
        else "this machine"
        if connection.is_nearby
        else "over the network",
        "embedding": model.model,
        "embedding_label": model.label,
        **({"http_client": model.http_client} if model.http_client else {}),
        "simulated_latency_ms": plan.embedding_latency_ms + model.simulated_latency_ms,
        "simulated_jitter_ms": plan.embedding_jitter_ms,
        "simulated_distribution": "log-normal" if plan.embedding_jitter_ms else "constant",
        **collection,
        "notes": _notes(connection, plan),
    }


def _load(plan: Plan) -> str:
    """Say how the plan's calls are issued."""
    closed = "a closed loop makes its next call when one has ended"
    opened = "an open loop starts calls at a rate, whatever the answers do"
    rated = {STRATEGIES[cell.strategy].uses_rate for cell in plan.cells()}
    loads = [text for is_open, text in ((False, closed), (True, opened)) if is_open in rated]
    return f"The load: {', and '.join(loads)}."


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _notes(connection: Connection, plan: Plan) -> list[str]:
    notes = [
        _load(plan),
        "Stores are opened with langchain-milvus's defaults; reads use the collection's own "
        "consistency level.",
    ]
    if plan.experiment == SERVICE:
        notes.append(SERVED)
    if plan.experiment == CHAIN:
        notes.append(CHAINED)
    if connection.is_lite:
        notes.append(
            "Milvus Lite serves one request at a time, in a process of its own on this computer: "
            "concurrent writes are serialised."
        )
    elif "delete" in plan.operations and plan.deletes_wait:
        notes.append(ONE_START)
    return notes
