"""Choose what to ingest: files with their columns, pasted text, or a bundled corpus."""

import io
from collections.abc import Callable, Hashable, Sequence

import streamlit as st
from streamlit.typing import UploadedFile

from lib.documents.chunking import Chunking
from lib.documents.corpora import CORPORA
from lib.documents.files import ParsedFile, parsed
from lib.documents.loaders import LOADERS
from lib.documents.sources import MEGABYTE, Columns, Reading, Upload
from lib.ingestion.chosen import Chosen, TableFile, of_corpus, of_files, tables_of
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
PARSED_KEY = "ingest_parsed"


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
) -> Chosen | None:
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
    return of_corpus(corpus, min(max(int(size), 1), most))


def _files(limits: Settings, model: EmbeddingModel, chunking: Chunking) -> Chosen | None:
    uploaded = st.file_uploader(
        "Files",
        type=[ending.removeprefix(".") for ending in LOADERS],
        accept_multiple_files=True,
        max_upload_size=limits.max_upload_mb,
        help=f"{', '.join(dict.fromkeys(each.label for each in LOADERS.values()))}; "
        f"up to {limits.max_upload_mb:,} MB each.",
        key="ingest_files",
    )
    if not uploaded:
        return None
    files = _parsed(
        tuple(file.file_id for file in uploaded),
        lambda: [_upload(file) for file in uploaded],
        limits.max_upload_mb * MEGABYTE,
    )
    tables = tables_of(files)
    columns = {table.name: _columns(table) for table in tables[:SHOWN_TABLES]}
    if len(tables) > SHOWN_TABLES:
        st.caption(f"Of {len(tables) - SHOWN_TABLES:,} more tables the columns are guessed.")
    takes_vectors = _choose_vectors(tables, model)
    reading = Reading(limits.max_rows, columns, takes_vectors, model.dimension)
    return of_files(files, reading, chunking)


def _upload(file: UploadedFile) -> Upload:
    content = file.getvalue()
    return Upload(file.name, len(content), lambda: io.BytesIO(content))


def _parsed(
    choice: Hashable, uploads: Callable[[], Sequence[Upload]], max_bytes: int
) -> tuple[ParsedFile, ...]:
    """Parse each choice of files once, and keep it until there is another choice."""
    kept: tuple[Hashable, tuple[ParsedFile, ...]] | None = st.session_state.get(PARSED_KEY)
    if kept is None or kept[0] != choice:
        kept = st.session_state[PARSED_KEY] = (choice, parsed(uploads(), max_bytes))
    return kept[1]


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
        st.dataframe(
            [{name: _short(row.get(name)) for name in names} for row in table.rows],
            hide_index=True,
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
    files = _parsed(
        (name, text),
        lambda: [Upload.of_bytes(f"{name}.txt", text.encode(errors="replace"))],
        limits.max_upload_mb * MEGABYTE,
    )
    return of_files(files, Reading(limits.max_rows), chunking)


def _short(value: object) -> str:
    if isinstance(value, list) and len(value) > 8:
        return f"{len(value):,} numbers"
    text = str(value)
    return text if len(text) <= 200 else text[:199] + "…"
