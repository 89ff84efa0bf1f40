"""Uploaded files are parsed once, and what is kept of them is bounded."""

import io
import itertools
from dataclasses import replace
from typing import BinaryIO

import pytest

from lib.documents.chunking import Chunking
from lib.documents.files import KEPT_BYTES, ParsedFile, parsed
from lib.documents.loaders import SECTION_CHARACTERS
from lib.documents.problems import Problems
from lib.documents.sources import DEFAULT_MAX_BYTES, Reading, Upload
from lib.ingestion.chosen import Chosen, of_files, tables_of
from tests.waiting import at_once

ROWS = "".join(f"{i},This is row {i} of a table\n" for i in range(2_000))


class Opened:
    """A file that counts how often it was opened to be read."""

    def __init__(self, name: str, content: str) -> None:
        self._content = content.encode()
        self.times = 0
        self.upload = replace(Upload.of_bytes(name, self._content), open=self._open)

    def _open(self) -> BinaryIO:
        self.times += 1
        return io.BytesIO(self._content)


def texts(file: ParsedFile) -> list[str]:
    return [part.values["text"] for part in file.parts()]


def test_a_sample_two_forecasts_and_an_ingestion_parse_a_file_once() -> None:
    opened = Opened("table.csv", "n,text\n" + ROWS)
    files = parsed([opened.upload], DEFAULT_MAX_BYTES)
    [table] = tables_of(files)
    assert table.columns == ("n", "text")
    for size in (800, 400):
        chosen = of_files(files, Reading(), Chunking(size=size))
        forecast = chosen.forecast()
        assert (forecast.rows, forecast.is_exact) == (2_000, True)
    batches = chosen.batches(100, Problems())
    assert sum(len(batch) for batch in batches) == 2_000
    assert opened.times == 1


def test_what_does_not_fit_is_parsed_on_by_the_first_reader_and_anew_by_the_next() -> None:
    opened = Opened("long.txt", "A sentence of a long text. " * 20_000)
    file = ParsedFile(opened.upload, DEFAULT_MAX_BYTES, kept_bytes=2 * SECTION_CHARACTERS)
    head = list(file.head())
    assert 2 <= len(head) <= 3
    assert len(list(file.head())) == len(head)
    whole = texts(file)
    assert opened.times == 1
    assert len(whole) > len(head)
    assert texts(file) == whole
    assert opened.times == 2


def test_a_reader_that_left_early_costs_the_next_nothing() -> None:
    opened = Opened("table.csv", "n,text\n" + ROWS)
    file = ParsedFile(opened.upload, DEFAULT_MAX_BYTES)
    first = list(itertools.islice(file.parts(), 10))
    assert len(first) == 10
    assert len(texts(file)) == 2_000
    assert opened.times == 1


def test_two_threads_share_one_parse() -> None:
    opened = Opened("table.csv", "n,text\n" + ROWS)
    file = ParsedFile(opened.upload, DEFAULT_MAX_BYTES)
    found = at_once(4, lambda _: texts(file))
    assert opened.times == 1
    assert found[0] == found[1] == found[2] == found[3]
    assert len(found[0]) == 2_000


@pytest.mark.parametrize("count", [1, 5])
def test_files_share_the_room_in_memory(count: int) -> None:
    uploads = [Upload.of_bytes(f"{i}.txt", b"text") for i in range(count)]
    assert sum(file._room for file in parsed(uploads, DEFAULT_MAX_BYTES)) <= KEPT_BYTES


def test_problems_of_parsing_are_told_to_every_reader() -> None:
    file = ParsedFile(Upload.of_bytes("a.csv", b"n,text\n1,one\nbroken\n"), DEFAULT_MAX_BYTES)
    for _ in range(2):
        problems = Problems()
        documents = list(file.documents(file.parts(), Reading(), problems))
        assert [document.page_content for document in documents] == ["one"]
        assert [str(each) for each in problems.kept] == [
            "a.csv, line 3: it has 1 values, the header 2"
        ]
        assert problems.spoiled("a.csv")


def test_the_same_file_has_one_identity_and_every_other_file_another() -> None:
    def chosen(name: str, content: bytes) -> Chosen:
        # Nothing of it lives on, as after a visitor has left.
        return of_files(
            parsed([Upload.of_bytes(name, content)], DEFAULT_MAX_BYTES), Reading(), Chunking()
        )

    # All of one size, in turn: only their content tells them apart.
    identities = [chosen("a.txt", b"row %03d" % number).identity for number in range(211)]
    assert len(set(identities)) == 211
    assert chosen("a.txt", b"row 007").identity == identities[7]
    assert chosen("b.txt", b"row 007").identity != identities[7]
    bare = Upload("a.txt", 7, lambda: io.BytesIO(b"row 007"))
    assert of_files(parsed([bare], 100), Reading(), Chunking()).identity == identities[7]
