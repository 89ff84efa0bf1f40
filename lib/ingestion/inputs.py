"""Inputs: what a person chose to ingest, as something that makes batches any number of times."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from langchain_core.documents import Document

from lib.documents import tables
from lib.documents.chunking import Chunking, chunks
from lib.documents.corpora import Corpus
from lib.documents.loaders import LOADERS, read_all, sample
from lib.documents.problems import Problems
from lib.documents.sources import Columns, Reading, Upload, guess_columns, with_distinct_names
from lib.ingestion.batches import Batch, from_documents, from_uploads
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.writing import Comparison, IngestionReport, ingest_batches, ingest_both_ways
from lib.jobs import Job
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel


@dataclass(frozen=True)
class Input:
    """Something to ingest. `total` is the number of rows where it is known before reading.

    `reading` makes what one pass over it shares; `documents` and `batches` make that pass.
    """

    label: str
    reading: Callable[[], Reading]
    documents: Callable[[Reading], Iterator[Document]]
    batches: Callable[[Reading, int], Iterator[Batch]]
    total: int | None = None
    size_bytes: int = 0
    is_chunked: bool = False
    has_vectors: bool = False


def of_corpus(corpus: Corpus, size: int) -> Input:
    """Ingest a bundled corpus; its documents are short and keep their own keys."""
    known = corpus.max_size

    def documents(reading: Reading) -> Iterator[Document]:
        return iter(corpus.documents(size, 0))

    return Input(
        label=corpus.label,
        reading=Reading,
        documents=documents,
        batches=lambda reading, batch_size: from_documents(
            documents(reading), batch_size, reading.problems
        ),
        total=size if known is None else min(size, known),
    )


def of_uploads(uploads: Sequence[Upload], template: Reading, chunking: Chunking) -> Input:
    """Ingest files, each pass with the bounds and columns of the `template`."""
    named = with_distinct_names(uploads)
    return Input(
        label=named[0].name if len(named) == 1 else f"{len(named):,} files",
        reading=lambda: replace(template, problems=Problems()),
        documents=lambda reading: read_all(named, reading),
        batches=lambda reading, size: from_uploads(named, reading, chunking, size),
        size_bytes=sum(upload.size for upload in named),
        is_chunked=True,
        has_vectors=template.take_vectors,
    )


def ingest_input(
    connection: Connection,
    model: EmbeddingModel,
    chosen: Input,
    plan: IngestionPlan,
    *,
    both_ways: bool = False,
    job: Job | None = None,
) -> IngestionReport | Comparison:
    """Ingest what was chosen, or ingest it in both modes to compare them. Raises LabError."""

    def once(planned: IngestionPlan) -> IngestionReport:
        reading = chosen.reading()
        return ingest_batches(
            connection,
            model,
            chosen.batches(reading, planned.batch_size),
            planned,
            total=chosen.total,
            estimate=reading.estimate if chosen.is_chunked else None,
            job=job,
            problems=reading.problems,
        )

    return ingest_both_ways(connection, once, plan) if both_ways else once(plan)


def sample_chunks(chosen: Input, chunking: Chunking, count: int) -> list[Document]:
    """Return the first rows that an input would give, for measuring on."""
    documents = chosen.documents(chosen.reading())
    return list(islice(chunks(documents, chunking) if chosen.is_chunked else documents, count))


@dataclass(frozen=True)
class TableFile:
    """An uploaded table: its columns, first rows, and what the columns are taken for."""

    upload: Upload
    sample: tables.Sample
    guess: Columns
    dimension: int = 0  # of its vectors, 0 when it has none


def tables_of(uploads: Sequence[Upload]) -> list[TableFile]:
    """Look into the uploaded tables. One that cannot be read is for the reading to report."""
    found = []
    for upload in with_distinct_names(uploads):
        loader = LOADERS.get(upload.ending)
        seen = sample(upload) if loader and loader.records else None
        if seen is None or not seen.columns:
            continue
        guess = guess_columns(seen.columns)
        dimension = 0
        if guess.vector and seen.rows:
            vector = tables.as_vector(seen.rows[0].get(guess.vector))
            dimension = 0 if vector is None else len(vector)
        if not dimension:
            # A column that is called like one and holds none is ordinary metadata.
            guess = replace(
                guess, metadata=tuple(n for n in seen.columns if n != guess.text), vector=""
            )
        found.append(TableFile(upload, seen, guess, dimension))
    return found
