"""Load a bundled corpus in the background: by itself into an empty embedded store."""

import gc
import threading
import time
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

import streamlit as st

from lib import jobs
from lib.benchmark.access import modules_of
from lib.documents.corpora import CORPORA
from lib.errors import LabError
from lib.jobs import FINISHED, Job
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, Lease
from lib.milvus.embeddings import EmbeddingModel, load_ahead
from lib.milvus.milvus_collections import Collection
from lib.settings import Settings
from lib.ui.visitor import memory, session
from lib.workers import host

if TYPE_CHECKING:
    from lib.ingestion.report import IngestionReport

FIRST_CORPUS = "standard_library"
# How long a first load waits for the first page, whose modules load twice as long beside it.
DRAWING_S = 5.0
# What the other pages load, one by one: the page that is being drawn gets its turn in between.
AHEAD = (
    "langsmith.run_trees",
    "langchain_milvus",
    "lib.ingestion.writing",
    "lib.runs.store",
    "lib.ingestion.chosen",
    "lib.charts.charts",
    "lib.ui.benchmark.form",
    "lib.ui.runs.view",
    "lib.ui.runs.list",
    "lib.ui.ingestion.source",
    "lib.ui.ingestion.plan",
    "lib.ui.ingestion.action",
    "lib.ui.ingestion.chunks",
    "lib.ui.ingestion.report",
    "lib.ui.collections.list",
    "lib.ui.collections.rows",
    "lib.ui.collections.files",
    "lib.ui.search.methods",
    "lib.ui.search.many",
    "lib.ui.search.hybrid",
    "lib.ui.search.results",
    "lib.search.code",
)
MEASUREMENT = "lib.benchmark.measurement"
BREATH_S = 0.005
# How many partial garbage collections come before a whole one; Python's default is ten.
WHOLE_SEARCHES_EVERY = 50
_starting = threading.Lock()
_drawn = threading.Event()


@st.cache_resource(show_spinner=False)
def _first_load_jobs() -> dict[tuple[str, str], Job | None]:
    """Return the automatic loads of this process by backend and collection.

    It is None where there were rows at first: a collection that is emptied later stays empty.
    """
    return {}


def load_corpus(held: Lease, model: EmbeddingModel, collection: str) -> Job:
    """Start a job that ingests the whole first corpus and lets go of the connection at its end."""
    opened, limits = held.connection, session.host_settings()
    corpus = CORPORA[FIRST_CORPUS]

    def work(job: Job) -> "IngestionReport":
        drawn_by = time.monotonic() + DRAWING_S
        while not _drawn.wait(jobs.LOOK_S) and time.monotonic() < drawn_by:
            job.give_way()
        job.give_way()
        # Imported after the first page is drawn: langchain-milvus takes a quarter of a second.
        from lib.ingestion.plan import default_plan
        from lib.ingestion.writing import ingest

        job.progress.message = "reading the docstrings"
        documents = corpus.documents(None, 0)
        job.progress.message = ""
        plan = default_plan(opened, model, collection)
        report = ingest(opened, model, documents, plan, total=len(documents), job=job)
        session.rows_changed()
        _learn(opened, model, collection, limits)
        return report

    subject = f"ingest:{collection}"
    return jobs.shared().submit(
        f"Loading: {corpus.label}",
        work,
        subject=subject,
        held=held,
        is_unasked=True,
        not_beside=subject,
    )


def _learn(opened: Connection, model: EmbeddingModel, collection: str, limits: Settings) -> None:
    """Compute ahead what the first visit to the search would wait for.

    Nothing is computed with a remote model, because texts would be sent before anybody asks, nor on
    a public app, where each visitor's connection keeps its own answers.
    """
    if model.is_remote or limits.public:
        return
    from lib.ui.search.form import measured_chance

    with suppress(LabError):  # the pages try it again and say why it fails
        facts = milvus_collections.describe(opened, collection)
        measured_chance(opened, model, facts, "")


def _learn_beside(held: Lease, model: EmbeddingModel, collection: str, limits: Settings) -> None:
    """Run `_learn` in a thread, and release the connection."""

    def learn() -> None:
        try:
            _drawn.wait(DRAWING_S)
            _learn(held.connection, model, collection, limits)
        finally:
            held.release()

    threading.Thread(target=learn, name="lab-learning", daemon=True).start()


@lru_cache(maxsize=1)  # once in a process
def page_is_drawn() -> None:
    """Load what the other pages need while this one is read, then let the first load begin."""
    threading.Thread(
        target=_warm, args=(session.host_provider(),), name="lab-warming", daemon=True
    ).start()


def _warm(provider: str) -> None:
    try:
        with memory.loading():
            for name in AHEAD:
                import_module(name)
                time.sleep(BREATH_S)
            load_ahead()
        # Imported modules are never garbage. Each collection that looks through their hundreds of
        # thousands of objects would stop every thread for a tenth of a second.
        gc.freeze()
        # A whole collection stops every thread for 0.05 s, and visitors leave little garbage.
        gc.set_threshold(*gc.get_threshold()[:2], WHOLE_SEARCHES_EVERY)
    finally:
        _drawn.set()
    # The worker of the first benchmark would wait for its modules.
    host.shared().warm(MEASUREMENT, *modules_of(provider))


def first_load(opened: Connection) -> Job | None:
    """Return the job that fills the host's empty collection, started at the first visit.

    It fills an embedded store, and the Milvus of a public host, whose visitors may not write there.
    A collection that the host named is the host's to fill. Nothing is filled with a visitor's own
    embedding.
    """
    name, chosen = session.current_collection(), session.current_settings()
    is_hosts = opened.is_lite or (chosen.public and session.is_hosts(chosen))
    if not is_hosts or name != chosen.collection or chosen.collection_is_named:
        return None
    if chosen.public and not session.is_hosts(chosen, session.MODEL):
        return None
    started = _first_load_jobs()
    with _starting:
        if (opened.address, name) not in started:
            has_rows = milvus_collections.exists(opened, name) and milvus_collections.count(
                opened, name
            )
            # With the host's lease, because a visitor may not write.
            held, model = session.host_lease(), session.model()
            if has_rows:
                _learn_beside(held, model, name, session.host_settings())
            started[opened.address, name] = None if has_rows else load_corpus(held, model, name)
    return started[opened.address, name]


def facts_unless_loading(opened: Connection) -> tuple[Collection | None, Job | None]:
    """Return the chosen collection's facts, and the first load while it runs or when it failed.

    While it runs no facts are asked for: Milvus Lite answers one request after another, so the
    answer would wait for the batches.
    """
    load = first_load(opened)
    if load is not None and load.state not in FINISHED:
        return None, load
    facts = session.collection_facts(opened, session.current_collection())
    failed = load is not None and load.error is not None and not (facts and facts.rows)
    return facts, load if failed else None
