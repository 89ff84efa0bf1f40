"""Files of other programs: what one sees in them is in the chunks (`office/make.py` made them)."""

import json
import re
from pathlib import Path

import pytest

from lib.documents.chunking import Chunking, chunks
from lib.documents.files import parsed
from lib.documents.problems import Problems
from lib.documents.sources import DEFAULT_MAX_BYTES, Reading, Upload

FOLDER = Path(__file__).parent / "office"
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))


def words_in(name: str) -> set[str]:
    content = (FOLDER / name).read_bytes()
    problems = Problems()
    [file] = parsed([Upload.of_bytes(name, content)], DEFAULT_MAX_BYTES)
    documents = file.documents(file.parts(), Reading(), problems)
    found = list(chunks(documents, Chunking("recursive", 400, 0)))
    assert problems.total == 0
    # The mark of a footnote stands at its word: 1Ceramic.
    return set(re.findall(r"[^\W\d]+|\d+", " ".join(chunk.page_content for chunk in found)))


def test_thirty_files_of_ten_kinds_are_small_enough_to_be_kept() -> None:
    kinds = {name.rpartition(".")[2] for name in EXPECTED}
    assert len(EXPECTED) >= 30
    assert kinds >= {"docx", "pptx", "xlsx", "odt", "rtf", "epub", "eml", "html", "md", "pdf"}
    assert sum((FOLDER / name).stat().st_size for name in EXPECTED) < 1_000_000


@pytest.mark.parametrize("name", EXPECTED)
def test_what_one_sees_in_a_file_of_another_program_is_in_its_chunks(name: str) -> None:
    found = words_in(name)
    missing = [word for word in EXPECTED[name]["words"] if word not in found]
    assert [word for word in EXPECTED[name]["always"] if word not in found] == []
    assert len(missing) <= 0.05 * len(EXPECTED[name]["words"]), missing


def test_what_a_file_holds_beside_words_is_named() -> None:
    problems = Problems()
    content = (FOLDER / "english.docx").read_bytes()
    [file] = parsed([Upload.of_bytes("english.docx", content)], DEFAULT_MAX_BYTES)
    assert list(file.documents(file.parts(), Reading(), problems))
    assert [str(problem) for problem in problems.kept] == [
        "english.docx: what holds no text is left out: numbers of list entries (3), "
        "ActiveX controls (1)"
    ]
