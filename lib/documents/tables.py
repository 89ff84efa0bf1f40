"""Tables: CSV, TSV, JSON and Parquet files → their rows, one at a time."""

import csv
import io
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
from lib.documents.sources import MEGABYTE, Part
from lib.errors import InvalidInput

# Rows looked at before a column's values are taken for numbers.
TYPED_BY_ROWS = 200
MAX_COLUMNS = 1_000
MAX_JSON_VALUES = 1_000_000
PARQUET_ROWS = 1_000
PARQUET_BUFFER_BYTES = 1 << 20
PARQUET_BATCH_BYTES, MAX_COLUMN_BYTES = 32 << 20, 256 << 20
MAX_ROW_CHARACTERS, MAX_ROW_VALUES = text_encoding.MAX_LINE_CHARACTERS, 500_000
DELIMITERS = ",;\t|"
SNIFFED_LINES, SNIFFED_CHARACTERS = 20, 20_000
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
    head = list(itertools.islice(lines, SNIFFED_LINES))
    delimiter = delimiter or _delimiter(head)
    room, values = MAX_ROW_CHARACTERS, MAX_ROW_VALUES

    def bounded() -> Iterator[str]:
        # A quote that is never closed makes one row of a whole file.
        nonlocal room, values
        for line in itertools.chain(head, lines):
            room, values = room - len(line), values - line.count(delimiter)
            if room < 0 or values < 0:
                raise InvalidInput(
                    f"line {reader.line_num:,} is in a row of more than {MAX_ROW_CHARACTERS:,} "
                    f"characters or {MAX_ROW_VALUES:,} values"
                )
            yield line

    reader = csv.reader(bounded(), delimiter=delimiter)
    try:
        names = _distinct(next(reader, []))
        for row in reader:
            room, values = MAX_ROW_CHARACTERS, MAX_ROW_VALUES
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
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    try:
        room = max(SMALL_BYTES, MAX_RATIO * size)
        # A megabyte at a time: by default whole columns are fetched ahead, several of them.
        options = {"pre_buffer": False, "buffer_size": PARQUET_BUFFER_BYTES}
        with pq.ParquetFile(file, **options) as table:
            rows_at_once = _check_packing(table.metadata)
            names = table.schema_arrow.names
            if len(names) > MAX_COLUMNS:
                raise InvalidInput(
                    f"it has {len(names):,} columns, at most {MAX_COLUMNS:,} are taken"
                )
            # Texts stay in dictionaries until used: a page may name one a thousand times.
            texts = [
                field.name
                for field in table.schema_arrow
                if pa.types.is_string(field.type) or pa.types.is_binary(field.type)
            ]
        file.seek(0)
        with pq.ParquetFile(file, read_dictionary=texts, **options) as table:
            number, total = 0, table.metadata.num_rows
            for batch in table.iter_batches(batch_size=rows_at_once, use_threads=False):
                columns = [_values(column) for column in batch.columns]
                for values in zip(*columns, strict=True):
                    number += 1
                    row = dict(zip(batch.schema.names, values, strict=True))
                    room -= sum(len(value) for value in values if isinstance(value, str | bytes))
                    if room < 0:
                        raise InvalidInput(
                            f"row {number:,}: its texts are more than {MAX_RATIO} times the "
                            "file's size"
                        )
                    yield Part(source, f"row {number:,}", row, number / total)
    except InvalidInput:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise InvalidInput("it is damaged or no Parquet file") from error


def _check_packing(metadata: pq.FileMetaData) -> int:
    """Return how many rows to read at once. Raises InvalidInput for what was packed to do harm."""
    longest = 1
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            packed = max(column.total_compressed_size, 1)
            if column.total_uncompressed_size > max(SMALL_BYTES, MAX_RATIO * packed):
                raise InvalidInput(f"it would unpack to more than {MAX_RATIO} times its size")
            if column.total_uncompressed_size > MAX_COLUMN_BYTES:
                limit = f"{MAX_COLUMN_BYTES / MEGABYTE:,.0f} MB"
                raise InvalidInput(f"a column of it has more than {limit} in one group of rows")
            # Inside lists and records a text of a dictionary is written out for each of its rows.
            if "." in column.path_in_schema and column.physical_type == "BYTE_ARRAY":
                is_named = any("DICTIONARY" in each for each in column.encodings)
                longest = max(longest, column.total_uncompressed_size if is_named else 1)
    return max(1, min(PARQUET_ROWS, PARQUET_BATCH_BYTES // longest))


def _values(column: pa.Array) -> Sequence[Any]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        texts = _values(column.dictionary)
        return [None if at is None else texts[at] for at in column.indices.to_pylist()]
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if (is_list or pa.types.is_fixed_size_list(kind)) and not column.null_count:
        lengths = column.value_lengths().unique() if is_list else pa.array([kind.list_size])
        if len(lengths) == 1 and lengths[0].as_py() and pa.types.is_floating(kind.value_type):
            numbers = column.flatten().to_numpy(zero_copy_only=False)
            return list(numbers.astype(np.float32, copy=False).reshape(len(column), -1))
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError, KeyError, pa.ArrowException):
        values = [_value(scalar) for scalar in column]
    return values


def _value(scalar: pa.Scalar) -> Any:
    """Return a value; of one beyond what Python counts, such as a year 10000, its number."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError, KeyError, pa.ArrowException):
        kind = scalar.type
        if pa.types.is_struct(kind):
            return {name: _value(each) for name, each in scalar.items()}
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return [_value(each) for each in scalar.values]
        number = getattr(scalar, "value", None)
        return None if number is None else f"{number} ({kind})"


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
    if isinstance(value, dict) and len(value) > MAX_COLUMNS:
        raise InvalidInput(f"it has {len(value):,} columns, at most {MAX_COLUMNS:,} are taken")
    return value if isinstance(value, dict) else {"text": value}


def _number(text: str) -> int | float | None:
    text = text.strip()
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if DECIMAL.fullmatch(text) and not text.lstrip("-+").isdigit() else None


def _delimiter(head: Sequence[str]) -> str:
    """Return the mark that gives most rows the width of the first, the widest if there are several.

    The standard library's own guess takes the square of the text's length, and more.
    """

    def evidence(delimiter: str) -> tuple[int, int]:
        sample = (line[:SNIFFED_CHARACTERS] for line in head)
        try:
            widths = [len(row) for row in csv.reader(sample, delimiter=delimiter) if row]
        except csv.Error:
            return 0, 0
        width = widths[0] if widths else 1
        return (widths.count(width), width) if width > 1 else (0, 0)

    return max(DELIMITERS, key=evidence)


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
