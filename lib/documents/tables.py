"""Tables: CSV, TSV, JSON and Parquet, row by row → documents, with or without their vectors."""

import contextlib
import csv
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from langchain_core.documents import Document
from numpy.typing import NDArray

from lib.documents import text_encoding
from lib.documents.sources import Columns, Reading, VectorDocument
from lib.errors import InvalidInput
from lib.milvus.fields import METADATA_COLUMN

# Rows looked at before a column's values are taken for numbers.
TYPED_BY_ROWS = 200
PARQUET_ROWS = 1_000
PARQUET_BUFFER_BYTES = 1 << 20
SAMPLE_ROWS = 5
ORIGIN = {"source", "position"}
csv.field_size_limit(text_encoding.MAX_LINE_CHARACTERS)

Record = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """A table's columns and its first rows, for a person to choose from."""

    columns: tuple[str, ...]
    rows: tuple[Record, ...]


def sample_of(records: Iterable[tuple[str, Record]]) -> Sample:
    """Look at the first rows of a table."""
    rows = [record for _, record in itertools.islice(records, SAMPLE_ROWS)]
    names = dict.fromkeys(name for row in rows for name in row)
    return Sample(tuple(names), tuple(rows))


def documents(
    records: Iterator[tuple[str, Record]], source: str, reading: Reading
) -> Iterator[Document]:
    """Make a document of each record; one without a usable text is reported by its place."""
    first = next(records, None)
    if first is None:
        raise InvalidInput("it holds no rows")
    names = list(first[1])
    columns = reading.columns_of(source, names)
    # Records of JSON may differ in their keys; what nobody left out is taken from each.
    left_out = set(names) - {columns.text, columns.vector, columns.key, *columns.metadata}
    for place, record in itertools.chain([first], records):
        text = record.get(columns.text)
        if isinstance(text, int | float) and not isinstance(text, bool):
            text = str(text)
        if not isinstance(text, str) or not text.strip():
            reading.problems.add(source, place, f"it has no text in {columns.text!r}")
            continue
        metadata = _metadata(record, columns, left_out)
        key = record.get(columns.key) if columns.key else None
        if key is None:
            _give_way(metadata, source, reading)
            metadata["source"] = source
        if reading.take_vectors and columns.vector:
            vector = as_vector(record.get(columns.vector))
            if vector is None or len(vector) != reading.dimension:
                found = "no vector" if vector is None else f"a vector of {len(vector):,} numbers"
                reading.problems.add(
                    source, place, f"it has {found} where one of {reading.dimension:,} belongs"
                )
                continue
            yield VectorDocument(page_content=text, metadata=metadata, id=_key(key), vector=vector)
        else:
            yield Document(page_content=text, metadata=metadata, id=_key(key))


def load_csv(file: BinaryIO, source: str, reading: Reading) -> Iterator[Document]:
    """Read comma, semicolon, tab or bar separated values."""
    return documents(typed(csv_records(file, source, reading)), source, reading)


def load_json_lines(file: BinaryIO, source: str, reading: Reading) -> Iterator[Document]:
    """Read one JSON value a line."""
    return documents(json_line_records(file, source, reading), source, reading)


def load_json(file: BinaryIO, source: str, reading: Reading) -> Iterator[Document]:
    """Read a JSON list of objects or texts, or an object that holds one."""
    return documents(json_records(file, source, reading), source, reading)


def load_parquet(file: BinaryIO, source: str, reading: Reading) -> Iterator[Document]:
    """Read a Parquet file, a thousand rows at a time."""
    return documents(parquet_records(file, source, reading), source, reading)


def csv_records(file: BinaryIO, source: str, reading: Reading) -> Iterator[tuple[str, Record]]:
    """Yield (place, record); rows that do not fit the header are reported and left out."""
    lines = text_encoding.lines(file, text_encoding.detect(file))
    head = list(itertools.islice(lines, 20))
    delimiter = "\t" if source.lower().endswith(".tsv") else _delimiter("".join(head))
    reader = csv.reader(itertools.chain(head, lines), delimiter=delimiter, strict=False)
    try:
        header = _distinct(next(reader, []))
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                reading.problems.add(
                    source,
                    f"line {reader.line_num:,}",
                    f"it has {len(row):,} values, the header {len(header):,}",
                )
                continue
            yield f"line {reader.line_num:,}", dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InvalidInput(f"line {reader.line_num:,} cannot be read ({error})") from error


def json_line_records(
    file: BinaryIO, source: str, reading: Reading
) -> Iterator[tuple[str, Record]]:
    """Yield (place, record); lines that are not JSON are reported and left out."""
    lines = text_encoding.lines(file, text_encoding.detect(file))
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = getattr(error, "msg", "too deeply nested")
            reading.problems.add(source, f"line {number:,}", f"it is not JSON ({why})")
            continue
        yield f"line {number:,}", _record(value)


def json_records(file: BinaryIO, source: str, reading: Reading) -> Iterator[tuple[str, Record]]:
    """Yield (place, record) of a JSON list, or of the longest list in a JSON object."""
    text = "".join(text_encoding.blocks(file, text_encoding.detect(file)))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = getattr(error, "msg", "too deeply nested")
        place = f" in line {error.lineno:,}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidInput(f"it is not JSON ({why}{place})") from error
    if isinstance(value, dict):
        lists = [part for part in value.values() if isinstance(part, list) and part]
        value = max(lists, key=len) if lists else [value]
    if not isinstance(value, list):
        value = [value]
    for number, part in enumerate(value, 1):
        yield f"entry {number:,}", _record(part)


def parquet_records(file: BinaryIO, source: str, reading: Reading) -> Iterator[tuple[str, Record]]:
    """Yield (place, record)."""
    number = 0
    with _parquet(file) as table:
        for part in table.iter_batches(batch_size=PARQUET_ROWS, use_threads=False):
            for record in part.to_pylist():
                number += 1
                yield f"row {number:,}", record


@dataclass
class VectorRows:
    """Some rows of a Parquet file, column by column, their vectors as one array."""

    texts: list[str]
    vectors: NDArray[np.float32]
    metadatas: list[Record]
    keys: list[str] | None
    first_row: int


def vector_rows(file: BinaryIO, source: str, reading: Reading, size: int) -> Iterator[VectorRows]:
    """Yield a Parquet file's rows with their vectors, without a Python number for each float.

    Raises InvalidInput when the vectors are not of the length that `reading` names.
    """
    with _parquet(file) as table:
        columns = reading.columns_of(source, table.schema_arrow.names)
        wanted = [columns.text, columns.vector, *columns.metadata]
        wanted += [columns.key] if columns.key else []
        first = 1
        for part in table.iter_batches(batch_size=size, columns=wanted, use_threads=False):
            yield VectorRows(
                texts=part.column(columns.text).to_pylist(),
                vectors=_matrix(part.column(columns.vector), reading.dimension, first),
                metadatas=_metadatas(part, columns, source, reading),
                keys=part.column(columns.key).to_pylist() if columns.key else None,
                first_row=first,
            )
            first += part.num_rows


def vector_dimension(file: BinaryIO, column: str) -> int:
    """Return the length of a Parquet file's vectors, 0 when the column holds none."""
    with _parquet(file) as table:
        if column not in table.schema_arrow.names:
            return 0
        kind = table.schema_arrow.field(column).type
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
            return 0
        for part in table.iter_batches(batch_size=1, columns=[column]):
            value = part.column(0)[0].as_py()
            return len(value) if value else 0
        return 0


def typed(records: Iterator[tuple[str, Record]]) -> Iterator[tuple[str, Record]]:
    """Turn the texts of columns that look like numbers into numbers.

    A column is numeric when all its first rows are. A later value that is none stays a text.
    """
    head = list(itertools.islice(records, TYPED_BY_ROWS))
    names = list(head[0][1]) if head else []
    readers = {}
    for name in names:
        values = [record[name] for _, record in head if record[name].strip()]
        for reader in (_integer, _number):
            if values and all(reader(value) is not None for value in values):
                readers[name] = reader
                break
    for place, record in itertools.chain(head, records):
        for name, reader in readers.items():
            value = reader(record[name])
            if value is not None:
                record[name] = value
        yield place, record


def _integer(text: str) -> int | None:
    # A leading zero is part of a code, such as a postal one.
    digits = text.strip().removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or (digits[0] == "0" and len(digits) > 1):
        return None
    return int(text) if len(digits) <= 18 else None


def _number(text: str) -> float | None:
    if _integer(text) is None and text.strip().lstrip("-").isdigit():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def _metadata(record: Record, columns: Columns, left_out: set[str]) -> Record:
    own = {columns.text, columns.vector, columns.key} | left_out
    metadata = {name: value for name, value in record.items() if name not in own}
    inner = metadata.get(METADATA_COLUMN)
    if isinstance(inner, str) and inner.startswith("{"):  # as the lab's Parquet export has it
        try:
            inner = json.loads(inner)
        except ValueError:
            return metadata
    if isinstance(inner, dict):
        del metadata[METADATA_COLUMN]
        metadata |= inner
    return {name: value for name, value in metadata.items() if value is not None and value != ""}


def _metadatas(
    part: pa.RecordBatch, columns: Columns, source: str, reading: Reading
) -> list[Record]:
    if not columns.metadata:
        return [{} for _ in range(part.num_rows)]
    metadatas = [
        _metadata(record, columns, set())
        for record in part.select(list(columns.metadata)).to_pylist()
    ]
    if not columns.key and ORIGIN & set(columns.metadata):
        for metadata in metadatas:
            _give_way(metadata, source, reading)
    return metadatas


def _give_way(metadata: Record, source: str, reading: Reading) -> None:
    """Rename a table's own columns of the two names under which a row's origin is found again."""
    for name in ORIGIN & metadata.keys():
        metadata[f"{name}_column"] = metadata.pop(name)
        reading.problems.note_once(source, f"its column {name!r} is stored as {name + '_column'!r}")


def _record(value: Any) -> Record:
    return value if isinstance(value, dict) else {"text": value}


def _key(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


def as_vector(value: Any) -> NDArray[np.float32] | None:
    """Return a list of numbers, or its JSON, as an array; None for anything else."""
    if isinstance(value, str):  # as a CSV has it
        try:
            value = json.loads(value)
        except ValueError:
            return None
    try:
        vector = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        return None
    return vector if vector.ndim == 1 and len(vector) and np.isfinite(vector).all() else None


def _matrix(column: pa.Array, dimension: int, first_row: int) -> NDArray[np.float32]:
    if column.null_count:
        raise InvalidInput(f"a row from row {first_row:,} on has no vector")
    numbers = column.flatten().to_numpy(zero_copy_only=False)
    if len(numbers) != len(column) * dimension:
        raise InvalidInput(
            f"its vectors, from row {first_row:,} on, do not all have {dimension:,} numbers"
        )
    return np.ascontiguousarray(numbers, dtype=np.float32).reshape(len(column), dimension)


@contextlib.contextmanager
def _parquet(file: BinaryIO) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; damage found while reading ends it like damage found at its opening."""
    try:
        # Read a megabyte at a time: by default whole columns are fetched ahead, several of them.
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=PARQUET_BUFFER_BYTES) as table:
            yield table
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"it is damaged or no Parquet file ({type(error).__name__})") from error


def _delimiter(head: str) -> str:
    try:
        return csv.Sniffer().sniff(head, delimiters=",;\t|").delimiter
    except csv.Error:
        return ","


def _distinct(header: Sequence[str]) -> list[str]:
    """Name the columns that have no name, and tell those of one name apart."""
    names: list[str] = []
    for number, name in enumerate(header, 1):
        own = name.strip() or f"column_{number}"
        while own in names:
            own += "_2"
        names.append(own)
    return names
