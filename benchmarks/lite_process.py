"""What async gains on Milvus Lite: served by this process, as before, and by one of its own.

`python -m benchmarks.lite_process [REPEATS]` makes 100 adds and 100 searches by vector in a loop
and gathered, both places in turn, and prints median seconds and how many times faster gathered is.
"""

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from lib import event_loop
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import ingest
from lib.milvus.connection import Connection, _arguments, open_connection
from lib.milvus.embeddings import open_model
from lib.milvus.lite import Asked, Lite
from lib.settings import Settings
from lib.workers.lite_server import LiteStore

CALLS, ROWS = 100, 1_000
COLLECTION = "gains"


@contextlib.contextmanager
def in_this_process(settings: Settings) -> Iterator[Connection]:
    """Open the store as it was before: its server is a thread here."""
    path = Path(settings.milvus_uri)
    served = LiteStore(str(path), 0, load=False)
    arguments = _arguments(f"http://127.0.0.1:{served.port()}", settings)
    asked = Asked(os.getpid(), lambda method, *values: getattr(served, method)(*values))
    lite = Lite(path, served.port(), asked)
    opened = Connection(kind="lite", address=path.name, arguments=arguments, lite=lite)
    yield opened
    opened.close()
    served.close()


@contextlib.contextmanager
def in_a_child(settings: Settings) -> Iterator[Connection]:
    """Open the store as the app does."""
    opened = open_connection(settings)
    yield opened
    opened.close()


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that a piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def gathered(calls: list[Callable[[], Any]]) -> None:
    """Await all calls at once."""
    await asyncio.gather(*(call() for call in calls))


def measure(opened: Connection, model: Any, settings: Settings) -> dict[str, float]:
    """Return the seconds of both operations in both ways."""
    rows = [Document(page_content=f"row {i}") for i in range(ROWS)]
    ingest(opened, model, rows, IngestionPlan(COLLECTION))
    opened.client.flush(COLLECTION)
    store = opened.store(COLLECTION, model.embeddings)
    vector = model.embeddings.embed_query("row 7")
    event_loop.run(store.asimilarity_search_by_vector(vector, k=4))
    added = [Document(page_content=f"new {i}") for i in range(CALLS)]
    return {
        "searches loop": timed(
            lambda: [store.similarity_search_by_vector(vector, k=4) for _ in range(CALLS)]
        ),
        "searches gathered": timed(
            lambda: event_loop.run(
                gathered([lambda: store.asimilarity_search_by_vector(vector, k=4)] * CALLS)
            )
        ),
        "adds loop": timed(
            lambda: [store.add_documents([each], ids=[f"l{i}"]) for i, each in enumerate(added)]
        ),
        "adds gathered": timed(
            lambda: event_loop.run(
                gathered(
                    [
                        lambda i=i, each=each: store.aadd_documents([each], ids=[f"g{i}"])  # type: ignore[misc]
                        for i, each in enumerate(added)
                    ]
                )
            )
        ),
    }


def main(repeats: int) -> None:
    """Measure both places in turn."""
    places = {"in this process": in_this_process, "in a child": in_a_child}
    found: dict[str, list[dict[str, float]]] = {place: [] for place in places}
    for _ in range(repeats):
        for place, opening in places.items():
            with tempfile.TemporaryDirectory() as folder:
                settings = Settings(milvus_uri=str(Path(folder) / "lab.db"))
                with opening(settings) as opened:
                    found[place].append(measure(opened, open_model(settings), settings))
    for place, trials in found.items():
        for what in ("adds", "searches"):
            loop, gather = (
                statistics.median(each[f"{what} {way}"] for each in trials)
                for way in ("loop", "gathered")
            )
            gains = [each[f"{what} loop"] / each[f"{what} gathered"] for each in trials]
            print(
                f"{place}: {CALLS} {what}: loop {loop:.2f} s, gathered {gather:.2f} s, gain "
                f"{statistics.median(gains):.2f} ({min(gains):.2f} to {max(gains):.2f}), "
                f"n = {repeats}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 5)
