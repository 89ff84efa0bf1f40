"""Choose what to ingest: files with their columns, pasted text, or a bundled corpus."""

import threading
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lib.documents.chunking import Chunking
from lib.documents.corpora import CORPORA, Corpus
from lib.documents.files import parsed
from lib.documents.loaders import LOADERS, READING
from lib.documents.sources import MEGABYTE, Columns, Reading, Upload
from lib.ingestion.chosen import Chosen, Forecast, TableFile, of_corpus, of_files, tables_of
from lib.milvus.embeddings import EmbeddingModel
from lib.settings import PROJECT_ROOT, Settings
from lib.ui.visitor import session
from lib.ui.widgets import uploads
from lib.ui.widgets.parameters import choice
from lib.ui.widgets.table import show_table
from lib.ui.widgets.text import literal
from lib.words import plain
from lib.workers import host

FILES, PASTED = "files", "pasted"
SOURCES = {
    FILES: "Files",
    PASTED: "Pasted text",
} | {name: corpus.label for name, corpus in CORPORA.items()}
# Where nobody has a file at hand.
SAMPLE = PROJECT_ROOT / "assets" / "samples" / "tickets.csv"
DEFAULT_SIZE = 5_000
SHOWN_TABLES = 5
PASTED_NAME = "pasted text.txt"
READER = "lib.documents.loaders"
PARSED_KEY, FORECAST_KEY = "ingest_parsed", "ingest_forecast"


def choose_source() -> str:
    """Let a person choose the kind of source."""
    return choice(
        "What to ingest",
        SOURCES,
        format_func=SOURCES.__getitem__,
        default=FILES,
        key="ingest_source",
        wrap=True,
    )


def needs_chunking(source: str) -> bool:
    """Say whether a source's texts are long; the corpora's are short and have keys of their own."""
    return source in (FILES, PASTED)


def choose_input(
    source: str,
    limits: Settings,
    model: EmbeddingModel,
    chunking: Chunking,
    tables_slot: DeltaGenerator,
) -> Chosen | None:
    """Draw a source's own controls and return what to ingest, or None while there is nothing."""
    if source == FILES:
        return _files(limits, model, chunking, tables_slot)
    if source == PASTED:
        return _pasted(limits, chunking)
    corpus = CORPORA[source]
    st.caption(corpus.description)
    most = _most(corpus, limits)
    size = st.number_input(
        "Maximum documents",
        min_value=1,
        max_value=most,
        value=min(DEFAULT_SIZE, most),
        key=f"ingest_size_{source}",
    )
    return of_corpus(corpus, min(max(int(size), 1), most))


def _most(corpus: Corpus, limits: Settings) -> int:
    known = corpus.max_size
    return limits.max_rows if known is None else min(known, limits.max_rows)


@st.cache_resource(show_spinner=False)
def _warm_reader() -> threading.Thread:
    """Let the host of workers load what reads files, while the first person chooses some."""
    loading = threading.Thread(target=host.shared().warm, args=[READER], daemon=True)
    loading.start()
    return loading


def _files(
    limits: Settings, model: EmbeddingModel, chunking: Chunking, tables_slot: DeltaGenerator
) -> Chosen | None:
    _warm_reader()
    chosen = st.file_uploader(
        "Files",
        type=[ending.removeprefix(".") for ending in LOADERS],
        accept_multiple_files=True,
        max_upload_size=limits.max_upload_mb,
        help=f"{', '.join(dict.fromkeys(each.label for each in LOADERS.values()))}; "
        f"up to {limits.max_upload_mb:,} MB each, {limits.max_uploads_mb:,} MB together, unpacked "
        f"{limits.max_unpacked_mb:,} MB.",
        key="ingest_files",
    )
    uploaded = uploads.taken(chosen or [])
    is_sample = not uploaded and st.toggle(
        f"Take a sample file, {SAMPLE.name}: 24 tickets of a help desk", key="ingest_sample"
    )
    if not (uploaded or is_sample):
        st.session_state.pop(PARSED_KEY, None)
        return None

    def given() -> list[Upload]:
        if is_sample:
            return [Upload.of_bytes(SAMPLE.name, SAMPLE.read_bytes())]
        return [uploads.upload_of(file) for file in uploaded]

    max_bytes = limits.max_upload_mb * MEGABYTE
    files = session.made_once(
        PARSED_KEY,
        tuple(file.file_id for file in uploaded),
        lambda: parsed(
            given(),
            max_bytes,
            limits=replace(READING, seconds=limits.max_read_s, memory_mb=limits.max_read_mb),
            max_unpacked=limits.max_unpacked_mb * MEGABYTE,
        ),
    )
    tables = tables_of(files)
    with tables_slot:
        columns = {table.name: _columns(table) for table in tables[:SHOWN_TABLES]}
        if len(tables) > SHOWN_TABLES:
            st.caption(f"Of {len(tables) - SHOWN_TABLES:,} more tables the columns are guessed.")
        takes_vectors = _choose_vectors(tables, model)
    reading = Reading(limits.max_rows, columns, takes_vectors, model.dimension)
    return of_files(files, reading, chunking)


def forecast_of(chosen: Chosen) -> Forecast:
    """Return what an ingestion will do, read once per choice."""

    def read() -> Forecast:
        with st.spinner("Reading …"):
            return chosen.forecast()

    return session.made_once(FORECAST_KEY, chosen.identity, read)


def _columns(table: TableFile) -> Columns:
    guess, names = table.guess, list(table.columns)
    with st.container(border=True):
        st.markdown(f":material/table: **{literal(table.name)}**")
        text_slot, metadata_slot = st.columns([1, 2])
        text = text_slot.selectbox(
            "Text", names, index=names.index(guess.text), key=f"ingest_text_{table.name}"
        )
        others = [name for name in names if name not in {text, guess.vector, guess.key}]
        metadata = metadata_slot.multiselect(
            "Metadata", others, default=others, key=f"ingest_metadata_{table.name}_{text}"
        )
        if metadata:
            st.caption(f"Searched: {literal(text)}. The other columns are for filters and to show.")
        show_table(
            [{name: _short(row.get(name)) for name in names} for row in table.rows],
            height="content",
            alt=f"The first rows of {table.name}",
        )
    return Columns(text, tuple(metadata), guess.vector, guess.key)


def _choose_vectors(tables: list[TableFile], model: EmbeddingModel) -> bool:
    """Offer to take the vectors that came in a table, when they are as long as the model's."""
    dimensions = {table.dimension for table in tables if table.dimension}
    if not dimensions:
        return False
    if dimensions != {model.dimension}:
        found = " and ".join(f"{dimension:,}" for dimension in sorted(dimensions))
        st.info(
            f"The vectors in these tables have {found} numbers, the embedding in use makes "
            f"{model.dimension:,}. The texts will be embedded anew.",
            icon=":material/info:",
        )
        return False
    return st.toggle(
        "Use the vectors in the file",
        value=True,
        help=f"Only right when they were made with {model.model}, as the lab's own exports were. "
        "Otherwise the texts are embedded anew.",
        key="ingest_vectors",
    )


def _pasted(limits: Settings, chunking: Chunking) -> Chosen | None:
    text = st.text_area(
        "Text",
        height=200,
        max_chars=min(limits.max_text_chars, 1_000_000),
        placeholder="Paste anything: an article, notes, a transcript …",
        key="ingest_pasted",
    )
    name = st.text_input(
        "Name of the source",
        value=PASTED_NAME,
        help="The rows carry it as their source; it ends in .txt. Pasting a changed text under the "
        "same name replaces what changed.",
        key="ingest_pasted_name",
    )
    if not text.strip():
        return None
    name = plain(name).strip().removesuffix(".txt") or PASTED_NAME.removesuffix(".txt")
    content = text.encode(errors="replace")
    upload = Upload.of_bytes(f"{name}.txt", content)
    files = session.made_once(PARSED_KEY, (name, text), lambda: parsed([upload], len(content)))
    return of_files(files, Reading(limits.max_rows), chunking)


def _short(value: object) -> str:
    if isinstance(value, list) and len(value) > 8:
        return f"{len(value):,} numbers"
    text = str(value)
    return text if len(text) <= 200 else text[:199] + "…"
