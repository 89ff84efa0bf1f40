"""Tables: CSV, TSV, JSON and Parquet files → their rows, one at a time."""

import csv
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lib.documents import text_encoding
from lib.documents.archives import MAX_RATIO, SMALL_BYTES
from lib.documents.problems import Problems
from lib.documents.sources import Part
from lib.errors import InvalidInput

# Rows looked at before a column's values are taken for numbers.
TYPED_BY_ROWS = 200
MAX_COLUMNS = 1_000
MAX_JSON_VALUES = 1_000_000
PARQUET_ROWS = 1_000
PARQUET_BUFFER_BYTES = 1 << 20
INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
# A leading zero is part of a code, such as a postal one.
DECIMAL = re.compile(r"[-+]?(0|[1-9]\d*)?\.?\d+([eE][-+]?\d{1,2})?", re.ASCII)
csv.field_size_limit(text_encoding.MAX_LINE_CHARACTERS)


def csv_rows(
    file: BinaryIO, source: str, problems: Problems, delimiter: str = ""
) -> Iterator[Part]:
    """Read separated values; without a `delimiter` it is found. Numbers become numbers."""
    rows = _csv_rows(file, source, problems, delimiter)
    head = list(itertools.islice(rows, TYPED_BY_ROWS))
    numeric = [
        name
        for name in (head[0].values if head else ())
        if (values := [part.values[name] for part in head if part.values[name].strip()])
        and all(_number(value) is not None for value in values)
    ]
    for part in itertools.chain(head, rows):
        for name in numeric:
            number = _number(part.values[name])
            if number is not None:
                part.values[name] = number
        yield part


def _csv_rows(file: BinaryIO, source: str, problems: Problems, delimiter: str) -> Iterator[Part]:
    lines = text_encoding.lines(file)
    head = list(itertools.islice(lines, 20))
    delimiter = delimiter or _delimiter("".join(head))
    reader = csv.reader(itertools.chain(head, lines), delimiter=delimiter)
    try:
        names = _distinct(next(reader, []))
        for row in reader:
            place = f"line {reader.line_num:,}"
            if row and len(row) == len(names):
                yield Part(source, place, dict(zip(names, row, strict=True)))
            elif row:
                problems.add(
                    source, place, f"it has {len(row):,} values, the header {len(names):,}"
                )
    except csv.Error as error:
        raise InvalidInput(f"line {reader.line_num:,} cannot be read ({error})") from error


def json_line_rows(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    """Read one JSON value a line. A line that is not JSON is reported and left out."""
    for number, line in enumerate(text_encoding.lines(file), 1):
        if not line.strip():
            continue
        try:
            yield Part(source, f"line {number:,}", _row(_json(line)))
        except InvalidInput as problem:
            problems.add(source, f"line {number:,}", problem.what)


def json_rows(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    """Read a JSON list, or the longest list in a JSON object."""
    with text_encoding.opened(file) as text:
        value = _json(text.read(), says_line=True)
    if isinstance(value, dict):
        lists = [part for part in value.values() if isinstance(part, list) and part]
        value = max(lists, key=len) if lists else [value]
    rows = value if isinstance(value, list) else [value]
    for number, row in enumerate(rows, 1):
        yield Part(source, f"entry {number:,}", _row(row), number / len(rows))


def parquet_rows(file: BinaryIO, source: str, problems: Problems) -> Iterator[Part]:
    """Read a Parquet file. A list of numbers becomes an array, not a Python object a number."""
    try:
        # A megabyte at a time: by default whole columns are fetched ahead, several of them.
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=PARQUET_BUFFER_BYTES) as table:
            _check_packing(table.metadata)
            number, total = 0, table.metadata.num_rows
            for batch in table.iter_batches(batch_size=PARQUET_ROWS, use_threads=False):
                columns = [_values(column) for column in batch.columns]
                for values in zip(*columns, strict=True):
                    number += 1
                    row = dict(zip(batch.schema.names, values, strict=True))
                    yield Part(source, f"row {number:,}", row, number / total)
    except InvalidInput:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise InvalidInput("it is damaged or no Parquet file") from error


def _check_packing(metadata: pq.FileMetaData) -> None:
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            packed = max(column.total_compressed_size, 1)
            if column.total_uncompressed_size > max(SMALL_BYTES, MAX_RATIO * packed):
                raise InvalidInput(f"it would unpack to more than {MAX_RATIO} times its size")


def _values(column: pa.Array) -> Sequence[Any]:
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if (is_list or pa.types.is_fixed_size_list(kind)) and not column.null_count:
        lengths = column.value_lengths().unique() if is_list else pa.array([kind.list_size])
        if len(lengths) == 1 and lengths[0].as_py() and pa.types.is_floating(kind.value_type):
            numbers = column.flatten().to_numpy(zero_copy_only=False)
            return list(numbers.astype(np.float32, copy=False).reshape(len(column), -1))
    values: list[Any] = column.to_pylist()
    return values


def _json(text: str, *, says_line: bool = False) -> Any:
    # A value takes up to 30 times its letters in memory, so they are counted before they are made.
    if sum(map(text.count, ",[{")) > MAX_JSON_VALUES:
        raise InvalidInput(f"it holds more than {MAX_JSON_VALUES:,} values at once")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InvalidInput("it is not JSON (too deeply nested)") from error
    except json.JSONDecodeError as error:
        place = f" in line {error.lineno:,}" if says_line else ""
        raise InvalidInput(f"it is not JSON ({error.msg}{place})") from error
    except ValueError as error:  # Python reads no number of more than 4,300 digits
        raise InvalidInput("it holds a number of too many digits") from error


def _row(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"text": value}


def _number(text: str) -> int | float | None:
    text = text.strip()
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if DECIMAL.fullmatch(text) and not text.lstrip("-+").isdigit() else None


def _delimiter(head: str) -> str:
    try:
        return csv.Sniffer().sniff(head, delimiters=",;\t|").delimiter
    except csv.Error:
        return ","


def _distinct(header: Sequence[str]) -> list[str]:
    """Name the columns that have no name, and tell those of one name apart."""
    if len(header) > MAX_COLUMNS:
        raise InvalidInput(f"it has {len(header):,} columns, at most {MAX_COLUMNS:,} are taken")
    names: dict[str, None] = {}
    for number, name in enumerate(header, 1):
        own = name.strip() or f"column_{number}"
        if own in names:
            own = next(
                other for again in itertools.count(2) if (other := f"{own}_{again}") not in names
            )
        names[own] = None
    return list(names)
