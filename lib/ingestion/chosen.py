"""What a person chose to ingest: its documents, its rows, and a forecast of how many they are."""

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

from langchain_core.documents import Document

from lib.documents.chunking import Chunking, chunks
from lib.documents.columns import as_vector, guess_columns
from lib.documents.corpora import Corpus
from lib.documents.files import ParsedFile
from lib.documents.problems import Problem, Problems
from lib.documents.sources import Columns, Part, Reading
from lib.ingestion.batches import Batch, fitting, from_documents
from lib.ingestion.known_rows import KnownRows
from lib.ingestion.outdated import SOURCES_PER_QUERY
from lib.ingestion.plan import IngestionPlan
from lib.ingestion.report import IngestionReport
from lib.ingestion.writing import LOOK_UP_FAILED, ingest_batches
from lib.jobs import Job
from lib.milvus import milvus_collections, rows
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.milvus.failures import reported
from lib.milvus.filters import equals_any
from lib.milvus.milvus_collections import Collection

# How long a forecast may read and cut. What it has not seen by then it estimates.
FORECAST_S = 2.0
# A reader of tables reads ahead, so after few rows the share that was read seems too large.
LEAST_ROWS = 1_000
SHOWN_CHUNKS = 2
# Up to this many rows are looked up before they are ingested.
LOOKED_UP_ROWS = 5_000


@dataclass(frozen=True)
class Chosen:
    """Something to ingest. Each call of `rows` yields its chunks, with or without keys."""

    label: str
    rows: Callable[[Problems], Iterator[Document]]
    forecast: Callable[[], "Forecast"]
    identity: Hashable = None  # equal where the same was chosen
    files: tuple[str, ...] = ()
    has_vectors: bool = False

    def batches(self, size: int, problems: Problems, job: Job | None = None) -> Iterator[Batch]:
        """Yield the rows in batches of at most this many; the job is told which file is read."""
        return from_documents(self._watched(problems, job), size, problems)

    def _watched(self, problems: Problems, job: Job | None) -> Iterator[Document]:
        places = {name: place for place, name in enumerate(self.files, 1)}
        for row in self.rows(problems):
            # The rows of an archive carry its name and a path.
            source = str(row.metadata.get("source", ""))
            place = places.get(source) or places.get(source.partition("/")[0])
            if job and place:
                job.progress.detail["files"] = f"file {place:,} of {len(places):,}"
            yield row


@dataclass(frozen=True)
class Forecast:
    """What an ingestion will do. `rows` is exact, or an estimate from what was read so far."""

    rows: int
    is_exact: bool = True
    first: tuple[Document, ...] = ()
    mean_characters: float = 0.0
    longest_characters: int = 0
    problems: tuple[Problem, ...] = ()

    def first_rows(self) -> list[Document]:
        """Return the first rows as they will be written, each with its key."""
        batches = from_documents(self.first, len(self.first) or 1, Problems())
        return [row for batch in batches for row in batch.documents()]


def of_corpus(corpus: Corpus, size: int) -> Chosen:
    """Ingest a bundled corpus; its documents are short and keep their own keys."""
    known = corpus.max_size
    return Chosen(
        label=corpus.label,
        rows=lambda problems: iter(corpus.documents(size, 0)),
        forecast=lambda: Forecast(
            size if known is None else min(size, known),
            first=tuple(corpus.documents(min(size, SHOWN_CHUNKS), 0)),
        ),
        identity=(corpus.name, size),
    )


def of_files(files: Sequence[ParsedFile], reading: Reading, chunking: Chunking) -> Chosen:
    """Ingest uploaded files, cut, with the columns and bounds of the `reading`."""

    def whole(problems: Problems) -> Iterator[Document]:
        for file in files:
            documents = file.documents(file.parts(), reading, problems)
            yield from chunks(documents, chunking)

    def at_most(problems: Problems) -> Iterator[Document]:
        for number, row in enumerate(whole(problems)):
            if reading.max_rows and number == reading.max_rows:
                source = str(row.metadata.get("source", ""))
                what = f"more than {number:,} rows are not taken at once; the rest was left out"
                problems.add(source, "", what)
                return
            yield row

    names = [file.upload.name for file in files]
    return Chosen(
        label=names[0] if len(names) == 1 else f"{len(names):,} files",
        rows=at_most,
        forecast=lambda: _forecast(files, reading, chunking),
        identity=(tuple(file.identity for file in files), repr(reading), chunking),
        files=tuple(names),
        has_vectors=reading.take_vectors,
    )


def _forecast(files: Sequence[ParsedFile], reading: Reading, chunking: Chunking) -> Forecast:
    """Cut what can be read of each file in its share of the time."""
    problems = Problems()
    first: list[Document] = []
    lengths: list[int] = []
    rows, is_exact = 0.0, True
    for file in files:
        head = _Head(file, FORECAST_S / len(files))
        before = len(lengths)
        for chunk in chunks(file.documents(head.parts(), reading, problems), chunking):
            lengths.append(len(chunk.page_content))
            if len(first) < SHOWN_CHUNKS:
                first.append(chunk)
        rows += (len(lengths) - before) / head.share
        is_exact &= head.is_whole
    return Forecast(
        rows=min(round(rows), reading.max_rows or round(rows)),
        is_exact=is_exact,
        first=tuple(first),
        mean_characters=sum(lengths) / len(lengths) if lengths else 0.0,
        longest_characters=max(lengths, default=0),
        problems=problems.kept,
    )


class _Head:
    """What can be read of a file in some seconds, and how much of the file that is."""

    def __init__(self, file: ParsedFile, seconds: float) -> None:
        self.is_whole = True
        self.share = 1.0
        self._file = file
        self._seconds = seconds

    def parts(self) -> Iterator[Part]:
        """Yield at least one part, if there is any."""
        deadline = time.perf_counter() + self._seconds
        least = LEAST_ROWS if self._file.is_table else 1
        for count, part in enumerate(self._file.head()):
            if count >= least and time.perf_counter() > deadline:
                return
            self.is_whole, self.share = False, part.share
            yield part
        self.is_whole = self._file.is_whole
        if self.is_whole:
            self.share = 1.0


def ingest_chosen(
    connection: Connection,
    model: EmbeddingModel,
    chosen: Chosen,
    plan: IngestionPlan,
    *,
    total: int = 0,
    job: Job | None = None,
) -> IngestionReport:
    """Ingest what was chosen; `total` is how many rows are expected. Raises LabError."""
    problems = Problems()
    batches = chosen.batches(plan.batch_size, problems, job)
    return ingest_batches(connection, model, batches, plan, total=total, job=job, problems=problems)


@dataclass(frozen=True)
class Remaining:
    """What an ingestion would change in a collection."""

    new: int = 0
    changed: int = 0
    # Rows of the same sources that are not among those given: replaced or gone.
    others: int = 0

    @property
    def is_nothing(self) -> bool:
        """Say whether everything is there already."""
        return not (self.new or self.changed or self.others)


def remaining(
    connection: Connection, model: EmbeddingModel, chosen: Chosen, collection: Collection
) -> Remaining:
    """Look up in an existing collection which rows are new or changed. Raises LabError."""
    milvus_collections.check_fits(
        collection,
        model.dimension,
        embedding=model.model,
        use=milvus_collections.INGESTION,
    )
    known = KnownRows(collection.name, collection.rows, collection.schema)
    new = changed = 0
    given_rows = chosen.batches(rows.KEYS_PER_CALL, Problems())
    for batch in fitting(given_rows, collection.schema, Problems()):
        question = known.question(batch)
        with reported(LOOK_UP_FAILED):
            found = (
                connection.client.query(**question, timeout=connection.answer_s) if question else []
            )
        fresh, other = known.sort_out(batch, found)
        new, changed = new + len(fresh), changed + len(other)
    present = given = 0
    if 0 < len(known.sources) <= SOURCES_PER_QUERY:
        given = sum(map(len, known.sources.values())) - new
        expr = equals_any("source", known.sources)
        present = milvus_collections.count(connection, collection.name, expr, consistency="Session")
    return Remaining(new, changed, present - given)


@dataclass(frozen=True)
class TableFile:
    """An uploaded table: its columns, first rows, and what the columns are taken for."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, object], ...]
    guess: Columns
    dimension: int = 0  # of its vectors, 0 when it has none


def tables_of(files: Sequence[ParsedFile]) -> list[TableFile]:
    """Look into the uploaded tables. One that cannot be read is for the forecast to report."""
    return [_table(file.upload.name, rows) for file in files if (rows := file.sample())]


def _table(name: str, rows: list[dict[str, object]]) -> TableFile:
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    guess = guess_columns(columns)
    vector = as_vector(rows[0].get(guess.vector)) if guess.vector else None
    if vector is None:
        # A column that is called like a vector and holds none is ordinary metadata.
        others = tuple(column for column in columns if column != guess.text)
        guess = Columns(text=guess.text, metadata=others)
    return TableFile(name, columns, tuple(rows), guess, 0 if vector is None else len(vector))
