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
from lib.documents.corpora import CORPORA
from lib.errors import LabError
from lib.jobs import FINISHED, Job
from lib.milvus import collections as milvus_collections
from lib.milvus.collections import Collection
from lib.milvus.connection import Connection, Lease
from lib.milvus.embeddings import EmbeddingModel, load_ahead
from lib.settings import Settings
from lib.ui.common import memory, session

if TYPE_CHECKING:
    from lib.ingestion.report import IngestionReport

FIRST_CORPUS = "standard_library"
# The first page of a process loads modules, which takes twice as long beside an ingestion.
DRAWING_S = 5.0
# What the other pages load, in parts: between them the page that is drawn gets its turn.
AHEAD = (
    "langsmith.run_trees",
    "langchain_milvus",
    "lib.ingestion.writing",
    "lib.runs.store",
    "lib.ingestion.chosen",
    "lib.charts.kept",
    "lib.ui.benchmark.form",
    "lib.ui.runs.view",
    "lib.ui.runs.list",
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
BREATH_S = 0.005
# Ten is usual: how many smaller searches for garbage come before a whole one.
WHOLE_SEARCHES_EVERY = 50
_starting = threading.Lock()
_drawn = threading.Event()


@st.cache_resource(show_spinner=False)
def _first_load_jobs() -> dict[tuple[str, str], Job | None]:
    """Remember one automatic load per backend and collection for the life of the process.

    None where the first look found rows: a collection that is emptied later stays empty.
    """
    return {}


def load_corpus(held: Lease, model: EmbeddingModel, collection: str) -> Job:
    """Start a job that ingests the whole first corpus and lets go of the connection at its end."""
    opened, limits = held.connection, session.host_settings()
    corpus = CORPORA[FIRST_CORPUS]

    def work(job: Job) -> "IngestionReport":
        _drawn.wait(DRAWING_S)
        # Not before the first page stands: langchain-milvus takes a quarter of a second.
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

    return jobs.shared().submit(
        f"Loading: {corpus.label}", work, subject=f"ingest:{collection}", held=held
    )


def _learn(opened: Connection, model: EmbeddingModel, collection: str, limits: Settings) -> None:
    """Find out ahead what the first look at the search and at the ingestion would wait for.

    Not where texts are sent to a service before anybody asks, nor on a public app, whose visitors
    each see a part of the connection that shares nothing that was found out.
    """
    if model.is_remote or limits.public:
        return
    from lib.ui.ingestion.action import left_of
    from lib.ui.ingestion.source import first_choice
    from lib.ui.search.form import measured_chance

    with suppress(LabError):  # the pages try it again and say why it fails
        facts = milvus_collections.describe(opened, collection)
        measured_chance(opened, model, facts, "")
        left_of(opened, model, first_choice(limits), facts)


def _learn_beside(held: Lease, model: EmbeddingModel, collection: str, limits: Settings) -> None:
    """Do so in a thread, and let go of the connection."""

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
    threading.Thread(target=_warm, name="lab-warming", daemon=True).start()


def _warm() -> None:
    try:
        with memory.loading():
            for name in AHEAD:
                import_module(name)
                time.sleep(BREATH_S)
            load_ahead()
        # What was imported stays for the life of the process; searching its hundred thousands of
        # objects for garbage again and again would stop every thread for a tenth of a second.
        gc.freeze()
        # What visitors leave in cycles is little: a whole search stops all threads for 0.05 s.
        gc.set_threshold(*gc.get_threshold()[:2], WHOLE_SEARCHES_EVERY)
    finally:
        _drawn.set()


def first_load(opened: Connection) -> Job | None:
    """Return the job that fills an empty embedded store, started at the first visit."""
    name = session.current_collection()
    if not opened.is_lite or name != session.current_settings().collection:
        return None
    started = _first_load_jobs()
    with _starting:
        if (opened.address, name) not in started:
            has_rows = milvus_collections.exists(opened, name) and milvus_collections.count(
                opened, name
            )
            # The host's own work, also where a visitor may not write.
            held, model = session.host_lease(), session.model()
            if has_rows:
                _learn_beside(held, model, name, session.host_settings())
            started[opened.address, name] = None if has_rows else load_corpus(held, model, name)
    return started[opened.address, name]


def facts_unless_loading(opened: Connection) -> tuple[Collection | None, Job | None]:
    """Return the chosen collection's facts, and the first load while it runs or when it failed.

    There are no facts while it runs: Milvus Lite answers one request after another, and a question
    would wait for the batches before it.
    """
    load = first_load(opened)
    if load is not None and load.state not in FINISHED:
        return None, load
    facts = session.collection_facts(opened, session.current_collection())
    failed = load is not None and load.error is not None and not (facts and facts.rows)
    return facts, load if failed else None
