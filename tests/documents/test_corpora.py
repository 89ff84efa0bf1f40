"""Corpora: made offline, the same way every time, with keys that are unique."""

import os
import re

import pytest
from langchain_core.documents import Document

from lib.documents.corpora import CORPORA
from scripts.model import gather
from tests.fresh_process import ended

MAX_VARCHAR_BYTES = 65_535


def make(name: str, size: int | None, seed: int = 0) -> list[Document]:
    """Return a corpus's documents."""
    return CORPORA[name].documents(size, seed)


@pytest.mark.parametrize("name", CORPORA)
def test_the_registry_names_its_corpora_and_their_keys_are_unique(name: str) -> None:
    documents = make(name, 500)
    assert CORPORA[name].name == name
    assert len({document.id for document in documents}) == 500
    assert len({frozenset(document.metadata) for document in documents}) == 1


@pytest.mark.parametrize("name", CORPORA)
def test_the_same_seed_gives_the_same_documents_and_another_gives_others(name: str) -> None:
    assert make(name, 50, seed=7) == make(name, 50, seed=7)
    assert make(name, 50, seed=7) != make(name, 50, seed=8)


@pytest.mark.parametrize("name", CORPORA)
def test_a_negative_size_is_refused_and_none_of_nothing_is_fine(name: str) -> None:
    assert make(name, 0) == []
    with pytest.raises(ValueError, match="-1"):
        make(name, -1)


def test_tutorial_documents_have_the_tutorials_text_and_metadata() -> None:
    for i, document in enumerate(make("tutorial", 12)):
        text = rf"This is test document {i} with some random content: 0\.\d+"
        assert re.fullmatch(text, document.page_content)
        assert document.id == document.metadata["id"] == f"doc_{i}"
        assert document.metadata["category"] == f"cat_{i % 5}"
        assert 0 <= document.metadata["score"] < 1


def test_the_standard_library_is_large_described_and_fits_a_field() -> None:
    documents = make("standard_library", None)
    assert 3000 < len(documents) == CORPORA["standard_library"].max_size
    assert {document.metadata["kind"] for document in documents} == {
        "module",
        "class",
        "function",
        "method",
    }
    assert max(len(document.page_content.encode()) for document in documents) < MAX_VARCHAR_BYTES
    assert all(document.page_content.startswith(f"{document.id}: ") for document in documents)


def test_a_sample_is_part_of_every_larger_one() -> None:
    small = {document.id for document in make("standard_library", 100, seed=3)}
    large = {document.id for document in make("standard_library", 400, seed=3)}
    assert small < large


def test_near_duplicates_and_the_readmes_answer_are_in_it() -> None:
    names = {document.id for document in make("standard_library", None)}
    assert {"shutil.rmtree", "str.split", "bytes.split", "bytearray.split"} <= names


def test_the_asset_holds_what_this_python_says_where_it_has_the_same_objects() -> None:
    kept = {document.id: document for document in make("standard_library", None)}
    gathered = {entry.name: entry for entry in gather.entries_of_python()}
    both = kept.keys() & gathered.keys()
    # Another version or platform has some others, and describes some differently.
    assert len(both) > 0.8 * len(kept)
    alike = [
        name for name in both if kept[name].metadata["length"] == len(gathered[name].docstring)
    ]
    assert len(alike) > 0.8 * len(both)
    for name in alike:
        assert kept[name].metadata["module"] == gathered[name].module
        assert kept[name].page_content.startswith(f"{name}: {gathered[name].docstring[:100]}")


def test_every_process_reads_the_same_corpus_and_nothing_is_printed_or_warned() -> None:
    code = (
        "import hashlib, sys\n"
        "from lib.documents.corpora import CORPORA\n"
        "documents = CORPORA['standard_library'].documents(None, 0)\n"
        "text = ''.join(f'{d.id}{d.page_content}{d.metadata}' for d in documents)\n"
        "sys.stdout.write(hashlib.sha256(text.encode()).hexdigest())\n"
    )
    seeded = [{"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed} for seed in ("1", "2")]
    outputs = [ended("-W", "always", "-c", code, env=env, check=True) for env in seeded]
    assert re.fullmatch("[0-9a-f]{64}", outputs[0].stdout)
    assert outputs[0].stdout == outputs[1].stdout
    assert outputs[0].stderr == outputs[1].stderr == ""
