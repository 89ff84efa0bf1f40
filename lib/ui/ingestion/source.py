"""Choose what to ingest: files with their columns, pasted text, or a bundled corpus."""

import io
from collections.abc import Sequence

import streamlit as st
from streamlit.typing import UploadedFile

from lib.documents.chunking import Chunking
from lib.documents.corpora import CORPORA
from lib.documents.loaders import LOADERS
from lib.documents.sources import MEGABYTE, Columns, Reading, Upload
from lib.ingestion import inputs
from lib.ingestion.inputs import Input, TableFile
from lib.milvus.embeddings import EmbeddingModel
from lib.settings import Settings
from lib.ui.common.text import literal

FILES, PASTED = "files", "pasted"
SOURCES = {
    FILES: "Files",
    PASTED: "Pasted text",
} | {name: corpus.label for name, corpus in CORPORA.items()}
DEFAULT_SIZE = 5_000
SHOWN_TABLES = 5
PASTED_NAME = "pasted text.txt"


def choose_source() -> str:
    """Let a person choose the kind of source."""
    return st.segmented_control(
        "What to ingest",
        list(SOURCES),
        format_func=SOURCES.__getitem__,
        default="standard_library",
        required=True,
        key="ingest_source",
        bind="query-params",
        wrap=True,
    )


def needs_chunking(source: str) -> bool:
    """Say whether a source's texts are long; the corpora's are short and have keys of their own."""
    return source in (FILES, PASTED)


def choose_input(
    source: str, limits: Settings, model: EmbeddingModel, chunking: Chunking
) -> Input | None:
    """Draw a source's own controls and return what to ingest, or None while there is nothing."""
    if source == FILES:
        return _files(limits, model, chunking)
    if source == PASTED:
        return _pasted(limits, chunking)
    corpus = CORPORA[source]
    st.caption(corpus.description)
    known = corpus.max_size
    most = limits.max_rows if known is None else min(known, limits.max_rows)
    size = st.number_input(
        "Documents at most",
        min_value=1,
        max_value=most,
        value=min(DEFAULT_SIZE, most),
        key=f"ingest_size_{source}",
    )
    return inputs.of_corpus(corpus, min(max(int(size), 1), most))


def _files(limits: Settings, model: EmbeddingModel, chunking: Chunking) -> Input | None:
    uploaded = st.file_uploader(
        "Files",
        type=[ending.removeprefix(".") for ending in LOADERS],
        accept_multiple_files=True,
        max_upload_size=limits.max_upload_mb,
        help="TXT, Markdown, HTML, PDF, DOCX, PPTX, CSV, TSV, JSON, JSON lines, Parquet, and ZIP "
        f"of these; up to {limits.max_upload_mb:,} MB each.",
        key="ingest_files",
    )
    if not uploaded:
        return None
    uploads = [_upload(file) for file in uploaded]
    reading = _bounds(limits)
    tables = _tables([file.file_id for file in uploaded], uploads)
    for table in tables[:SHOWN_TABLES]:
        reading.columns[table.upload.name] = _columns(table)
    if len(tables) > SHOWN_TABLES:
        st.caption(f"Of {len(tables) - SHOWN_TABLES:,} more tables the columns are guessed.")
    _choose_vectors(tables, model, reading)
    return inputs.of_uploads(uploads, reading, chunking)


def _bounds(limits: Settings) -> Reading:
    return Reading(max_bytes=limits.max_upload_mb * MEGABYTE, max_rows=limits.max_rows)


def _upload(file: UploadedFile) -> Upload:
    content = file.getvalue()
    return Upload(file.name, len(content), lambda: io.BytesIO(content))


def _tables(ids: Sequence[str], uploads: list[Upload]) -> list[TableFile]:
    """Look into tables once per upload, not at every rerun."""
    seen = st.session_state.get("ingest_tables")
    if seen is None or seen[0] != ids:
        seen = st.session_state["ingest_tables"] = (ids, inputs.tables_of(uploads))
    tables: list[TableFile] = seen[1]
    return tables


def _columns(table: TableFile) -> Columns:
    guess, names = table.guess, list(table.sample.columns)
    with st.container(border=True):
        st.markdown(f":material/table: **{literal(table.upload.name)}**")
        text_slot, metadata_slot = st.columns([1, 2])
        text = text_slot.selectbox(
            "Text", names, index=names.index(guess.text), key=f"ingest_text_{table.upload.name}"
        )
        others = [name for name in names if name not in {text, guess.vector, guess.key}]
        metadata = metadata_slot.multiselect(
            "Metadata", others, default=others, key=f"ingest_metadata_{table.upload.name}_{text}"
        )
        st.dataframe(
            [{name: _short(row.get(name)) for name in names} for row in table.sample.rows],
            hide_index=True,
            height="content",
            alt=f"The first rows of {table.upload.name}",
        )
    return Columns(text, tuple(metadata), guess.vector, guess.key)


def _choose_vectors(tables: list[TableFile], model: EmbeddingModel, reading: Reading) -> None:
    """Offer to take the vectors that came in a table, when they are as long as the model's."""
    dimensions = {table.dimension for table in tables if table.dimension}
    if not dimensions:
        return
    if dimensions != {model.dimension}:
        found = " and ".join(f"{dimension:,}" for dimension in sorted(dimensions))
        st.info(
            f"The vectors in these tables have {found} numbers, the embedding in use makes "
            f"{model.dimension:,}. The texts will be embedded anew.",
            icon=":material/info:",
        )
        return
    reading.take_vectors = st.toggle(
        "Use the vectors in the file",
        value=True,
        help=f"Only right when they were made with {model.model}, as the lab's own exports were. "
        "Otherwise the texts are embedded anew.",
        key="ingest_vectors",
    )
    reading.dimension = model.dimension


def _pasted(limits: Settings, chunking: Chunking) -> Input | None:
    text = st.text_area(
        "Text",
        height=200,
        max_chars=1_000_000,
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
    name = name.strip().removesuffix(".txt") or PASTED_NAME.removesuffix(".txt")
    upload = Upload.of_bytes(f"{name}.txt", text.encode(errors="replace"))
    return inputs.of_uploads([upload], _bounds(limits), chunking)


def _short(value: object) -> str:
    if isinstance(value, list) and len(value) > 8:
        return f"{len(value):,} numbers"
    text = str(value)
    return text if len(text) <= 200 else text[:199] + "…"
